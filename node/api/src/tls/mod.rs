//! Mutual TLS for both services: who presents which certificate, and who trusts whom.
//!
//! An [`Identity`] is a certificate, its key and the authorities that are trusted; read from files it follows them, so that
//! certificates are replaced without a restart. [`Server`] takes connections and [`Client`] makes them, each with what the identity
//! holds at that moment; connections that exist go on. Both demand a certificate of the other side, always: there is no mode in
//! which only one of the two is known. TLS 1.3 alone is spoken, since both ends are ours.
//!
//! Addresses of nodes change, so no certificate names them: a client demands a name of the certificate, [`SERVER_NAME`] unless
//! configured, whatever the address. Sessions are not resumed: each connection is verified anew, by the present authorities.

mod client;
mod complaints;
mod error;
mod identity;
mod material;
mod server;

pub use client::{Client, Connector};
pub use error::{Part, TlsError};
pub use identity::{Files, Identity};
pub use material::Pem;
pub use server::Server;
pub use tokio_rustls::rustls::pki_types::ServerName;

use std::time::Duration;

/// The name that the certificate of a node has, and clients demand, unless configured.
pub const SERVER_NAME: &str = "group0-node";

/// How long the other side may take. A handshake is two messages each way and some milliseconds of computing.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod authority;
#[cfg(test)]
mod tests;
