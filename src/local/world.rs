//! The world of local processes: what [`crate::act`] needs, for nodes on 127.x.

use super::{
    folder::{self, Folder},
    node::{Cluster, Node},
};
use crate::{
    act::{Order, World},
    admin::Admin,
    crd::{Group0Upgrade, Group0UpgradeStatus},
    error::Error,
    observe::{Observation, PodName},
    status::journal,
};
use std::{collections::BTreeMap, time::Duration};

/// The nodes, and the object as it is in the folder.
pub struct LocalWorld {
    /// Where it lives.
    pub folder: Folder,
    /// By name.
    pub nodes: BTreeMap<PodName, Node>,
    /// The object; its status is written with it.
    pub object: Group0Upgrade,
    /// How long one call may take.
    pub limit: Duration,
}

impl LocalWorld {
    /// Starts again what has ended by itself.
    pub fn tend(&mut self) -> Result<(), Error> {
        self.nodes.values_mut().try_for_each(Node::tend)
    }

    /// Ends the nodes that this run started, all at the same time.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let mut ours: Vec<_> = self.nodes.values_mut().filter(|node| node.is_ours()).collect();
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
        let stateful_set = self.object.spec.cluster_ref.stateful_sets.first().cloned().unwrap_or_default();
        for index in 0..count {
            let name = PodName::new(0, &stateful_set, index);
            let node = Node::open(index, name.clone(), self.folder.node(index), cluster.clone())?;
            self.nodes.insert(name, node);
        }
        Ok(())
    }

    fn node(&mut self, name: &PodName) -> Result<&mut Node, Error> {
        self.nodes.get_mut(name).ok_or_else(|| Error::failure(format!("{name}: no such node in this folder")))
    }

    /// Nobody else acts on this folder while we do, so that no epoch is needed.
    fn order(&self) -> Order {
        let run_id = self.object.status.as_ref().map(|status| status.run_id.clone()).unwrap_or_default();
        Order { run_id, epoch: 0 }
    }

    async fn admin(&self, name: &PodName) -> Result<Admin, String> {
        let node = self.nodes.get(name).ok_or_else(|| format!("{name}: no such node in this folder"))?;
        Admin::connect(node.admin(), self.limit).await
    }
}

impl World for LocalWorld {
    fn observe(&self) -> Observation {
        Observation { nodes: self.nodes.iter().map(|(name, node)| (name.clone(), node.view())).collect() }
    }

    /// Waits for the disk only if the journal has changed: what was merely seen can be seen again, and the nodes want the disk.
    async fn record(&mut self, status: &Group0UpgradeStatus) -> Result<(), Error> {
        let journal = |status: &Group0UpgradeStatus| journal(status, self.nodes.keys());
        let remembers_more = self.object.status.as_ref().map(journal) != Some(journal(status));
        self.object.status = Some(status.clone());
        let path = self.folder.status();
        let text = serde_saphyr::to_string(&self.object);
        let text = text.map_err(|error| Error::failure(format!("{}: {error}", path.display())))?;
        if remembers_more { folder::replace(&path, &text) } else { folder::replace_without_waiting(&path, &text) }
    }

    async fn recreate(&mut self, node: &PodName, uid: &str, flag: bool, hold: bool) -> Result<(), Error> {
        self.node(node)?.recreate(uid, flag, hold).await
    }

    async fn proceed(&mut self, node: &PodName) -> Result<(), String> {
        self.admin(node).await?.proceed(&self.order()).await.map_err(|failure| failure.to_string())
    }

    async fn retry_upgrade(&mut self, node: &PodName) -> Result<(), String> {
        self.admin(node).await?.retry_upgrade(&self.order()).await.map_err(|failure| failure.to_string())
    }
}
