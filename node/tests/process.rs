//! The program: exit codes and what it says before it ends.

mod http;

use group0_api::v1::{GetStatusRequest, RestartRequest, Status, admin_client::AdminClient};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Output, Stdio},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

fn run(config: &str) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("node.yaml");
    let text = config.replace("WORKDIR", &directory.path().join("data").display().to_string());
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_group0-node"));
    command.arg("--config").arg(&path).env_clear().output().expect("it starts")
}

fn says(output: &Output, code: i32, text: &str) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{log}");
    assert!(log.contains(text), "{log}");
}

#[test]
fn mistakes_in_the_configuration_are_code_2() {
    let quiet = "{api_port: 0, prometheus_port: 0, storage_port: 0, admin_port: 0, workdir: WORKDIR, listen_address: 127.23.0.1";
    says(&run("storage_port: many"), 2, "Bad configuration: storage_port");
    let text = "Bad configuration: consistent_cluster_management requires schema commit log to be enabled";
    says(&run(&format!("{quiet}, consistent_cluster_management: true, force_schema_commit_log: false}}")), 2, text);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.23.0.2:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let output = run(&format!("{{listen_address: 127.23.0.2, api_port: {port}, workdir: WORKDIR}}"));
    says(&output, 1, &format!("cannot listen on 127.23.0.2:{port} (api_address and api_port)"));
}

/// It is opened once the node is in the ring, and missed before that.
#[test]
fn a_port_of_clients_that_is_taken_is_named_before_the_node_founds_anything() {
    let taken = TcpListener::bind("127.23.0.5:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let config = "api_port: 0, prometheus_port: 0, listen_address: 127.23.0.5";
    let output = run(&format!("{{{config}, native_transport_port: {port}, workdir: WORKDIR}}"));
    says(&output, 1, &format!("cannot listen on 127.23.0.5:{port} (rpc_address and native_transport_port)"));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("in the ring"), "{output:?}");
}

#[test]
fn a_damaged_database_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("group0.redb"), "no database".repeat(1000)).expect("written");
    let config =
        format!("{{api_port: 0, prometheus_port: 0, listen_address: 127.23.0.3, workdir: '{}'}}", directory.path().display());
    says(&run(&config), 1, "is corrupt");
}

/// As soon as its Admin service listens.
async fn admin(address: &str) -> (AdminClient<Channel>, Status) {
    loop {
        if let Ok(mut client) = AdminClient::connect(format!("http://{address}:7001")).await {
            let status = client.get_status(GetStatusRequest {}).await.expect("it listens once it can answer").into_inner();
            return (client, status);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_that_is_gone_cannot_begin_anew_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("group0-node");
    fs::copy(env!("CARGO_BIN_EXE_group0-node"), &program).expect("copied");
    let mut command = tokio::process::Command::new(&program);
    let process =
        command.kill_on_drop(true).env_clear().env("GROUP0_LISTEN_ADDRESS", "127.23.0.4").env("GROUP0_WORKDIR", directory.path());
    let process = process.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut client, status) = timeout(Duration::from_secs(20), admin("127.23.0.4")).await.expect("it starts in time");
    fs::remove_file(&program).expect("removed");
    let order = RestartRequest { generation: status.generation, ..RestartRequest::default() };
    client.restart(order).await.expect("it drains");
    let output = process.wait_with_output().await.expect("it ends");
    says(&output, 1, &format!("cannot execute {} again: No such file", program.display()));
}

/// Asks the REST API as soon as that listens.
async fn rest(method: &str, path: &str) -> String {
    loop {
        if let Ok(answer) = http::ask(method, SocketAddr::from(([127, 23, 0, 5], 10_000)), path).await {
            return answer;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn more_is_logged_when_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_group0-node"));
    command.kill_on_drop(true).env_clear().env("GROUP0_LISTEN_ADDRESS", "127.23.0.5").env("GROUP0_WORKDIR", directory.path());
    let _process = command.stderr(Stdio::null()).spawn().expect("it starts");
    let ask = async |method: &str, path: &str| {
        timeout(Duration::from_secs(20), rest(method, &format!("/system/logger{path}"))).await.expect("in time")
    };
    assert!(ask("GET", "").await.contains(r#""raft_group0","raft_group0_upgrade""#));
    assert!(ask("GET", "/raft_group0").await.ends_with(r#""info""#));
    assert!(ask("POST", "/raft_group0?level=debug").await.starts_with("HTTP/1.1 200"));
    assert!(ask("GET", "/raft_group0").await.ends_with(r#""debug""#));
    assert!(ask("GET", "/raft").await.ends_with(r#""info""#));
    for wrong in ["raft_group0?level=loud", "raft_group0", "paxos?level=info"] {
        let answer = ask("POST", &format!("/{wrong}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}
