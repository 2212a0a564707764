//! The world of local processes: what [`crate::act`] needs, for nodes on 127.x.

use super::{
    folder::{self, Folder},
    node::{Cluster, Node},
    object::LocalObject,
    set::LocalSet,
};
use crate::{
    act::{Event, Failure, Order, Stored, World},
    admin::Admin,
    crd::Group0UpgradeStatus,
    error::Error,
    observe::{Object, Observation, Part, PodName},
    plan::Action,
    status::journal,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

/// The nodes, and the object as it is in the folder.
#[derive(Debug)]
pub struct LocalWorld {
    /// Where it lives.
    pub folder: Folder,
    /// By name.
    pub nodes: BTreeMap<PodName, Node>,
    /// The object; its status is written with it.
    pub object: LocalObject,
    /// What stands for the StatefulSet.
    pub set: LocalSet,
    /// What the nodes run.
    pub program: PathBuf,
    /// How long one call may take.
    pub limit: Duration,
}

impl LocalWorld {
    /// Starts again what has ended by itself.
    pub fn tend(&mut self) -> Result<(), Error> {
        self.nodes.values_mut().try_for_each(Node::tend)
    }

    /// The nodes go on without us, and later runs leave them running.
    pub fn keep(&self) -> Result<(), Error> {
        self.nodes.values().try_for_each(Node::keep)
    }

    /// Ends the nodes that this run or one before it started, all at the same time, save those that were kept.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let (left, mut ours): (Vec<_>, Vec<_>) = self.nodes.values_mut().partition(|node| node.is_left());
        for node in left {
            tracing::info!(node = %node.name(), "was kept by an earlier run, or started by somebody else, and is left running");
        }
        for node in &ours {
            node.terminate();
        }
        let mut result = Ok(());
        for node in &mut ours {
            result = node.gone().await.and(result);
        }
        result
    }

    /// Starts the nodes, or attaches to those that run; if one cannot be started, those that were are ended again.
    pub async fn open_nodes(&mut self, count: u32, cluster: &Cluster) -> Result<(), Error> {
        let opened = self.try_open_nodes(count, cluster);
        if opened.is_err() { self.stop().await.and(opened) } else { opened }
    }

    fn try_open_nodes(&mut self, count: u32, cluster: &Cluster) -> Result<(), Error> {
        let stateful_set = self.set_name();
        for index in 0..count {
            let name = PodName::new(0, &stateful_set, index);
            let node = Node::open(index, name.clone(), self.folder.node(index), cluster.clone())?;
            self.nodes.insert(name, node);
        }
        Ok(())
    }

    /// Takes up an edit of `deadlines.rpc`.
    fn take_up_limit(&mut self) {
        let limit = self.object.last().spec.deadlines.rpc.into();
        if limit != self.limit {
            self.limit = limit;
            self.nodes.values_mut().for_each(|node| node.set_limit(limit));
        }
    }

    fn set_name(&self) -> String {
        self.object.last().spec.cluster_ref.stateful_sets.first().cloned().unwrap_or_default()
    }

    fn node(&mut self, name: &PodName) -> Result<&mut Node, Failure> {
        self.nodes.get_mut(name).ok_or_else(|| Failure::Refused(format!("{name}: no such node in this folder")))
    }

    async fn admin(&self, name: &PodName) -> Result<Admin, Failure> {
        let node = self.nodes.get(name).ok_or_else(|| Failure::Refused(format!("{name}: no such node in this folder")))?;
        Admin::connect(node.admin(), self.limit, None).await.map_err(Failure::Refused)
    }

    fn change_set(&mut self, version: u64, change: impl FnOnce(&mut LocalSet)) -> Result<(), Failure> {
        self.set.change(&self.folder.set(), version, change).map_err(Failure::Refused)
    }

    fn uid(&self) -> String {
        self.object.last().metadata.uid.clone().unwrap_or_default()
    }

    /// Every row with its timestamps, as a file for each node and run.
    async fn back_up(&self, node: &PodName, run_id: &str) -> Result<(), Failure> {
        let rows = self.admin(node).await?.schema().await.map_err(Failure::Unknown)?;
        let folder = self.folder.path().join("backup").join(run_id);
        let unknown = |error: std::io::Error| Failure::Unknown(format!("{}: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(unknown)?;
        let text = rows.join("\n") + "\n";
        folder::replace(&folder.join(format!("{node}.rows")), &text).map_err(|error| Failure::Unknown(error.to_string()))
    }
}

impl World for LocalWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn read(&mut self) -> Result<Option<Stored>, Failure> {
        Ok(Some(self.object.read()))
    }

    /// Waits for the disk only if the journal has changed: what was merely seen can be seen again, and the nodes want the disk.
    async fn write(&mut self, version: &str, status: &Group0UpgradeStatus) -> Result<String, Failure> {
        let decided = |status: &Group0UpgradeStatus| {
            let mut journal = journal(status, self.nodes.keys());
            journal.progress = None;
            for node in journal.nodes.values_mut() {
                (node.pod_version, node.sequence) = (0, 0);
            }
            journal
        };
        let remembers_more = self.object.last().status.as_ref().map(decided) != Some(decided(status));
        self.object.write(version, status, remembers_more).map_err(Failure::Refused)
    }

    async fn observe(&mut self) -> Observation {
        self.take_up_limit();
        let object = self.object.last();
        let set = self.set.seen(&self.set_name(), &self.program, &self.uid());
        let known = |value| Part::Known { value, age: SignedDuration::ZERO };
        Observation {
            object: Object {
                uid: self.uid(),
                generation: object.metadata.generation.unwrap_or_default(),
                approvals: object.approvals(),
            },
            sets: vec![known(set)],
            budgets: Part::Known { value: vec!["local".into()], age: SignedDuration::ZERO },
            nodes: self.nodes.iter().map(|(name, node)| (name.clone(), node.view())).collect(),
        }
    }

    async fn act(&mut self, action: &Action, order: &Order) -> Result<(), Failure> {
        let uid = self.uid();
        match action {
            Action::Own { version, .. } => self.change_set(*version, |set| set.owner = uid),
            Action::Disown { version, .. } => self.change_set(*version, |set| set.owner.clear()),
            Action::TouchSet { version, .. } => self.change_set(*version, |_| {}),
            Action::SetTemplate { version, flag, .. } => self.change_set(*version, |set| set.flag = *flag),
            Action::TouchPod { node, uid } => self.node(node)?.touch(uid),
            Action::Recreate { node, uid, version } => {
                let flag = self.set.flag;
                self.node(node)?.recreate(uid, *version, flag).await
            }
            Action::ClaimEpoch { node } => self.admin(node).await?.claim_epoch(order.epoch).await,
            Action::Restart { node, generation } => self.admin(node).await?.restart(order, *generation).await,
            Action::Backup { node } => self.back_up(node, &order.run_id).await,
            Action::Proceed { node } => self.admin(node).await?.proceed(order).await,
            Action::RetryUpgrade { node } => self.admin(node).await?.retry_upgrade(order).await,
            Action::Recover { node, plan, verb } => self.admin(node).await?.recover(order, *plan, *verb).await,
            Action::RemoveHost { node, host, ignore } => self.admin(node).await?.remove_host(order, *host, ignore).await,
            Action::Replace { node, uid } => {
                let flag = self.set.flag;
                self.node(node)?.replace(uid, flag)
            }
        }
    }

    async fn event(&mut self, event: &Event) {
        tracing::info!(reason = event.reason, pod = event.pod, "{}", event.message);
    }
}
