//! Serves HTTP/1.1 to few and trusted clients, and to anybody else who comes: whoever says nothing, or does not come to an end of it, is let
//! go, and past a bound others wait with the operating system. `axum::serve` has neither a time nor a bound.

use crate::acceptor::Acceptor;
use axum::{Extension, Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Within this a client has said what it wants, from when it has connected or was answered last.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Connections of one listener at once.
const CONNECTIONS_MAX: usize = 512;

/// Serves one listener until it is dropped, and with it all its connections. Handlers have [`ConnectInfo`] of the client's address.
pub async fn serve(listener: TcpListener, routes: Router) -> Infallible {
    let (mut acceptor, mut connections) = (Acceptor::new(listener), JoinSet::new());
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let (stream, from) = acceptor.accept().await;
        connections.spawn(attend(stream, from, routes.clone().layer(Extension(ConnectInfo(from)))));
    }
}

async fn attend(stream: TcpStream, from: SocketAddr, routes: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_MAX);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await {
        tracing::debug!(target: "rpc", %from, %error, "a connection has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_MAX, serve};
    use axum::{Router, extract::ConnectInfo, routing::get};
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let from = async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.to_string();
        tokio::spawn(serve(listener, Router::new().route("/from", get(from))));
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
        let answer = asked(&mut stream, "GET /from HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&from), "{answer}");
    }

    /// Time stands still but for waits: each of them is let go after its time.
    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_or_a_half_keeps_nobody_out() {
        let address = served().await;
        let mut silent = Vec::new();
        for number in 0..=CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let half: &[u8] = if number % 2 == 0 { b"" } else { b"GET /from HT" };
            stream.write_all(half).await.unwrap();
            silent.push(stream);
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = asked(&mut stream, "GET /from HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
