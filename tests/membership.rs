//! Real processes that leave the cluster, are removed from it when they are dead, and come in anew, while clients change the schema.

mod harness;

use group0_node::cql::client::{ClientError, CqlClient};
use harness::{
    Cluster, Start,
    members::{CHANGES_MIN, host, is_down, ring_is, upgraded},
    workload::Workload,
};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_leave_are_removed_and_come_anew() {
    let (mut cluster, workload) = upgraded(4).await;
    let (leaving, dead) = (host(&cluster, 2).await, host(&cluster, 3).await);

    let (code, body) = cluster.nodes()[0].post(&format!("/storage_service/remove_node?host_id={dead}")).await;
    assert!(code == 500 && body.contains("maybe you should use decommission instead?"), "{code} {body}");
    cluster.node(3).kill().await;
    cluster.nodes()[0].until("to notice that a node is dead", |status| is_down(status, &dead)).await;
    let (code, body) = cluster.nodes()[0].post(&format!("/storage_service/remove_node?host_id={dead}&ignore_nodes=")).await;
    assert_eq!((code, body.as_str()), (200, ""));
    ring_is(&cluster, &[leaving]).await;
    workload.each_acknowledged(CHANGES_MIN).await;

    let (code, body) = cluster.nodes()[2].post("/storage_service/decommission").await;
    assert_eq!((code, body.as_str()), (200, ""));
    ring_is(&cluster, &[]).await;
    workload.each_acknowledged(CHANGES_MIN).await;

    // The dead one comes back, and hears that it is out.
    cluster.node(3).start(&Start { flag_and_hold: true, ..Start::default() });
    let is_out =
        |status: &group0_api::v1::Status| !status.ready && status.not_ready_reason.contains("has left the cluster for good");
    cluster.nodes()[3].until("to hear that it was removed", is_out).await;
    ring_is(&cluster, &[]).await;

    // Without its data it is another host, at the same address.
    cluster.node(3).kill().await;
    cluster.node(3).wipe();
    cluster.node(3).start(&Start { flag_and_hold: true, ..Start::default() });
    let fresh = cluster.nodes()[3].until("to come in anew", |status| status.ready && status.bootstrapped).await.host_id;
    assert_ne!(fresh, dead);
    ring_is(&cluster, std::slice::from_ref(&fresh)).await;
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    for index in [0, 1, 3] {
        acknowledged.assert_on(&cluster.nodes()[index]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_upgrade_the_dead_are_removed_and_the_rest_is_upgraded() {
    let mut cluster = Cluster::new(4);
    for index in 0..4 {
        cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
    }
    cluster.settled().await;
    let workload = Workload::start(&cluster.nodes()[..2]).await;
    let dead = [host(&cluster, 2).await, host(&cluster, 3).await];
    for index in [2, 3] {
        cluster.node(index).kill().await;
    }
    let down = |status: &group0_api::v1::Status| status.peers.iter().filter(|peer| !peer.up).count() == 2;
    cluster.nodes()[0].until("to notice that two are dead", down).await;
    cluster.nodes()[1].until("to notice that two are dead", down).await;
    let path = format!("/storage_service/remove_node?host_id={}", dead[0]);
    let (code, body) = cluster.nodes()[0].post(&path).await;
    assert!(code == 500 && body.contains(&dead[1]), "{code} {body}");
    assert_eq!(cluster.nodes()[0].post(&format!("{path}&ignore_nodes={}", dead[1])).await, (200, String::new()));
    let path = format!("/storage_service/remove_node?host_id={}", dead[1]);
    assert_eq!(cluster.nodes()[1].post(&path).await, (200, String::new()));
    for node in &cluster.nodes()[..2] {
        node.proceed().await.expect("it proceeds");
    }
    for node in &cluster.nodes()[..2] {
        node.until("to be final", |status| status.upgrade_state == "use_post_raft_procedures").await;
    }
    ring_is(&cluster, &[]).await;
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    for node in &cluster.nodes()[..2] {
        acknowledged.assert_on(node).await;
    }
}

/// With its disk a host is lost for good: who comes to its address takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_replaced_at_its_address() {
    let (mut cluster, workload) = upgraded(3).await;
    let lost = host(&cluster, 2).await;
    cluster.node(2).kill().await;
    cluster.node(2).wipe();
    cluster.node(2).start(&Start { replaces: Some(lost.clone()), flag_and_hold: true, ..Start::default() });
    let fresh = cluster.nodes()[2].until("to take the place", |status| status.ready && status.bootstrapped).await.host_id;
    assert_ne!(fresh, lost);
    ring_is(&cluster, std::slice::from_ref(&fresh)).await;
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
    }
}

/// As people do it: by CQL and restarts.
#[tokio::test(flavor = "multi_thread")]
async fn one_node_goes_into_recovery_and_comes_back() {
    let (mut cluster, workload) = upgraded(3).await;
    let cql = cluster.nodes()[2].cql();
    let mut client = CqlClient::connect(cql).await.expect("it takes clients");
    client
        .query("UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state'")
        .await
        .expect("it is ordered");
    let refused =
        client.query("CREATE KEYSPACE too_early WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}").await;
    assert!(matches!(&refused, Err(ClientError::Server(error)) if error.message().contains("restart")), "{refused:?}");

    cluster.node(2).stop().await;
    cluster.node(2).start(&Start { flag_and_hold: true, ..Start::default() });
    cluster.nodes()[2].until("to be in recovery", |status| status.ready && status.upgrade_state == "recovery").await;
    assert!(cluster.nodes()[2].log().contains("RECOVERY mode"));
    let mut client = CqlClient::connect(cql).await.expect("it takes clients");
    let alone = "CREATE KEYSPACE alone WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
    client.query(alone).await.expect("schema changes go the old way");
    workload.each_acknowledged(CHANGES_MIN).await;
    client.query("DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state'").await.expect("it is taken back");

    cluster.node(2).stop().await;
    cluster.node(2).start(&Start { flag_and_hold: true, ..Start::default() });
    cluster.complete().await;
    let acknowledged = workload.stop().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
        let mut client = CqlClient::connect(node.cql()).await.expect("it takes clients");
        client.query("USE alone").await.expect("what one did in recovery is everybody's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_left_says_so_and_does_not_start_again() {
    let (mut cluster, workload) = upgraded(3).await;
    let (code, body) = cluster.nodes()[2].post("/storage_service/decommission").await;
    assert_eq!((code, body.as_str()), (200, ""));
    let status = cluster.nodes()[2].status().await.expect("its process goes on");
    assert!(!status.ready && status.not_ready_reason.contains("has left the cluster for good"), "{}", harness::brief(&status));
    cluster.node(2).stop().await;
    cluster.node(2).start(&Start { flag_and_hold: true, ..Start::default() });
    let code = cluster.node(2).exited().await;
    assert_eq!(code, Some(1), "{}", cluster.nodes()[2].log_tail());
    assert!(cluster.nodes()[2].log_tail().contains("has left the cluster for good"), "{}", cluster.nodes()[2].log_tail());
    drop(workload.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn group_0_is_asked_and_told_by_rest() {
    let (cluster, workload) = upgraded(3).await;
    let group = cluster.nodes()[0].status().await.expect("it runs").group.expect("it has one");
    let mut hosts = Vec::new();
    for index in 0..3 {
        assert_eq!(cluster.nodes()[index].post("/raft/read_barrier?timeout=10").await, (200, String::new()));
        hosts.push(host(&cluster, index).await);
    }
    let leader = hosts.iter().position(|host| *host == group.leader).expect("a member leads");
    assert_eq!(cluster.nodes()[leader].post("/raft/trigger_stepdown/").await, (200, String::new()));
    let has_other = |status: &group0_api::v1::Status| {
        status.group.as_ref().is_some_and(|now| !now.leader.is_empty() && now.leader != group.leader)
    };
    cluster.nodes()[leader].until("to follow another leader", has_other).await;
    let path = format!("/raft/trigger_snapshot/{}", group.id);
    assert_eq!(cluster.nodes()[leader].post(&path).await, (200, String::new()));
    let (code, body) = cluster.nodes()[leader].post("/raft/trigger_snapshot/00000000-0000-0000-0000-000000000001").await;
    assert!(code == 500 && body.contains("this node is in no group"), "{code} {body}");
    workload.each_acknowledged(CHANGES_MIN).await;
    drop(workload.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let (cluster, workload) = upgraded(2).await;
    let node = &cluster.nodes()[0];
    let cases = [
        ("/storage_service/remove_node", 400, "host_id"),
        ("/storage_service/remove_node?host_id=nobody", 400, "host_id 'nobody' is no UUID"),
        (
            "/storage_service/remove_node?host_id=00000000-0000-0000-0000-000000000001",
            500,
            "no host 00000000-0000-0000-0000-000000000001",
        ),
    ];
    for (path, code, text) in cases {
        let answer = node.post(path).await;
        assert!(answer.0 == code && answer.1.contains(text), "{path}: {answer:?}");
    }
    drop(workload.stop().await);
}
