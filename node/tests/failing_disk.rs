//! A real node on a disk that is full, or that does not take writes any more: it says so, confirms nothing more, answers reads, and after
//! its next start has all that it had confirmed.
//!
//! The full disk is a file system in memory, in a mount namespace of its own; the broken one is a node whose system calls fail. Where the
//! machine allows no such thing, or has no `strace`, a test says that it is skipped.

#![expect(clippy::panic, reason = "a test fails by a panic that says what it saw")]

mod http;
mod skipped;

use group0_node::cql::client::{Answer, CqlClient};
use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

const WAIT_MAX: Duration = Duration::from_mins(1);
/// Longer than a change takes on any disk that takes it.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// More changes than that always need more space than is allocated already, or more syncs than succeed.
const CHANGES_MAX: usize = 400;
const KEYSPACE: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

/// A program through the one before it: `[]`, or one that changes its surroundings.
fn command(through: &[&str], program: &str) -> Command {
    let line: Vec<_> = through.iter().copied().chain([program]).collect();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).kill_on_drop(true);
    command
}

/// A running node.
struct Node {
    address: Ipv4Addr,
    process: Child,
}

impl Node {
    /// Its log goes to a file in `logs`.
    fn start(through: &[&str], address: Ipv4Addr, workdir: &Path, logs: &Path) -> Self {
        let log = File::options().create(true).append(true).open(logs.join("log")).expect("a file");
        let mut command = command(through, env!("CARGO_BIN_EXE_group0-node"));
        command.env("GROUP0_LISTEN_ADDRESS", address.to_string()).env("GROUP0_WORKDIR", workdir).current_dir(logs);
        Self { address, process: command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts") }
    }

    async fn readyz(&self) -> Option<String> {
        http::ask("GET", SocketAddr::from((self.address, 10_000)), "/readyz").await.ok()
    }

    /// Waits for clients to be served.
    async fn client(&self) -> CqlClient {
        let connected = async {
            loop {
                match CqlClient::connect((self.address, 9042).into()).await {
                    Ok(client) => break client,
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(WAIT_MAX, connected).await.expect("it serves in time")
    }

    async fn stop(mut self) {
        self.process.kill().await.expect("a child can be killed");
    }
}

/// How many tables a node has.
async fn tables(client: &mut CqlClient) -> usize {
    match client.query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'ks'").await {
        Ok(Answer::Rows(rows)) => rows.rows.len(),
        other => panic!("{other:?}"),
    }
}

/// Changes the schema until that fails: how many changes were confirmed. Then the node must say why, and still answer reads.
async fn change_until_it_fails(node: &Node, cause: &str) -> usize {
    let mut client = node.client().await;
    let mut confirmed = 0;
    let create = |number: usize| format!("CREATE TABLE ks.t{number} (a int PRIMARY KEY, b text)");
    while client.query(&create(confirmed)).await.is_ok() {
        confirmed += 1;
        assert!(confirmed < CHANGES_MAX, "the disk takes whatever is written");
    }
    let ready = node.readyz().await.expect("it goes on");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(cause) && ready.contains("group0.redb"), "{ready}");
    assert!(ready.contains("node"), "what to do: {ready}");
    let mut client = node.client().await;
    assert!(tables(&mut client).await >= confirmed, "reads go on");
    let refused = client.query(&create(CHANGES_MAX)).await.expect_err("nothing is changed any more").to_string();
    assert!(refused.contains(cause), "{refused}");
    confirmed
}

/// All that was confirmed is there, and at most the one change more that was not.
async fn nothing_is_lost(node: &Node, confirmed: usize) {
    let mut client = node.client().await;
    let found = tables(&mut client).await;
    assert!((confirmed..=confirmed + 1).contains(&found), "{confirmed} tables were confirmed, {found} are there");
    client.query("CREATE TABLE ks.afterwards (a int PRIMARY KEY)").await.expect("the disk is well again");
}

/// A file system of a few MiB that only processes of its namespace see. It is gone with the process that holds it.
struct SmallDisk {
    holder: Child,
    at: PathBuf,
    folder: TempDir,
}

impl SmallDisk {
    /// Or why there is none.
    async fn mount(mebibytes: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a directory");
        let at = folder.path().join("disk");
        fs::create_dir(&at).expect("a directory");
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs '{}' && echo mounted && exec cat", at.display());
        let mut command = command(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"], &script);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut holder = spawned.map_err(|error| format!("unshare: {error}"))?;
        let said = BufReader::new(holder.stdout.take().expect("piped")).lines().next_line().await;
        match said.expect("a pipe").as_deref() {
            Some("mounted") => Ok(Self { holder, at, folder }),
            _ => Err("this machine lets nobody mount in a namespace of his own".to_owned()),
        }
    }

    fn id(&self) -> String {
        self.holder.id().expect("it runs").to_string()
    }

    fn start(&self, address: Ipv4Addr) -> Node {
        let id = self.id();
        let through = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &id];
        Node::start(&through, address, &self.at, self.folder.path())
    }

    /// A file of it, as seen from outside.
    fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.id()).join("root").join(self.at.strip_prefix("/").expect("absolute")).join(name)
    }

