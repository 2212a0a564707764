//! An identity that follows its files.
//!
//! They are looked at when a connection is made, at most each second, and now and then besides: three calls of `stat`, and a read only
//! if something is different. What cannot be used is left alone and said once; the former goes on being used, and the next look tries again.

use super::{
    error::{Part, TlsError},
    material::{Material, Pem},
};
use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two that no connection is the reason for: a person who replaces files watches the log.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// Where an identity is, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub keyfile: PathBuf,
    /// The authorities that are trusted.
    pub truststore: PathBuf,
}

/// A certificate, its key, and who is trusted. Clones are of one and the same.
#[derive(Clone)]
pub struct Identity {
    source: Arc<Source>,
}

enum Source {
    Memory(Material),
    Files(Files, Mutex<Held>),
}

struct Held {
    material: Material,
    /// Of the files that the material was read from, taken before they were read.
    stamps: Stamps,
    looked: Instant,
    complaint: Option<String>,
}

/// What tells one state of a file from the next, symbolic links followed; `None` cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    written: (i64, i64),
}

type Stamps = [Option<Stamp>; 3];

impl Identity {
    /// Of files, which are followed from here on.
    pub fn read(files: Files) -> Result<Self, TlsError> {
        let stamps = files.stamps();
        let held = Held { material: files.material()?, stamps, looked: Instant::now(), complaint: None };
        Ok(Self { source: Arc::new(Source::Files(files, Mutex::new(held))) })
    }

    /// Of bytes, which stay what they are.
    pub fn parse(pem: &Pem<'_>) -> Result<Self, TlsError> {
        Ok(Self { source: Arc::new(Source::Memory(Material::parse(pem)?)) })
    }

    /// Looks at the files for as long as it is polled. Without it they are looked at only when a connection is made, and a mistake would
    /// show itself when it is needed.
    pub async fn follow(&self) {
        let mut looks = tokio::time::interval(FOLLOW_EVERY);
        loop {
            looks.tick().await;
            self.material();
        }
    }

    /// What a handshake that begins now is done with.
    pub(super) fn material(&self) -> Material {
        self.material_at(Instant::now())
    }

    pub(super) fn material_at(&self, now: Instant) -> Material {
        match &*self.source {
            Source::Memory(material) => material.clone(),
            Source::Files(files, held) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.look(files, now);
                held.material.clone()
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.source {
            Source::Memory(_) => f.write_str("Identity(in memory)"),
            Source::Files(files, _) => f.debug_tuple("Identity").field(files).finish(),
        }
    }
}

impl Held {
    fn look(&mut self, files: &Files, now: Instant) {
        if now.saturating_duration_since(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        let stamps = files.stamps();
        if stamps != self.stamps {
            match files.material() {
                Ok(material) => self.replace(material, stamps, files),
                Err(error) => self.complain(error.to_string()),
            }
        }
    }

    fn replace(&mut self, material: Material, stamps: Stamps, files: &Files) {
        (self.material, self.stamps, self.complaint) = (material, stamps, None);
        tracing::info!(target: "tls", certificate = %files.certificate.display(), "certificates were read anew; new connections use them");
    }

    fn complain(&mut self, error: String) {
        if self.complaint.as_ref() != Some(&error) {
            tracing::warn!(target: "tls", error, "new certificates cannot be used; going on with the former ones");
            self.complaint = Some(error);
        }
    }
}

impl Files {
    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.keyfile, &self.truststore].map(|path| stamp(path).ok())
    }

    fn material(&self) -> Result<Material, TlsError> {
        let certificate = read(Part::Certificate, &self.certificate)?;
        let keyfile = read(Part::Keyfile, &self.keyfile)?;
        let truststore = read(Part::Truststore, &self.truststore)?;
        let pem = Pem { certificate: &certificate, keyfile: &keyfile, truststore: &truststore };
        Material::parse(&pem).map_err(|error| self.located(error))
    }

    fn located(&self, error: TlsError) -> TlsError {
        let path = match error.part {
            Part::Certificate => Some(&self.certificate),
            Part::Keyfile => Some(&self.keyfile),
            Part::Truststore => Some(&self.truststore),
            Part::ServerName => None,
        };
        TlsError { path: path.cloned(), ..error }
    }
}

fn read(part: Part, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error: io::Error| TlsError { part, path: Some(path.to_owned()), cause: format!("cannot be read: {error}") };
    fs::read(path).map_err(unreadable)
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let of = fs::metadata(path)?;
    Ok(Stamp {
        device: of.dev(),
        inode: of.ino(),
        size: of.size(),
        changed: (of.ctime(), of.ctime_nsec()),
        written: (of.mtime(), of.mtime_nsec()),
    })
}
