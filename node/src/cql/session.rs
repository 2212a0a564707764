//! What a connection has agreed on, and the answers to its requests.

use super::{
    Backend, CqlServer, READS_MAX,
    prepared::{self, Remembered},
};
use group0_core::{
    cql::{
        ast::Statement,
        bind::bind,
        frame::{ErrorBody, Event, Parameters, Request, Response, RowsBody},
        parse,
    },
    io::{ClientReply, ClientRequest, CqlError, ResultSet},
    value::CqlType,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The language that is spoken, as drivers compare it.
const CQL_VERSION: &str = "3.4.5";

/// One of [`READS_MAX`].
pub(super) type Place = OwnedSemaphorePermit;

/// What a request is answered, and the place that the answer takes until it is written.
pub(super) struct Answer {
    pub response: Response,
    pub place: Option<Place>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self { response, place: None }
    }
}

/// A connection's state.
#[derive(Debug)]
pub(super) struct Session<B> {
    server: Arc<CqlServer<B>>,
    started: AtomicBool,
    /// Kinds of events that it has registered for.
    kinds: Mutex<BTreeSet<String>>,
    keyspace: Mutex<Option<String>>,
    reads: Arc<Semaphore>,
}

impl<B: Backend> Session<B> {
    /// Before STARTUP.
    pub fn new(server: Arc<CqlServer<B>>) -> Self {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        Self { server, started: AtomicBool::new(false), kinds: Mutex::default(), keyspace: Mutex::default(), reads }
    }

