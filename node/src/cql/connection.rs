//! One connection: reads frames, has each request answered by a task of its own, writes answers and events as they come.

use super::{
    ANSWERS_QUEUED_MAX, Backend, Counts, CqlServer, DRAIN_MAX, GREETING_MAX, IN_FLIGHT_MAX, WRITE_MAX,
    codec::{Frame, FrameError},
    intake::{self, Received, Room},
    session::{Answer, Place, Session},
};
use futures::{StreamExt, stream::BoxStream};
use group0_core::cql::frame::{ErrorBody, Event, HEADER_LEN, Request, Response, VERSION, unsupported_version};
use std::{
    io::{self, ErrorKind},
    pin::pin,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    io::{AsyncWriteExt, BufWriter},
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::{broadcast, mpsc},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Of an event.
const NO_STREAM: i16 = -1;

/// Of what is said about the connection, not about a request. Drivers look here for the answer to a version that they only try.
const CONNECTION_STREAM: i16 = 0;

/// A frame to be written, and the place that is free again when it is.
struct Outgoing(Vec<u8>, Option<Place>);

/// Serves `socket` until either side ends it.
pub(super) async fn run<B: Backend>(server: Arc<CqlServer<B>>, socket: TcpStream, shutdown: CancellationToken) {
    let (read, write) = socket.into_split();
    let (answers, queue) = mpsc::channel(ANSWERS_QUEUED_MAX);
    let mut writer = pin!(write_all(write, queue));
    let connection = Connection {
        frames: intake::frames(read, server.room.clone()),
        events: server.backend.events(),
        session: Arc::new(Session::new(server.clone())),
        server,
        answers,
        tasks: JoinSet::new(),
    };
    let mut reader = pin!(connection.run(shutdown));
    tokio::select! {
        () = &mut writer => {}
        () = &mut reader => {
            // What was answered is still written, but not to a client that does not read.
            let _ = time::timeout(DRAIN_MAX, writer).await;
        }
    }
}

/// Writes what is queued; flushes when nothing more is.
async fn write_all(write: OwnedWriteHalf, queue: mpsc::Receiver<Outgoing>) {
    if let Err(error) = try_write_all(write, queue).await {
        debug!(target: "cql", %error, "closing a connection that takes no answers");
    }
}

async fn try_write_all(write: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>) -> io::Result<()> {
    let mut write = BufWriter::new(write);
    while let Some(Outgoing(frame, _place)) = queue.recv().await {
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let written = time::timeout(WRITE_MAX, write.write(rest)).await??;
            rest = rest.get(written..).filter(|_| written > 0).ok_or(ErrorKind::WriteZero)?;
        }
        if queue.is_empty() {
            time::timeout(WRITE_MAX, write.flush()).await??;
        }
    }
    write.shutdown().await
}

struct Connection<B> {
    frames: BoxStream<'static, Result<Received, FrameError>>,
    events: broadcast::Receiver<Event>,
    session: Arc<Session<B>>,
    server: Arc<CqlServer<B>>,
    answers: mpsc::Sender<Outgoing>,
    tasks: JoinSet<()>,
}

/// Whether there is anything more to read.
enum Next {
    Go,
    Stop,
}

impl<B: Backend> Connection<B> {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut greeting = pin!(time::sleep(GREETING_MAX));
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => break,
                () = &mut greeting, if !self.session.has_started() => break,
                Some(_) = self.tasks.join_next() => Next::Go,
                received = self.frames.next(), if self.tasks.len() < IN_FLIGHT_MAX => match received {
                    // Nobody waits for what is under way.
                    None => return,
                    Some(received) => self.frame(received).await,
                },
                event = self.events.recv() => self.event(event).await,
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        let _ = time::timeout(DRAIN_MAX, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    async fn frame(&mut self, received: Result<Received, FrameError>) -> Next {
        let (Frame { header, body }, room) = match received {
            Ok(received) => received,
            Err(error) => return self.unreadable(error).await,
        };
        self.server.counts.bytes_received.fetch_add((HEADER_LEN + body.len()) as u64, Ordering::Relaxed);
        if header.version != VERSION {
            return self.refuse(CONNECTION_STREAM, unsupported_version(header.version)).await;
        }
        match Request::read(&header, &body) {
            Ok(request) => {
                self.start(header.stream, request, room);
                Next::Go
            }
            Err(reason) => self.refuse(header.stream, ErrorBody::Protocol(reason.to_string())).await,
        }
    }

    /// Answers `request` beside everything else.
    fn start(&mut self, stream: i16, request: Request, room: Option<Room>) {
        let (session, answers, counts) = (self.session.clone(), self.answers.clone(), self.server.counts.clone());
        self.tasks.spawn(async move {
            let Answer { response, place } = session.answer(request).await;
            Counts::add(&counts.requests);
            if matches!(response, Response::Error(_)) {
                Counts::add(&counts.errors);
            }
            drop(room);
            let _ = answers.send(Outgoing(response.write(stream), place)).await;
        });
    }

    async fn refuse(&mut self, stream: i16, error: ErrorBody) -> Next {
        Counts::add(&self.server.counts.errors);
        self.send(Response::Error(error).write(stream)).await
    }

    async fn send(&mut self, frame: Vec<u8>) -> Next {
        match self.answers.send(Outgoing(frame, None)).await {
            Ok(()) => Next::Go,
            Err(_) => Next::Stop,
        }
    }

    async fn unreadable(&mut self, error: FrameError) -> Next {
        debug!(target: "cql", %error, "closing a connection");
        match error {
            FrameError::Io(_) => {}
            FrameError::OldVersion(version) => {
                self.refuse(CONNECTION_STREAM, unsupported_version(version)).await;
            }
            FrameError::Malformed { stream, reason } => {
                self.refuse(stream, ErrorBody::Protocol(reason.to_string())).await;
            }
        }
        Next::Stop
    }

    /// A client that has missed events would go on with an old picture: it is better off connecting anew.
    async fn event(&mut self, event: Result<Event, broadcast::error::RecvError>) -> Next {
        match event {
            Ok(event) if self.session.wants(event.kind()) => self.send(Response::Event(event).write(NO_STREAM)).await,
            Ok(_) => Next::Go,
            Err(broadcast::error::RecvError::Lagged(_)) if !self.session.wants_any() => Next::Go,
            Err(_) => Next::Stop,
        }
    }
}
