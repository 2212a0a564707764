//! What goes into [`crate::node::Node::step`] and what comes out: one enum of inputs, one struct of effects.
//!
//! The contract with whoever carries effects out, a real driver or a simulator:
//! 1. Effects of one step are carried out in the order persist → send → apply → reply. Several steps may be carried out as one
//!    turn with [`Effects::then`]: all of their writes become durable in one transaction before anything is sent or answered.
//! 2. If a transaction fails, nothing of that turn is sent or answered, and no further step is taken.
//! 3. Every [`Send::Call`] is answered by exactly one [`Input::Answer`] whose outcome is final, also after [`Send::Abort`].
//!    A watch is answered by any number of [`Input::Update`]s before that.
//! 4. Messages may be lost, delayed, duplicated and reordered; answers belong to the call that they name.
//! 5. `wake_at` replaces the former one; at that time, or later, the driver steps [`Input::Wake`].

use crate::{
    cql::ast::Statement,
    gossip::Endpoint,
    ids::{Generation, GroupId, HostId, Incarnation},
    raft::{Member, RaftMessage},
    schema::Rows,
    status::Status,
    value::{CqlType, Value},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU64, time::Duration};

/// Names one call from us to a peer, within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Names one request to us (of a peer, a CQL client or the Admin service), within one process. The driver makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What was counted on the longest chain of causes that led here, since the feature was advertised by the last node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Messages that crossed the network, one way: two make a round trip.
    pub hops: u32,
    /// Transactions made durable.
    pub fsyncs: u32,
}

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

/// What the driver tells the node.
#[derive(Clone, Debug)]
pub enum Input {
    /// The time of `wake_at` has come, or nothing else has.
    Wake,
    /// A peer's one-way message.
    Message {
        /// From whom.
        header: Header,
        /// What.
        message: Message,
    },
    /// A peer asks.
    Request {
        /// To answer it by.
        id: RequestId,
        /// From whom.
        header: Header,
        /// What.
        request: PeerRequest,
    },
    /// Who asked `id` has gone away; no answer is wanted any more. Ends a watch.
    Gone(RequestId),
    /// The last answer to a call of ours.
    Answer {
        /// Which call.
        call: CallId,
        /// The reply with the replier's path, or why there is none.
        outcome: Result<(PeerReply, Path), CallError>,
    },
    /// One of the answers to a watch of ours.
    Update {
        /// Which call.
        call: CallId,
        /// The reply and the replier's path.
        reply: (PeerReply, Path),
    },
    /// A CQL client asks.
    Client {
        /// To answer it by.
        id: RequestId,
        /// What.
        request: ClientRequest,
    },
    /// The Admin service is asked.
    Admin {
        /// To answer it by.
        id: RequestId,
        /// What.
        request: AdminRequest,
    },
    /// Addresses of the configured seeds, resolved anew after [`Send::Resolve`].
    Seeds(Vec<SocketAddr>),
    /// What things cost here lately, by the driver's clock: medians.
    Measured {
        /// Of a small call to a peer.
        round_trip: Option<Duration>,
        /// Of a transaction.
        fsync: Option<Duration>,
    },
    /// Drain: announce the shutdown, refuse new work. [`Apply::Drained`] follows.
    Shutdown,
}

/// What the driver is to do, in this order.
#[must_use]
#[derive(Debug, Default)]
pub struct Effects {
    /// Durable before anything below leaves.
    pub persist: Persist,
    /// To peers.
    pub send: Vec<Send>,
    /// To whom it may concern in this process.
    pub apply: Vec<Apply>,
    /// To those who asked.
    pub reply: Vec<Reply>,
    /// When to step [`Input::Wake`], on the clock of `Now::elapsed`.
    pub wake_at: Option<Duration>,
}

/// One transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persist {
    /// In order; later ones win.
    pub writes: Vec<Write>,
    /// The steps of the procedure that become durable with it; error injection refers to them by name.
    pub points: Vec<Point>,
}

