//! The folder of a local cluster: who may use it, and what lies where.
//!
//! `lock`, `subnet`, `set.yaml`, `status.yaml`, `backup/`, and for each node `nodes/<i>/` with `node.yaml`, `data`, `log`, `pid`,
//! `version`, `env` and, if a run with `--keep-running` has left it running, `kept`. A file is replaced as a whole or not at all.

use crate::error::Error;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let cannot = |error: io::Error| Error::mistake(format!("--dir {}: cannot be used: {error}", path.display()));
        fs::create_dir_all(path).map_err(cannot)?;
        let path = path.canonicalize().map_err(cannot)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&lock_path).map_err(cannot)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::mistake(format!(
                "--dir {}: the folder is in use by another run of group0-operator local; end that one or name another folder",
                path.display()
            ))),
            Err(error) => Err(Error::failure(format!("{}: cannot be locked: {error}", lock_path.display()))),
        }
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the status is.
    pub fn status(&self) -> PathBuf {
        self.path.join("status.yaml")
    }

    /// Where what stands for the StatefulSet is.
    pub fn set(&self) -> PathBuf {
        self.path.join("set.yaml")
    }

    /// Where the subnet is recorded.
    pub fn subnet(&self) -> PathBuf {
        self.path.join("subnet")
    }

    /// The folder of a node.
    pub fn node(&self, index: u32) -> PathBuf {
        self.path.join("nodes").join(index.to_string())
    }
}

/// The text of a file; `None` if there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failure(format!("{}: cannot be read: {error}", path.display()))),
    }
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::failure(format!("{}: cannot be removed: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Replaces a file as a whole; when it returns, that is durable.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
    rename_over(path, text, File::sync_data).map_err(|error| cannot_write(path, &error))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::failure(format!("{}: is written, and may not last: {error}", path.display())))
}

/// Replaces a file as a whole for whoever reads it; after a failure of the machine it may be the old one, and on some file systems empty.
pub fn replace_without_waiting(path: &Path, text: &str) -> Result<(), Error> {
    rename_over(path, text, |_| Ok(())).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::failure(format!("{}: cannot be written: {error}; nothing was changed", path.display()))
}

fn rename_over(path: &Path, text: &str, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    // What is a link stays one.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    sync(&file)?;
    fs::rename(&new, path)
}
