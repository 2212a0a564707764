//! What can be wrong with certificates, and in words with a handshake.

use std::{fmt, io, path::PathBuf};
use tokio_rustls::rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible};

/// A part of an identity, named as the keys of the configuration are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate, followed by those between it and the authority.
    Certificate,
    /// The certificate's private key.
    Keyfile,
    /// The authorities that certificates of others may come from.
    Truststore,
    /// The name that is demanded of servers.
    ServerName,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Keyfile => "keyfile",
            Self::Truststore => "truststore",
            Self::ServerName => "server_name",
        })
    }
}

/// An identity cannot be made of this. It never contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}{}: {cause}", place(path.as_ref()))]
pub struct TlsError {
    /// Of which part.
    pub part: Part,
    /// Where it was read, if in a file.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub cause: String,
}

impl TlsError {
    pub(super) fn new(part: Part, cause: impl fmt::Display) -> Self {
        Self { part, path: None, cause: cause.to_string() }
    }
}

fn place(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

/// Why a handshake has failed, in words about the other side.
pub(super) fn in_words(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof {
            "it has closed the connection".into()
        } else {
            error.to_string()
        };
    };
    match tls {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS".into(),
        Error::NoCertificatesPresented => "it presents no certificate".into(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority of the truststore has made its certificate".into()
        }
        Error::InvalidCertificate(why) => format!("its certificate cannot be accepted: {why}"),
        Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => "it does not speak TLS 1.3".into(),
        Error::AlertReceived(alert) => format!("it refuses with the alert {alert:?}"),
        other => other.to_string(),
    }
}
