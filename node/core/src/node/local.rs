//! `system.scylla_local` and `system.local`: what a node remembers of itself, in memory as on disk.

use crate::{
    ids::{Generation, GroupId, HostId, Incarnation},
    io::{Persist, Table, Write},
    upgrade::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

/// Keys of the table. Those of `system.scylla_local` have the reference's names.
pub mod key {
    /// Host id.
    pub const HOST_ID: &str = "host_id";
    /// Restart generation.
    pub const GENERATION: &str = "gossip_generation";
    /// A [`super::BootstrapState`]; absent: NEEDS_BOOTSTRAP.
    pub const BOOTSTRAPPED: &str = "bootstrapped";
    /// Tokens, comma-separated.
    pub const TOKENS: &str = "tokens";
    /// Cluster name that the data belongs to.
    pub const CLUSTER_NAME: &str = "cluster_name";
    /// Stage of the upgrade.
    pub const UPGRADE_STATE: &str = "group0_upgrade_state";
    /// Group id.
    pub const GROUP_ID: &str = "raft_group0_id";
    /// Equal to the host id.
    pub const SERVER_ID: &str = "raft_server_id";
    /// Comma-separated.
    pub const ENABLED_FEATURES: &str = "enabled_features";
    /// founder or joiner.
    pub const ROLE: &str = "group0_role";
    /// Group id and the highest stage reached in it.
    pub const REACHED: &str = "group0_reached";
    /// Id of the group whose history somebody has truncated.
    pub const HISTORY_TRUNCATED: &str = "group0_history_truncated";
    /// Of the group.
    pub const INCARNATION: &str = "group0_incarnation";
    /// Comma-separated, for ever.
    pub const REMOVED: &str = "removed_host_ids";
    /// The operator's leave to advertise the feature.
    pub const PROCEED: &str = "proceed";
    /// The highest epoch that an operator has claimed. Nothing lowers or erases it.
    pub const OPERATOR_EPOCH: &str = "operator_epoch";
    /// The last plan of recovery, and how far it has come here.
    pub const OPERATOR_PLAN: &str = "operator_plan";
}

/// Where a host is on its way through the ring, as `system.local` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootstrapState {
    /// There is a ring, and the host asks to come in: it founds none any more, whoever answers then.
    InProgress,
    /// In the ring.
    Completed,
    /// Out of it for good.
    Decommissioned,
}

impl BootstrapState {
    /// As stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Decommissioned => "DECOMMISSIONED",
        }
    }
}

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Local {
    entries: BTreeMap<String, String>,
    /// Those of [`key::REMOVED`], read: each message asks for them.
    removed: BTreeSet<HostId>,
}

/// A stored value that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored value of '{key}' is damaged: '{value}'")]
pub struct DamagedSetting {
    key: String,
    value: String,
}

