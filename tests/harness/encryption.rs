//! Certificates of a cluster, in one folder for all of its nodes and for whoever asks them.

#[path = "../../node/api/src/tls/authority.rs"]
mod authority;

use authority::Authority;
use group0_api::tls::{Client, Files, Identity, SERVER_NAME, ServerName};
use std::{fmt::Write as _, path::PathBuf};

/// What nodes, and those who ask them, prove themselves with.
#[derive(Clone)]
pub struct Encryption {
    folder: PathBuf,
    files: Files,
    client: Client,
}

impl Encryption {
    /// Of a new authority.
    pub fn new(folder: PathBuf) -> Self {
        let files = Authority::new("first").issue(SERVER_NAME).write(&folder);
        let identity = Identity::read(files.clone()).expect("good certificates");
        let client = Client::new(identity, ServerName::try_from(SERVER_NAME).expect("a name"));
        Self { folder, files, client }
    }

    /// For those who ask.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Everybody gets a certificate of another authority, and trusts that one alone.
    pub fn replace(&self) {
        Authority::new("next").issue(SERVER_NAME).write(&self.folder);
    }

    /// The keys of a node's configuration.
    pub fn write_keys(&self, yaml: &mut String) {
        let Files { certificate, keyfile, truststore } = &self.files;
        for (key, mode) in [("server", "internode_encryption: all"), ("admin", "enabled: true")] {
            writeln!(yaml, "{key}_encryption_options:\n  {mode}").expect("a string takes text");
            for (key, path) in [("certificate", certificate), ("keyfile", keyfile), ("truststore", truststore)] {
                writeln!(yaml, "  {key}: {}", path.display()).expect("a string takes text");
            }
        }
    }
}
