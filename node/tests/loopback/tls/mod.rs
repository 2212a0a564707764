//! Nodes that speak TLS: who is let in, who is turned away and how he learns why, and certificates that are replaced meanwhile.

#[path = "../../../api/src/tls/authority.rs"]
mod authority;
mod log;

use crate::toy::{Replies, Toy, header, silent};
use authority::{Authority, Issued};
use bytes::Bytes;
use group0_api::{
    tls::{Client, Files, Pem, SERVER_NAME},
    v1::{ClaimEpochRequest, admin_client::AdminClient},
};
use group0_core::{
    ids::{GroupId, HostId, Incarnation},
    io::{AdminReply, CallError, CallId, Destination, Input, Message, Path, PeerReply, PeerRequest, Reply, Send, StateReply},
    upgrade::Stage,
};
use group0_node::{
    config::{Config, Layers},
    node::StartError,
};
use std::{net::SocketAddr, path::Path as FilePath, time::Duration};
use tokio::time::timeout;
use tonic::{
    Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

const SECOND: Duration = Duration::from_secs(1);

fn options(files: &Files) -> String {
    let Files { certificate, keyfile, truststore } = files;
    let [certificate, keyfile, truststore] = [certificate, keyfile, truststore].map(|path| path.display());
    format!("certificate: '{certificate}', keyfile: '{keyfile}', truststore: '{truststore}'")
}

/// A node with TLS on both listeners, on any port. Its certificates are in the folder.
async fn encrypted(address: &str, folder: &FilePath, issued: &Issued, replies: Replies) -> Toy {
    let options = options(&issued.write(folder));
    let keys = format!(
        "storage_port: 0, server_encryption_options: {{internode_encryption: all, {options}}}, \
         admin_encryption_options: {{enabled: true, {options}}}"
    );
    Toy::start_with(address, &keys, &folder.join("data"), replies).await
}

fn answer(input: &Input) -> Vec<Reply> {
    let state =
        StateReply { stage: Stage::UsePreRaft, host: HostId::of(2), group: Some(GroupId::of(9)), incarnation: Incarnation(1) };
    match input {
        Input::Request { id, .. } => {
            let outcome = Ok((PeerReply::State(state), Path { hops: 1, fsyncs: 1 }));
            vec![Reply::Peer { id: *id, outcome }]
        }
        Input::Admin { id, .. } => vec![Reply::Admin { id: *id, reply: AdminReply::Done }],
        _ => vec![],
    }
}

async fn ask(toy: &mut Toy, number: u64, to: Destination) -> Result<(PeerReply, Path), CallError> {
    let request = PeerRequest::GetGroup0UpgradeState;
    toy.send(vec![Send::Call { call: CallId(number), to, header: header(), request, within: 5 * SECOND }]);
    loop {
        if let Input::Answer { call: CallId(answered), outcome } = toy.next().await
            && answered == number
        {
            return outcome;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_messages_go_over_tls() {
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new("one"));
    let mut one = encrypted("127.23.0.1", &folder.path().join("1"), &authority.issue(SERVER_NAME), silent).await;
    let mut two = encrypted("127.23.0.2", &folder.path().join("2"), &authority.issue(SERVER_NAME), answer).await;
    let to = two.destination();
    assert!(matches!(ask(&mut one, 1, to).await, Ok((PeerReply::State(_), _))));
    assert!(matches!(two.next().await, Input::Request { .. }));
    one.send(vec![Send::Message { to, header: header(), message: Message::Gossip(Bytes::from_static(b"abc")) }]);
    assert!(matches!(two.next().await, Input::Message { message: Message::Gossip(bytes), .. } if *bytes == *b"abc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_authority_is_turned_away_and_both_say_why() {
    let log = log::watch();
    let (folder, authority, other) = (tempfile::tempdir().expect("a folder"), Authority::new("one"), Authority::new("two"));
    let good = encrypted("127.23.1.1", &folder.path().join("1"), &authority.issue(SERVER_NAME), answer).await;
    let foreign = other.issue(SERVER_NAME);
    let mut stranger = encrypted("127.23.1.2", &folder.path().join("2"), &foreign, silent).await;
    let error = ask(&mut stranger, 1, good.destination()).await.expect_err("he does not trust the server");
    assert!(error.to_string().contains("no authority of the truststore has made its certificate"), "{error}");

    let trusting = foreign.trusting(&authority);
    let mut intruder = encrypted("127.23.1.3", &folder.path().join("3"), &trusting, silent).await;
    let error = ask(&mut intruder, 1, good.destination()).await.expect_err("the server does not trust him");
    // He may be told by an alert, or find the connection closed before he has read it: the log of the server always says why.
    assert!(matches!(error, CallError::Closed(_)), "{error}");
    log::until(log, &["WARN", "127.23.1.3:", "no authority of the truststore has made its certificate"]).await;
}

/// Speaks TLS, trusts the authority, and presents nothing.
async fn without_certificate(to: SocketAddr, authority: &Authority) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.certificate)).domain_name(SERVER_NAME);
    let endpoint = Endpoint::from_shared(format!("https://{to}")).and_then(|endpoint| endpoint.tls_config(tls));
    let local = Some([127, 23, 2, 9].into());
    endpoint.expect("a good endpoint").local_address(local).connect().await
}

async fn with(pem: &Pem<'_>, to: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    let client = Client::from_pem(pem).expect("good certificates");
    let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address");
    endpoint.connect_with_connector(client.connector(None)).await
}

async fn claim(channel: Channel) -> Result<(), Status> {
    let mut client = AdminClient::new(channel);
    let claimed = client.claim_epoch(ClaimEpochRequest { epoch: 5 });
    timeout(10 * SECOND, claimed).await.expect("an answer or an error").map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_takes_those_only_who_have_a_certificate() {
    let log = log::watch();
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new("one"));
    let node = encrypted("127.23.2.1", folder.path(), &authority.issue(SERVER_NAME), answer).await;
    let admin = node.running.addresses.admin;
    let operator = authority.issue("group0-operator");
    claim(with(&operator.pem(), admin).await.expect("he is known")).await.expect("and may do everything");

    // Where the refusal meets him, and as which code, is a matter of timing.
    if let Ok(channel) = without_certificate(admin, &authority).await {
        claim(channel).await.expect_err("nobody");
    }
    log::until(log.clone(), &["WARN", "127.23.2.9:", "it presents no certificate"]).await;

    let plain = Endpoint::from_shared(format!("http://{admin}")).expect("an address").local_address(Some([127, 23, 2, 8].into()));
    if let Ok(channel) = plain.connect().await {
        claim(channel).await.expect_err("not without TLS");
    }
    log::until(log, &["WARN", "127.23.2.8:", "it does not speak TLS"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_tls_is_told_apart_from_one_that_is_down() {
    let log = log::watch();
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new("one"));
    let mut one = encrypted("127.23.3.1", &folder.path().join("1"), &authority.issue(SERVER_NAME), silent).await;
    let mut two = Toy::start("127.23.3.2", &folder.path().join("2"), silent).await;
    let error = ask(&mut one, 1, two.destination()).await.expect_err("it does not encrypt");
    assert!(error.to_string().contains("it does not speak TLS"), "{error}");
    log::until(log.clone(), &["WARN", "127.23.3.2:", "it does not speak TLS"]).await;
    ask(&mut two, 1, one.destination()).await.expect_err("it does");
    log::until(log, &["WARN", "from=127.23.3.2:", "it does not speak TLS"]).await;
}

/// The one connection made before goes on; each made later has the new certificates on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_without_a_restart() {
    let (folder, former, next) = (tempfile::tempdir().expect("a folder"), Authority::new("former"), Authority::new("next"));
    let mut one = encrypted("127.23.4.1", &folder.path().join("1"), &former.issue(SERVER_NAME), silent).await;
    let two = encrypted("127.23.4.2", &folder.path().join("2"), &former.issue(SERVER_NAME), answer).await;
    let admin = two.running.addresses.admin;
    let old = with(&former.issue("operator").pem(), admin).await.expect("of the former authority");
    claim(old.clone()).await.expect("taken");
    for number in ["1", "2"] {
        next.issue(SERVER_NAME).write(&folder.path().join(number));
    }
    let new = next.issue("operator");
    let replaced = async {
        loop {
            if let Ok(channel) = with(&new.pem(), admin).await
                && claim(channel).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    timeout(10 * SECOND, replaced).await.expect("the next authority is trusted soon");
    claim(old).await.expect("the connection goes on");
    assert!(ask(&mut one, 1, two.destination()).await.is_ok(), "both have the next authority's");
    assert!(with(&former.issue("operator").pem(), admin).await.is_err(), "the former is no longer presented");
}

#[tokio::test]
async fn a_node_does_not_start_without_its_certificates() {
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new("one"));
    let files = authority.issue(SERVER_NAME).write(folder.path());
    std::fs::remove_file(&files.keyfile).expect("removed");
    let text =
        format!("{{listen_address: 127.23.5.1, server_encryption_options: {{internode_encryption: all, {}}}}}", options(&files));
    let config = Layers::parse(&text).and_then(Config::read).expect("a configuration that names files");
    let Err(StartError::Config(error)) = group0_node::run(config).await else { unreachable!("a mistake of the configuration") };
    let expected = format!("Bad configuration: server_encryption_options.keyfile {}: cannot be read", files.keyfile.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}
