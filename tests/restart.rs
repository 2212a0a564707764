//! Real processes that an operator restarts in place: the same process id, arguments and environment, the same ports, a new start.

mod harness;

use group0_api::v1::Status;
use group0_node::cql::client::CqlClient;
use group0_operator::{
    act::{Failure, Order},
    admin::Admin,
};
use harness::{Cluster, Node, Start};
use std::{fs, net::SocketAddr};

/// An answer gets lost when a busy machine is slow to send it; not so often in a row.
const TRIES: usize = 5;

/// What `execve` keeps of a process, and what it is given.
#[derive(Debug, PartialEq, Eq)]
struct Same {
    pid: u32,
    started: String,
    arguments: Vec<u8>,
    environment: Vec<u8>,
}

impl Same {
    fn of(node: &Node) -> Self {
        let pid = node.pid();
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).expect("the process runs");
        let stat = String::from_utf8(read("stat")).expect("numbers and the name of the program");
        // After the name in parentheses, from the state on: the start is the twentieth field.
        let started = stat.rsplit_once(')').expect("a name").1.split_whitespace().nth(19).expect("a start").to_owned();
        Self { pid, started, arguments: read("cmdline"), environment: read("environ") }
    }
}

async fn connect(node: &Node) -> Result<Admin, String> {
    Admin::connect(SocketAddr::from((node.address(), 7001)), harness::WAIT_MAX, None).await
}

async fn claim(node: &Node, epoch: u64) -> Result<(), Failure> {
    connect(node).await.expect("a settled node listens").claim_epoch(epoch).await
}

/// As an operator does: an order without an answer is given again, since it names what it is meant for.
async fn restart(node: &Node, epoch: u64, generation: u64) -> Result<(), Failure> {
    for _ in 0..TRIES {
        node.until("to answer", |_| true).await;
        let answer = match connect(node).await {
            Ok(admin) => admin.restart(&Order { run_id: "test".to_owned(), epoch, plan: None }, generation).await,
            Err(why) => Err(Failure::Unknown(why)),
        };
        match answer {
            Err(Failure::Unknown(why)) => println!("{why}; once more"),
            answer => return answer,
        }
    }
    Err(Failure::Unknown(format!("no answer in {TRIES} tries")))
}

/// Waits for the start after this one.
async fn started_again(node: &Node, before: &Status) -> Status {
    let generation = before.generation;
    node.until("to start again", |status| status.generation > generation && status.ready).await
}

#[tokio::test]
async fn a_node_is_restarted_in_place() {
    let mut cluster = Cluster::new(2);
    for index in 0..2 {
        cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
    }
    let before = cluster.settled().await.remove(0);
    let node = &cluster.nodes()[0];
    let same = Same::of(node);
    claim(node, 5).await.expect("nobody has claimed one");

    let refused = restart(node, 4, before.generation).await;
    assert!(matches!(&refused, Err(Failure::Refused(why)) if why.contains("epoch 4 is older than 5")), "{refused:?}");
    let refused = restart(node, 5, before.generation + 1).await;
    assert!(matches!(&refused, Err(Failure::Refused(_))), "{refused:?}");

    restart(node, 5, before.generation).await.expect("it drains and begins anew");
    let after = started_again(node, &before).await;
    assert_eq!((after.host_id.as_str(), after.operator_epoch), (before.host_id.as_str(), 5));
    assert_eq!((after.flag, after.held), (Some(true), true));
    assert!(after.disk_free_bytes > Some(0));
    assert_eq!(Same::of(node), same);
    CqlClient::connect(node.cql()).await.expect("CQL is served on the same port");
    cluster.settled().await;

    restart(node, 5, before.generation).await.expect("that start has ended already");
    assert_eq!(node.status().await.expect("it runs").generation, after.generation);
    restart(node, 5, after.generation).await.expect("a second time too");
    started_again(node, &after).await;
    cluster.node(0).stop().await;
}

/// A claim must hold though the process dies right after its reply.
#[tokio::test]
async fn a_claim_is_durable_before_its_reply() {
    let mut cluster = Cluster::new(1);
    cluster.node(0).start(&Start::default());
    cluster.settled().await;
    claim(&cluster.nodes()[0], 7).await.expect("nobody has claimed one");
    cluster.node(0).kill().await;
    cluster.node(0).start(&Start::default());
    let status = cluster.settled().await.remove(0);
    assert_eq!(status.operator_epoch, 7);
    let refused = claim(&cluster.nodes()[0], 6).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
}
