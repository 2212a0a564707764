//! Identities as they are read and replaced, and handshakes between the two sides.

use super::{
    Client, Files, Identity, Part, SERVER_NAME, Server, ServerName,
    authority::{Authority, Issued},
};
use futures::StreamExt as _;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tonic::transport::Uri;
use tower::Service as _;

fn node(authority: &Authority) -> Issued {
    authority.issue(SERVER_NAME)
}

#[test]
fn replaced_files_are_taken_up_at_the_next_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("one");
    let identity = Identity::read(node(&authority).write(folder.path())).expect("good files");
    let (first, start) = (identity.material(), Instant::now());
    node(&authority).write(folder.path());
    let same = |at| Arc::ptr_eq(&identity.material_at(start + at).server, &first.server);
    assert!(same(Duration::from_millis(500)), "too early to look");
    assert!(!same(Duration::from_secs(2)));
}

/// As Kubernetes does: the files lead through a link to a folder, and the link is replaced.
#[test]
fn a_swapped_link_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, path) = (Authority::new("one"), |name: &str| folder.path().join(name));
    let link = |to: &str| {
        std::os::unix::fs::symlink(path(to), path("next")).expect("a link");
        fs::rename(path("next"), path("data")).expect("a link replaces another");
    };
    for version in ["one", "two"] {
        node(&authority).write(&path(version));
    }
    link("one");
    let [certificate, keyfile, truststore] = ["tls.crt", "tls.key", "ca.crt"].map(|name| path("data").join(name));
    let identity = Identity::read(Files { certificate, keyfile, truststore }).expect("good files");
    let (first, start) = (identity.material(), Instant::now());
    link("two");
    assert!(!Arc::ptr_eq(&identity.material_at(start + Duration::from_secs(2)).server, &first.server));
}

#[test]
fn what_cannot_be_used_leaves_the_former_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("one");
    let files = node(&authority).write(folder.path());
    let identity = Identity::read(files.clone()).expect("good files");
    let (first, start) = (identity.material(), Instant::now());
    let at = |seconds| identity.material_at(start + Duration::from_secs(seconds));
    fs::write(&files.certificate, node(&authority).certificate).expect("written");
    assert!(Arc::ptr_eq(&at(2).server, &first.server), "the key is of the former certificate");
    fs::remove_file(&files.truststore).expect("removed");
    assert!(Arc::ptr_eq(&at(4).server, &first.server));
    node(&authority).write(folder.path());
    assert!(!Arc::ptr_eq(&at(6).server, &first.server));
}

#[test]
fn mistakes_name_part_and_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let good = node(&authority);
    let cases = [
        (
            Issued { certificate: "nothing".to_owned(), ..good.clone() },
            "certificate FOLDER/tls.crt: there is no certificate in it",
        ),
        (Issued { keyfile: String::new(), ..good.clone() }, "keyfile FOLDER/tls.key: no items found"),
        (
            Issued { keyfile: node(&other).keyfile, ..good.clone() },
            "keyfile FOLDER/tls.key: it cannot be used with the certificate: keys may not be consistent: KeyMismatch",
        ),
        (Issued { truststore: good.keyfile.clone(), ..good }, "truststore FOLDER/ca.crt: there is no certificate in it"),
    ];
    for (issued, expected) in cases {
        let error = Identity::read(issued.write(folder.path())).expect_err(expected);
        assert_eq!(error.to_string(), expected.replace("FOLDER", &folder.path().display().to_string()));
    }
    let missing = Files { keyfile: Path::new("/nowhere").to_owned(), ..node(&authority).write(folder.path()) };
    let error = Identity::read(missing).expect_err("no key");
    assert_eq!((error.part, error.path.as_deref()), (Part::Keyfile, Some(Path::new("/nowhere"))));
    assert!(!format!("{:?}", Identity::parse(&node(&authority).pem())).contains("PRIVATE"));
}

/// A server that tells whom it took.
async fn serve(issued: &Issued) -> (SocketAddr, mpsc::UnboundedReceiver<SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it listens");
    let server = Server::new(Identity::parse(&issued.pem()).expect("good certificates"));
    let (tell, taken) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut incoming = std::pin::pin!(server.incoming(listener));
        while let Some(Ok(stream)) = incoming.next().await {
            if tell.send(stream.get_ref().0.peer_addr().expect("it is connected")).is_err() {
                return;
            }
        }
    });
    (address, taken)
}

/// A server that says so to whoever speaks TLS.
async fn serve_without_tls() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.readable().await.expect("the client speaks first");
            stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("some bytes find room");
        }
    });
    address
}

async fn connect(issued: &Issued, name: &'static str, to: SocketAddr) -> Result<(), String> {
    let identity = Identity::parse(&issued.pem()).expect("good certificates");
    let client = Client::new(identity, ServerName::try_from(name).expect("a name"));
    let uri: Uri = format!("http://{to}").parse().expect("an address");
    client.connector(None).call(uri).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_client_says_why_it_does_not_trust() {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let (server, client) = (node(&authority), node(&authority));
    let (good, mut taken) = serve(&server).await;
    connect(&client, SERVER_NAME, good).await.expect("each trusts the other");
    assert!(taken.recv().await.is_some());
    let (expired, _) = serve(&authority.issue_expired(SERVER_NAME)).await;
    let plain = serve_without_tls().await;
    let cases = [
        (&client, "another", good, "its certificate cannot be accepted: certificate not valid for name \"another\""),
        (&client.trusting(&other), SERVER_NAME, good, "no authority of the truststore has made its certificate"),
        (&client, SERVER_NAME, expired, "its certificate cannot be accepted: certificate expired"),
        (&client, SERVER_NAME, plain, "it does not speak TLS"),
    ];
    for (client, name, to, expected) in cases {
        let error = connect(client, name, to).await.expect_err(expected);
        assert!(error.starts_with(&format!("TLS with {to}: {expected}")), "{error}");
    }
}

#[tokio::test]
async fn one_that_says_nothing_holds_up_nobody() {
    let authority = Authority::new("one");
    let (address, mut taken) = serve(&node(&authority)).await;
    let _silent = TcpStream::connect(address).await.expect("it listens");
    connect(&node(&authority), SERVER_NAME, address).await.expect("each trusts the other");
    assert!(taken.recv().await.is_some());
}
