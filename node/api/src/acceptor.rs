//! Takes the connections of a listener, and bears what keeps it from doing so.

use futures::{Stream, StreamExt as _, stream};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

/// Between two tries: without descriptors or memory the next one fails at once, too.
const AGAIN: Duration = Duration::from_millis(100);
/// Between two complaints of one listener.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Who connects has something to say by then.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// Connections that have said nothing yet, at once. Past this others wait with the operating system.
const SILENT_MAX: usize = 4096;

/// A listener whose failures end nothing and keep nobody busy.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    said: Option<Instant>,
}

impl Acceptor {
    /// Of that listener.
    pub const fn new(listener: TcpListener) -> Self {
        Self { listener, said: None }
    }

    /// The next connection, and from where it is.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) if stream.set_nodelay(true).is_ok() => return (stream, from),
                // It is gone already.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.complain(&error);
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// All of them from here on that say something in time, as they do so. Those that do not are let go, and hold up nobody meanwhile.
    pub fn connections(self) -> impl Stream<Item = TcpStream> {
        let all = stream::unfold(self, async |mut acceptor| {
            let (stream, _) = acceptor.accept().await;
            Some((stream, acceptor))
        });
        all.map(greeting).buffer_unordered(SILENT_MAX).filter_map(std::future::ready)
    }

    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.said.is_none_or(|said| now - said >= SAID_EVERY) {
            self.said = Some(now);
            let at = self.listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(target: "rpc", at, %error, "no connection can be accepted now; trying on");
        }
    }
}

/// A socket may count as readable without being so: only a byte tells.
async fn greeting(stream: TcpStream) -> Option<TcpStream> {
    matches!(timeout(GREETING_MAX, stream.peek(&mut [0])).await, Ok(Ok(1))).then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::{Acceptor, GREETING_MAX};
    use futures::StreamExt as _;
    use std::pin::pin;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::{Instant, timeout},
    };

    #[tokio::test(start_paused = true)]
    async fn whoever_is_silent_holds_up_nobody_and_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = pin!(Acceptor::new(listener).connections());
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"x").await.unwrap();
        let came = connections.next().await.unwrap();
        assert_eq!(came.peer_addr().unwrap(), other.local_addr().unwrap());
        let begin = Instant::now();
        assert!(timeout(2 * GREETING_MAX, connections.next()).await.is_err(), "a silent one has come through");
        assert_eq!((silent.read(&mut [0]).await.unwrap(), begin.elapsed()), (0, 2 * GREETING_MAX));
    }
}
