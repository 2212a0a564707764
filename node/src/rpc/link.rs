//! One-way messages to one peer: a bounded queue and a stream that empties it.
//!
//! Messages wait while the connection is being made and are dropped if it cannot be: who sends them sends again. A full queue
//! drops the newest. A stream is opened when there is something to say, and again after it has broken, at most every
//! [`LONGEST_PAUSE`].

use super::pool::{Lane, Line, Pool, is_broken};
use futures::{Stream, StreamExt as _, stream};
use group0_api::v1::{self, peer_client::PeerClient};
use prost::Message as _;
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

/// Messages that wait for one peer; Raft has a few hundred in flight at most.
const QUEUE: usize = 1024;
/// Between attempts to connect: the first, doubled each time, and the longest. A peer that comes back is heard soon.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// A link that was not used for so long is closed.
const IDLE: Duration = Duration::from_mins(5);
/// What is ready goes out together, up to this.
const BATCH_BYTES: usize = 1 << 20;

/// A kind of messages with a stream of their own.
pub trait Carried: Send + 'static {
    /// What one message of the stream is.
    type Packet: Send + 'static;
    /// Over which connection.
    const LANE: Lane;

    /// This message, and maybe others that wait.
    fn pack(self, waiting: &mut mpsc::Receiver<Self>) -> Self::Packet
    where
        Self: Sized;

    /// Sends packets until they or the connection end.
    fn send(
        client: PeerClient<Channel>,
        packets: impl Stream<Item = Self::Packet> + Send + 'static,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

impl Carried for v1::GossipMessage {
    type Packet = Self;
    const LANE: Lane = Lane::Control;

    fn pack(self, _: &mut mpsc::Receiver<Self>) -> Self {
        self
    }

    async fn send(mut client: PeerClient<Channel>, packets: impl Stream<Item = Self> + Send + 'static) -> Result<(), Status> {
        client.gossip(packets).await.map(drop)
    }
}

impl Carried for v1::RaftEnvelope {
    type Packet = v1::RaftBatch;
    const LANE: Lane = Lane::Data;

    fn pack(self, waiting: &mut mpsc::Receiver<Self>) -> v1::RaftBatch {
        let mut bytes = self.encoded_len();
        let mut envelopes = vec![self];
        while bytes < BATCH_BYTES
            && let Ok(envelope) = waiting.try_recv()
        {
            bytes += envelope.encoded_len();
            envelopes.push(envelope);
        }
        v1::RaftBatch { envelopes }
    }

    async fn send(
        mut client: PeerClient<Channel>,
        packets: impl Stream<Item = v1::RaftBatch> + Send + 'static,
    ) -> Result<(), Status> {
        client.raft(packets).await.map(drop)
    }
}

/// The links of one kind, by address.
#[derive(Debug)]
pub struct Links<M> {
    links: HashMap<SocketAddr, Link<M>>,
}

#[derive(Debug)]
struct Link<M> {
    queue: mpsc::Sender<M>,
    used: Instant,
}

impl<M> Default for Links<M> {
    fn default() -> Self {
        Self { links: HashMap::new() }
    }
}

impl<M: Carried> Links<M> {
    /// Queues a message.
    pub fn send(&mut self, pool: &Pool, to: SocketAddr, message: M) {
        let now = Instant::now();
        if !self.links.contains_key(&to) {
            self.links.retain(|_, link| now - link.used < IDLE);
        }
        let link = self.links.entry(to).or_insert_with(|| Link { queue: open(pool.line(to, M::LANE)), used: now });
        link.used = now;
        if link.queue.try_send(message).is_err() {
            tracing::debug!(target: "rpc", %to, "the queue of messages is full; dropping one");
        }
    }
}

fn open<M: Carried>(line: Arc<Line>) -> mpsc::Sender<M> {
    let (queue, waiting) = mpsc::channel(QUEUE);
    tokio::spawn(empty(line, Arc::new(Mutex::new(waiting))));
    queue
}

type Waiting<M> = Arc<Mutex<mpsc::Receiver<M>>>;

/// Until nobody can queue any more.
async fn empty<M: Carried>(line: Arc<Line>, waiting: Waiting<M>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(first) = next(&mut Arc::clone(&waiting).lock_owned().await).await else { return };
        let begin = Instant::now();
        if let Err(status) = connect_and_send(&line, first, &waiting).await {
            tracing::debug!(target: "rpc", %status, "a stream of messages has ended");
            if is_broken(&status) {
                line.forget().await;
            }
        }
        pause = if begin.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

async fn next<M: Carried>(waiting: &mut OwnedMutexGuard<mpsc::Receiver<M>>) -> Option<M::Packet> {
    let first = waiting.recv().await?;
    Some(first.pack(waiting))
}

async fn connect_and_send<M: Carried>(line: &Line, first: M::Packet, waiting: &Waiting<M>) -> Result<(), Status> {
    let client = match line.client().await {
        Ok(client) => client,
        Err(status) => {
            let mut waiting = waiting.lock().await;
            while waiting.try_recv().is_ok() {}
            return Err(status);
        }
    };
    let ended = CancellationToken::new();
    let _end = ended.clone().drop_guard();
    let rest = stream::unfold(Arc::clone(waiting), async |waiting| {
        let packet = next(&mut Arc::clone(&waiting).lock_owned().await).await?;
        Some((packet, waiting))
    });
    // A broken connection may keep its stream for a while: it must not swallow what the next one is to send.
    let packets = stream::once(async { first }).chain(rest).take_until(ended.cancelled_owned());
    M::send(client, packets).await
}
