//! What a node stores: writes of a transaction, and the points of its way that they make durable.

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
    /// A plan of recovery is stored, or has come a step further.
    Plan = "recovery_plan",
    /// The id of the group is deleted.
    GroupForgotten = "group0_forgotten",
}

impl Point {
    /// Whether an undisturbed upgrade passes it.
    pub const fn is_of_upgrade(self) -> bool {
        !matches!(self, Self::HostRemoved | Self::Left | Self::Recovery | Self::Plan | Self::GroupForgotten)
    }
}
