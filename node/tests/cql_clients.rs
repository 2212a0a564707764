//! The CQL server over real sockets, in front of a toy backend.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cql_toy;

use cql_toy::Toy;
use group0_core::{
    cql::frame::{Bound, ErrorBody, Event, Header, Parameters, Request, Response, RowsBody, read_response},
    io::{ClientReply, ClientRequest, CqlError, ResultSet},
    value::{CqlType, Value},
};
use group0_node::cql::{
    Backend, Counts, CqlServer,
    client::{Answer, ClientError, CqlClient},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast},
};
use tokio_util::sync::CancellationToken;

async fn start() -> (SocketAddr, Arc<Counts>, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = CqlServer::new(Toy::new(address.ip()));
    let (counts, shutdown) = (server.counts(), CancellationToken::new());
    tokio::spawn(server.serve(listener, shutdown.clone()));
    (address, counts, shutdown)
}

/// Sends bytes, returns one response.
async fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> (Header, Response) {
    socket.write_all(bytes).await.unwrap();
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.unwrap();
    let header = Header::read(&head).unwrap();
    let mut body = vec![0; header.length];
    socket.read_exact(&mut body).await.unwrap();
    (header, read_response(&header, &body).unwrap())
}

async fn rows(client: &mut CqlClient, request: &Request) -> RowsBody {
    match client.request(request).await.unwrap() {
        Response::Rows(rows) => rows,
        other => panic!("no rows: {other:?}"),
    }
}

#[tokio::test]
async fn statements_and_sessions() {
    let (address, counts, _) = start().await;
    let mut client = CqlClient::connect(address).await.unwrap();
    let local = client.query("SELECT cluster_name FROM system.local WHERE key='local';").await.unwrap().into_rows();
    assert_eq!(local.rows, [[Some(Value::text("toy"))]]);
    assert_eq!(client.query("USE system").await.unwrap(), Answer::SetKeyspace("system".to_owned()));
    assert_eq!(client.query("SELECT count(*) FROM local").await.unwrap().into_rows().rows, [[Some(Value::Bigint(1))]]);
    assert_eq!(client.query("DROP TABLE IF EXISTS a.b").await.unwrap(), Answer::Void);
    assert_eq!(client.query("SELECT * FROM peers_v2").await.unwrap_err().code(), Some(0x2200));
    assert_eq!(client.query("SELEC").await.unwrap_err().code(), Some(0x2000));
    assert_eq!(client.request(&Request::Batch).await.unwrap_err().code(), Some(0x2200));
    assert_eq!(client.query("GRANT ALL ON x TO y").await.unwrap_err().code(), Some(0x2200));
    assert_eq!(counts.open.load(Ordering::Relaxed), 1);
    assert_eq!(counts.errors.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn prepared_statements() {
    let (address, _, _) = start().await;
    let mut client = CqlClient::connect(address).await.unwrap();
    let text = "SELECT host_id, rack FROM system.local WHERE key = ?".to_owned();
    let Response::Prepared(prepared) = client.request(&Request::Prepare { text }).await.unwrap() else { panic!() };
    assert_eq!(prepared.markers, [("key".to_owned(), CqlType::Text)]);
    assert_eq!(prepared.key_markers, [0]);
    let columns = [("host_id".to_owned(), CqlType::Uuid), ("rack".to_owned(), CqlType::Text)];
    assert_eq!(prepared.columns.unwrap(), columns);
    let values = vec![(None, Bound::Bytes(b"local".to_vec()))];
    let parameters = Parameters { values, ..Parameters::default() };
    let execute = Request::Execute { id: prepared.id, parameters: parameters.clone() };
    // Any connection may execute it.
    let mut other = CqlClient::connect(address).await.unwrap();
    assert_eq!(rows(&mut other, &execute).await.set.rows.len(), 1);
    let unknown = client.request(&Request::Execute { id: vec![1], parameters }).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Server(ErrorBody::Unprepared(id)) if id == [1]));
    let missing = client.request(&Request::Prepare { text: "SELECT * FROM system.nope".to_owned() }).await.unwrap_err();
    assert!(matches!(missing, ClientError::Server(ErrorBody::Cql(CqlError::Invalid(_)))));
}

#[tokio::test]
async fn pages_add_up_to_the_whole() {
    let (address, _, _) = start().await;
    let mut client = CqlClient::connect(address).await.unwrap();
    let text = "SELECT column_name FROM system_schema.columns".to_owned();
    let whole = client.query(&text).await.unwrap().into_rows().rows;
    let mut parts = Vec::new();
    let mut state = None;
    loop {
        let parameters = Parameters { page_size: Some(7), paging_state: state, ..Parameters::default() };
        let page = rows(&mut client, &Request::Query { text: text.clone(), parameters }).await;
        assert!(page.set.rows.len() <= 7);
        parts.extend(page.set.rows);
        state = page.paging_state;
        if state.is_none() {
            break;
        }
    }
    assert_eq!(parts, whole);
    let parameters = Parameters { paging_state: Some(vec![1]), ..Parameters::default() };
    let wrong = client.request(&Request::Query { text, parameters }).await.unwrap_err();
    assert_eq!(wrong.code(), Some(0x000A));
}

