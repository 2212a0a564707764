//! What people order by REST reaches the node, and errors are injected only where the configuration allows it.

use crate::{http, toy::Toy};
use group0_core::io::{AdminReply, AdminRequest, Apply, Effects, Input, Reply, Strikes};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

const INJECTIONS: &str = "/v2/error_injection/injection";

/// The whole answer.
async fn ask(method: &str, address: SocketAddr, path: &str) -> String {
    http::ask(method, address, path).await.expect("it answers")
}

/// The same of a GET.
pub async fn get(address: SocketAddr, path: &str) -> String {
    ask("GET", address, path).await
}

/// Does all that is ordered, and has two tokens.
fn obedient(input: &Input) -> Vec<Reply> {
    let Input::Admin { id, request } = input else { return vec![] };
    let at = |last| SocketAddr::from(([127, 22, 0, last], 7000));
    let reply = match request {
        AdminRequest::GetTokens => AdminReply::Tokens(BTreeMap::from([(7, at(9)), (-3, at(7))])),
        _ => AdminReply::Done,
    };
    vec![Reply::Admin { id: *id, reply }]
}

async fn reached(node: &mut Toy) -> AdminRequest {
    loop {
        if let Input::Admin { request, .. } = node.next().await {
            return request;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_and_says_whose_tokens_are_whose() {
    let workdir = tempfile::tempdir().expect("a directory");
    let mut node = Toy::start("127.22.0.7", workdir.path(), obedient).await;
    let api = node.running.addresses.api;
    assert!(ask("POST", api, "/storage_service/drain").await.starts_with("HTTP/1.1 200"));
    assert!(matches!(reached(&mut node).await, AdminRequest::Drain));
    let answer = get(api, "/storage_service/tokens_endpoint").await;
    assert!(answer.ends_with(r#"[{"key":"-3","value":"127.22.0.7"},{"key":"7","value":"127.22.0.9"}]"#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_barrier_is_not_waited_for_for_ever() {
    let workdir = tempfile::tempdir().expect("a directory");
    let mut node = Toy::start("127.22.0.21", workdir.path(), obedient).await;
    let api = node.running.addresses.api;
    let answer = ask("POST", api, "/raft/read_barrier?timeout=601").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("timeout is more than 600 seconds"), "{answer}");
    assert!(ask("POST", api, "/raft/read_barrier?timeout=600").await.starts_with("HTTP/1.1 200"));
    let within = Some(Duration::from_mins(10));
    assert!(matches!(reached(&mut node).await, AdminRequest::ReadBarrier { within: waits } if waits == within));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_injected_and_taken_back() {
    let workdir = tempfile::tempdir().expect("a directory");
    let mut node = Toy::start_with("127.22.0.8", "enable_error_injections: true", workdir.path(), obedient).await;
    let api = node.running.addresses.api;
    let of = |name: &str| format!("{INJECTIONS}/{name}");
    assert!(ask("POST", api, &of("before_left")).await.starts_with("HTTP/1.1 200"));
    assert!(get(api, INJECTIONS).await.ends_with(r#"["before_left"]"#));
    assert!(get(api, &of("before_left")).await.ends_with(r#"[{"enabled":true,"parameters":[]}]"#));
    let answer = ask("POST", api, &of("before_nothing")).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("group0_founded"), "{answer}");

    let name = "group0_upgrade_before_synchronize";
    assert!(ask("POST", api, &format!("{}?one_shot=True", of(name))).await.starts_with("HTTP/1.1 200"));
    assert!(matches!(reached(&mut node).await, AdminRequest::FailBeforeSynchronize(Some(Strikes::Once))));
    node.hand(Effects { apply: vec![Apply::Struck], ..Effects::default() });
    while get(api, INJECTIONS).await.contains(name) {}
    assert!(ask("POST", api, &of(name)).await.starts_with("HTTP/1.1 200"));
    assert!(matches!(reached(&mut node).await, AdminRequest::FailBeforeSynchronize(Some(Strikes::Always))));
    assert!(ask("DELETE", api, INJECTIONS).await.starts_with("HTTP/1.1 200"));
    assert!(matches!(reached(&mut node).await, AdminRequest::FailBeforeSynchronize(None)));
    assert!(get(api, INJECTIONS).await.ends_with("[]"));
    assert!(get(api, &of("before_left")).await.ends_with(r#"[{"enabled":false,"parameters":[]}]"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_no_error_is_injected() {
    let workdir = tempfile::tempdir().expect("a directory");
    let node = Toy::start("127.22.0.9", workdir.path(), obedient).await;
    for (method, path) in
        [("GET", ""), ("GET", "/before_left"), ("POST", "/before_left"), ("DELETE", "/before_left"), ("DELETE", "")]
    {
        let answer = ask(method, node.running.addresses.api, &format!("{INJECTIONS}{path}")).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("enable_error_injections"), "{method} {path}: {answer}");
    }
}
