//! The certificates that the configuration names, read: before that nothing is listened on.

use crate::config::{ADMIN, Config, ConfigError, INTERNODE, Internode};
use group0_api::tls::{Client, Files, Identity, Server, TlsError};

/// Who speaks TLS, and with what. Absent parts speak without.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Peers that connect.
    pub peers: Option<Server>,
    /// To peers.
    pub to_peers: Option<Client>,
    /// Operators.
    pub admin: Option<Server>,
}

impl Tls {
    /// Reads them. From then on they are followed.
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        let (peers, to_peers) = config.internode.as_ref().map(internode).transpose()?.unzip();
        let admin = config.admin_files.as_ref().map(|files| identity(ADMIN, files)).transpose()?.map(Server::new);
        Ok(Self { peers, to_peers, admin })
    }
}

fn internode(options: &Internode) -> Result<(Server, Client), ConfigError> {
    let identity = identity(INTERNODE, &options.files)?;
    Ok((Server::new(identity.clone()), Client::new(identity, options.server_name.clone())))
}

fn identity(key: &str, files: &Files) -> Result<Identity, ConfigError> {
    Identity::read(files.clone()).map_err(|error: TlsError| ConfigError::bad(format!("{key}.{error}")))
}