    /// Whether STARTUP was accepted.
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Whether the client registered for events of this kind.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds().contains(kind)
    }

    /// Whether the client registered for any events.
    pub fn wants_any(&self) -> bool {
        !self.kinds().is_empty()
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Answer {
        self.respond(request).await.unwrap_or_else(|error| Response::Error(error).into())
    }

    async fn respond(&self, request: Request) -> Result<Answer, ErrorBody> {
        if !self.has_started() && !matches!(request, Request::Options | Request::Startup(_)) {
            return Err(ErrorBody::Protocol("Unexpected message, expecting STARTUP or OPTIONS".to_owned()));
        }
        match request {
            Request::Options => Ok(supported().into()),
            Request::Startup(options) => self.startup(&options).map(Answer::from),
            Request::Register(kinds) => self.register(kinds).map(Answer::from),
            Request::AuthResponse => Err(ErrorBody::Protocol("Authentication is off".to_owned())),
            Request::Batch => Err(invalid("BATCH is not supported: a metadata node stores no data")),
            Request::Query { text, parameters } => self.query(text, &parameters).await,
            Request::Prepare { text } => self.prepare(text).await.map(Answer::from),
            Request::Execute { id, parameters } => self.execute(id, &parameters).await,
        }
    }

    fn startup(&self, options: &BTreeMap<String, String>) -> Result<Response, ErrorBody> {
        if let Some(compression) = options.get("COMPRESSION").filter(|name| !name.is_empty()) {
            return Err(ErrorBody::Protocol(format!("Unknown compression algorithm: {compression}")));
        }
        if !options.contains_key("CQL_VERSION") {
            return Err(ErrorBody::Protocol("Missing value CQL_VERSION in STARTUP message".to_owned()));
        }
        self.started.store(true, Ordering::Relaxed);
        Ok(Response::Ready)
    }

    /// Adds to what was registered for before; nothing if one of them is unknown.
    fn register(&self, kinds: Vec<String>) -> Result<Response, ErrorBody> {
        if let Some(unknown) = kinds.iter().find(|kind| !Event::KINDS.contains(&kind.as_str())) {
            return Err(ErrorBody::Protocol(format!("Invalid event type: {unknown}")));
        }
        self.kinds().extend(kinds);
        Ok(Response::Ready)
    }

    async fn query(&self, text: String, parameters: &Parameters) -> Result<Answer, ErrorBody> {
        let prepared = parse::prepare(&text).map_err(ErrorBody::Cql)?;
        let statement = bind(&prepared, &parameters.values).map_err(ErrorBody::Cql)?;
        self.run(ClientRequest { statement, text, keyspace: self.keyspace() }, parameters, None).await
    }

    async fn prepare(&self, text: String) -> Result<Response, ErrorBody> {
        let prepared = parse::prepare(&text).map_err(ErrorBody::Cql)?;
        let remembered = Remembered { prepared, text, keyspace: self.keyspace(), columns: None };
        let body = prepared::describe(&self.server.backend, &remembered).await.map_err(ErrorBody::Cql)?;
        self.server.prepared.remember(body.id.clone(), Remembered { columns: body.columns.clone(), ..remembered });
        Ok(Response::Prepared(body))
    }

    async fn execute(&self, id: Vec<u8>, parameters: &Parameters) -> Result<Answer, ErrorBody> {
        let remembered = self.server.prepared.get(&id).ok_or(ErrorBody::Unprepared(id))?;
        let statement = bind(&remembered.prepared, &parameters.values).map_err(ErrorBody::Cql)?;
        let keyspace = remembered.keyspace.clone().or_else(|| self.keyspace());
        let request = ClientRequest { statement, text: remembered.text.clone(), keyspace };
        self.run(request, parameters, remembered.columns.as_deref()).await
    }

    /// `known` are the columns of the result that the client knows of.
    async fn run(
        &self,
        request: ClientRequest,
        parameters: &Parameters,
        known: Option<&[(String, CqlType)]>,
    ) -> Result<Answer, ErrorBody> {
        if let Statement::Unsupported(what) = &request.statement {
            return Err(invalid(&format!("{what} is not supported by a metadata node")));
        }
        // A schema change may wait for others, and must not keep reads from their places; its answer is short.
        let is_short = request.statement.is_schema_change();
        let place = if is_short { None } else { self.reads.clone().acquire_owned().await.ok() };
        let response = self.ask(request, parameters, known).await?;
        Ok(Answer { response, place })
    }

    async fn ask(
        &self,
        request: ClientRequest,
        parameters: &Parameters,
        known: Option<&[(String, CqlType)]>,
    ) -> Result<Response, ErrorBody> {
        match self.server.backend.query(request).await {
            ClientReply::Void => Ok(Response::Void),
            ClientReply::SetKeyspace(keyspace) => {
                *self.keyspace.lock().unwrap_or_else(PoisonError::into_inner) = Some(keyspace.clone());
                Ok(Response::SetKeyspace(keyspace))
            }
            ClientReply::Rows(set) => {
                let user_types = prepared::user_types(&self.server.backend, &set.keyspace, &set.columns).await;
                let skip_metadata = parameters.skip_metadata && known == Some(set.columns.as_slice());
                let (set, paging_state) = page(set, parameters)?;
                Ok(Response::Rows(RowsBody { set, paging_state, skip_metadata, user_types }))
            }
            ClientReply::SchemaChange(event) => Ok(Response::SchemaChange(event)),
            ClientReply::Error(error) => Err(ErrorBody::Cql(error)),
        }
    }

    fn keyspace(&self) -> Option<String> {
        self.keyspace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn invalid(message: &str) -> ErrorBody {
    ErrorBody::Cql(CqlError::Invalid(message.to_owned()))
}

fn supported() -> Response {
    let option = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    let options = [option("COMPRESSION", &[]), option("CQL_VERSION", &[CQL_VERSION]), option("PROTOCOL_VERSIONS", &["4/v4"])];
    Response::Supported(options.into())
}

/// The page that was asked for, and where the next one starts. Nothing is kept between pages: each runs the statement anew.
fn page(mut set: ResultSet, parameters: &Parameters) -> Result<(ResultSet, Option<Vec<u8>>), ErrorBody> {
    let start = match &parameters.paging_state {
        None => 0,
        Some(state) => {
            let state = <[u8; 8]>::try_from(state.as_slice()).ok().map(u64::from_be_bytes);
            let start = state.and_then(|start| usize::try_from(start).ok());
            start.ok_or_else(|| ErrorBody::Protocol("Invalid value for the paging state".to_owned()))?
        }
    };
    let size = parameters.page_size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    let end = size.map_or(usize::MAX, |size| start.saturating_add(size));
    let more = set.rows.len() > end;
    set.rows.truncate(end);
    set.rows.drain(..start.min(set.rows.len()));
    Ok((set, more.then(|| (end as u64).to_be_bytes().to_vec())))
}
