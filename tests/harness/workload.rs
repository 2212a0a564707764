//! A client on each node that changes the schema all the while, and remembers what was acknowledged.
//!
//! It tries no statement twice: a name that was refused, or whose answer was lost, is left behind, and nothing is claimed about it.

use super::Node;
use group0_core::value::Value;
use group0_node::cql::client::{Answer, ClientError, CqlClient};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

/// How often each client changes something: often enough for every step to meet one, seldom enough to leave the machine to the nodes.
const PERIOD: Duration = Duration::from_millis(25);
/// A node that dies keeps no client waiting for longer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A node that was away has what the others have after so long at most.
const CATCHING_UP: Duration = Duration::from_secs(20);
/// Between two looks at whether it has.
const PAUSE: Duration = Duration::from_millis(100);
/// Every so many changes an acknowledged table gets another column, and another one is dropped.
const ROUND: u32 = 4;

/// Where all tables are.
const KEYSPACE: &str = "w";

/// What is known of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Its creation was acknowledged.
    Created,
    /// Another column was asked for, and nothing is known of it.
    Widening,
    /// It has another column.
    Widened,
    /// It was to go, and nothing is known of that.
    Dropping,
    /// It is gone.
    Dropped,
}

/// What clients were told had succeeded.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged(BTreeMap<String, Known>);

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: &[Known]| self.0.values().filter(|known| wanted.contains(known)).count();
        let (widened, dropped) = (count(&[Known::Widened]), count(&[Known::Dropped]));
        write!(f, "{} tables created, of which {widened} have another column and {dropped} are dropped", self.0.len())
    }
}

impl Acknowledged {
    /// Demands that a node has all of it, once it has caught up: one that was away has its log from the others.
    pub async fn assert_on(&self, node: &Node) {
        let deadline = Instant::now() + CATCHING_UP;
        loop {
            let lost = self.lost_on(node).await;
            if lost.is_empty() {
                return;
            }
            let (lost_count, all) = (lost.len(), self.0.len());
            assert!(Instant::now() < deadline, "{} lost {lost_count} of {all} acknowledged changes: {lost:?}", node.address());
            sleep(PAUSE).await;
        }
    }

    async fn lost_on(&self, node: &Node) -> Vec<(&String, &Known)> {
        let tables =
            names(node, &format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}'")).await;
        let columns = format!("SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = '{KEYSPACE}'");
        let wide = names(node, &columns).await;
        let lost = |name: &&String, known: Known| match known {
            Known::Created | Known::Widening => !tables.contains(*name),
            Known::Widened => !tables.contains(*name) || !wide.contains(&format!("{name} wide")),
            Known::Dropping => false,
            Known::Dropped => tables.contains(*name),
        };
        self.0.iter().filter(|(name, known)| lost(name, **known)).collect()
    }

    fn first(&self, wanted: &[Known]) -> Option<String> {
        self.0.iter().find(|(_, known)| wanted.contains(known)).map(|(name, _)| name.clone())
    }
}

/// Clients at work, until stopped.
pub struct Workload {
    clients: JoinSet<Acknowledged>,
    counts: Vec<watch::Receiver<usize>>,
    stop: watch::Sender<bool>,
}

impl Workload {
    /// Creates the keyspace and lets one client loose on each node.
    pub async fn start(nodes: &[Node]) -> Self {
        let text =
            format!("CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}");
        assert!(change(&mut None, nodes[0].cql(), &text).await, "a settled cluster takes a keyspace");
        let (stop, stopped) = watch::channel(false);
        let (mut clients, mut counts) = (JoinSet::new(), Vec::new());
        for (number, node) in nodes.iter().enumerate() {
            let (count, counted) = watch::channel(0);
            counts.push(counted);
            clients.spawn(Client::new(number, node.cql(), count).work(stopped.clone()));
        }
        Self { clients, counts, stop }
    }

