//! The `Group0Upgrade` in etcd: every write names the version that it is made from.

use group0_operator::{
    act::Stored,
    crd::{Group0Upgrade, Group0UpgradeSpec, Group0UpgradeStatus},
    observe::Object,
};

/// The object, or where it was.
#[derive(Clone, Debug, Default)]
pub struct Etcd {
    object: Option<Group0Upgrade>,
    version: u64,
    made: u64,
}

impl Etcd {
    /// The object, unless it is deleted.
    pub const fn object(&self) -> Option<&Group0Upgrade> {
        self.object.as_ref()
    }

    /// How often it was made.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// It as it is stored.
    pub fn read(&self) -> Option<Box<Stored>> {
        Some(Box::new(Stored { object: self.object.clone()?, version: self.version.to_string() }))
    }

    /// What a planner is told of it.
    pub fn seen(&self) -> Object {
        let metadata = self.object.as_ref().map(|object| &object.metadata);
        Object {
            uid: metadata.and_then(|metadata| metadata.uid.clone()).unwrap_or_default(),
            generation: metadata.and_then(|metadata| metadata.generation).unwrap_or_default(),
            approvals: self.object.as_ref().map(Group0Upgrade::approvals).unwrap_or_default(),
        }
    }

    /// Whether an object with this UID is there.
    pub fn has(&self, uid: &str) -> bool {
        self.object.is_some() && self.seen().uid == uid
    }

    /// Makes it, with another UID than it ever had.
    pub fn create(&mut self, spec: Group0UpgradeSpec) {
        if self.object.is_none() {
            self.made += 1;
            self.version += 1;
            let mut object = Group0Upgrade::new("upgrade", spec);
            object.metadata.uid = Some(format!("uid-{}", self.made));
            object.metadata.generation = Some(1);
            self.object = Some(object);
        }
    }

    /// Deletes it.
    pub fn delete(&mut self) {
        self.object = None;
        self.version += 1;
    }

    /// Another spec.
    pub fn edit(&mut self, spec: Group0UpgradeSpec) {
        if let Some(object) = self.object.as_mut().filter(|object| object.spec != spec) {
            object.spec = spec;
            object.metadata.generation = Some(object.metadata.generation.unwrap_or_default() + 1);
            self.version += 1;
        }
    }

    /// Another status, if the object still is in this version.
    pub fn write(&mut self, version: &str, status: Group0UpgradeStatus) -> Result<String, String> {
        let present = self.version.to_string();
        let Some(object) = self.object.as_mut().filter(|_| version == present) else {
            return Err(format!("the object is in version {present}, not {version}"));
        };
        object.status = Some(status);
        self.version += 1;
        Ok(self.version.to_string())
    }
}