    /// Writes until there is no space.
    fn fill(&self) {
        let mut file = File::create(self.file("filler")).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.file("filler")).expect("removed");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }
}

#[tokio::test]
async fn a_node_whose_disk_is_full_says_so_and_goes_on_when_there_is_space() {
    let disk = match SmallDisk::mount(16).await {
        Ok(disk) => disk,
        Err(why) => return skipped::tell(&format!("a full disk, {why}")),
    };
    let address = Ipv4Addr::new(127, 25, 0, 1);
    let node = disk.start(address);
    node.client().await.query(KEYSPACE).await.expect("there is space");
    disk.fill();
    let confirmed = change_until_it_fails(&node, "no space left").await;
    node.stop().await;
    disk.free();
    nothing_is_lost(&disk.start(address), confirmed).await;
}

#[tokio::test]
async fn a_node_does_not_start_on_a_full_disk_and_says_why() {
    let disk = match SmallDisk::mount(16).await {
        Ok(disk) => disk,
        Err(why) => return skipped::tell(&format!("a full disk, {why}")),
    };
    disk.fill();
    let address = Ipv4Addr::new(127, 25, 0, 2);
    let mut node = disk.start(address);
    let status = timeout(WAIT_MAX, node.process.wait()).await.expect("it ends in time").expect("a child");
    assert_eq!(status.code(), Some(1), "{}", disk.log());
    assert!(disk.log().contains("no space left for the database"), "{}", disk.log());
    disk.free();
    let node = disk.start(address);
    node.client().await.query(KEYSPACE).await.expect("what the first start had begun is in nobody's way");
}

/// As `strace` has a system call fare, after so many of them; the node is its own process all the same.
fn failing(call: &'static str, fate: &str, after: usize) -> Vec<String> {
    let inject = format!("inject={call}:{fate}:when={}+", after + 1);
    let trace = format!("trace={call}");
    ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(str::to_owned).to_vec()
}

async fn can_make_calls_fail() -> bool {
    let tried =
        command(&["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync"], "true").status().await;
    tried.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_node_whose_disk_fails_says_so_and_has_lost_nothing_that_it_confirmed() {
    if !can_make_calls_fail().await {
        return skipped::tell("a failing disk, there is no strace on this machine, or it may not trace");
    }
    for (number, call) in ["fdatasync", "pwrite64"].into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a directory");
        let address = Ipv4Addr::new(127, 25, 1, u8::try_from(number + 1).expect("a small number"));
        let through = failing(call, "error=EIO", 300);
        let through: Vec<_> = through.iter().map(String::as_str).collect();
        let node = Node::start(&through, address, folder.path(), folder.path());
        node.client().await.query(KEYSPACE).await.expect("the disk is well");
        let confirmed = change_until_it_fails(&node, "Input/output error").await;
        node.stop().await;
        nothing_is_lost(&Node::start(&[], address, folder.path(), folder.path()), confirmed).await;
    }
}

/// The call neither succeeds nor fails for longer than the node has patience and then takes to end; `strace` keeps it until then.
#[tokio::test]
async fn a_node_whose_disk_hangs_says_so_and_ends_all_the_same() {
    if !can_make_calls_fail().await {
        return skipped::tell("a hanging disk, there is no strace on this machine, or it may not trace");
    }
    let (folder, address) = (tempfile::tempdir().expect("a directory"), Ipv4Addr::new(127, 25, 2, 1));
    let through = failing("fdatasync", "delay_enter=35000000", 100);
    let through: Vec<_> = through.iter().map(String::as_str).collect();
    let mut node = Node::start(&through, address, folder.path(), folder.path());
    let mut client = node.client().await;
    client.query(KEYSPACE).await.expect("the disk is well");
    let mut confirmed = 0;
    while let Ok(answer) = timeout(ANSWER_MAX, client.query(&format!("CREATE TABLE ks.t{confirmed} (a int PRIMARY KEY)"))).await {
        answer.expect("nothing fails");
        confirmed += 1;
        assert!(confirmed < CHANGES_MAX, "the disk takes whatever is written");
    }
    let told = async {
        while !node.readyz().await.is_some_and(|ready| ready.contains("the disk does not answer: a transaction has not returned"))
        {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(WAIT_MAX, told).await.expect("it says so");
    let pid = node.process.id().expect("it runs").to_string();
    Command::new("kill").arg(pid).status().await.expect("a signal");
    let begin = Instant::now();
    let has_ended = || fs::read_to_string(folder.path().join("log")).expect("a log").contains("without announcing the shutdown");
    while !has_ended() {
        assert!(begin.elapsed() < Duration::from_secs(15), "it waits for the disk");
        sleep(Duration::from_millis(100)).await;
    }
    timeout(WAIT_MAX, node.process.wait()).await.expect("it is gone").expect("a child");
    nothing_is_lost(&Node::start(&[], address, folder.path(), folder.path()), confirmed).await;
}