/// One write to the node's store, which is a few ordered tables of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Insert or replace.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Remove if there.
    Delete(Table, Vec<u8>),
    /// Remove the keys of the range `from..to`.
    DeleteRange(Table, Vec<u8>, Vec<u8>),
}

/// The tables of the store. Keys sort as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `system.scylla_local` and `system.local`: text to text.
    Local,
    /// `system.peers`, by host id.
    Peers,
    /// `system.discovery`.
    Discovery,
    /// `system.group0_history`.
    History,
    /// Rows of `system_schema`.
    Schema,
    /// Entries of the Raft log: group id and index to entry.
    RaftLog,
    /// Hard state, snapshot position and configuration, by group id.
    RaftState,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Local, Self::Peers, Self::Discovery, Self::History, Self::Schema, Self::RaftLog, Self::RaftState];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peers => "peers",
            Self::Discovery => "discovery",
            Self::History => "group0_history",
            Self::Schema => "schema",
            Self::RaftLog => "raft_log",
            Self::RaftState => "raft_state",
        }
    }
}

/// All that a node's store holds when it starts.
pub type Image = Vec<(Table, Vec<u8>, Vec<u8>)>;

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A persisted step of booting, joining, upgrading, leaving and recovering, at which a test can crash the node (before or after it is durable).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point { $($(#[$doc])* $variant,)* }
        impl Point {
            /// All of them: first those of an undisturbed upgrade, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Its name in `error_injections_at_startup`, after `before_` or `after_`.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
        }
    };
}
points! {
    /// Host id and first settings of a new node.
    FirstBoot = "first_boot",
    /// Bootstrapped: COMPLETED.
    Bootstrapped = "bootstrapped",
    /// `proceed`, by the Admin verb.
    Proceed = "proceed",
    /// The feature is enabled.
    FeatureEnabled = "feature_enabled",
    /// The known set of discovery.
    DiscoveryPeers = "discovery_peers",
    /// Group id as founder, with the bootstrap snapshot.
    Founded = "group0_founded",
    /// Group id as joiner.
    Joining = "group0_joining",
    /// A change of the configuration, applied.
    Configuration = "group0_configuration",
    /// A snapshot of another member, taken over.
    Snapshot = "group0_snapshot",
    /// State `synchronize`.
    Synchronize = "group0_synchronize",
    /// State `use_post_raft_procedures`.
    Final = "group0_final",
    /// A schema command of group 0, applied.
    Command = "group0_command",
    /// Another host is out of the cluster for good.
    HostRemoved = "host_removed",
    /// This host is.
    Left = "left",
    /// A person's marker that orders recovery is set, or removed.
    Recovery = "recovery",
}

impl Point {
    /// Whether an undisturbed upgrade passes it.
    pub const fn is_of_upgrade(self) -> bool {
        !matches!(self, Self::HostRemoved | Self::Left | Self::Recovery)
    }
}

/// What goes to peers.
#[derive(Clone, Debug)]
pub enum Send {
    /// A one-way message: best effort, in order per destination while the connection lasts.
    Message {
        /// Where to.
        to: Destination,
        /// Who sends.
        header: Header,
        /// What.
        message: Message,
    },
    /// A call.
    Call {
        /// Answers name it.
        call: CallId,
        /// Where to.
        to: Destination,
        /// Who asks.
        header: Header,
        /// What.
        request: PeerRequest,
        /// After which it has timed out. For a watch: the time to the first answer.
        within: Duration,
    },
    /// Forget a call: not sent if it waits still. Only calls of cancellable verbs are aborted.
    Abort(CallId),
    /// Resolve the configured seeds anew, then step [`Input::Seeds`].
    Resolve,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The address to connect to.
    pub address: SocketAddr,
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
    /// A host is removed the old way: forget it for good.
    RemoveHost(HostId),
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
            Self::RemoveHost(_) => "RemoveHost",
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
    Exchange(ExchangeReply),
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
    /// To `RemoveHost`: recorded, and durable.
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

/// What CQL clients ask, one statement each. Parsing is done; connection state is the shell's.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// The statement as parsed, with bound values in place.
    pub statement: Statement,
    /// Its text, for the history and for errors.
    pub text: String,
    /// The keyspace that the session uses.
    pub keyspace: Option<String>,
}

/// What a CQL client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientReply {
    /// Nothing to say.
    Void,
    /// The session uses this keyspace from now on.
    SetKeyspace(String),
    /// A result set; the shell pages it.
    Rows(ResultSet),
    /// The schema was changed.
    SchemaChange(SchemaEvent),
    /// It failed.
    Error(CqlError),
}

