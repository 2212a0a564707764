//! The upgrade procedure: from schema that gossip propagates to group 0, exactly once.
//!
//! [`machine`] is the procedure itself, pure: it holds no time and no random ids and performs nothing. [`crate::node`] carries
//! its actions out and the model checker walks it with a Raft log of its own. [`feature`] says when it may begin. The vocabulary
//! that every report uses is here: [`Stage`], [`Step`] and [`WaitingOn`].

pub mod feature;
pub mod machine;
mod stage;
mod view;

pub use stage::Stage;
pub use view::View;

use crate::ids::{GroupId, HostId};
use std::fmt;

/// The steps of the procedure, numbered as in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// 0: every peer answers.
    AskPeers,
    /// 1: join group 0.
    JoinGroup0,
    /// 2: every peer is in the configuration.
    AwaitPeersInGroup0,
    /// 3: one round of schema pulls.
    PullSchema,
    /// 4: every member answers.
    AskMembers,
    /// 5: persist `synchronize`.
    EnterSynchronize,
    /// 6: every member is in `synchronize`, or one is final.
    AwaitMembers,
    /// 7: the schema agrees with every member.
    SynchronizeSchema,
    /// 8: persist the final state.
    Finish,
    /// A member is final: submit what it lacks, and finish.
    EarlyFinish,
}

/// What the procedure waits for; the one source of every text that says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitingOn {
    /// A reply of that host to that verb.
    Answer {
        /// The host.
        host: HostId,
        /// The verb.
        verb: &'static str,
    },
    /// Hosts that gossip knows and `system.peers` lacks.
    UnknownToPeersTable(HostId),
    /// The host to appear in the configuration.
    Membership(HostId),
    /// The joint configuration to be left.
    JointConfiguration,
    /// That member to enter `synchronize`.
    Synchronize(HostId),
    /// A read barrier of the group.
    ReadBarrier,
    /// That host's schema to become equal to ours.
    SchemaAgreement(HostId),
    /// Discovery: nobody leads yet.
    Discovery,
    /// The group that was found to add us, and to send its snapshot.
    TakenIn(GroupId),
    /// The back-off before the next try, after this failure.
    Retry(String),
    /// Commands with our surplus to be committed.
    Surplus,
}

impl Step {
    /// Its number in the documentation; the early finish is 9.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AskPeers => "ask_peers",
            Self::JoinGroup0 => "join_group0",
            Self::AwaitPeersInGroup0 => "await_peers_in_group0",
            Self::PullSchema => "pull_schema",
            Self::AskMembers => "ask_members",
            Self::EnterSynchronize => "enter_synchronize",
            Self::AwaitMembers => "await_members",
            Self::SynchronizeSchema => "synchronize_schema",
            Self::Finish => "finish",
            Self::EarlyFinish => "early_finish",
        }
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { host, verb } => write!(f, "answer of {host} to {verb}"),
            Self::UnknownToPeersTable(host) => write!(f, "{host}, known to gossip, to appear in system.peers"),
            Self::Membership(host) => write!(f, "{host} to join group 0"),
            Self::JointConfiguration => f.write_str("the joint configuration of group 0 to be left"),
            Self::Synchronize(host) => write!(f, "{host} to enter synchronize"),
            Self::ReadBarrier => f.write_str("a read barrier of group 0"),
            Self::SchemaAgreement(host) => write!(f, "the schema of {host} to agree with ours"),
            Self::Discovery => f.write_str("discovery of a group 0 or of the host that founds it"),
            Self::TakenIn(group) => write!(f, "group 0 {group} to add this host, and its snapshot"),
            Self::Retry(cause) => write!(f, "the next try, after: {cause}"),
            Self::Surplus => f.write_str("our surplus rows to be committed by group 0"),
        }
    }
}
