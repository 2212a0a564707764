//! What nodes say to each other. On the wire it is `peer.proto`; what is refused there never comes here.

use super::Path;
use crate::{
    gossip::Endpoint,
    ids::{GroupId, HostId, Incarnation},
    raft::{Member, RaftMessage},
    schema::Rows,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Who sends, and to whom. Every message between nodes carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `cluster_name`
    pub cluster: String,
    /// The sender.
    pub from: HostId,
    /// Where the sender listens.
    pub from_address: SocketAddr,
    /// Whom the sender means; absent while it knows an address only.
    pub to: Option<HostId>,
    /// Of the sender's group, if it has one.
    pub incarnation: Incarnation,
    /// See [`Path`].
    pub path: Path,
}

/// One-way messages.
#[derive(Clone, Debug)]
pub enum Message {
    /// For [`crate::gossip`].
    Gossip(Bytes),
    /// For the Raft group of that id.
    Raft(GroupId, RaftMessage),
}

/// The verbs between nodes.
#[derive(Clone, Debug)]
pub enum PeerRequest {
    /// Which upgrade state are you in?
    GetGroup0UpgradeState,
    /// The same now and at every change. Answered by many replies.
    WatchGroup0UpgradeState,
    /// Discovery: these are the peers that I know.
    Group0PeerExchange {
        /// Them, with myself.
        peers: Vec<DiscoveryPeer>,
        /// Whether I have completed my first boot.
        bootstrapped: bool,
    },
    /// Change the members of the group.
    Group0ModifyConfig {
        /// Of exactly this group.
        group: GroupId,
        /// Members to add, and whether each may vote.
        add: Vec<(Member, bool)>,
        /// Members to remove.
        remove: Vec<HostId>,
    },
    /// Which schema version have you?
    SchemaCheck,
    /// Give me your schema.
    MigrationRequest {
        /// For a snapshot: also history, applied index, term and configuration, all of one moment, of this group.
        snapshot_of: Option<GroupId>,
    },
    /// Here are changes of the schema.
    DefinitionsUpdate(Rows),
    /// I am new: may I join the ring?
    JoinRing {
        /// Who I am.
        endpoint: Endpoint,
        /// Whose place I take.
        replaces: Option<Replacement>,
    },
    /// A host is removed the old way.
    RemoveHost {
        /// Which.
        host: HostId,
        /// Forget it for good, since all who are up agree. Before: do you? Then nothing is stored.
        agreed: bool,
    },
}

impl PeerRequest {
    /// Its name in logs and metrics, as in the `.proto`.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::GetGroup0UpgradeState => "GetGroup0UpgradeState",
            Self::WatchGroup0UpgradeState => "WatchGroup0UpgradeState",
            Self::Group0PeerExchange { .. } => "Group0PeerExchange",
            Self::Group0ModifyConfig { .. } => "Group0ModifyConfig",
            Self::SchemaCheck => "SchemaCheck",
            Self::MigrationRequest { .. } => "MigrationRequest",
            Self::DefinitionsUpdate(_) => "DefinitionsUpdate",
            Self::JoinRing { .. } => "JoinRing",
            Self::RemoveHost { .. } => "RemoveHost",
        }
    }
}

/// A host that is down leaves, so that a new one takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replacement {
    /// Who leaves.
    pub host: HostId,
    /// Before the upgrade: other hosts that are down, and whose consent is not waited for.
    pub ignore: Vec<HostId>,
}

/// A peer as discovery tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiscoveryPeer {
    /// Unknown of a configured seed that has not answered yet.
    pub host: Option<HostId>,
    /// A hint.
    pub address: SocketAddr,
    /// How new the hint is: the gossip generation of the host when it had that address.
    pub generation: crate::ids::Generation,
}

/// How far a node has come with the upgrade; `upgrade::Stage` with what tells its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateReply {
    /// Its stage.
    pub stage: crate::upgrade::Stage,
    /// The replier.
    pub host: HostId,
    /// Its group, if it has one.
    pub group: Option<GroupId>,
    /// Of that group.
    pub incarnation: Incarnation,
}

