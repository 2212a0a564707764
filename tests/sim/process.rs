//! What a process of the world is: something that arrivals come to and that leaves things to be done in an outbox.
//!
//! A node, a client, an administrator and whatever else there will be talk to each other by parcels, which take time and may get
//! lost. Nobody calls anybody: a process that dies in the middle has done what has left it, and no more.

use crate::{
    clock::Clock,
    kubernetes::{Kubernetes, api},
    node::NodeProcess,
};
use group0_core::{
    ids::HostId,
    io::{
        AdminReply, AdminRequest, CallError, ClientReply, ClientRequest, Header, Message, Path, PeerReply, PeerRequest, Refusal,
    },
    schema::Schema,
};
use std::{net::SocketAddr, time::Duration};

/// Names a process. The nodes come first.
pub type Pid = usize;

/// Names one question that went over the network, in the whole world.
pub type Question = u64;

/// This moment of the world.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Virtual time.
    pub now: Duration,
    /// Whether there are faults still.
    pub trouble: bool,
    /// Where the nodes are: what a name resolves to.
    pub addresses: &'a [SocketAddr],
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A node asks another.
    Peer(Header, PeerRequest),
    /// A CQL client asks a node.
    Client(ClientRequest),
    /// An operator asks a node.
    Admin(AdminRequest),
    /// An operator or a person asks the API server.
    Api(Box<api::Request>),
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a node.
    Peer(Result<(PeerReply, Path), Refusal>),
    /// To a client.
    Client(ClientReply),
    /// To an operator.
    Admin(AdminReply),
    /// By the API server.
    Api(Box<api::Reply>),
}

impl Ask {
    /// Whether it is answered again and again, until someone goes.
    pub const fn is_watch(&self) -> bool {
        matches!(self, Self::Peer(_, PeerRequest::WatchGroup0UpgradeState) | Self::Admin(AdminRequest::WatchStatus))
    }
}

impl Answer {
    /// Whether it ends even a watch.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Peer(Err(_)) | Self::Admin(AdminReply::Refused(_)))
    }
}

/// What comes to a process.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// The time that it asked for has come.
    Wake,
    /// A message that nobody waits for an answer to.
    Message(Header, Message),
    /// A question.
    Asked(Question, Ask),
    /// Who asked does not want an answer any more.
    Gone(Question),
    /// An answer to the question with this token.
    Answered {
        /// The token of who asked.
        token: u64,
        /// It.
        answer: Answer,
        /// Whether none will follow; those of a watch do.
        is_last: bool,
    },
    /// There is no answer, or no more.
    Failed(u64, CallError),
    /// What the names of the seeds resolve to.
    Seeds(Vec<SocketAddr>),
    /// It is asked to end.
    Shutdown,
    /// What happens to the process of this node's pod.
    Kubelet(Pid, Kubelet),
}

/// What a kubelet tells of a process.
#[derive(Clone, Debug)]
pub enum Kubelet {
    /// It has started.
    Started,
    /// It has ended, and how.
    Ended(String),
    /// It is ready, or is not.
    Ready(bool),
}

/// What a process sends.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// To whoever listens there.
    Message(SocketAddr, Header, Message),
    /// To whoever listens there; answers come with the token.
    Ask {
        /// Chosen by who asks.
        token: u64,
        /// Where to.
        to: SocketAddr,
        /// What.
        ask: Ask,
        /// After which it has timed out.
        within: Duration,
    },
    /// No answer is wanted any more.
    Abort(u64),
    /// To who asked.
    Answer(Question, Answer),
    /// To who asked: nobody listens here.
    Close(Question),
    /// To who asked: there will be no answer, whatever has come of it.
    Break(Question),
    /// To the resolver of names.
    Resolve,
}

/// What is to be done to the process of a node.
#[derive(Clone, Debug)]
pub enum Order {
    /// Start it after a while.
    Start {
        /// Which.
        node: Pid,
        /// How long.
        after: Duration,
        /// With flag and hold like this; none: as it was.
        environment: Option<(bool, bool)>,
    },
    /// It dies and its disk is gone; who starts there takes that host's place.
    Lose {
        /// Which.
        node: Pid,
        /// Who is lost.
        host: HostId,
    },
    /// They die, and do not come back by themselves.
    Destroy {
        /// Which.
        nodes: Vec<Pid>,
    },
    /// What was destroyed is given up: whoever starts there is another host.
    Renew {
        /// Which.
        node: Pid,
    },
    /// Nothing goes from it to other nodes, or back, for so long.
    Isolate {
        /// Which.
        node: Pid,
        /// How long.
        long: Duration,
    },
    /// Ask it to end, and kill it if it does not. It is not started again by itself.
    Stop {
        /// Which.
        node: Pid,
    },
}

/// How a process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As asked.
    Exit,
    /// Not as asked, and why.
    Crash(String),
}

/// What is to be noticed about a process, by those who judge.
#[derive(Clone, Debug)]
pub enum Note {
    /// A turn of a node is durable.
    Turn(Box<crate::invariants::Turn>),
    /// For the log.
    Line(String),
    /// To be counted.
    Event(String),
    /// An operator's act has taken place.
    Act(crate::invariants::Act),
    /// A client has done something.
    Told(Box<crate::history::Operation>),
    /// Something that must not be.
    Violation(&'static str, String),
}

/// What a process leaves behind, in this order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be noticed.
    pub notes: Vec<Note>,
    /// To be sent.
    pub send: Vec<Parcel>,
    /// To be done.
    pub orders: Vec<Order>,
    /// It has ended.
    pub end: Option<End>,
}

impl Outbox {
    /// For the log.
    pub fn line(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Line(text.into()));
    }

    /// To be counted.
    pub fn event(&mut self, name: impl Into<String>) {
        self.notes.push(Note::Event(name.into()));
    }
}

/// A process.
pub trait Process: Send {
    /// For the log.
    fn name(&self) -> &str;
    /// Starts, with what is durable.
    fn start(&mut self, moment: Moment<'_>, out: &mut Outbox);
    /// Something has come; several things, if it could not be told in between.
    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox);
    /// When it wants [`Arrival::Wake`], in virtual time.
    fn wake_at(&self) -> Option<Duration>;
    /// It is dead: what is not durable is gone.
    fn crash(&mut self, moment: Moment<'_>, out: &mut Outbox);
    /// Whether it has nothing more to do; if not, what it waits for.
    fn is_done(&self) -> Result<(), String>;
    /// At the end of a run: whether the schema is as it must be for this process.
    fn judge(&self, _schema: &Schema) -> Result<(), String> {
        Ok(())
    }
    /// Itself, if it is a node.
    fn node(&mut self) -> Option<&mut NodeProcess> {
        None
    }
    /// Itself, if it is Kubernetes.
    fn kubernetes(&mut self) -> Option<&mut Kubernetes> {
        None
    }
    /// The clock of its host, if that matters.
    fn clock(&mut self) -> Option<&mut Clock> {
        None
    }
}
