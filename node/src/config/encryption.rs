//! Which listeners speak TLS, and with what: `server_encryption_options` for peers, `admin_encryption_options` for operators.
//!
//! Both are mutual: who connects proves who he is, too. Whoever asks for encryption gets all of it or is refused.

use super::keys::{ConfigError, Keys, Section};
use group0_api::tls::{Files, Part, SERVER_NAME, ServerName};
use std::path::PathBuf;

/// Between nodes.
pub const INTERNODE: &str = "server_encryption_options";
/// The Admin service.
pub const ADMIN: &str = "admin_encryption_options";

/// TLS between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internode {
    /// The node's own certificate, and whom it trusts.
    pub files: Files,
    /// What the certificate of each peer must name.
    pub server_name: ServerName<'static>,
}

/// `server_encryption_options`, if nodes are to encrypt.
pub fn internode(keys: &mut Keys) -> Result<Option<Internode>, ConfigError> {
    const MODE: &str = "internode_encryption";
    let known = [MODE, "certificate", "keyfile", "truststore", "server_name", "require_client_auth"];
    let options = keys.section(INTERNODE, &known)?;
    match options.optional::<String>(MODE)?.as_deref() {
        None | Some("none" | "false") => Ok(None),
        Some("all") => Ok(Some(Internode { files: files(&options)?, server_name: server_name(&options)? })),
        Some(other) => Err(options.bad(MODE, format!("is {other}, expected none or all"))),
    }
}

/// `admin_encryption_options`, if they are enabled.
pub fn admin(keys: &mut Keys) -> Result<Option<Files>, ConfigError> {
    let options = keys.section(ADMIN, &["enabled", "certificate", "keyfile", "truststore", "require_client_auth"])?;
    if options.optional("enabled")? == Some(true) { files(&options).map(Some) } else { Ok(None) }
}

/// Asking for encryption and not getting it must not pass silently.
pub fn refuse_clients(keys: &mut Keys) -> Result<(), ConfigError> {
    let options = keys.section("client_encryption_options", &["enabled"])?;
    if options.optional("enabled")? == Some(true) {
        return Err(options.bad("enabled", "is true, but this release has no TLS for CQL"));
    }
    Ok(())
}

fn files(options: &Section) -> Result<Files, ConfigError> {
    if options.optional("require_client_auth")? == Some(false) {
        let why = "is false, but both sides always prove who they are: set it to true or leave it out";
        return Err(options.bad("require_client_auth", why));
    }
    let path = |part: Part| {
        let missing = || options.bad(&part.to_string(), "is missing; encryption needs certificate, keyfile and truststore");
        options.optional::<String>(&part.to_string())?.map(PathBuf::from).ok_or_else(missing)
    };
    Ok(Files { certificate: path(Part::Certificate)?, keyfile: path(Part::Keyfile)?, truststore: path(Part::Truststore)? })
}

fn server_name(options: &Section) -> Result<ServerName<'static>, ConfigError> {
    const KEY: &str = "server_name";
    let name = options.optional(KEY)?.unwrap_or_else(|| SERVER_NAME.to_owned());
    let wrong = |error| options.bad(KEY, format!("is {name}: {error}"));
    ServerName::try_from(name.clone()).map_err(wrong)
}
