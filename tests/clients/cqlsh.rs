//! cqlsh of either kind, one process a statement, as a person's script would.

use crate::{environment::Environments, harness::WAIT_MAX};
use std::{path::PathBuf, process::Output};
use tokio::{process::Command, time::timeout};

/// Begins the message of a node in `synchronize`.
const REFUSAL: &str = "Cannot perform schema or topology changes during this time";
const REPLICATION: &str = "{'class': 'SimpleStrategy', 'replication_factor': 3}";

/// One of the two.
pub struct Cqlsh {
    name: &'static str,
    program: PathBuf,
    /// Apache's sends DESCRIBE to servers from 4.0 on only, and a node says 3.0.8.
    describes: bool,
}

impl Cqlsh {
    /// Apache's.
    pub fn apache(environments: &Environments) -> Self {
        Self { name: "cqlsh", program: environments.program("apache", "cqlsh"), describes: false }
    }

    /// ScyllaDB's.
    pub fn scylla(environments: &Environments) -> Self {
        Self { name: "scylla-cqlsh", program: environments.program("scylla", "cqlsh"), describes: true }
    }

    /// Its name on PyPI.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Every kind of statement, each of which must be answered.
    pub async fn undisturbed(&self, phase: &str, address: &str, all: &[String]) {
        let keyspace = format!("{}_{phase}", self.name.replace('-', "_"));
        self.says(address, &format!("CREATE KEYSPACE {keyspace} WITH replication = {REPLICATION}"), &[]).await;
        self.says(address, &format!("CREATE TABLE {keyspace}.t (a int PRIMARY KEY, b text)"), &[]).await;
        self.says(address, &format!("ALTER TABLE {keyspace}.t ADD c bigint"), &[]).await;
        if self.describes {
            self.says(address, "DESCRIBE KEYSPACES", &[&keyspace, "system_schema"]).await;
        }
        self.says(address, "SELECT * FROM system.local", &["COMPLETED", address]).await;
        let others: Vec<&str> = all.iter().map(String::as_str).filter(|other| *other != address).collect();
        self.says(address, "SELECT * FROM system.peers", &others).await;
        let state = if phase == "after" { "use_post_raft_procedures" } else { "value" };
        self.says(address, "SELECT * FROM system.scylla_local", &["key", state]).await;
        let history = if phase == "after" { "CQL DDL statement" } else { "description" };
        self.says(address, "SELECT * FROM system.group0_history", &["state_id", history]).await;
        let tables = format!("SELECT * FROM system_schema.tables WHERE keyspace_name = '{keyspace}'");
        self.says(address, &tables, &[&keyspace, "(1 rows)"]).await;
        self.says(address, &format!("SELECT * FROM {keyspace}.t"), &["(0 rows)"]).await;
        self.says(address, &format!("DROP TABLE {keyspace}.t"), &[]).await;
        self.says(address, &format!("DROP KEYSPACE {keyspace}"), &[]).await;
    }

    /// In `synchronize`: reads are answered, a schema change is refused and says why.
    pub async fn refused(&self, address: &str) {
        self.says(address, "SELECT * FROM system.scylla_local", &["synchronize"]).await;
        self.says(address, "SELECT * FROM system_schema.tables", &["system_schema"]).await;
        let output = self.run(address, &format!("CREATE KEYSPACE refused WITH replication = {REPLICATION}")).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains(REFUSAL),
            "{} {address}: not refused as it should be: {told}",
            self.name
        );
    }

    async fn says(&self, address: &str, statement: &str, expected: &[&str]) {
        let output = self.run(address, statement).await;
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {address} {statement}: {said}{told}", self.name);
        for text in expected {
            assert!(said.contains(text), "{} {address} {statement}: lacks '{text}': {said}{told}", self.name);
        }
    }

    async fn run(&self, address: &str, statement: &str) -> Output {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(&self.program);
        command.args([address, "9042", "--connect-timeout", "60", "--request-timeout", "60", "-e", statement]);
        command.env("HOME", home.path()).kill_on_drop(true);
        timeout(WAIT_MAX, command.output()).await.expect("cqlsh ends").expect("the virtual environment has a cqlsh")
    }
}
