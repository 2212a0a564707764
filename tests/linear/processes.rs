//! Three real nodes that are upgraded and killed at any moment, while clients of each change the same few tables and look at them.
//!
//! `GROUP0_LINEAR_RUNS` runs, 1 unless told; `make linear` takes ten. When a node dies is drawn, and counted in answers to clients.

use crate::{
    corrupted,
    harness::{Cluster, Node, Start},
    history::{self, Deed, Operation, Reply, Row, Statement},
};
use group0_core::{cql::frame::ErrorBody, group0::HistoryRow, ids::TimeUuid, random::Random, value::Value};
use group0_node::cql::client::{Answer, ClientError, CqlClient};
use std::{env, net::SocketAddr, ops::Range, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

const NODES: usize = 3;
/// More than nodes, so that some of one node wait together.
const CLIENTS: u64 = 6;
/// So often one or two nodes are killed in the course of the upgrade, if it takes that long, and after it.
const KILLS: [usize; 2] = [2, 5];
/// Answers between a start and the next kill, and between a kill and the start after it; that a node is not final counts, too.
const UP: Range<u64> = 5..300;
const DOWN: Range<u64> = 0..150;
/// The same without a majority: a node takes its time to say so.
const DOWN_BOTH: Range<u64> = 0..12;
/// The upgrade state in which changes go through group 0.
const FINAL: &str = "use_post_raft_procedures";
/// Between two questions of a client.
const PERIOD: Duration = Duration::from_millis(5);
/// Longer than a node takes for a change.
const ANSWER_MAX: Duration = Duration::from_secs(12);

#[test]
fn what_clients_of_killed_nodes_are_told_is_linearizable() {
    let (runs, seed) = (number("GROUP0_LINEAR_RUNS"), number("GROUP0_LINEAR_SEED"));
    let seed = seed.unwrap_or_else(|| std::process::id().into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for number in 0..runs.unwrap_or(1) {
        runtime.block_on(run(seed + number));
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|number| number.parse().expect("the variable is a number"))
}

async fn run(seed: u64) {
    println!("run {seed}: GROUP0_LINEAR_SEED={seed} draws the same");
    let mut cluster = Cluster::new(NODES);
    for index in 0..NODES {
        cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
    }
    cluster.settled().await;
    let clients = Clients::start(seed, &cluster);
    for node in cluster.nodes() {
        node.proceed().await.expect("a settled node proceeds");
    }
    let mut random = Random::seeded(seed);
    for kills in KILLS {
        for _ in 0..kills {
            kill_some(&mut cluster, &clients, &mut random).await;
        }
        cluster.complete().await;
    }
    clients.answered(UP.end).await;
    let operations = clients.stop().await;
    cluster.same_schema().await;
    let order = order(&cluster).await;
    tell(&operations, &order);
    history::check(&order, &operations).unwrap_or_else(|(_, flaw)| panic!("run {seed}: {flaw}"));
    corrupted::are_found(&order, &operations);
}

async fn kill_some(cluster: &mut Cluster, clients: &Clients, random: &mut Random) {
    clients.answered(random.within(UP)).await;
    let first = usize::try_from(random.within(0..NODES as u64)).expect("few nodes");
    let both = random.within(0..3) == 0;
    let victims = if both { vec![first, (first + 1) % NODES] } else { vec![first] };
    for victim in &victims {
        cluster.node(*victim).kill().await;
    }
    clients.answered(random.within(if both { DOWN_BOTH } else { DOWN })).await;
    for victim in victims {
        cluster.node(victim).start(&Start { flag_and_hold: true, ..Start::default() });
    }
}

/// The rows of the history, which must be the same on every node.
async fn order(cluster: &Cluster) -> Vec<Row> {
    let mut all = Vec::new();
    for node in cluster.nodes() {
        all.push(history_of(node).await);
    }
    for (node, history) in cluster.nodes().iter().zip(&all) {
        assert!(*history == all[0], "{} has another history than the first node", node.address());
    }
    all.remove(0)
}

async fn history_of(node: &Node) -> Vec<Row> {
    let mut client = CqlClient::connect(node.cql()).await.expect("a complete cluster takes clients");
    let query = "SELECT state_id, description FROM system.group0_history";
    let set = client.query(query).await.expect("a complete cluster answers").into_rows();
    let row = |row: Vec<Option<Value>>| match row.as_slice() {
        [Some(Value::Uuid(state)), Some(Value::Text(text))] => HistoryRow { state: TimeUuid(*state), description: text.clone() },
        other => panic!("no row of a history: {other:?}"),
    };
    let mut rows: Vec<_> = set.rows.into_iter().map(row).collect();
    rows.sort_by_key(|row| row.state);
    rows.iter().map(Row::of).collect()
}

fn tell(operations: &[Operation], order: &[Row]) {
    let count = |reply: Reply| {
        let has = |operation: &&Operation| matches!(&operation.deed, Deed::Change(_, told) if *told == reply);
        operations.iter().filter(has).count()
    };
    let reads = operations.iter().filter(|operation| matches!(operation.deed, Deed::Columns(_))).count();
    println!(
        "{} rows of history; {} changes done, {} with nothing to do, {} refused, {} not done, {} unknown; {reads} reads",
        order.len(),
        count(Reply::Changed),
        count(Reply::Nothing),
        count(Reply::Refused),
        count(Reply::NotDone),
        count(Reply::Unknown),
    );
}

/// Clients at work, until stopped.
struct Clients {
    tasks: JoinSet<Vec<Operation>>,
    answers: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
}

impl Clients {
    fn start(seed: u64, cluster: &Cluster) -> Self {
        let nodes: Vec<SocketAddr> = cluster.nodes().iter().map(Node::cql).collect();
        let ((answered, answers), (stop, stopped)) = (watch::channel(0), watch::channel(false));
        let (mut tasks, begin) = (JoinSet::new(), Instant::now());
        for number in 0..CLIENTS {
            let random = Random::seeded(seed ^ number.rotate_right(8));
            let client = Client { number, nodes: nodes.clone(), random, begin, next: 0, connection: None, done: Vec::new() };
            tasks.spawn(client.work(answered.clone(), stopped.clone()));
        }
        Self { tasks, answers, stop }
    }

    /// Waits for so many answers more.
    async fn answered(&self, more: u64) {
        let mut answers = self.answers.clone();
        let goal = *answers.borrow() + more;
        let reached = timeout(crate::harness::WAIT_MAX, answers.wait_for(|count| *count >= goal)).await.is_ok();
        assert!(reached, "{more} more answers did not come");
    }

    async fn stop(mut self) -> Vec<Operation> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        while let Some(one) = self.tasks.join_next().await {
            all.append(&mut one.expect("a client does not panic"));
        }
        all
    }
}

/// Goes from node to node.
struct Client {
    number: u64,
    nodes: Vec<SocketAddr>,
    random: Random,
    begin: Instant,
    next: u64,
    connection: Option<(usize, CqlClient)>,
    done: Vec<Operation>,
}

impl Client {
    async fn work(mut self, answered: watch::Sender<u64>, stopped: watch::Receiver<bool>) -> Vec<Operation> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopped.borrow() {
            ticks.tick().await;
            if self.random.within(0..16) == 0 {
                self.connection = None;
            }
            match self.connection.take() {
                Some((node, client)) => self.connection = self.ask(node, client).await,
                None => self.connection = self.connect().await,
            }
            answered.send_modify(|count| *count += 1);
        }
        self.done
    }

    /// To any node, if it is final.
    async fn connect(&mut self) -> Option<(usize, CqlClient)> {
        let node = usize::try_from(self.random.within(0..self.nodes.len() as u64)).expect("few nodes");
        let asked = timeout(ANSWER_MAX, async {
            let mut client = CqlClient::connect(self.nodes[node]).await?;
            let query = "SELECT value FROM system.scylla_local WHERE key = 'group0_upgrade_state'";
            let is_final = client.query(query).await?.into_rows().rows == [[Some(Value::text(FINAL))]];
            Ok::<_, ClientError>(is_final.then_some((node, client)))
        });
        asked.await.ok()?.ok()?
    }

    async fn ask(&mut self, node: usize, mut client: CqlClient) -> Option<(usize, CqlClient)> {
        self.next += 1;
        let tag = format!("{}-{}", self.number, self.next);
        let statement = match self.random.within(0..4) {
            0 => None,
            _ => Some(Statement::draw(&mut self.random, self.next * CLIENTS + self.number)),
        };
        let text = statement.as_ref().map_or_else(history::query, |statement| statement.text(&tag));
        let asked = self.begin.elapsed();
        let answer = timeout(ANSWER_MAX, client.query(&text)).await;
        let told = self.begin.elapsed();
        let goes_on = matches!(answer, Ok(Ok(_) | Err(ClientError::Server(_))));
        let deed = match statement {
            Some(statement) => Some(Deed::Change(statement, reply(answer.ok()))),
            None => answer.ok().and_then(Result::ok).map(|answer| Deed::Columns(history::columns(&answer.into_rows()))),
        };
        self.done.extend(deed.map(|deed| Operation { tag, node, asked, told, deed, was_final: true }));
        goes_on.then_some((node, client))
    }
}

fn reply(answer: Option<Result<Answer, ClientError>>) -> Reply {
    match answer {
        Some(Ok(Answer::SchemaChange(_))) => Reply::Changed,
        Some(Ok(_)) => Reply::Nothing,
        Some(Err(ClientError::Server(ErrorBody::Cql(error)))) => Reply::of(&error),
        Some(Err(_)) | None => Reply::Unknown,
    }
}
