//! `group0-operator local` on real nodes, steered while it runs: dry run, approval, cancel and again, and killed at any moment.

#![expect(clippy::unwrap_used, reason = "in tests a panic is how a failure is told")]

#[path = "harness/binary.rs"]
mod binary;

use group0_core::random::Random;
use group0_operator::crd::{Group0Upgrade, Group0UpgradeStatus, Phase};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const UPGRADE: &str = "\
apiVersion: group0.dev/v1alpha1
kind: Group0Upgrade
metadata:
  name: demo
spec:
  # The whole cluster.
  clusterRef:
    statefulSets: [db]
";

/// Several clusters share two cores.
const LIMIT: Duration = Duration::from_mins(2);

/// Operators of one run at most: it takes seconds, and each lives longer than the one before.
const MOST_LIVES: u64 = 60;

/// A folder with a cluster. Whatever runs in it ends with it.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(spec: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("upgrade.yaml"), format!("{UPGRADE}{spec}")).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("upgrade.yaml")
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_group0-operator"));
        command.arg("local").arg("--file").arg(self.file()).arg("--dir").arg(self.dir());
        command.arg("--node-binary").arg(binary::group0_node());
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    fn start(&self) -> Child {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        self.command().stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn set(&self, field: &str, value: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_group0-operator"));
        // By its bare name, as the README does.
        let file = self.file();
        command.current_dir(file.parent().unwrap()).args(["local", "set", "--file"]).arg(file.file_name().unwrap());
        let status = command.args([field, value]).status().unwrap();
        assert!(status.success(), "{field} {value}");
    }

    fn status(&self) -> Option<Group0UpgradeStatus> {
        let text = fs::read_to_string(self.dir().join("status.yaml")).ok()?;
        let object: Group0Upgrade = serde_saphyr::from_str(&text).unwrap();
        object.status
    }

    fn until(&self, what: &str, holds: impl Fn(&Group0UpgradeStatus) -> bool) -> Group0UpgradeStatus {
        let begin = Instant::now();
        loop {
            let status = self.status();
            if let Some(status) = status.as_ref().filter(|status| holds(status)) {
                return status.clone();
            }
            assert!(begin.elapsed() < LIMIT, "not {what}: {status:#?}\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How often each node was started before it was upgraded: an operator that ends in order ends the nodes that it started, too.
    fn starts(&self) -> Vec<usize> {
        let log = |index: usize| fs::read_to_string(self.dir().join("nodes").join(index.to_string()).join("log")).unwrap();
        (0..3)
            .map(|index| log(index).lines().filter(|line| line.contains("starting stage=use_pre_raft_procedures")).count())
            .collect()
    }

    fn pids(&self) -> Vec<String> {
        let nodes = fs::read_dir(self.dir().join("nodes")).into_iter().flatten().flatten();
        let pid = |node: fs::DirEntry| Some(fs::read_to_string(node.path().join("pid")).ok()?.split(' ').next()?.to_owned());
        nodes.filter_map(pid).collect()
    }

    fn nodes_that_run(&self) -> usize {
        self.pids().iter().filter(|pid| is_node(pid)).count()
    }
}

/// Whether this is a node that runs.
fn is_node(pid: &str) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == binary::group0_node())
}

impl Drop for Scene {
    /// An operator that was killed leaves its nodes to the next one: here there is none.
    fn drop(&mut self) {
        for pid in self.pids() {
            if is_node(&pid) {
                drop(Command::new("kill").args(["-KILL", &pid]).status());
            }
        }
    }
}

fn assert_succeeds(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_dry_run_says_everything_and_changes_nothing() {
    let scene = Scene::new("  dryRun: true\n");
    let text = assert_succeeds(&scene.run());
    for line in ["guard OneBudget: passes", "recreate db-2, then wait for the gate", "pass the point of no return"] {
        assert!(text.contains(line), "lacks '{line}': {text}");
    }
    let status = scene.status().unwrap();
    assert!(status.nodes.iter().all(|node| node.flag == Some(false)), "{status:#?}");
    assert_eq!(status.epoch, 0, "nothing is claimed");
    let set = fs::read_to_string(scene.dir().join("set.yaml")).unwrap();
    assert!(set.contains("flag: false") && set.contains("owner: \"\""), "nothing is owned: {set}");
}

#[test]
fn a_supervised_run_waits_for_approval_and_can_be_cancelled_and_begun_again() {
    let scene = Scene::new("  mode: Supervised\n");
    let mut operator = scene.start();
    let waiting = scene.until("awaiting approval", |status| status.blocked_by == "AwaitingApproval");
    assert!(waiting.nodes.iter().all(|node| node.flag == Some(true)) && waiting.point_of_no_return_at.is_none());
    scene.set("cancel", "true");
    assert!(operator.wait().unwrap().success(), "{}", scene.log());
    let cancelled = scene.status().unwrap();
    assert_eq!(cancelled.phase, Phase::Cancelled);
    assert!(cancelled.nodes.iter().all(|node| node.flag == Some(false)));

    scene.set("cancel", "false");
    let mut operator = scene.start();
    let again = scene.until("awaiting approval again", |status| status.blocked_by == "AwaitingApproval");
    assert_ne!(again.run_id, waiting.run_id);
    scene.set("approvedRunID", &again.run_id);
    assert!(operator.wait().unwrap().success(), "{}", scene.log());
    let complete = scene.status().unwrap();
    let results: Vec<_> = complete.history.iter().map(|run| run.result.as_str()).collect();
    assert_eq!((complete.phase, results), (Phase::Complete, vec!["Cancelled", "Complete"]));
    assert!(fs::read_to_string(scene.file()).unwrap().contains("# The whole cluster."), "the user's file keeps its comments");
    assert_eq!(fs::read_dir(scene.dir().join("backup").join(&complete.run_id)).unwrap().count(), 3);
}

#[test]
fn nodes_of_a_killed_operator_end_with_the_next_one_and_those_that_were_kept_do_not() {
    let scene = Scene::new("  paused: true\n");
    let mut operator = scene.start();
    scene.until("seen by it", |status| status.nodes.len() == 3);
    operator.kill().unwrap();
    operator.wait().unwrap();
    assert_eq!(scene.nodes_that_run(), 3, "nobody has told them to end");
    scene.set("dryRun", "true");
    let text = assert_succeeds(&scene.run());
    assert_eq!(scene.nodes_that_run(), 0);
    assert!(text.starts_with("db-0  127."), "where the nodes are is said first: {text}");

    assert_succeeds(&scene.command().arg("--keep-running").output().unwrap());
    assert_succeeds(&scene.run());
    assert_eq!(scene.nodes_that_run(), 3, "they were kept");
}

/// How often the whole of it is done; `make resume ROUNDS=n` says more.
fn rounds() -> u64 {
    std::env::var("GROUP0_RESUME_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// How long an operator lives, of a round: short and long, never the same, the same in each run of the test.
fn lifetimes(round: u64) -> impl Iterator<Item = Duration> {
    let mut random = Random::seeded(round);
    (0..MOST_LIVES).map(move |life| Duration::from_millis(60 + 20 * life + random.within(0..300)))
}

#[test]
fn a_killed_operator_is_resumed_by_the_next_one() {
    for round in 0..rounds() {
        let scene = Scene::new("");
        let is_complete = || scene.status().is_some_and(|status| status.phase == Phase::Complete);
        let lives = lifetimes(round).take_while(|lifetime| {
            let mut operator = scene.start();
            sleep(*lifetime);
            operator.kill().unwrap();
            operator.wait().unwrap();
            !is_complete()
        });
        let killed = lives.count() + 1;
        assert_succeeds(&scene.run());
        let status = scene.status().unwrap();
        assert_eq!(status.history.len(), 1, "round {round}: one run, whoever carried it on: {status:#?}");
        assert!(status.epoch > 1, "round {round}: each operator has begun a term of its own");
        assert_eq!(scene.starts(), [2, 2, 2], "round {round}: each node was started, and then once again with the flag");
        println!("round {round}: complete after {killed} operators were killed");
    }
}
