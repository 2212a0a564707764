//! The certificates that the configuration names, read: before that nothing is listened on.

use crate::config::{ADMIN, Config, ConfigError, INTERNODE};
use group0_api::tls::{Client, Files, Identity, Server};

/// Who speaks TLS, and with what. Absent parts speak without.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Peers that connect.
    pub peers: Option<Server>,
    /// To peers.
    pub to_peers: Option<Client>,
    /// Operators.
    pub admin: Option<Server>,
    /// All that is read from files, each once.
    pub identities: Vec<Identity>,
}

impl Tls {
    /// Reads them.
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        let (mut tls, mut read) = (Self::default(), Vec::new());
        if let Some(internode) = &config.internode {
            let identity = identity(&mut read, INTERNODE, &internode.files)?;
            tls.to_peers = Some(Client::new(identity.clone(), internode.server_name.clone()));
            tls.peers = Some(Server::new(identity));
        }
        if let Some(files) = &config.admin_files {
            tls.admin = Some(Server::new(identity(&mut read, ADMIN, files)?));
        }
        tls.identities = read.into_iter().map(|(_, identity)| identity).collect();
        Ok(tls)
    }
}

/// That of the same files, if it was read already: what is wrong with them later is then said once.
fn identity<'a>(read: &mut Vec<(&'a Files, Identity)>, key: &str, files: &'a Files) -> Result<Identity, ConfigError> {
    if let Some((_, same)) = read.iter().find(|(known, _)| *known == files) {
        return Ok(same.clone());
    }
    let identity = Identity::read(files.clone()).map_err(|error| ConfigError::bad(format!("{key}.{error}")))?;
    read.push((files, identity.clone()));
    Ok(identity)
}
