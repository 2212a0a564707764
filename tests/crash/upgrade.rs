//! The steps of booting and upgrading: the upgrade always completes, nothing acknowledged is lost, and the schema is the same everywhere.
//!
//! Each test runs `GROUP0_CRASH_ROUNDS` rounds, 1 unless told; `make crash` takes five.

use crate::{
    Side,
    harness::{Cluster, Start, members::CHANGES_MIN, workload::Workload},
};
use group0_core::io::Point;
use std::{env, time::Instant};

const NODES: usize = 3;

/// Names each point once as a test on either side, and all of them for [`crate::no_point_is_forgotten`].
macro_rules! points {
    ($($name:ident),* $(,)?) => {
        pub const TESTED: &[&str] = &[$(stringify!($name)),*];
        mod before { $(#[test] fn $name() { super::run(stringify!($name), crate::Side::Before); })* }
        mod after { $(#[test] fn $name() { super::run(stringify!($name), crate::Side::After); })* }
    };
}
points! {
    first_boot,
    bootstrapped,
    proceed,
    feature_enabled,
    discovery_peers,
    group0_founded,
    group0_joining,
    group0_configuration,
    group0_snapshot,
    group0_synchronize,
    group0_final,
    group0_command,
}

fn run(name: &str, side: Side) {
    let point = *Point::ALL.iter().find(|point| point.name() == name).expect("the name of a point");
    let rounds = env::var("GROUP0_CRASH_ROUNDS").map_or(1, |rounds| rounds.parse().expect("GROUP0_CRASH_ROUNDS is a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for round in 0..rounds {
        runtime.block_on(crash(point, side, round));
    }
}

async fn crash(point: Point, side: Side, round: usize) {
    let injection = side.of(point);
    let started = Instant::now();
    let tell = |what: &str| println!("{injection}, round {round}, {:>6} ms: {what}", started.elapsed().as_millis());
    let mut cluster = Cluster::new(NODES);
    let at_first_boot = matches!(point, Point::FirstBoot | Point::Bootstrapped);
    boot(&mut cluster, at_first_boot.then_some((round % NODES, injection.as_str()))).await;
    tell("booted");
    let workload = Workload::start(cluster.nodes()).await;
    workload.each_acknowledged(CHANGES_MIN).await;

    let victim = if at_first_boot { None } else { Some(victim_of(&cluster, point, round).await) };
    for index in 0..NODES {
        let injection = (victim == Some(index)).then(|| injection.clone());
        cluster.roll(index, &Start { flag_and_hold: true, injection, ..Start::default() }).await;
        tell("rolled a node");
    }
    proceed(&mut cluster, victim).await;
    tell("all told to proceed, the victim started again");
    cluster.complete().await;
    tell("complete");
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    cluster.same_schema().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
    }
    tell(&format!("nothing lost of {acknowledged}"));
}

/// Starts all nodes, the flag off. A victim dies in it and is started again.
async fn boot(cluster: &mut Cluster, victim: Option<(usize, &str)>) {
    for index in 0..NODES {
        let injection = victim.filter(|(victim, _)| *victim == index).map(|(_, injection)| injection.to_owned());
        cluster.node(index).start(&Start { flag_and_hold: false, injection, ..Start::default() });
    }
    if let Some((victim, _)) = victim {
        cluster.node(victim).killed().await;
        cluster.node(victim).start(&Start::default());
    }
    cluster.settled().await;
}

/// A node that will come by the point: only the smallest host id founds the group, and only the others join it.
async fn victim_of(cluster: &Cluster, point: Point, round: usize) -> usize {
    let mut hosts = Vec::new();
    for (index, node) in cluster.nodes().iter().enumerate() {
        hosts.push((node.status().await.expect("a settled node answers").host_id, index));
    }
    hosts.sort();
    match point {
        Point::Founded => hosts[0].1,
        Point::Joining | Point::Snapshot => hosts[1 + round % (NODES - 1)].1,
        _ => hosts[round % NODES].1,
    }
}

/// Lifts the hold everywhere. The victim dies in the course of it, or when its first command is applied, and is started again.
async fn proceed(cluster: &mut Cluster, victim: Option<usize>) {
    for index in 0..NODES {
        let told = cluster.nodes()[index].proceed().await;
        assert!(told.is_ok() || victim == Some(index), "proceed: {told:?}");
    }
    if let Some(victim) = victim {
        cluster.node(victim).killed().await;
        cluster.node(victim).start(&Start { flag_and_hold: true, ..Start::default() });
        cluster.nodes()[victim].until("to serve again", |status| status.bootstrapped).await;
        cluster.nodes()[victim].proceed().await.expect("a node that runs takes Proceed, again too");
    }
}
