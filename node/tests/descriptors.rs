//! A real node that may have few files open: whoever connects too often gets no connection, and the others go on.
//!
//! Where the machine has no `prlimit`, a test says that it is skipped.

mod http;
mod skipped;

use group0_node::cql::client::CqlClient;
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

const WAIT_MAX: Duration = Duration::from_mins(1);

struct Node {
    address: Ipv4Addr,
    process: Child,
    folder: TempDir,
}

impl Node {
    /// With these limits of open files, soft and hard.
    async fn start(address: Ipv4Addr, soft: u32, hard: u32) -> Option<Self> {
        if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().await.is_err() {
            skipped::tell("there is no prlimit on this machine");
            return None;
        }
        let folder = tempfile::tempdir().expect("a directory");
        let log = File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={soft}:{hard}")).arg(env!("CARGO_BIN_EXE_group0-node")).kill_on_drop(true).env_clear();
        command.env("GROUP0_LISTEN_ADDRESS", address.to_string()).env("GROUP0_WORKDIR", folder.path());
        let process = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let node = Self { address, process, folder };
        node.serves().await;
        Some(node)
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address, port))
    }

    /// CQL clients.
    async fn serves(&self) {
        let asked = async {
            loop {
                match CqlClient::connect(self.at(9042)).await {
                    Ok(mut client) => break client.query("SELECT key FROM system.local").await.expect("an answer"),
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(WAIT_MAX, asked).await.expect("it serves in time");
    }

    async fn connect(&self, port: u16, times: usize) -> Vec<TcpStream> {
        let mut connections = Vec::new();
        for _ in 0..times {
            connections.push(TcpStream::connect(self.at(port)).await.expect("the operating system takes it"));
        }
        connections
    }

    async fn metrics(&self) -> String {
        timeout(WAIT_MAX, http::ask("GET", self.at(9180), "/metrics")).await.expect("in time").expect("it answers")
    }

    /// What the process has computed so far, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.process.id().expect("it runs"));
        let stat = fs::read_to_string(path).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("after its name");
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }
}

#[tokio::test]
async fn clients_get_half_of_what_the_hard_limit_allows() {
    let Some(node) = Node::start(Ipv4Addr::new(127, 28, 0, 1), 64, 200).await else { return };
    let _clients = node.connect(9042, 150).await;
    let are_served = async {
        while !node.metrics().await.contains("group0_cql_connections 100\n") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WAIT_MAX, are_served).await.expect("half of 200");
}

#[tokio::test]
async fn a_node_without_descriptors_says_so_waits_and_recovers() {
    let Some(node) = Node::start(Ipv4Addr::new(127, 28, 0, 2), 64, 64).await else { return };
    let peers = node.connect(7000, 100).await;
    let complained = async {
        while !node.log().contains("no connection can be accepted now") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WAIT_MAX, complained).await.expect("it says so");
    let before = node.ticks();
    sleep(Duration::from_secs(1)).await;
    let computed = node.ticks() - before;
    assert!(computed < 25, "{computed} hundredths of a second of computing, over nothing");
    drop(peers);
    node.serves().await;
}
