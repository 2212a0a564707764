//! What an operator orders: it reaches the node as it was given, and what makes no sense does not reach it.

use crate::toy::Toy;
use group0_api::v1::{ClaimEpochRequest, ProceedRequest, RestartRequest, RetryUpgradeRequest, admin_client::AdminClient};
use group0_core::{
    ids::Generation,
    io::{AdminReply, AdminRequest, Apply, Effects, Input, Order, Reply},
};
use group0_node::node::Ended;
use tonic::{Code, transport::Channel};

const RUN: &str = "0b3f9d0e-5a5e-4a3f-9d57-1c9f0f3a0001";

/// Takes everything but `RetryUpgrade`.
fn obedient(input: &Input) -> Vec<Reply> {
    let Input::Admin { id, request } = input else { return vec![] };
    let reply = match request {
        AdminRequest::RetryUpgrade(_) => AdminReply::Refused("epoch 2 is older than 3".to_owned()),
        _ => AdminReply::Done,
    };
    vec![Reply::Admin { id: *id, reply }]
}

async fn client(node: &Toy) -> AdminClient<Channel> {
    AdminClient::connect(format!("http://{}", node.running.addresses.admin)).await.expect("it listens")
}

async fn reached(node: &mut Toy) -> AdminRequest {
    let Input::Admin { request, .. } = node.next().await else { unreachable!("only the operator is there") };
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_reach_the_node_as_they_were_given() {
    let workdir = tempfile::tempdir().expect("a directory");
    let mut node = Toy::start("127.22.0.4", workdir.path(), obedient).await;
    let mut client = client(&node).await;
    let given = |order: &Order| (order.epoch, order.run_id.as_str()) == (2, RUN);

    let claimed = client.claim_epoch(ClaimEpochRequest { epoch: 2 }).await.expect("taken").into_inner();
    assert_eq!(claimed.epoch, 2);
    assert!(matches!(reached(&mut node).await, AdminRequest::ClaimEpoch(epoch) if epoch.get() == 2));

    client.proceed(ProceedRequest { epoch: 2, run_id: RUN.to_owned() }).await.expect("taken");
    assert!(matches!(reached(&mut node).await, AdminRequest::Proceed(order) if given(&order)));

    let retry = RetryUpgradeRequest { epoch: 2, run_id: RUN.to_owned() };
    let refused = client.retry_upgrade(retry).await.expect_err("refused");
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "epoch 2 is older than 3"));
    assert!(matches!(reached(&mut node).await, AdminRequest::RetryUpgrade(order) if given(&order)));

    client.restart(RestartRequest { epoch: 2, run_id: RUN.to_owned(), generation: 9 }).await.expect("taken");
    let AdminRequest::Restart { order, generation } = reached(&mut node).await else { panic!("another verb") };
    assert!(given(&order) && generation == Generation(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_does_not_reach_the_node() {
    let workdir = tempfile::tempdir().expect("a directory");
    let mut node = Toy::start("127.22.0.5", workdir.path(), obedient).await;
    let mut client = client(&node).await;
    let long = "x".repeat(65);
    let refusals = [
        client.claim_epoch(ClaimEpochRequest { epoch: 0 }).await.err(),
        client.restart(RestartRequest::default()).await.err(),
        client.proceed(ProceedRequest { epoch: 1, run_id: long }).await.err(),
    ];
    for refusal in refusals.into_iter().map(|refusal| refusal.expect("refused")) {
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains("nothing was changed"), "{}", refusal.message());
    }
    client.proceed(ProceedRequest::default()).await.expect("taken");
    assert!(matches!(reached(&mut node).await, AdminRequest::Proceed(_)), "the first that reaches it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_node_in_its_own_way() {
    let workdir = tempfile::tempdir().expect("a directory");
    let node = Toy::start("127.22.0.6", workdir.path(), obedient).await;
    node.hand(Effects { apply: vec![Apply::Restart], ..Effects::default() });
    assert_eq!(node.running.ended().await, Ended::Restart);
}
