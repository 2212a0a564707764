//! Clients that people use, against a cluster before, during and after its upgrade: two kinds of cqlsh, and the Python driver.
//!
//! Their packages come from PyPI into virtual environments under `GROUP0_CACHE`, or the build folder. Without Python or
//! without the packages the test says so and is skipped; where `CI` is set it fails instead.

mod cqlsh;
mod environment;
#[path = "../harness/mod.rs"]
mod harness;
mod python;

use cqlsh::Cqlsh;
use harness::{Cluster, Start};
use python::Driver;
use std::io::Write as _;

const NODES: usize = 3;

/// The test captures what is printed, but not what goes to standard error directly: a skipped test must say so.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "clients: {line}").expect("standard error takes text");
}

#[tokio::test]
#[ignore = "until the node serves"]
async fn clients_before_during_and_after() {
    let shells = match environment::set_up() {
        Ok(environments) => environments,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            return tell(&format!("skipped: {reason}"));
        }
    };
    let mut cluster = Cluster::new(NODES);
    for index in 0..NODES {
        cluster.node(index).start(&Start::default());
    }
    cluster.settled().await;
    let addresses: Vec<String> = cluster.nodes().iter().map(|node| node.address().to_string()).collect();
    let (apache, scylla) = (Cqlsh::apache(&shells), Cqlsh::scylla(&shells));

    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("before", &mut driver, [&apache, &scylla], &addresses).await;
    driver.quit().await;

    // The second dies when it is to enter `synchronize`, so the others stay there until it is back.
    for index in 0..NODES {
        let injection = (index == 1).then(|| "before_group0_synchronize".to_owned());
        cluster.roll(index, &Start { flag_and_hold: true, injection }).await;
    }
    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("held", &mut driver, [&apache, &scylla], &addresses).await;
    for node in cluster.nodes() {
        node.proceed().await.expect("a held node takes Proceed");
    }
    cluster.node(1).killed().await;
    let up = [0, 2];
    for index in up {
        cluster.nodes()[index].until("to be in synchronize", |status| status.upgrade_state == "synchronize").await;
    }
    let up = up.map(|index| addresses[index].clone());
    driver.ask(&format!("refused refused_driver {}", up.join(" "))).await;
    for shell in [&apache, &scylla] {
        for address in &up {
            shell.refused(address).await;
        }
    }

    cluster.node(1).start(&Start { flag_and_hold: true, injection: None });
    cluster.complete().await;
    cluster.settled().await;
    driver.quit().await;
    let mut driver = Driver::connect(shells.apache_python(), &addresses).await;
    undisturbed("after", &mut driver, [&apache, &scylla], &addresses).await;
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