    /// Waits until so many more changes were acknowledged by each node.
    pub async fn each_acknowledged(&self, more: usize) {
        for count in &self.counts {
            let mut count = count.clone();
            let goal = *count.borrow() + more;
            let reached = timeout(super::WAIT_MAX, count.wait_for(|count| *count >= goal)).await.is_ok();
            assert!(reached, "{goal} changes were not acknowledged, {} were", *count.borrow());
        }
    }

    /// Ends the clients. Gives what they were told.
    pub async fn stop(mut self) -> Acknowledged {
        self.stop.send_replace(true);
        let mut all = Acknowledged::default();
        while let Some(one) = self.clients.join_next().await {
            all.0.append(&mut one.expect("a client does not panic").0);
        }
        all
    }
}

/// One client.
struct Client {
    number: usize,
    address: SocketAddr,
    connection: Option<CqlClient>,
    next: u32,
    told: Acknowledged,
    count: watch::Sender<usize>,
}

impl Client {
    fn new(number: usize, address: SocketAddr, count: watch::Sender<usize>) -> Self {
        Self { number, address, connection: None, next: 0, told: Acknowledged::default(), count }
    }

    async fn work(mut self, stopped: watch::Receiver<bool>) -> Acknowledged {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopped.borrow() {
            ticks.tick().await;
            self.next += 1;
            let done = match self.next % ROUND {
                0 => self.drop_one().await,
                1 => self.widen_one().await,
                _ => self.create_one().await,
            };
            if done {
                self.count.send_modify(|count| *count += 1);
            }
        }
        self.told
    }

    async fn create_one(&mut self) -> bool {
        let name = format!("t{}_{:05}", self.number, self.next);
        let done = self.change(&format!("CREATE TABLE {KEYSPACE}.{name} (a int PRIMARY KEY, b text)")).await;
        if done {
            self.told.0.insert(name, Known::Created);
        }
        done
    }

    async fn widen_one(&mut self) -> bool {
        let Some(name) = self.told.first(&[Known::Created]) else { return false };
        let text = format!("ALTER TABLE {KEYSPACE}.{name} ADD wide bigint");
        self.change_known(name, Known::Widening, Known::Widened, &text).await
    }

    async fn drop_one(&mut self) -> bool {
        let Some(name) = self.told.first(&[Known::Created, Known::Widening, Known::Widened]) else { return false };
        let text = format!("DROP TABLE {KEYSPACE}.{name}");
        self.change_known(name, Known::Dropping, Known::Dropped, &text).await
    }

    /// A change of a table that is there: doubtful until acknowledged.
    async fn change_known(&mut self, name: String, asked: Known, done: Known, text: &str) -> bool {
        self.told.0.insert(name.clone(), asked);
        let acknowledged = self.change(text).await;
        if acknowledged {
            self.told.0.insert(name, done);
        }
        acknowledged
    }

    async fn change(&mut self, text: &str) -> bool {
        change(&mut self.connection, self.address, text).await
    }
}

/// Whether the change was acknowledged. Anything else, also silence, says nothing about it; unless the server itself refused it, the
/// connection is then made anew.
async fn change(connection: &mut Option<CqlClient>, address: SocketAddr, text: &str) -> bool {
    let taken = connection.take();
    let answered = timeout(ANSWER_MAX, async {
        let mut client = match taken {
            Some(client) => client,
            None => CqlClient::connect(address).await?,
        };
        let answer = client.query(text).await;
        Ok::<_, ClientError>((client, answer))
    });
    let Ok(Ok((client, answer))) = answered.await else { return false };
    if matches!(answer, Ok(_) | Err(ClientError::Server(_))) {
        *connection = Some(client);
    }
    matches!(answer, Ok(Answer::SchemaChange(_)))
}

/// The rows of a query, their values joined by blanks.
async fn names(node: &Node, query: &str) -> BTreeSet<String> {
    let mut client = CqlClient::connect(node.cql()).await.expect("a complete cluster takes clients");
    let set = client.query(query).await.expect("a complete cluster answers").into_rows();
    set.rows.iter().map(|row| row.iter().map(|value| text(value.as_ref())).collect::<Vec<_>>().join(" ")).collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}
