//! What stands for the StatefulSet: the template of the pods, and who owns it, in one file of the folder.

use super::folder;
use crate::{
    error::Error,
    observe::{Owner, Set},
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalSet {
    /// Grows with every write.
    pub version: u64,
    /// How many nodes there are. Durable before the first of them is made.
    pub replicas: u32,
    /// Whether a pod that is made again gets flag and hold.
    pub flag: bool,
    /// The UID of the object that owns it.
    pub owner: String,
}

impl LocalSet {
    /// The set of this folder, if it has one.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(text) = folder::read(path)? else { return Ok(None) };
        let set = serde_saphyr::from_str(&text)
            .map_err(|error| Error::failure(format!("{}: cannot be understood: {}", path.display(), error.without_snippet())));
        set.map(Some)
    }

    /// A new one: nobody is the owner, and the flag is off.
    pub fn make(path: &Path, replicas: u32) -> Result<Self, Error> {
        let mut set = Self { replicas, ..Self::default() };
        set.change(path, 0, |_| {}).map_err(Error::failure)?;
        Ok(set)
    }

    /// Makes the change durable if the set still is in this version.
    pub fn change(&mut self, path: &Path, version: u64, change: impl FnOnce(&mut Self)) -> Result<(), String> {
        if version != self.version {
            return Err(format!("the template is in version {}, not {version}", self.version));
        }
        let mut next = self.clone();
        change(&mut next);
        next.version += 1;
        let text = serde_saphyr::to_string(&next).map_err(|error| error.to_string())?;
        folder::replace(path, &text).map_err(|error| error.to_string())?;
        *self = next;
        Ok(())
    }

    /// As the planner sees it. `program` is what its pods run. An owner that is not `uid` is the object of an earlier folder.
    pub fn seen(&self, name: &str, program: &Path, uid: &str) -> Set {
        Set {
            name: name.into(),
            version: self.version,
            replicas: self.replicas,
            flag: self.flag,
            hold: self.flag,
            template_hash: program.display().to_string().replace(' ', "_"),
            on_delete: true,
            parallel: true,
            kept: false,
            settled: true,
            owner: (!self.owner.is_empty()).then(|| Owner { uid: self.owner.clone(), exists: self.owner == uid }),
        }
    }
}
