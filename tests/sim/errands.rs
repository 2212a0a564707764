//! What people do to single nodes beside the upgrade: one is decommissioned, one is lost with its machine and replaced, one goes into
//! recovery and comes back.

use crate::{
    dice::Dice,
    process::{Answer, Pid},
    swarm::{Fault, Swarm},
};
use group0_core::{
    cql::parse::parse,
    ids::{Generation, HostId},
    io::{AdminReply, AdminRequest, ClientReply, ClientRequest},
    status::Status,
    upgrade::Stage,
};
use std::{collections::BTreeMap, time::Duration};

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(2);
/// Who has said nothing for so long is dead, when nothing goes wrong any more.
const SILENT: Duration = Duration::from_secs(20);

/// Into recovery with the next start.
pub const ENTER: &str = "UPDATE system.scylla_local SET value = 'recovery' WHERE key = 'group0_upgrade_state'";
const LEAVE: &str = "DELETE value FROM system.scylla_local WHERE key = 'group0_upgrade_state'";

/// What was seen last of each node, and when.
pub type Seen = BTreeMap<Pid, (Duration, Box<Status>)>;

/// One of these, until it is done.
pub struct Errand {
    node: Pid,
    at: Duration,
    what: What,
    /// The question that its next step waits for.
    asked: Option<u64>,
}

enum What {
    Decommission,
    Replace {
        lost: Option<HostId>,
    },
    Recover {
        marker: Marker,
        /// In recovery, for so long.
        stay: Duration,
    },
}

/// How far a recovery by hand has come. After either write the process that was asked must end.
#[derive(Clone, Copy)]
enum Marker {
    Wanted,
    Set(Generation),
    There(Duration),
    Unwanted,
    Removed,
}

/// What is to be done next.
pub enum Deed {
    /// To be ordered of a node.
    Order(Pid, AdminRequest),
    /// To be asked of a node by CQL.
    Cql(Pid, ClientRequest),
    /// A pod is to be deleted.
    Restart(Pid),
    /// A machine is to be lost with its disk; who comes there takes that host's place.
    Lose(Pid, HostId),
    /// Nothing goes to a node or comes from it for so long, except from people and clients.
    Isolate(Pid, Duration),
    /// It is done, and was this.
    Done(&'static str),
}

/// All of a world. Never the first seed, and never more than the rest can do without.
pub fn draw(swarm: &Swarm, dice: &mut Dice) -> Vec<Errand> {
    let mut errands = Vec::new();
    let mut add = |node, what| {
        let at = dice.time(Duration::from_secs(4)..swarm.trouble + Duration::from_secs(10));
        errands.push(Errand { node, at, what, asked: None });
    };
    if let Some(leaver) = swarm.leaver() {
        add(leaver, What::Decommission);
    } else if swarm.has(Fault::Lose) && swarm.may_lose_one() {
        add(swarm.nodes - 1, What::Replace { lost: None });
    }
    if swarm.has(Fault::Marker) {
        let stay = Duration::from_millis(swarm.up_to(Fault::Marker, 8_000));
        add(0, What::Recover { marker: Marker::Wanted, stay });
    }
    errands
}

impl Errand {
    /// Of which node.
    pub const fn node(&self) -> Pid {
        self.node
    }

    /// Whether the node is out when it is done.
    pub const fn takes_out(&self) -> bool {
        matches!(self.what, What::Decommission)
    }

    /// What is to be done now, if anything is.
    pub fn next(&mut self, now: Duration, seen: &Seen) -> Option<Deed> {
        if self.at > now {
            return None;
        }
        self.at = now + AGAIN;
        let (heard, status) = seen.get(&self.node)?;
        let node = self.node;
        match &mut self.what {
            // It may have died after it was out and before it could tell the others: then it does not start again.
            What::Decommission if *heard + SILENT < now => {
                Some(Deed::Order(0, AdminRequest::RemoveNode { order: None, host: status.host, ignore: vec![] }))
            }
            What::Decommission => Some(Deed::Order(node, AdminRequest::Decommission { order: None })),
            What::Replace { lost: Some(lost) } => {
                let is_there = status.host != *lost && status.ready.is_ok() && status.stage == Stage::UsePostRaft;
                is_there.then_some(Deed::Done("node replaced"))
            }
            What::Replace { lost } => {
                let is_final = seen.values().all(|(_, status)| status.stage == Stage::UsePostRaft);
                *lost = is_final.then_some(status.host);
                lost.map(|host| Deed::Lose(node, host))
            }
            What::Recover { marker, stay } => recover(node, marker, *stay, now, status),
        }
    }

    /// The next answer to that question is to this errand.
    pub const fn asks(&mut self, token: u64) {
        self.asked = Some(token);
    }

    /// What comes of an answer.
    pub fn answered(&mut self, token: u64, answer: &Answer, seen: &Seen) -> Option<Deed> {
        if self.asked != Some(token) {
            return None;
        }
        let present = seen.get(&self.node).map(|(_, status)| status.generation)?;
        match (&mut self.what, answer) {
            (What::Decommission, Answer::Admin(AdminReply::Done)) => return Some(Deed::Done("node decommissioned")),
            (What::Recover { marker, .. }, Answer::Client(ClientReply::Void)) => match marker {
                Marker::Wanted => *marker = Marker::Set(present),
                Marker::Unwanted => *marker = Marker::Removed,
                _ => {}
            },
            _ => {}
        }
        None
    }
}

fn recover(node: Pid, marker: &mut Marker, stay: Duration, now: Duration, status: &Status) -> Option<Deed> {
    let is_there = status.stage == Stage::Recovery;
    match *marker {
        Marker::Wanted => return Some(cql(node, ENTER)),
        // What it does there nobody hears of, for longer than it stays: it has to submit that when it comes back.
        Marker::Set(before) if status.generation > before && is_there => {
            *marker = Marker::There(now + stay);
            return Some(Deed::Isolate(node, stay * 2));
        }
        Marker::There(until) if until <= now => *marker = Marker::Unwanted,
        Marker::There(_) => {}
        Marker::Unwanted | Marker::Removed if !is_there => return Some(Deed::Done("recovered by hand")),
        Marker::Unwanted => return Some(cql(node, LEAVE)),
        Marker::Set(_) | Marker::Removed => return Some(Deed::Restart(node)),
    }
    None
}

fn cql(node: Pid, text: &str) -> Deed {
    let statement = parse(text).expect("it is CQL");
    Deed::Cql(node, ClientRequest { statement, text: text.into(), keyspace: None })
}
