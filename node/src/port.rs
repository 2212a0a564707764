//! The way into the driver: one port for all who ask, and the lane for what the node itself has started.
//!
//! Requests of others wait in a bounded queue and are refused at once when it is full; one-way messages are dropped then, as
//! the network may drop them too. Answers to our own calls are never lost: there are at most as many as calls.

use group0_core::io::{
    AdminReply, AdminRequest, ClientReply, ClientRequest, Header, Input, Message, Path, PeerReply, PeerRequest, Refusal,
    RequestId,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Requests and messages that wait for the driver. At a few microseconds each, more than this is a second late.
const QUEUE: usize = 16_384;
/// Answers that wait for a watcher. Whoever is further behind is cut off and may ask again.
const WATCH_QUEUE: usize = 64;

/// What a peer is answered.
pub type PeerAnswer = Result<(PeerReply, Path), Refusal>;

/// Why nothing can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Too many ask.
    #[error("this node has {QUEUE} requests waiting; try again later")]
    Overloaded,
    /// The node is stopping, or its store has failed.
    #[error("this node is stopping or its store has failed; see /readyz")]
    Stopped,
}

/// Where the answers to one request go.
#[derive(Debug)]
pub enum Answers {
    /// To a peer.
    Peer(mpsc::Sender<PeerAnswer>),
    /// To a CQL client.
    Client(mpsc::Sender<ClientReply>),
    /// To the operator.
    Admin(mpsc::Sender<AdminReply>),
}

/// One thing for the driver.
#[derive(Debug)]
pub struct Delivery {
    /// The input.
    pub input: Input,
    /// For requests: who waits for the answer.
    pub asker: Option<Asker>,
}

/// Who waits for the answers to a request.
#[derive(Debug)]
pub struct Asker {
    /// The request.
    pub id: RequestId,
    /// Where answers go.
    pub answers: Answers,
    /// Whether there are many.
    pub watches: bool,
}

/// Lets others give inputs to the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Port {
    asks: mpsc::Sender<Delivery>,
    own: mpsc::UnboundedSender<Delivery>,
    next: Arc<AtomicU64>,
}

/// The driver's end.
#[derive(Debug)]
pub struct Inbox {
    asks: mpsc::Receiver<Delivery>,
    own: mpsc::UnboundedReceiver<Delivery>,
}

/// A port and the inbox behind it.
pub fn open() -> (Port, Inbox) {
    let (asks, asked) = mpsc::channel(QUEUE);
    let (own, owned) = mpsc::unbounded_channel();
    (Port { asks, own, next: Arc::new(AtomicU64::new(1)) }, Inbox { asks: asked, own: owned })
}

impl Port {
    /// For what the node has started itself: answers, resolved seeds, the shutdown. Nothing happens if the driver has stopped.
    pub fn tell(&self, input: Input) {
        drop(self.own.send(Delivery { input, asker: None }));
    }

    /// Returns when the driver has stopped.
    pub async fn stopped(&self) {
        self.asks.closed().await;
    }

    /// A message of a peer. Lost if too many wait.
    pub fn message(&self, header: Header, message: Message) {
        drop(self.asks.try_send(Delivery { input: Input::Message { header, message }, asker: None }));
    }

    /// A request of a peer.
    pub fn peer(&self, header: Header, request: PeerRequest) -> Result<Asked<PeerAnswer>, PortError> {
        let watches = matches!(request, PeerRequest::WatchGroup0UpgradeState);
        self.ask(watches, Answers::Peer, |id| Input::Request { id, header, request })
    }

    /// A request of a CQL client, and its answer.
    pub async fn client(&self, request: ClientRequest) -> Result<ClientReply, PortError> {
        self.ask(false, Answers::Client, |id| Input::Client { id, request })?.next().await.ok_or(PortError::Stopped)
    }

    /// A request of the operator.
    pub fn admin(&self, request: AdminRequest) -> Result<Asked<AdminReply>, PortError> {
        let watches = matches!(request, AdminRequest::WatchStatus);
        self.ask(watches, Answers::Admin, |id| Input::Admin { id, request })
    }

    fn ask<A>(
        &self,
        watches: bool,
        answers: impl FnOnce(mpsc::Sender<A>) -> Answers,
        input: impl FnOnce(RequestId) -> Input,
    ) -> Result<Asked<A>, PortError> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(if watches { WATCH_QUEUE } else { 1 });
        let asker = Asker { id, answers: answers(sender), watches };
        self.asks.try_send(Delivery { input: input(id), asker: Some(asker) }).map_err(|error| match error {
            TrySendError::Full(_) => PortError::Overloaded,
            TrySendError::Closed(_) => PortError::Stopped,
        })?;
        Ok(Asked { id, answers: receiver, port: self.clone() })
    }
}

/// A request that was asked. Dropping it tells the node that no answer is wanted any more.
#[derive(Debug)]
pub struct Asked<A> {
    id: RequestId,
    answers: mpsc::Receiver<A>,
    port: Port,
}

impl<A> Asked<A> {
    /// The next answer; `None` after the last, or if the driver has stopped.
    pub async fn next(&mut self) -> Option<A> {
        self.answers.recv().await
    }
}

impl<A> Drop for Asked<A> {
    fn drop(&mut self) {
        self.port.tell(Input::Gone(self.id));
    }
}

impl Inbox {
    /// Waits for one delivery; our own come first.
    pub async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            own = self.own.recv() => own,
            ask = self.asks.recv() => ask,
        }
    }

    /// A delivery that is there already.
    pub fn ready(&mut self) -> Option<Delivery> {
        self.own.try_recv().or_else(|_| self.asks.try_recv()).ok()
    }
}
