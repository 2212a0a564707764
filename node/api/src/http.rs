//! Serves HTTP/1.1 to few and trusted clients, and to anybody else who comes: whoever says nothing has no place, whoever does not come to an
//! end of it loses it, and past a bound others wait. `axum::serve` has neither a time nor a bound.

use crate::acceptor::Acceptor;
use axum::{Extension, Router, extract::ConnectInfo};
use futures::StreamExt as _;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{pin::pin, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Within this a client has said what it wants, from when it has connected or was answered last.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Connections of one listener at once.
const CONNECTIONS_MAX: usize = 512;

/// Serves one listener until it is dropped, and with it all its connections. Handlers have [`ConnectInfo`] of the client's address.
pub async fn serve(listener: TcpListener, routes: Router) {
    serve_at_once(CONNECTIONS_MAX, listener, routes).await;
}

async fn serve_at_once(most: usize, listener: TcpListener, routes: Router) {
    let (mut incoming, mut served) = (pin!(Acceptor::new(listener).connections()), JoinSet::new());
    while let Some(stream) = incoming.next().await {
        served.spawn(attend(stream, routes.clone()));
        while served.try_join_next().is_some() {}
        if served.len() >= most {
            served.join_next().await;
        }
    }
}

async fn attend(stream: TcpStream, routes: Router) {
    let Ok(from) = stream.peer_addr() else { return };
    let routes = routes.layer(Extension(ConnectInfo(from)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_MAX);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await {
        tracing::debug!(target: "rpc", %from, %error, "a connection has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::{REQUEST_MAX, serve_at_once};
    use axum::{Router, extract::ConnectInfo, routing::get};
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    const MOST: usize = 4;

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let from = async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.to_string();
        tokio::spawn(serve_at_once(MOST, listener, Router::new().route("/from", get(from))));
        address
    }

    async fn asked(stream: &mut TcpStream, request: &str) -> String {
        let mut answer = String::new();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_is_answered_and_knows_its_client() {
        let mut stream = TcpStream::connect(served().await).await.unwrap();
        let from = stream.local_addr().unwrap().to_string();
        let answer = asked(&mut stream, REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&from), "{answer}");
    }

    const REQUEST: &str = "GET /from HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

    async fn saying(address: SocketAddr, what: &str) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..=MOST {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(what.as_bytes()).await.unwrap();
            streams.push(stream);
        }
        streams
    }

    /// Time stands still but for waits.
    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_has_no_place_and_whoever_says_a_half_loses_it() {
        let address = served().await;
        let (begin, _silent) = (Instant::now(), saying(address, "").await);
        let answer = asked(&mut TcpStream::connect(address).await.unwrap(), REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 200") && begin.elapsed() < REQUEST_MAX / 2, "{answer}");
        let (begin, _half) = (Instant::now(), saying(address, "GET /from HT").await);
        let answer = asked(&mut TcpStream::connect(address).await.unwrap(), REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 200") && begin.elapsed() >= REQUEST_MAX, "{answer}");
    }
}
