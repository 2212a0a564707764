//! From what the store holds to a node, or a refusal that names the cause.

use super::{
    Node, admin, barrier, boot,
    calls::Calls,
    consensus, local,
    local::{DamagedSetting, Local, key},
    operations,
    peers::Peers,
    procedure, recovery, serve, sync,
    timers::Timers,
};
use crate::{
    discovery::{self, Discovery},
    gossip::{Endpoint, Gossip, RingStatus, Timing},
    group0::{
        History,
        joining::{self, Joining},
    },
    ids::{Generation, GroupId, HostId, Now},
    io::{DiscoveryPeer, Effects, Image, Path, Point, Settings, Table},
    raft::{self, Group},
    random::Random,
    schema::{CorruptSchema, Schema},
    status::{Cost, UpgradeFigures},
    upgrade::{
        Stage,
        feature::{self, FeatureWithdrawn, Flag},
        machine::Upgrade,
    },
};

/// Why a node does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The feature is enabled and the configuration says false.
    #[error(transparent)]
    FeatureWithdrawn(#[from] FeatureWithdrawn),
    /// The data is of another cluster.
    #[error(
        "the data of this node belongs to cluster '{stored}', the configuration says cluster_name: '{configured}'. Correct the \
         configuration, or give the node another workdir"
    )]
    OtherCluster {
        /// Of the data.
        stored: String,
        /// Of the configuration.
        configured: String,
    },
    /// A stored setting cannot be read.
    #[error("{0}. Restore this node's data or replace the node")]
    Setting(#[from] DamagedSetting),
    /// The host has left the cluster.
    #[error("{}", super::departure::LEFT)]
    Left,
    /// The stored schema cannot be read.
    #[error(transparent)]
    Schema(#[from] CorruptSchema),
    /// The stored history cannot be read.
    #[error("the stored group 0 history cannot be read. Restore this node's data or replace the node")]
    History,
    /// The stored Raft state cannot be read.
    #[error(transparent)]
    Raft(#[from] raft::Corrupt),
    /// Raft does not start over it.
    #[error("the stored Raft state is refused: {0}")]
    RaftRefused(#[from] raft::RaftError),
}

impl Node {
    /// A node with these settings over this store, and the first effects.
    pub fn new(settings: Settings, image: &Image, now: Now) -> Result<(Self, Effects), StartError> {
        let rows = |table| {
            let of = image.iter().filter(move |(of, ..)| *of == table);
            of.map(|(_, key, value)| (key.as_slice(), value.as_slice()))
        };
        let local = Local::load(rows(Table::Local));
        check(&settings, &local)?;
        let mut random = Random::seeded(settings.random_seed);
        let host = local.host()?.unwrap_or_else(|| random.host_id());
        let generation = next_generation(local.generation()?, now);
        let peers = Peers::load(rows(Table::Peers));
        let ours = local.group()?;
        let stored = match ours.or_else(|| group_left_behind(&settings, &local)) {
            Some(id) => Some((id, raft::Stored::load(id, image)?.unwrap_or_default())),
            None => None,
        };
        let (group, dormant) = match stored {
            Some((id, stored)) if ours.is_some() && local.stage() != Stage::Recovery => {
                (Some((id, Group::start(id, host, stored, random.fork(), now.elapsed, settings.raft_tick)?)), None)
            }
            dormant => (None, dormant),
        };
        let known: Vec<DiscoveryPeer> =
            rows(Table::Discovery).filter_map(|(_, value)| postcard::from_bytes(value).ok()).collect();
        let me = DiscoveryPeer { host: Some(host), address: settings.broadcast_address, generation };
        let discovery = Discovery::new(me, host, &known);
        // Whom the configuration names leads the new group, and nobody else.
        let discovery = if settings.recovery_leader.is_some() { discovery.seeking_members() } else { discovery };
        let joining = Joining::new(local.group()?, discovery);
        let endpoint = first_endpoint(&settings, &local, host, generation);
        let contacts = peers.rows().values().map(|peer| (peer.host, peer.address)).collect();
        let timing = Timing::of_failure_timeout(settings.failure_detector_timeout);
        let seeds = settings.seeds.clone();
        let gossip = Gossip::new(endpoint, seeds, contacts, local.removed().clone(), timing, random.fork(), now.elapsed);
        let mut node = Self {
            now,
            host,
            generation,
            peers,
            schema: Schema::load(rows(Table::Schema))?,
            history: History::load(rows(Table::History)).ok_or(StartError::History)?,
            gossip,
            group,
            upgrade: Upgrade::default(),
            joining,
            boot: if local.is_bootstrapped() { boot::Boot::Completed } else { boot::Boot::begin(now.elapsed) },
            unresolved_seeds: local.get(key::HOST_ID).is_none().then_some(0), // the very first start waits for all
            told_ready: None,
            departure: None,
            failed_departure: None,
            recovery: if local.stage() == Stage::Recovery { recovery::Mode::Yes } else { recovery::Mode::No },
            plans: recovery::Plans::load(&local)?,
            life: recovery::Life::default(),
            dormant,
            procedure: procedure::Context::new(settings.fails_before_synchronize),
            barriers: barrier::Barriers::default(),
            consensus: consensus::Context::default(),
            operations: operations::Operations::default(),
            sync: sync::Sync::default(),
            serve: serve::Context::default(),
            watchers: admin::Watchers::default(),
            calls: Calls::default(),
            timers: Timers::default(),
            effects: Effects::default(),
            path: Path::default(),
            step_path: Path::default(),
            figures: UpgradeFigures::default(),
            figures_are_complete: false,
            cost: Cost::default(),
            drained: false,
            stopping: None,
            is_over: false,
            random,
            local,
            settings,
        };
        node.begin();
        let effects = node.finish_step();
        Ok((node, effects))
    }

    fn begin(&mut self) {
        if self.local.get(key::HOST_ID).is_none() {
            self.effects.persist.points.push(Point::FirstBoot);
        }
        let persist = &mut self.effects.persist;
        self.local.set(persist, key::HOST_ID, self.host.to_string());
        self.local.set(persist, key::SERVER_ID, self.host.to_string());
        self.local.set(persist, key::CLUSTER_NAME, self.settings.cluster_name.clone());
        self.local.set(persist, key::GENERATION, self.generation.0.to_string());
        if self.local.get(key::TOKENS).is_none() {
            let tokens: Vec<_> =
                (0..self.settings.num_tokens.max(1)).map(|_| self.random.next().cast_signed().to_string()).collect();
            self.local.set(persist, key::TOKENS, tokens.join(","));
        }
        if self.flag().erases_proceed() {
            self.local.erase(&mut self.effects.persist, key::PROCEED);
        }
        if self.flag().enabled && self.settings.flag.is_none() {
            tracing::warn!(target: "raft_group0", "consistent_cluster_management is absent and counts as on: the feature is enabled in this cluster");
        }
        if !self.local.removed().is_empty() {
            self.joining_event(joining::Event::Discovery(discovery::Event::Removed(self.local.removed().clone())));
        }
        self.announce_stage();
        // The first word of a host of the ring is that it is one: a newcomer that it gives leave to would take itself for alone (seed 71797).
        self.settle_endpoint();
        self.gossip_step(crate::gossip::GossipInput::Wake);
        self.look_for_peers();
        self.note_membership();
        self.boot_begin();
        self.procedure_begin();
        self.settle();
    }

    fn announce_stage(&self) {
        match self.stage() {
            Stage::Recovery => {
                tracing::warn!(target: "raft_group0", "RECOVERY mode: schema changes the old way, group 0 is not started");
                tracing::info!(target: "raft_group0", "setup_group0: Raft RECOVERY mode, skipping group 0 setup");
            }
            stage => {
                tracing::info!(target: "raft_group0_upgrade", %stage, host = %self.host, generation = %self.generation, "starting");
            }
        }
    }

    pub(super) fn flag(&self) -> Flag {
        flag(&self.settings, &self.local)
    }
}

fn flag(settings: &Settings, local: &Local) -> Flag {
    Flag {
        configured: settings.flag,
        hold: settings.hold,
        proceed: local.get(key::PROCEED).is_some(),
        enabled: feature::has(&local.enabled_features()),
    }
}

/// Of a host that was in a group, final or not yet, and comes into that of a leader that people have named: its log may have what nobody has
/// applied.
fn group_left_behind(settings: &Settings, local: &Local) -> Option<GroupId> {
    let comes = local.stage() != Stage::Recovery;
    settings.recovery_leader.filter(|_| comes).and(local.reached_group()?.parse().ok())
}

fn check(settings: &Settings, local: &Local) -> Result<(), StartError> {
    flag(settings, local).check()?;
    local.operator_epoch()?;
    if local.has_left() {
        return Err(StartError::Left);
    }
    match local.get(local::key::CLUSTER_NAME) {
        Some(stored) if stored != settings.cluster_name => {
            Err(StartError::OtherCluster { stored: stored.into(), configured: settings.cluster_name.clone() })
        }
        _ => Ok(()),
    }
}

/// Larger than the last, and than that of a former owner of the address: seconds of the wall clock.
fn next_generation(last: Generation, now: Now) -> Generation {
    let seconds = u64::try_from(now.wall.0 / 1_000_000).unwrap_or_default();
    Generation(seconds.max(last.0 + 1))
}

fn first_endpoint(settings: &Settings, local: &Local, host: HostId, generation: Generation) -> Endpoint {
    Endpoint {
        host,
        generation,
        version: 1,
        status: RingStatus::Waiting,
        address: settings.broadcast_address,
        rpc_address: settings.rpc_address,
        data_center: settings.data_center.clone(),
        rack: settings.rack.clone(),
        release: super::admin::RELEASE.into(),
        tokens: local.tokens(),
        features: std::collections::BTreeSet::new(),
        schema_version: uuid::Uuid::nil(),
        group: None,
        incarnation: local.incarnation(),
        is_final: false,
    }
}