impl Local {
    /// From its stored rows.
    pub fn load<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = rows.map(|(key, value)| (text(key), text(value))).collect();
        let mut local = Self { entries, removed: BTreeSet::new() };
        local.removed = local.list(key::REMOVED).filter_map(|text| text.parse().ok()).collect();
        local
    }

    /// The stored text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// All entries, for `system.scylla_local`.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.entries
    }

    /// Stores, unless it is there already.
    pub fn set(&mut self, persist: &mut Persist, key: &str, value: impl Into<String>) {
        let value = value.into();
        if self.get(key) != Some(&value) {
            persist.writes.push(Write::Put(Table::Local, key.into(), value.clone().into_bytes()));
            self.entries.insert(key.into(), value);
        }
    }

    /// Removes.
    pub fn erase(&mut self, persist: &mut Persist, key: &str) {
        if self.entries.remove(key).is_some() {
            persist.writes.push(Write::Delete(Table::Local, key.into()));
        }
    }

    /// A value that is stored as the text of a type.
    pub fn parsed<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, DamagedSetting> {
        let damaged = |value: &str| DamagedSetting { key: key.into(), value: value.into() };
        self.get(key).map(|value| value.parse().map_err(|_| damaged(value))).transpose()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).unwrap_or_default().split(',').filter(|part| !part.is_empty())
    }

    /// The host id, unless this is the first boot.
    pub fn host(&self) -> Result<Option<HostId>, DamagedSetting> {
        self.parsed(key::HOST_ID)
    }

    /// The generation of the former process.
    pub fn generation(&self) -> Result<Generation, DamagedSetting> {
        Ok(Generation(self.parsed(key::GENERATION)?.unwrap_or_default()))
    }

    /// Whether the first boot is completed.
    pub fn is_bootstrapped(&self) -> bool {
        self.get(key::BOOTSTRAPPED) == Some(BootstrapState::Completed.name())
    }

    /// Whether it is known that there is a ring.
    pub fn knows_of_ring(&self) -> bool {
        self.get(key::BOOTSTRAPPED).is_some()
    }

    /// Whether the host has left the cluster for good.
    pub fn has_left(&self) -> bool {
        self.get(key::BOOTSTRAPPED) == Some(BootstrapState::Decommissioned.name())
    }

    /// The group id.
    pub fn group(&self) -> Result<Option<GroupId>, DamagedSetting> {
        self.parsed(key::GROUP_ID)
    }

    /// Of the group that the node is or was in.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.get(key::INCARNATION).and_then(|text| text.parse().ok()).unwrap_or_default())
    }

    /// The stage of the upgrade. With the key absent and the group still stored, a node that had reached `synchronize` goes on
    /// there; text that is none of the four names counts as `recovery`.
    pub fn stage(&self) -> Stage {
        let stored = self.get(key::UPGRADE_STATE);
        match stored.map(Stage::parse) {
            Some(Some(stage)) => stage,
            Some(None) => {
                let names = Stage::ALL.map(Stage::name).join(", ");
                tracing::error!(target: "raft_group0_upgrade", stored, "unknown group0_upgrade_state; it must be one of {names}; behaving as recovery");
                Stage::Recovery
            }
            None if self.has_reached_synchronize() => Stage::Synchronize,
            None => Stage::UsePreRaft,
        }
    }

    /// The group in which this node came furthest last.
    pub fn reached_group(&self) -> Option<&str> {
        Some(self.get(key::REACHED)?.split_once(' ')?.0)
    }

    fn has_reached_synchronize(&self) -> bool {
        let reached = self.get(key::REACHED).and_then(|text| text.split_once(' '));
        let same_group = reached.is_some_and(|(group, _)| self.get(key::GROUP_ID) == Some(group));
        same_group && reached.and_then(|(_, stage)| Stage::parse(stage)) >= Some(Stage::Synchronize)
    }

    /// Stores the stage together with how far this group has ever come.
    pub fn set_stage(&mut self, persist: &mut Persist, stage: Stage) {
        self.set(persist, key::UPGRADE_STATE, stage.name());
        if let Some(group) = self.get(key::GROUP_ID).map(String::from) {
            self.set(persist, key::REACHED, format!("{group} {stage}"));
        }
    }

    /// A vote may have been given there, however little else was reached: it is never joined again.
    pub fn note_group_before_it_is_forgotten(&mut self, persist: &mut Persist, group: &str) {
        if self.reached_group() != Some(group) {
            self.set(persist, key::REACHED, format!("{group} {}", Stage::UsePreRaft));
        }
    }

    /// The highest epoch that an operator has claimed; 0 if none has.
    pub fn operator_epoch(&self) -> Result<u64, DamagedSetting> {
        Ok(self.parsed(key::OPERATOR_EPOCH)?.unwrap_or_default())
    }

    /// Enabled features.
    pub fn enabled_features(&self) -> BTreeSet<String> {
        self.list(key::ENABLED_FEATURES).map(String::from).collect()
    }

    /// Hosts that were removed for good.
    pub const fn removed(&self) -> &BTreeSet<HostId> {
        &self.removed
    }

    /// Adds one to them.
    pub fn add_removed(&mut self, persist: &mut Persist, host: HostId) {
        self.removed.insert(host);
        let text: Vec<_> = self.removed.iter().map(ToString::to_string).collect();
        self.set(persist, key::REMOVED, text.join(","));
    }

    /// Tokens of this node.
    pub fn tokens(&self) -> BTreeSet<i64> {
        self.list(key::TOKENS).filter_map(|text| text.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(entries: &[(&str, &str)]) -> Local {
        let mut local = Local::default();
        for (key, value) in entries {
            local.set(&mut Persist::default(), key, *value);
        }
        local
    }

    #[test]
    fn a_node_that_reached_synchronize_never_goes_back_to_pre() {
        let group = GroupId::of(1).to_string();
        let reached = format!("{group} use_post_raft_procedures");
        assert_eq!(with(&[]).stage(), Stage::UsePreRaft);
        assert_eq!(with(&[(key::GROUP_ID, &group), (key::REACHED, &reached)]).stage(), Stage::Synchronize);
        assert_eq!(with(&[(key::REACHED, &reached)]).stage(), Stage::UsePreRaft);
    }

    #[test]
    fn removed_hosts_are_remembered_as_they_are_stored() {
        let (mut local, hosts) = (Local::default(), [HostId::of(1), HostId::of(2)]);
        for host in hosts {
            local.add_removed(&mut Persist::default(), host);
        }
        let rows: Vec<_> = local.entries().iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        let loaded = Local::load(rows.into_iter());
        assert_eq!((local.removed(), loaded.removed()), (&hosts.into(), &hosts.into()));
    }

    #[test]
    fn unknown_text_is_recovery() {
        assert_eq!(with(&[(key::UPGRADE_STATE, "sideways")]).stage(), Stage::Recovery);
    }
}
