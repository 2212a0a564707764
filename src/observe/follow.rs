//! Follows one node's Admin service: a stream for changes, a question each second for its age and clock.

use super::{ASK_EVERY, NodeSeen, Part, admin::node_seen};
use crate::admin::{Admin, Why};
use group0_api::{tls::Client, v1};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

/// The first wait before connecting again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The last word of one process. Ends when dropped.
#[derive(Debug)]
pub struct Follow {
    last: watch::Receiver<Last>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum Last {
    Unasked,
    Said { node: Box<NodeSeen>, at: Instant },
    Silent { why: Why, ever_answered: bool },
}

impl Follow {
    /// Follows the node at this address, over TLS if there is any; its calls may take so long. `changed` is told of every change.
    pub fn start(address: SocketAddr, limit: Duration, tls: Option<Client>, changed: Arc<Notify>) -> Self {
        let (sender, last) = watch::channel(Last::Unasked);
        let task = tokio::spawn(async move { Follower { address, limit, tls, sender, changed }.run().await });
        Self { last, task }
    }

    /// What it said last, and how long ago.
    pub fn last(&self) -> Part<NodeSeen> {
        match &*self.last.borrow() {
            Last::Said { node, at } => Part::Known { value: (**node).clone(), age: age(*at) },
            Last::Silent { why, .. } => Part::Unknown(why.clone()),
            Last::Unasked => Part::Unknown("it has not been asked yet".into()),
        }
    }

    /// Until it has answered, or is known not to.
    pub async fn heard(&self) {
        drop(self.last.clone().wait_for(|last| !matches!(last, Last::Unasked)).await);
    }

    /// Whether it has answered at all.
    pub fn ever_answered(&self) -> bool {
        !matches!(&*self.last.borrow(), Last::Unasked | Last::Silent { ever_answered: false, .. })
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn age(at: Instant) -> SignedDuration {
    SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX)
}

struct Follower {
    address: SocketAddr,
    limit: Duration,
    tls: Option<Client>,
    sender: watch::Sender<Last>,
    changed: Arc<Notify>,
}

impl Follower {
    async fn run(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(why) = self.listen(&mut pause).await;
            self.silent(why);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn listen(&self, pause: &mut Duration) -> Result<std::convert::Infallible, Why> {
        let admin = Admin::connect(self.address, self.limit, self.tls.as_ref()).await?;
        let mut stream = admin.watch().await?;
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let status = tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(status)) => status,
                    Ok(None) => return Err("it has ended the stream of its status".into()),
                    Err(status) => return Err(status.message().to_owned()),
                },
                _ = ask.tick() => admin.status().await?,
            };
            self.said(&status)?;
            *pause = FIRST_PAUSE;
        }
    }

    /// An older word than the last is not taken: the age of the last goes on growing.
    fn said(&self, status: &v1::Status) -> Result<(), Why> {
        let node = node_seen(status, Timestamp::now())?;
        let news = self.sender.send_if_modified(|last| {
            let before = if let Last::Said { node, .. } = last { Some(node) } else { None };
            if before.as_ref().is_some_and(|before| node.is_older_than(before)) {
                return false;
            }
            let is_news = before.is_none_or(|before| node.is_news_after(before));
            *last = Last::Said { node: Box::new(node), at: Instant::now() };
            is_news
        });
        if news {
            self.changed.notify_one();
        }
        Ok(())
    }

    fn silent(&self, why: Why) {
        let news = self.sender.send_if_modified(|last| {
            let ever_answered = !matches!(last, Last::Unasked | Last::Silent { ever_answered: false, .. });
            let was_silent = matches!(last, Last::Silent { .. });
            *last = Last::Silent { why, ever_answered };
            !was_silent
        });
        if news {
            self.changed.notify_one();
        }
    }
}