/// Rows with the types of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// Where the columns are from.
    pub keyspace: String,
    /// See `keyspace`.
    pub table: String,
    /// Name and type of each column.
    pub columns: Vec<(String, CqlType)>,
    /// In order of the primary key unless asked otherwise.
    pub rows: Vec<Vec<Option<Value>>>,
}

/// A change of the schema, as drivers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaEvent {
    /// What happened.
    pub change: SchemaChange,
    /// To what.
    pub target: SchemaTarget,
    /// The keyspace.
    pub keyspace: String,
    /// The table or type; empty for a keyspace.
    pub name: String,
}

/// What happened to an element of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// CREATED
    Created,
    /// UPDATED
    Updated,
    /// DROPPED
    Dropped,
}

/// Which kind of element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaTarget {
    /// KEYSPACE
    Keyspace,
    /// TABLE; views and indexes are told as tables
    Table,
    /// TYPE
    Type,
}

/// Errors of the native protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CqlError {
    /// 0x0000
    #[error("{0}")]
    Server(String),
    /// 0x1000: group 0 has no quorum, or similar.
    #[error("{message}")]
    Unavailable {
        /// What failed and what to do.
        message: String,
        /// How many were needed.
        required: i32,
        /// How many are alive.
        alive: i32,
    },
    /// 0x2000
    #[error("{0}")]
    Syntax(String),
    /// 0x2100
    #[error("{0}")]
    Unauthorized(String),
    /// 0x2200
    #[error("{0}")]
    Invalid(String),
    /// 0x2300
    #[error("{0}")]
    Config(String),
    /// 0x2400
    #[error("{message}")]
    AlreadyExists {
        /// The text.
        message: String,
        /// The keyspace.
        keyspace: String,
        /// The table; empty if a keyspace exists.
        table: String,
    },
}

/// What the operator asks through the Admin service.
#[derive(Clone, Debug)]
pub enum AdminRequest {
    /// The whole status, once.
    GetStatus,
    /// The same, now and at every change. Answered by many replies.
    WatchStatus,
    /// From now on refuse what an operator with a lower epoch orders.
    ClaimEpoch(NonZeroU64),
    /// Lift the hold: advertise the feature from now on.
    Proceed(Order),
    /// Start a failed upgrade procedure again.
    RetryUpgrade(Order),
    /// End this start of the process and begin another. [`Apply::Restart`] follows.
    Restart {
        /// Who orders it.
        order: Order,
        /// The start that is to end.
        generation: Generation,
    },
    /// Every schema row with its timestamps, for comparing nodes.
    GetSchema,
    /// Remove a host that is down, for good. Answered once it is out, or refused.
    RemoveNode {
        /// Who orders it; absent if a person does who knows nothing of epochs.
        order: Option<Order>,
        /// Which.
        host: HostId,
        /// Other dead hosts, which need not agree. After the upgrade nobody has to be named.
        ignore: Vec<HostId>,
    },
    /// Leave the cluster for good. Answered once this node is out, or refused.
    Decommission {
        /// Who orders it; absent if a person does who knows nothing of epochs.
        order: Option<Order>,
    },
    /// Answered once all that group 0 had committed when this was asked is applied here, or refused.
    ReadBarrier,
    /// Let another voter that is up lead group 0, if this node does.
    StepDown,
    /// Cut the log of that group after what is applied.
    TriggerSnapshot(GroupId),
}