#[tokio::test]
async fn events_reach_those_who_registered() {
    let (address, _, _) = start().await;
    let (mut watching, mut other) = (CqlClient::connect(address).await.unwrap(), CqlClient::connect(address).await.unwrap());
    watching.register(&["SCHEMA_CHANGE"]).await.unwrap();
    watching.register(&["STATUS_CHANGE"]).await.unwrap();
    let unknown = watching.register(&["TOPOLOGY_CHANGE", "GOSSIP"]).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Server(ErrorBody::Protocol(why)) if why == "Invalid event type: GOSSIP"));
    let Answer::SchemaChange(change) = other.query("CREATE TABLE ks.t (a int PRIMARY KEY)").await.unwrap() else { panic!() };
    assert_eq!(watching.event().await.unwrap(), Event::Schema(change));
}

#[tokio::test]
async fn user_types_are_told_with_their_fields() {
    let (address, _, _) = start().await;
    let mut client = CqlClient::connect(address).await.unwrap();
    client.query("CREATE TYPE ks.u (street text, no int)").await.unwrap();
    client.query("CREATE TABLE ks.t (a int PRIMARY KEY, b frozen<u>)").await.unwrap();
    let set = client.query("SELECT b FROM ks.t").await.unwrap().into_rows();
    assert_eq!(set.columns, [("b".to_owned(), CqlType::UserType("u".to_owned()))]);
}

