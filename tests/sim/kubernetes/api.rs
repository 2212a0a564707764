//! What the API server is asked and what it answers. Operators name what they have seen; people just do things.

use crate::process::Pid;
use group0_operator::{
    act::Stored,
    crd::{Group0UpgradeSpec, Group0UpgradeStatus},
    observe::{Object, Part, Pod, PodName, Set},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Where the API server listens.
pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 255, 255, 1)), 443);

/// What it is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// The object as it is stored.
    Read,
    /// Store this status, if the object still is in this version.
    Write {
        /// Which version.
        version: String,
        /// Its next status.
        status: Box<Group0UpgradeStatus>,
    },
    /// What the caches of who asks have of everything else, each part as old as it happens to be.
    Observe,
    /// Change a StatefulSet that still is in this version.
    ChangeSet {
        /// Which.
        set: String,
        /// Which version.
        version: u64,
        /// How.
        change: SetChange,
    },
    /// Change a pod without changing anything, if it still is this one.
    Touch {
        /// Which.
        pod: PodName,
        /// Which one.
        uid: String,
    },
    /// Evict a pod that still is this one in this version, if the budget allows it.
    Evict {
        /// Which.
        pod: PodName,
        /// Which one.
        uid: String,
        /// Which version.
        version: u64,
    },
    /// Give up the volume of a pod whose machine is lost, if it still is this one: it is made anew, elsewhere.
    Replace {
        /// Which.
        pod: PodName,
        /// Which one.
        uid: String,
    },
    /// Who leads? The asker does from now on, if nobody does any more.
    Lease(Pid),
    /// What a person does.
    Person(Deed),
}

/// How a StatefulSet is changed.
#[derive(Clone, Debug)]
pub enum SetChange {
    /// Nothing is.
    Touch,
    /// The upgrade with this UID owns it from now on, or none does.
    Owner(Option<String>),
    /// Flag and hold are in its template, or are not.
    Flag(bool),
}

/// What a person does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Makes the object if there is none.
    Create(Box<Group0UpgradeSpec>),
    /// Deletes it.
    Delete,
    /// Puts another spec into it.
    Edit(Box<Group0UpgradeSpec>),
    /// Deletes a pod, whatever the budget says.
    DeletePod(Pid),
    /// Drains a machine: the pod goes if the budget allows it.
    Drain(Pid),
    /// Gives all StatefulSets another template, apart from our variables.
    Template(String),
    /// Puts the flag into all templates, with the hold or without.
    Flag {
        /// Whether with it.
        hold: bool,
    },
    /// Takes flag and hold out of all templates, as `helm upgrade` may.
    Unflag,
    /// Machines are lost, and somebody tells Kubernetes that they will not come back.
    Destroy {
        /// Which.
        machines: Vec<Pid>,
        /// Whether their disks are.
        with_disks: bool,
    },
    /// They have come back all the same, those that nobody has given up.
    Return(Vec<Pid>),
    /// Throws away what a machine that came back has, and has its pod made anew.
    Discard(Pid),
    /// Deletes the claim of a pod whose machine is lost, and the pod.
    GiveUp(Pid),
    /// Has each StatefulSet run all its pods.
    ScaleUp,
    /// Has so many budgets select the pods.
    Budgets(usize),
    /// Makes another object, which owns the StatefulSets, or deletes that one.
    Rival {
        /// Whether it is there.
        exists: bool,
    },
    /// Deletes machines from Kubernetes. What runs on them does so still.
    Forget(Vec<Pid>),
    /// They are known again, and their pods are made anew.
    Remember(Vec<Pid>),
}

/// What it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::Read`]; none if it is deleted.
    Object(Option<Box<Stored>>),
    /// To [`Request::Write`]: the next version.
    Written(String),
    /// To [`Request::Observe`].
    Seen(Box<Seen>),
    /// It is done.
    Done,
    /// It is not, and why.
    Refused(String),
    /// To [`Request::Lease`]: who leads.
    Leader(Pid),
}

/// What caches have.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object.
    pub object: Object,
    /// The StatefulSets.
    pub sets: Vec<Part<Set>>,
    /// The budgets.
    pub budgets: Part<Vec<String>>,
    /// The pods.
    pub pods: BTreeMap<PodName, Part<Pod>>,
}