/// Replies to the verbs.
#[derive(Clone, Debug)]
pub enum PeerReply {
    /// To `GetGroup0UpgradeState` and its watch.
    State(StateReply),
    /// To `Group0PeerExchange`.
    Exchange {
        /// What it says.
        reply: ExchangeReply,
        /// Of the group that the replier is or was in: a founder takes a higher one than anybody has had.
        incarnation: Incarnation,
    },
    /// To `Group0ModifyConfig`: applied.
    Modified,
    /// To `SchemaCheck`.
    Schema {
        /// The schema version.
        version: uuid::Uuid,
        /// Who says so and in which state.
        state: StateReply,
    },
    /// To `MigrationRequest`.
    Migration(Box<Migration>),
    /// To `DefinitionsUpdate`: merged and durable; the version after it.
    Merged {
        /// The schema version.
        version: uuid::Uuid,
    },
    /// To `JoinRing`.
    JoinRing(JoinReply),
    /// To `RemoveHost`: agreed to; or recorded, and durable.
    Removed,
}

/// What a peer says to a list of peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeReply {
    /// Nothing; not a response.
    Nothing,
    /// The asker is new and the upgrade runs: wait.
    Upgrading,
    /// There is a group, and the replier is in its applied configuration.
    Group {
        /// It.
        group: GroupId,
        /// Of the group.
        incarnation: Incarnation,
        /// The replier, who takes `Group0ModifyConfig`.
        member: Member,
        /// Whether the replier is final.
        is_final: bool,
    },
    /// No group; these are the peers that the replier knows, with itself.
    Peers(Vec<DiscoveryPeer>),
}

/// A schema, and for a snapshot what makes it one.
#[derive(Clone, Debug)]
pub struct Migration {
    /// All rows.
    pub rows: Rows,
    /// The replier's stage and group.
    pub state: StateReply,
    /// The schema version that the rows have.
    pub version: uuid::Uuid,
    /// Present if a snapshot was asked for.
    pub snapshot: Option<crate::raft::Snapshot>,
    /// The history, newest last; empty unless a snapshot was asked for.
    pub history: Vec<crate::group0::HistoryRow>,
}

/// What a member of the ring says to a new node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinReply {
    /// Recorded as joining: come in the old way. Names the features enabled here.
    Welcome,
    /// The upgrade runs: wait.
    Upgrading,
    /// The upgrade is done: ask this group, through its final member.
    Final {
        /// The group.
        group: GroupId,
        /// Of that group.
        incarnation: Incarnation,
    },
    /// The replier is not bootstrapped itself.
    NotInRing,
    /// No, and why.
    Refused(String),
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// We gave up on it ourselves.
    #[error("aborted")]
    Aborted {
        /// Whether it may have been carried out.
        sent: bool,
    },
    /// Its time passed.
    #[error("timed out")]
    TimedOut {
        /// Whether it may have been carried out.
        sent: bool,
    },
    /// No connection, or it broke: the outcome is unknown.
    #[error("connection closed: {0}")]
    Closed(String),
    /// The peer answered that it will not.
    #[error("refused: {0}")]
    Refused(Refusal),
}

impl CallError {
    /// Whether the peer says that this host was removed.
    pub fn is_removal_of(&self, host: HostId) -> bool {
        matches!(self, Self::Refused(Refusal::RemovedHost(removed)) if *removed == host)
    }
}

/// Why a node does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The message names another cluster.
    #[error("this is cluster '{ours}', the message is of cluster '{theirs}'")]
    ForeignCluster {
        /// The receiver's.
        ours: String,
        /// The sender's.
        theirs: String,
    },
    /// The message was meant for another host: an address may have been reused.
    #[error("this is host {ours}, the message is for host {meant}")]
    WrongDestination {
        /// The receiver.
        ours: HostId,
        /// Whom the sender meant.
        meant: HostId,
    },
    /// The sender was removed from the cluster for good.
    #[error("host {0} was removed from this cluster")]
    RemovedHost(HostId),
    /// The request is about another group.
    #[error("Group0Id mismatch: this node is in {ours:?}, the request is of {theirs}")]
    OtherGroup {
        /// The receiver's.
        ours: Option<GroupId>,
        /// The request's.
        theirs: GroupId,
    },
    /// It cannot be done now; the caller may try again.
    #[error("{0}")]
    NotNow(String),
    /// It cannot be done.
    #[error("{0}")]
    Never(String),
}