/// Who orders a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The run that it belongs to; for the log.
    pub run_id: String,
    /// The epoch of who orders it. Lower than the claimed one: refused.
    pub epoch: u64,
}

/// What the operator is told.
#[derive(Clone, Debug)]
pub enum AdminReply {
    /// To `GetStatus` and its watch.
    Status(Box<Status>),
    /// Done, and durable.
    Done,
    /// To `GetSchema`.
    Schema(Rows),
    /// Not done, and why.
    Refused(String),
}

/// An answer to someone who asked.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To a peer.
    Peer {
        /// Which request.
        id: RequestId,
        /// The reply and our path, or the refusal. A watch stays open after a reply.
        outcome: Result<(PeerReply, Path), Refusal>,
    },
    /// To a CQL client.
    Client {
        /// Which request.
        id: RequestId,
        /// The reply.
        reply: ClientReply,
    },
    /// To the operator. A watch stays open.
    Admin {
        /// Which request.
        id: RequestId,
        /// The reply.
        reply: AdminReply,
    },
}

/// What changed for others in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Tell every connection that registered for it.
    SchemaChanged(SchemaEvent),
    /// A host of the ring came up or went down, by its CQL address.
    HostChanged {
        /// UP or DOWN.
        up: bool,
        /// Its address for clients.
        address: SocketAddr,
    },
    /// A host entered or left the ring, by its CQL address.
    RingChanged {
        /// NEW_NODE or REMOVED_NODE.
        joined: bool,
        /// Its address for clients.
        address: SocketAddr,
    },
    /// CQL can be used now: open its listener, and `/readyz` says yes. Or not any more.
    Ready(Result<(), String>),
    /// The shutdown has been announced; the process may end.
    Drained,
    /// The same, and the process is to begin anew: same program, arguments and environment.
    Restart,
    /// The node must not go on, e.g. an enabled feature is missing. The process exits 1 with this text.
    Fatal(String),
}

impl Effects {
    /// The effects of this step and then of the next, as one turn.
    pub fn then(self, next: Self) -> Self {
        let Self { mut persist, mut send, mut apply, mut reply, wake_at: _ } = self;
        let Self { persist: next_persist, send: next_send, apply: next_apply, reply: next_reply, wake_at } = next;
        persist.writes.extend(next_persist.writes);
        persist.points.extend(next_persist.points);
        send.extend(next_send);
        apply.extend(next_apply);
        reply.extend(next_reply);
        Self { persist, send, apply, reply, wake_at }
    }
}

/// What a node is configured with; the border has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Nodes of another cluster are refused.
    pub cluster_name: String,
    /// Where peers reach us.
    pub broadcast_address: SocketAddr,
    /// Where CQL clients reach us.
    pub rpc_address: SocketAddr,
    /// `data_center`
    pub data_center: String,
    /// `rack`
    pub rack: String,
    /// How many tokens to take at the first boot.
    pub num_tokens: u16,
    /// The seeds, resolved. The first configured one is ourselves in a node that founds a cluster.
    pub seeds: Vec<SocketAddr>,
    /// Whether the first configured seed is this node.
    pub is_first_seed: bool,
    /// `replace_node_first_boot`, with `ignore_dead_nodes_for_replace`: whose place the first boot takes.
    pub replaces: Option<Replacement>,
    /// `consistent_cluster_management`: absent is off until the feature is enabled.
    pub flag: Option<bool>,
    /// `consistent_cluster_management_hold`
    pub hold: bool,
    /// Effective configuration for `system.config`, name to value.
    pub config: BTreeMap<String, String>,
    /// A peer that does not answer for so long is down.
    pub failure_detector_timeout: Duration,
    /// `group0_raft_op_timeout_in_ms`
    pub raft_operation_timeout: Duration,
    /// Seed of the node's random generator.
    pub random_seed: u64,
    /// How often Raft counts: an election takes 10 to 20 of them without a leader.
    pub raft_tick: Duration,
}
