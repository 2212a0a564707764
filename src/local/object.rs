//! The object: its spec is the user's file, which may be edited at any time, its status and identity are in the folder.

use super::folder::{self, Folder};
use crate::{act::Stored, crd::Group0Upgrade, error::Error, validate};
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The file and what was recorded of it.
#[derive(Debug)]
pub struct LocalObject {
    file: PathBuf,
    status: PathBuf,
    read_at: Option<(SystemTime, u64)>,
    /// The last text that was an upgrade of this cluster, with its recorded status.
    object: Group0Upgrade,
}

impl LocalObject {
    /// Reads the file and, if there was an earlier run, its record.
    pub fn open(folder: &Folder, file: &Path, new_uid: String) -> Result<Self, Error> {
        let read_at = stamp(file);
        let mut object = read(file)?;
        let status = folder.status();
        if let Some(recorded) = recorded(folder, &object)? {
            let is_other_spec = recorded.spec != object.spec;
            object.status = recorded.status;
            object.metadata.uid = recorded.metadata.uid;
            object.metadata.resource_version = recorded.metadata.resource_version;
            object.metadata.generation = Some(recorded.metadata.generation.unwrap_or(1) + i64::from(is_other_spec));
        } else {
            object.metadata.uid = Some(new_uid);
            object.metadata.generation = Some(1);
        }
        Ok(Self { file: file.to_owned(), status, read_at, object })
    }

    /// The object as it is now. A file that is no upgrade any more, or one of another cluster, is told and not heeded.
    pub fn read(&mut self) -> Stored {
        let stamp = stamp(&self.file);
        if stamp != self.read_at {
            self.read_at = stamp;
            match read(&self.file).and_then(|object| self.same_cluster(object)) {
                Ok(object) if object.spec != self.object.spec => {
                    self.object.spec = object.spec;
                    self.object.metadata.generation = Some(self.object.metadata.generation.unwrap_or_default() + 1);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "the file is not heeded until it is corrected; what it said before holds"),
            }
        }
        Stored { object: self.object.clone(), version: self.version().to_string() }
    }

    /// The object as it was read last.
    pub fn last(&self) -> &Group0Upgrade {
        &self.object
    }

    /// Writes the status if the record still is in this version. Waits for the disk only when told to.
    pub fn write(&mut self, version: &str, status: &crate::crd::Group0UpgradeStatus, durably: bool) -> Result<String, String> {
        let present = self.version();
        if version != present.to_string() {
            return Err(format!("the object is in version {present}, not {version}"));
        }
        let mut next = self.object.clone();
        next.status = Some(status.clone());
        next.metadata.resource_version = Some((present + 1).to_string());
        let text = serde_saphyr::to_string(&next).map_err(|error| error.to_string())?;
        let written =
            if durably { folder::replace(&self.status, &text) } else { folder::replace_without_waiting(&self.status, &text) };
        written.map_err(|error| error.to_string())?;
        self.object = next;
        Ok((present + 1).to_string())
    }

    fn version(&self) -> u64 {
        self.object.metadata.resource_version.as_ref().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn same_cluster(&self, object: Group0Upgrade) -> Result<Group0Upgrade, Error> {
        let is_same =
            object.metadata.name == self.object.metadata.name && object.spec.cluster_ref == self.object.spec.cluster_ref;
        if is_same {
            return Ok(object);
        }
        let file = self.file.display();
        Err(Error::mistake(format!("{file}: metadata.name and spec.clusterRef cannot be changed: take the change back")))
    }
}

/// Tells one content of the file from the next.
pub fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The upgrade that this file describes.
pub fn read(path: &Path) -> Result<Group0Upgrade, Error> {
    let text = text(path)?;
    let mistake = |complaint: String| Error::mistake(format!("{}: {complaint}", path.display()));
    let object = validate::upgrade(&text).map_err(|complaint| mistake(complaint.to_string()))?;
    match object.spec.cluster_ref.stateful_sets.as_slice() {
        [_] => Ok(object),
        _ => Err(mistake("spec.clusterRef.statefulSets: the nodes of this machine are one StatefulSet: name one".into())),
    }
}

/// The text of the file, unless it is absurdly long.
pub fn text(path: &Path) -> Result<String, Error> {
    let mistake = |why: String| Error::mistake(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    let mut file = file.take(validate::MAX_FILE_BYTES + 1);
    file.read_to_string(&mut text).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > validate::MAX_FILE_BYTES {
        return Err(mistake(format!("is longer than {} bytes: this is no Group0Upgrade", validate::MAX_FILE_BYTES)));
    }
    Ok(text)
}

/// The record of an earlier run of the same object in this folder.
fn recorded(folder: &Folder, object: &Group0Upgrade) -> Result<Option<Group0Upgrade>, Error> {
    let path = folder.status();
    let Some(text) = folder::read(&path)? else { return Ok(None) };
    let recorded: Group0Upgrade = serde_saphyr::from_str(&text).map_err(|error| {
        let why = error.without_snippet();
        Error::failure(format!("{}: cannot be understood: {why}; move the file away to begin anew", path.display()))
    })?;
    let (theirs, ours) = (recorded.metadata.name.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
    if theirs != ours || recorded.spec.cluster_ref.stateful_sets != object.spec.cluster_ref.stateful_sets {
        let dir = folder.path().display();
        let remedy = "name another folder, or that upgrade";
        return Err(Error::mistake(format!("--dir {dir}: it belongs to the Group0Upgrade {theirs}, not {ours}; {remedy}")));
    }
    if recorded.spec.cluster_ref != object.spec.cluster_ref {
        let dir = folder.path().display();
        let remedy = "take the change back, or name another folder";
        return Err(Error::mistake(format!("--dir {dir}: spec.clusterRef was changed since its last run: {remedy}")));
    }
    Ok(Some(recorded))
}
