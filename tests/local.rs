//! `group0-operator local`: what it says to a user's mistake or to a machine that does not play along, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "in tests a panic is how a failure is told")]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const UPGRADE: &str = "\
apiVersion: group0.dev/v1alpha1
kind: Group0Upgrade
metadata:
  name: demo
spec:
  clusterRef:
    statefulSets: [db]
";

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(upgrade: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("upgrade.yaml"), upgrade).unwrap();
        Self { folder }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// Runs it with a program that ends at once instead of a node.
    fn local(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_group0-operator"));
        command.arg("local").arg("--file").arg(self.folder.path().join("upgrade.yaml")).arg("--dir").arg(self.dir());
        command.args(["--node-binary", "/bin/false"]).args(arguments).output().unwrap()
    }

    fn refused(&self, arguments: &[&str], code: i32, says: &str) -> String {
        let output = self.local(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(says), "expected '{says}', it said: {text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }
}

#[test]
fn a_wrong_file_is_refused_and_nothing_is_made() {
    let cases = [
        (UPGRADE.replace("[db]", "[db-a, db-b]"), "spec.clusterRef.statefulSets: the nodes of this machine are one StatefulSet"),
        (UPGRADE.replace("kind: Group0Upgrade", "kind: Pod"), "line 1, column 1: this is no Group0Upgrade: its kind is 'Pod'"),
        (format!("{UPGRADE}  pause: true\n"), "line 8, column 3: spec.pause: unknown field"),
        (format!("{UPGRADE}  paused: maybe\n"), "line 8, column 11: spec.paused: must be true or false, is 'maybe'"),
    ];
    for (upgrade, says) in cases {
        let scene = Scene::new(&upgrade);
        scene.refused(&[], 2, says);
        assert!(!scene.dir().exists());
    }
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let scene = Scene::new(UPGRADE);
    fs::create_dir(scene.dir()).unwrap();
    let lock = fs::File::create(scene.dir().join("lock")).unwrap();
    lock.lock().unwrap();
    scene.refused(&[], 2, "the folder is in use by another run of group0-operator local");
}

#[test]
fn a_taken_port_is_named() {
    let scene = Scene::new(UPGRADE);
    let _taken = TcpListener::bind("127.201.7.2:7001").unwrap();
    let says = scene.refused(&["--subnet", "127.201.7"], 2, "port 7001 of 127.201.7.2 cannot be used");
    assert!(says.contains("choose other addresses with --subnet"), "{says}");
    assert!(!scene.dir().join("nodes").exists());
    fs::write(scene.dir().join("subnet"), "127.201.7\n").unwrap();
    let says = scene.refused(&[], 2, "port 7001 of 127.201.7.2 cannot be used");
    assert!(!says.contains("--subnet"), "the folder has one already: {says}");
}

#[test]
fn a_node_that_does_not_run_is_named_with_its_last_words() {
    let scene = Scene::new(UPGRADE);
    scene.refused(&[], 1, "does not run (exit status: 1); it says: its log is empty");
    let pid = fs::read_to_string(scene.dir().join("nodes/0/pid")).unwrap();
    let pid = pid.split(' ').next().unwrap();
    assert!(!Path::new("/proc").join(pid).exists(), "it has left process {pid} behind");
}

#[test]
fn a_folder_of_another_upgrade_is_refused() {
    let scene = Scene::new(UPGRADE);
    fs::create_dir(scene.dir()).unwrap();
    fs::write(scene.dir().join("status.yaml"), UPGRADE.replace("name: demo", "name: other")).unwrap();
    scene.refused(&[], 2, "it belongs to the Group0Upgrade other, not demo");
    fs::write(scene.dir().join("status.yaml"), UPGRADE.replace("[db]", "[db]\n    adminPort: 7002")).unwrap();
    scene.refused(&[], 2, "spec.clusterRef was changed since its last run");
    fs::write(scene.dir().join("status.yaml"), "half: [written").unwrap();
    scene.refused(&[], 1, "cannot be understood");
}

#[test]
fn a_number_of_nodes_is_checked() {
    let scene = Scene::new(UPGRADE);
    scene.refused(&["--nodes", "0"], 2, "--nodes 0: must be from 1 to 100");
    scene.refused(&["--nodes", "101"], 2, "--nodes 101: must be from 1 to 100");
}
