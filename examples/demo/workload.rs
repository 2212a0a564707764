//! A client that changes the schema through every node, and retries only what was refused.
//!
//! A refused statement changed nothing and is sent again; one whose connection broke has an unknown outcome and is never sent
//! again: the next one takes a new name, and what became of it is looked up at the end.

#![allow(dead_code, reason = "each demo takes the part that it needs")]

use crate::Why;
use group0_core::value::Value;
use group0_node::cql::client::{ClientError, CqlClient};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The keyspace of the demo.
const KEYSPACE: &str = "demo";
/// Between two statements through one node: a client that works, not one that floods.
const PACE: Duration = Duration::from_millis(20);
/// After a refusal.
const PAUSE: Duration = Duration::from_millis(5);
/// A statement without an answer for so long has an unknown outcome.
const ANSWER: Duration = Duration::from_secs(10);
/// What a node says while schema changes are off.
const REFUSED: &str = "Cannot perform schema or topology changes during this time";

/// What one node was asked for, by table.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Acknowledged, and when, in microseconds since the Unix epoch.
    pub acknowledged: Vec<(String, i64)>,
    /// Of those, sent after the upgrade was complete.
    pub after_complete: usize,
    /// Without an answer.
    pub unknown: Vec<String>,
    /// Answered with an error that is no refusal.
    pub errors: Vec<String>,
    /// Times that a statement was refused and sent again.
    pub refusals: usize,
}

/// One task a node.
pub struct Workload {
    phase: Arc<watch::Sender<Order>>,
    workers: Vec<(watch::Receiver<Changes>, JoinHandle<()>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Work,
    Completed,
    Stop,
}

impl Workload {
    /// Begins at once; nodes that do not listen yet are waited for.
    pub fn start(addresses: &[IpAddr]) -> Self {
        let (phase, _) = watch::channel(Order::Work);
        let phase = Arc::new(phase);
        let worker = |(index, address): (usize, &IpAddr)| {
            let (sender, receiver) = watch::channel(Changes::default());
            let worker = Worker {
                index,
                address: SocketAddr::new(*address, 9042),
                client: None,
                changes: sender,
                order: phase.subscribe(),
            };
            (receiver, tokio::spawn(worker.run()))
        };
        let workers = addresses.iter().enumerate().map(worker).collect();
        Self { phase, workers }
    }

    /// What is sent from now on is sent after the upgrade.
    pub fn mark_complete(&self) {
        self.phase.send_replace(Order::Completed);
    }

    /// Waits until every node has acknowledged so much after the upgrade, and all so much in all.
    pub async fn enough(&mut self, each: usize, all: usize) -> Result<(), Why> {
        loop {
            let changes: Vec<_> = self.workers.iter().map(|(changes, _)| changes.borrow().clone()).collect();
            let total: usize = changes.iter().map(|changes| changes.acknowledged.len()).sum();
            if total >= all && changes.iter().all(|changes| changes.after_complete >= each) {
                return Ok(());
            }
            if let Some(error) = changes.iter().flat_map(|changes| &changes.errors).next() {
                return Err(format!("a schema change failed: {error}"));
            }
            sleep(PACE).await;
        }
    }

    /// Lets the last statements end, and tells what was done through each node.
    pub async fn stop(self) -> Result<Vec<Changes>, Why> {
        self.phase.send_replace(Order::Stop);
        let mut all = Vec::new();
        for (changes, task) in self.workers {
            task.await.map_err(|error| error.to_string())?;
            all.push(changes.borrow().clone());
        }
        Ok(all)
    }
}

struct Worker {
    index: usize,
    address: SocketAddr,
    client: Option<CqlClient>,
    changes: watch::Sender<Changes>,
    order: watch::Receiver<Order>,
}

enum Outcome {
    Acknowledged,
    /// It changed nothing: nothing was sent, or the node said so.
    Refused,
    Unknown,
    Error(String),
}

impl Worker {
    async fn run(mut self) {
        let keyspace = format!(
            "CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
        );
        while !matches!(self.send(&keyspace).await, Outcome::Acknowledged) && !self.is_stopped() {
            sleep(PAUSE).await;
        }
        for number in 0.. {
            if self.is_stopped() {
                return;
            }
            self.create(&format!("n{}_{number}", self.index)).await;
            sleep(PACE).await;
        }
    }

    fn is_stopped(&self) -> bool {
        *self.order.borrow() == Order::Stop
    }

    /// Creates one table, again and again while it is refused.
    async fn create(&mut self, table: &str) {
        let statement = format!("CREATE TABLE {KEYSPACE}.{table} (k int PRIMARY KEY, v text)");
        loop {
            let after_complete = *self.order.borrow() == Order::Completed;
            let outcome = self.send(&statement).await;
            self.changes.send_modify(|changes| match &outcome {
                Outcome::Acknowledged => {
                    changes.acknowledged.push((table.to_owned(), now_micros()));
                    changes.after_complete += usize::from(after_complete);
                }
                Outcome::Refused => changes.refusals += 1,
                Outcome::Unknown => changes.unknown.push(table.to_owned()),
                Outcome::Error(error) => changes.errors.push(format!("{}: {statement}: {error}", self.address)),
            });
            if !matches!(outcome, Outcome::Refused) || self.is_stopped() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn send(&mut self, statement: &str) -> Outcome {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => match timeout(ANSWER, CqlClient::connect(self.address)).await {
                Ok(Ok(client)) => client,
                Ok(Err(_)) | Err(_) => return Outcome::Refused,
            },
        };
        match timeout(ANSWER, client.query(statement)).await {
            Ok(Ok(_)) => {
                self.client = Some(client);
                Outcome::Acknowledged
            }
            Ok(Err(ClientError::Server(error))) => {
                self.client = Some(client);
                judge(error.code(), error.message())
            }
            Ok(Err(ClientError::Transport(_) | ClientError::Protocol(_))) | Err(_) => Outcome::Unknown,
        }
    }
}

/// From 0x2000 on the protocol's errors are about the statement, below about the server: then it may have taken effect.
fn judge(code: i32, message: String) -> Outcome {
    match code {
        _ if message.starts_with(REFUSED) => Outcome::Refused,
        0x2000.. => Outcome::Error(message),
        _ => Outcome::Unknown,
    }
}

/// The demo's tables as a client of this node sees them.
pub async fn tables(address: SocketAddr) -> Result<BTreeSet<String>, Why> {
    let why = |error| format!("{address}: {error}");
    let mut client = CqlClient::connect(address).await.map_err(why)?;
    let query = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}'");
    let rows = client.query(&query).await.map_err(why)?.into_rows().rows;
    let name = |row: Vec<Option<Value>>| match row.into_iter().next().flatten() {
        Some(Value::Text(name)) => Some(name),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(name).collect())
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
