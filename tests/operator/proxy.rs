//! Stands between an operator and what it acts on, the API server and nodes: numbers what changes something, and answers some requests
//! as the test says.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use kube::Client;
use serde_json::json;
use std::{
    fs,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// An object of the API is smaller.
const REQUEST_MAX: usize = 4 << 20;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on, and so is its answer.
    Passed,
    /// It is answered by this code, and not passed on.
    Refused(u16),
    /// It is neither passed on nor answered.
    Held,
    /// It is passed on, and its answer never comes.
    Unanswered,
    /// It is passed on, and the connection breaks before its answer.
    Lost,
    /// It is passed on, and what was to be a stream ends.
    CutShort,
}

/// A request, as a rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As RBAC names it, roughly: `patch /apis/apps/v1/namespaces/n/statefulsets/db`; of a node's verb `post /group0.v1.Admin/Proceed`.
    pub text: String,
    /// The number of this write or verb, from 1; 0 of what only reads.
    pub write: usize,
    /// Whether it is a watch.
    pub watch: bool,
}

/// Decides each request's fate.
pub type Rule = Box<dyn FnMut(&Asked) -> Fate + Send>;

#[derive(Clone)]
enum Behind {
    ApiServer(Client),
    Node(Channel),
}

struct Shared {
    rule: Mutex<Rule>,
    writes: Mutex<Vec<String>>,
    reads: AtomicUsize,
    stuck: watch::Sender<bool>,
}

/// It ends when it is dropped.
pub struct Proxy {
    /// What names it instead of the API server.
    pub kubeconfig: PathBuf,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Proxy {
    /// Speaks to the API server by that client.
    pub async fn start(client: Client, address: Ipv4Addr, folder: &Path, rule: Rule) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let kubeconfig = folder.join("proxy.kubeconfig");
        fs::write(&kubeconfig, config(listener.local_addr().unwrap())).unwrap();
        let shared = Shared {
            rule: Mutex::new(rule),
            writes: Mutex::default(),
            reads: AtomicUsize::new(0),
            stuck: watch::Sender::new(false),
        };
        let mut proxy = Self { kubeconfig, shared: Arc::new(shared), tasks: Vec::new() };
        proxy.serve(listener, Behind::ApiServer(client));
        proxy
    }

    /// Stands before the Admin service of a node, too: whoever asks at `address` asks it.
    pub async fn before_node(&mut self, address: SocketAddr, node: SocketAddr) {
        let listener = TcpListener::bind(address).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{node}")).unwrap();
        self.serve(listener, Behind::Node(endpoint.connect_lazy()));
    }

    fn serve(&mut self, listener: TcpListener, behind: Behind) {
        let app = Router::new().fallback(forward).with_state((self.shared.clone(), behind));
        self.tasks.push(tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }));
    }

    /// Every write and verb so far.
    pub fn writes(&self) -> Vec<String> {
        self.shared.writes.lock().unwrap().clone()
    }

    /// How many requests have come that only read, watches apart.
    pub fn reads(&self) -> usize {
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// Whether a request has been left unanswered; changes when one is.
    pub fn stuck(&self) -> watch::Receiver<bool> {
        self.shared.stuck.subscribe()
    }
}

fn config(server: SocketAddr) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{server}")}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    });
    config.to_string()
}

async fn forward(State((shared, behind)): State<(Arc<Shared>, Behind)>, request: Request) -> Response {
    let asked = asked(&shared, &request);
    let fate = (shared.rule.lock().unwrap())(&asked);
    match fate {
        Fate::Refused(code) => return refusal(code),
        Fate::Held => return shared.leave_unanswered().await,
        _ => {}
    }
    let answer = behind.ask(request).await;
    match fate {
        Fate::Unanswered => shared.leave_unanswered().await,
        Fate::Lost => broken(),
        Fate::CutShort => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], Body::empty()).into_response(),
        _ => answer,
    }
}

impl Shared {
    async fn leave_unanswered(&self) -> Response {
        self.stuck.send_replace(true);
        pending().await
    }
}

impl Behind {
    async fn ask(&self, request: Request) -> Response {
        match self {
            Self::ApiServer(client) => {
                let (mut parts, body) = request.into_parts();
                // The client has its own.
                parts.headers.remove("host");
                parts.headers.remove("accept-encoding");
                let body = to_bytes(body, REQUEST_MAX).await.unwrap();
                let answer = client.send(axum::http::Request::from_parts(parts, body.to_vec().into())).await;
                answer.map_or_else(|error| no_answer(&error), |answer| answer.map(Body::new))
            }
            Self::Node(channel) => {
                let answer = channel.clone().oneshot(request.map(tonic::body::Body::new)).await;
                answer.map_or_else(|error| no_answer(&error), |answer| answer.map(Body::new))
            }
        }
    }
}

fn no_answer(error: &dyn std::error::Error) -> Response {
    (StatusCode::BAD_GATEWAY, error.to_string()).into_response()
}

fn asked(shared: &Shared, request: &Request) -> Asked {
    let text = format!("{} {}", request.method().as_str().to_lowercase(), request.uri().path());
    let asks_for = |what| request.uri().query().is_some_and(|query| query.contains(what));
    let watch = asks_for("watch=true");
    // The lease is renewed by the clock: whether it is says nothing of what the operator does.
    let only_reads = ["/leases", "Admin/GetStatus", "Admin/WatchStatus", "Admin/GetSchema"];
    if request.method() == Method::GET || only_reads.iter().any(|path| text.contains(path)) || asks_for("dryRun=All") {
        let is_read = request.method() == Method::GET && !watch && !text.contains("/leases");
        shared.reads.fetch_add(usize::from(is_read), Ordering::Relaxed);
        return Asked { text, write: 0, watch };
    }
    let mut writes = shared.writes.lock().unwrap();
    writes.push(text.clone());
    Asked { text, write: writes.len(), watch }
}

fn refusal(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": "the test says so"});
    let code = StatusCode::from_u16(code).unwrap();
    (code, [(CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}

/// More is promised than comes, so that whoever reads it sees a broken connection.
fn broken() -> Response {
    let body = Body::from_stream(futures::stream::iter([Err::<String, _>(std::io::Error::other("broken off"))]));
    (StatusCode::OK, [(CONTENT_TYPE, "application/json")], body).into_response()
}
