//! Clients that people use, against a cluster before, during and after its upgrade: two kinds of cqlsh, and the
//! drivers for Python and Go.
//!
//! Their packages come from PyPI into virtual environments under `GROUP0_CACHE`, or the build folder. What cannot
//! be had is said and skipped; where `GROUP0_NEED_CLIENTS` is set that fails.

mod cqlsh;
mod environment;
mod go;
#[path = "../harness/mod.rs"]
mod harness;
mod python;

use cqlsh::Cqlsh;
use go::Go;
use harness::{Cluster, Start, binary::group0_node, subnet::Subnet};
use python::Driver;
use std::{io::Write as _, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

const NODES: usize = 3;
/// Two recoveries by hand, a dozen restarts in each; on a busy machine each restart takes seconds.
const HANDS_MAX: Duration = Duration::from_mins(10);

/// The test captures what is printed, but not what goes to standard error directly: a skipped test must say so.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "clients: {line}").expect("standard error takes text");
}

/// Without them the test is skipped.
fn had<T>(clients: Result<T, String>) -> Option<T> {
    let told = |reason: &String| {
        assert!(std::env::var_os("GROUP0_NEED_CLIENTS").is_none(), "{reason}");
        tell(&format!("skipped: {reason}"));
    };
    clients.inspect_err(told).ok()
}

#[tokio::test]
async fn a_lost_majority_is_recovered_by_hand() {
    let Some(environments) = had(environment::set_up()) else { return };
    let subnet = Subnet::take();
    let mut script = Command::new(environments.apache_python());
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/recover_by_hand.py")).arg(group0_node());
    script.args((0..5).map(|index| subnet.host(index).to_string())).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(HANDS_MAX, script.output()).await.expect("it ends").expect("the virtual environment has a Python");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
    told.lines().for_each(|line| tell(&format!("by hand: {line}")));
}

#[tokio::test]
async fn clients_before_during_and_after() {
    let Some(shells) = had(environment::set_up()) else { return };
    let go = had(Go::build().await);
    let mut cluster = Cluster::new(NODES);
    for index in 0..NODES {
        cluster.node(index).start(&Start::default());
    }
    cluster.settled().await;
    let addresses: Vec<String> = cluster.nodes().iter().map(|node| node.address().to_string()).collect();
    let (apache, scylla) = (Cqlsh::apache(&shells), Cqlsh::scylla(&shells));

    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("before", &mut driver, [&apache, &scylla], &addresses).await;
    go_driver("before", go.as_ref(), &addresses).await;
    driver.quit().await;

    // Each dies when it is to become final, which the first can only do once all are in `synchronize`.
    for index in 0..NODES {
        cluster
            .roll(index, &Start { flag_and_hold: true, injection: Some("before_group0_final".to_owned()), ..Start::default() })
            .await;
    }
    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("held", &mut driver, [&apache, &scylla], &addresses).await;
    driver.quit().await;
    for node in cluster.nodes() {
        node.proceed().await.expect("a held node takes Proceed");
    }
    let down = cluster.first_killed().await;
    let up: Vec<usize> = (0..NODES).filter(|index| *index != down).collect();
    for &index in &up {
        cluster.node(index).kill().await;
        cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
    }
    for &index in &up {
        cluster.nodes()[index]
            .until("to serve in synchronize", |status| status.ready && status.upgrade_state == "synchronize")
            .await;
    }
    let served: Vec<String> = up.iter().map(|index| addresses[*index].clone()).collect();
    let mut driver = Driver::connect(shells.apache_python(), &served).await;
    tell(&format!("synchronize: Python driver: {}", driver.ask("refused refused").await));
    driver.quit().await;
    for shell in [&apache, &scylla] {
        for address in &served {
            shell.refused(address).await;
        }
        tell(&format!("synchronize: {}: schema changes refused, reads answered", shell.name()));
    }

    cluster.node(down).start(&Start { flag_and_hold: true, ..Start::default() });
    cluster.complete().await;
    cluster.settled().await;
    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("after", &mut driver, [&apache, &scylla], &addresses).await;
    go_driver("after", go.as_ref(), &addresses).await;
    driver.quit().await;
    cluster.same_schema().await;
}

/// All that clients do while nothing else happens.
async fn undisturbed(phase: &str, driver: &mut Driver, shells: [&Cqlsh; 2], addresses: &[String]) {
    let answers = [driver.ask("types").await, driver.ask(&format!("changes driver_{phase}")).await];
    for answer in answers {
        tell(&format!("{phase}: Python driver: {answer}"));
    }
    for (shell, address) in shells.iter().zip(addresses) {
        shell.undisturbed(phase, address, addresses).await;
        tell(&format!("{phase}: {}: all statements answered", shell.name()));
    }
}

async fn go_driver(phase: &str, go: Option<&Go>, addresses: &[String]) {
    if let Some(go) = go {
        go.undisturbed(addresses).await;
        tell(&format!("{phase}: Go driver: all statements answered"));
    }
}
