//! A small CQL client, one request at a time: for tests, demonstrations and probes.

use super::codec::{Frame, FrameDecoder, FrameError};
use futures::StreamExt;
use group0_core::{
    cql::frame::{ErrorBody, Event, Malformed, Parameters, Request, Response, read_response},
    io::{ResultSet, SchemaEvent},
};
use std::{collections::VecDeque, io, net::SocketAddr};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::codec::FramedRead;

/// Of an event.
const NO_STREAM: i16 = -1;

/// A connection. After a transport failure, or after a future of it was dropped half-way, make a new one.
#[derive(Debug)]
pub struct CqlClient {
    frames: FramedRead<OwnedReadHalf, FrameDecoder>,
    write: OwnedWriteHalf,
    stream: i16,
    events: VecDeque<Event>,
}

/// What a statement brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done.
    Void,
    /// The session uses this keyspace.
    SetKeyspace(String),
    /// All rows.
    Rows(ResultSet),
    /// The schema was changed.
    SchemaChange(SchemaEvent),
}

impl Answer {
    /// The rows, none if it is not a set of rows.
    pub fn into_rows(self) -> ResultSet {
        match self {
            Self::Rows(set) => set,
            _ => ResultSet::default(),
        }
    }
}

/// Why a statement brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The outcome is unknown: the connection could not be made, or it broke.
    #[error("connection: {0}")]
    Transport(#[from] io::Error),
    /// The server said what the protocol does not allow; the outcome is unknown.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The server answered with an error; [`ErrorBody::code`] tells which.
    #[error("server error 0x{:04X}: {}", .0.code(), .0.message())]
    Server(ErrorBody),
}

impl ClientError {
    /// The protocol's code if the server answered.
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Server(error) => Some(error.code()),
            _ => None,
        }
    }
}

impl From<Malformed> for ClientError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(malformed.to_string())
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Transport(error),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl CqlClient {
    /// Connects and starts a session.
    pub async fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let mut client = Self { frames: FramedRead::new(read, FrameDecoder), write, stream: 0, events: VecDeque::new() };
        let options = [("CQL_VERSION".to_owned(), "3.0.0".to_owned())];
        client.request(&Request::Startup(options.into())).await?;
        Ok(client)
    }

    /// Runs one statement.
    pub async fn query(&mut self, text: &str) -> Result<Answer, ClientError> {
        let response = self.request(&Request::Query { text: text.to_owned(), parameters: Parameters::default() }).await?;
        answer(response)
    }

    /// Registers for events of these kinds.
    pub async fn register(&mut self, kinds: &[&str]) -> Result<(), ClientError> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self.request(&Request::Register(kinds)).await.map(|_| ())
    }

    /// The next event.
    pub async fn event(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.receive().await?;
        }
    }

    /// Sends any request and awaits its response. An error is an `Err`.
    pub async fn request(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.stream = self.stream.checked_add(1).unwrap_or(0);
        self.write.write_all(&request.write(self.stream)).await?;
        loop {
            match self.receive().await? {
                Some((stream, Response::Error(error))) if stream == self.stream => return Err(ClientError::Server(error)),
                Some((stream, response)) if stream == self.stream => return Ok(response),
                _ => {}
            }
        }
    }

    /// The next response with its stream; an event is put aside.
    async fn receive(&mut self) -> Result<Option<(i16, Response)>, ClientError> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
        let Frame { header, body } = self.frames.next().await.ok_or_else(closed)??;
        match read_response(&header, &body)? {
            Response::Event(event) if header.stream == NO_STREAM => {
                self.events.push_back(event);
                Ok(None)
            }
            response => Ok(Some((header.stream, response))),
        }
    }
}

fn answer(response: Response) -> Result<Answer, ClientError> {
    match response {
        Response::Void => Ok(Answer::Void),
        Response::SetKeyspace(keyspace) => Ok(Answer::SetKeyspace(keyspace)),
        Response::Rows(rows) => Ok(Answer::Rows(rows.set)),
        Response::SchemaChange(event) => Ok(Answer::SchemaChange(event)),
        other => Err(ClientError::Protocol(format!("no answer to a query: {other:?}"))),
    }
}