#[tokio::test]
async fn a_newer_version_is_refused_and_the_connection_stays() {
    let (address, _, _) = start().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut newer = Request::Options.write(5);
    *newer.first_mut().unwrap() = 66;
    let (header, response) = exchange(&mut socket, &newer).await;
    assert_eq!((header.version, header.stream), (4, 0), "where gocql looks for it, whatever stream it asked on");
    let expected = "Invalid or unsupported protocol version (66); supported versions are (4/v4)";
    assert!(matches!(response, Response::Error(ErrorBody::Protocol(message)) if message == expected));
    let (_, response) = exchange(&mut socket, &Request::Options.write(6)).await;
    assert!(matches!(response, Response::Supported(options) if options.contains_key("CQL_VERSION")));
    let (_, response) = exchange(&mut socket, &Request::Prepare { text: "USE x".to_owned() }.write(7)).await;
    assert!(matches!(response, Response::Error(ErrorBody::Protocol(_))), "before STARTUP");
    let compressed = [("CQL_VERSION", "3.0.0"), ("COMPRESSION", "lz4")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let (_, response) = exchange(&mut socket, &Request::Startup(compressed.into()).write(8)).await;
    assert!(matches!(response, Response::Error(ErrorBody::Protocol(_))));
}

#[tokio::test]
async fn a_frame_too_long_is_answered_and_the_connection_closed() {
    let (address, _, _) = start().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (_, response) = exchange(&mut socket, &[4, 0, 0, 1, 7, 0x7f, 0, 0, 0]).await;
    assert!(matches!(response, Response::Error(ErrorBody::Protocol(_))));
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn many_requests_are_in_flight_and_a_shutdown_ends_it_all() {
    let (address, counts, shutdown) = start().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let options = [("CQL_VERSION".to_owned(), "3.0.0".to_owned())];
    exchange(&mut socket, &Request::Startup(options.into()).write(0)).await;
    let query = Request::Query { text: "SELECT key FROM system.local".to_owned(), parameters: Parameters::default() };
    let all: Vec<u8> = (1..=2000).flat_map(|stream| query.write(stream)).collect();
    let (mut read, mut write) = socket.into_split();
    let writing = tokio::spawn(async move { write.write_all(&all).await.map(|()| write) });
    let mut streams = Vec::new();
    for _ in 1..=2000 {
        let mut head = [0; 9];
        read.read_exact(&mut head).await.unwrap();
        let header = Header::read(&head).unwrap();
        read.read_exact(&mut vec![0; header.length]).await.unwrap();
        streams.push(header.stream);
    }
    streams.sort_unstable();
    assert_eq!(streams, (1..=2000).collect::<Vec<i16>>());
    let _write = writing.await.unwrap().unwrap();
    shutdown.cancel();
    assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(counts.requests.load(Ordering::Relaxed), 2001);
}

/// Answers a read with a megabyte, and counts them; a schema change is never answered.
struct Long(Arc<AtomicUsize>, broadcast::Sender<Event>);

impl Backend for Long {
    async fn query(&self, request: ClientRequest) -> ClientReply {
        if request.statement.is_schema_change() {
            return std::future::pending().await;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let columns = vec![("a".to_owned(), CqlType::Text)];
        let rows = vec![vec![Some(Value::text("a".repeat(1024 * 1024)))]];
        ClientReply::Rows(ResultSet { keyspace: "ks".to_owned(), table: "t".to_owned(), columns, rows })
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.1.subscribe()
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_answered_without_end_and_then_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let made = Arc::<AtomicUsize>::default();
    let server = CqlServer::new(Long(made.clone(), broadcast::Sender::new(1)));
    let counts = server.counts();
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    let options = [("CQL_VERSION".to_owned(), "3.0.0".to_owned())];
    exchange(&mut socket, &Request::Startup(options.into()).write(0)).await;
    let query = |text: &str, stream| Request::Query { text: text.to_owned(), parameters: Parameters::default() }.write(stream);
    // Changes that wait keep no read waiting.
    let changes = (1..=100).flat_map(|stream| query("DROP TABLE ks.t", stream));
    let reads = (101..=900).flat_map(|stream| query("SELECT a FROM ks.t", stream));
    socket.write_all(&changes.chain(reads).collect::<Vec<u8>>()).await.unwrap();
    while made.load(Ordering::Relaxed) < 64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // From here on a time that is waited for has come as soon as nothing else is to be done.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    while counts.open.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(begin.elapsed() < Duration::from_mins(5), "it is kept for ever");
    }
    assert!(begin.elapsed() >= Duration::from_secs(29), "{:?}", begin.elapsed());
    // The operating system takes some megabytes off our hands.
    assert!(made.load(Ordering::Relaxed) < 200, "{made:?}");
    drop(socket);
}

/// Answers each statement once it may, and counts those that have come.
struct Held {
    come: Arc<AtomicUsize>,
    may_answer: Arc<Semaphore>,
    events: broadcast::Sender<Event>,
}

impl Backend for Held {
    async fn query(&self, _: ClientRequest) -> ClientReply {
        self.come.fetch_add(1, Ordering::Relaxed);
        self.may_answer.acquire().await.unwrap().forget();
        ClientReply::Void
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

async fn start_held() -> (SocketAddr, Arc<AtomicUsize>, Arc<Semaphore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (come, may_answer) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let server = CqlServer::new(Held { come: come.clone(), may_answer: may_answer.clone(), events: broadcast::Sender::new(1) });
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    (address, come, may_answer)
}

async fn connect(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let options = [("CQL_VERSION".to_owned(), "3.0.0".to_owned())];
    exchange(&mut socket, &Request::Startup(options.into()).write(0)).await;
    socket
}

/// A statement of about so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let text = format!("DROP TABLE ks.t{}", " ".repeat(bytes));
    Request::Query { text, parameters: Parameters::default() }.write(1)
}

#[tokio::test]
async fn of_large_statements_no_more_are_taken_in_at_a_time_than_there_is_room_for() {
    let (address, come, may_answer) = start_held().await;
    let mut asking = Vec::new();
    for _ in 0..6 {
        let mut socket = connect(address).await;
        asking.push(tokio::spawn(async move { exchange(&mut socket, &padded(15 * 1024 * 1024)).await.1 }));
    }
    while come.load(Ordering::Relaxed) < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_, small) = exchange(&mut connect(address).await, &Request::Options.write(1)).await;
    assert!(matches!(small, Response::Supported(_)), "{small:?}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(come.load(Ordering::Relaxed), 4);
    may_answer.add_permits(6);
    for answer in asking {
        assert!(matches!(answer.await.unwrap(), Response::Void));
    }
}

#[tokio::test]
async fn who_announces_a_large_statement_and_does_not_send_it_gives_its_room_back() {
    let (address, _, may_answer) = start_held().await;
    may_answer.add_permits(1);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut socket = connect(address).await;
        socket.write_all(&[4, 0, 0, 1, 7, 1, 0, 0, 0]).await.unwrap();
        slow.push(socket);
    }
    let mut other = connect(address).await;
    // From here on a time that is waited for has come as soon as nothing else is to be done.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    assert!(matches!(exchange(&mut other, &padded(64 * 1024)).await.1, Response::Void));
    assert!(begin.elapsed() >= Duration::from_secs(29), "{:?}", begin.elapsed());
    for mut socket in slow {
        assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

/// What a socket waits for, as the operating system tells it: 2 is the question whether the other machine is there still.
fn timer(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let hex = |at: SocketAddr| match at.ip() {
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), at.port()),
        IpAddr::V6(_) => panic!("{at}"),
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = rows.filter(|row| row.len() > 5).find(|row| row[1] == hex(local) && row[2] == hex(remote));
    found.map(|row| row[5].to_owned())
}

#[tokio::test]
async fn a_connection_whose_client_has_vanished_is_noticed() {
    let (address, ..) = start().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    exchange(&mut socket, &Request::Options.write(0)).await;
    let remote = socket.local_addr().unwrap();
    let asks = async {
        while !timer(address, remote).is_some_and(|timer| timer.starts_with("02:")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asks).await.expect("the machine of the client is asked for");
}

/// `cargo test --test cql_clients -- --ignored serve`: for trying drivers and cqlsh against 127.0.0.1:19042.
#[tokio::test]
#[ignore = "serves until it is killed"]
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:19042").await.unwrap();
    let toy = Toy::new(listener.local_addr().unwrap().ip());
    CqlServer::new(toy).serve(listener, CancellationToken::new()).await;
}
