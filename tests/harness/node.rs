//! One node: its process, its folder, its Admin service.

use super::{WAIT_MAX, binary, brief, encryption::Encryption};
use group0_api::v1::{GetSchemaRequest, GetStatusRequest, ProceedRequest, Status, WatchStatusRequest, admin_client::AdminClient};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::ExitStatus,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

/// A process that does not listen yet refuses at once; this bounds how often it is asked.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Lines of the node's log that a failure shows.
const LOG_TAIL_LINES: usize = 40;
/// SIGKILL, by number as an exit status has it.
const SIGKILL: i32 = 9;

/// How a node is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// `consistent_cluster_management` and its hold, by environment.
    pub flag_and_hold: bool,
    /// A point, with `before_` or `after_`, at which the process kills itself.
    pub injection: Option<String>,
    /// `replace_node_first_boot`: the id of the host whose place it takes.
    pub replaces: Option<String>,
}

/// One node.
pub struct Node {
    address: Ipv4Addr,
    seed: Ipv4Addr,
    folder: PathBuf,
    encryption: Option<Encryption>,
    process: Option<Child>,
}

impl Node {
    /// Not started yet.
    pub fn new(address: Ipv4Addr, seed: Ipv4Addr, folder: PathBuf, encryption: Option<Encryption>) -> Self {
        fs::create_dir_all(folder.join("conf")).expect("the test's folder can be written");
        Self { address, seed, folder, encryption, process: None }
    }

    /// Where it listens.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).expect("only a running node has a process")
    }

    /// Where CQL clients connect.
    pub fn cql(&self) -> SocketAddr {
        (self.address, 9042).into()
    }

    /// Starts the process. It ends with this value at the latest.
    pub fn start(&mut self, start: &Start) {
        assert!(self.process.is_none(), "{} runs already", self.address);
        let config = self.folder.join("conf/scylla.yaml");
        fs::write(&config, self.config(start)).expect("the test's folder can be written");
        let log =
            OpenOptions::new().create(true).append(true).open(self.folder.join("log")).expect("the test's folder can be written");
        let mut command = Command::new(binary::group0_node());
        command.arg("--config").arg(&config).env_clear().current_dir(&self.folder);
        command.stdout(log.try_clone().expect("a file can be written by two")).stderr(log).kill_on_drop(true);
        if start.flag_and_hold {
            command.env("GROUP0_CONSISTENT_CLUSTER_MANAGEMENT", "true").env("GROUP0_CONSISTENT_CLUSTER_MANAGEMENT_HOLD", "true");
        }
        self.process = Some(command.spawn().expect("the node's program starts"));
    }

    fn config(&self, start: &Start) -> String {
        let Self { address, seed, folder, encryption, process: _ } = self;
        let mut yaml = format!("cluster_name: crash test\nworkdir: {}\nseeds: [{seed}]\n", folder.display());
        yaml.push_str("enable_error_injections: true\n");
        for key in ["listen_address", "broadcast_address", "rpc_address", "admin_address", "api_address", "prometheus_address"] {
            writeln!(yaml, "{key}: {address}").expect("a string takes text");
        }
        if let Some(encryption) = encryption {
            encryption.write_keys(&mut yaml);
        }
        if let Some(host) = &start.replaces {
            writeln!(yaml, "replace_node_first_boot: {host}").expect("a string takes text");
        }
        if let Some(point) = &start.injection {
            writeln!(yaml, "error_injections_at_startup: [{point}]").expect("a string takes text");
        }
        yaml
    }

    /// Asks the process to drain and end, and demands that it does so well.
    pub async fn stop(&mut self) {
        let process = self.process.as_ref().expect("only a running node is stopped");
        let id = process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(id.expect("it has not ended by itself"), rustix::process::Signal::TERM)
            .expect("a signal to our child");
        let status = self.ended("to end after SIGTERM").await;
        assert!(status.success(), "{} ended with {status} after SIGTERM\n{}", self.address, self.log_tail());
    }

    /// Waits until the process has killed itself.
    pub async fn killed(&mut self) {
        let status = self.ended("to kill itself at its injection point").await;
        assert_eq!(
            status.signal(),
            Some(SIGKILL),
            "{} ended with {status}, not by its injection\n{}",
            self.address,
            self.log_tail()
        );
    }

    /// Kills the process, unless it has ended already.
    pub async fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().await.expect("a child can be killed");
        }
        self.process = None;
    }

    /// Waits until the process has ended by itself, and gives its code.
    pub async fn exited(&mut self) -> Option<i32> {
        self.ended("to end by itself").await.code()
    }

    /// Removes its data. It must not run.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "{} runs", self.address);
        for entry in fs::read_dir(&self.folder).expect("the test's folder can be read").flatten() {
            let path = entry.path();
            match path.file_name().and_then(|name| name.to_str()) {
                Some("conf" | "log") => {}
                _ if path.is_dir() => fs::remove_dir_all(path).expect("the test's folder can be written"),
                _ => fs::remove_file(path).expect("the test's folder can be written"),
            }
        }
    }

    /// What its REST API answers to a POST: code and body.
    pub async fn post(&self, path: &str) -> (u16, String) {
        self.try_post(path).await.expect("the REST API answers")
    }

    /// The same of a node that may die over it.
    pub async fn try_post(&self, path: &str) -> io::Result<(u16, String)> {
        self.rest("POST", path).await
    }

    /// What its REST API answers to a request: code and body.
    pub async fn rest(&self, method: &str, path: &str) -> io::Result<(u16, String)> {
        let asked = async {
            let mut stream = TcpStream::connect((self.address, 10_000)).await?;
            let request = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = timeout(WAIT_MAX, asked).await.expect("the REST API answers in time")?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a code");
        Ok((code, body.to_owned()))
    }

    /// From now on it has this error, as a point with `before_` or `after_` does that names one.
    pub async fn inject(&self, error: &str) {
        let answer = self.post(&format!("/v2/error_injection/injection/{error}")).await;
        assert_eq!(answer, (200, String::new()), "{error}");
    }

    async fn ended(&mut self, what: &str) -> ExitStatus {
        let process = self.process.as_mut().expect("only a running node ends");
        let Ok(status) = timeout(WAIT_MAX, process.wait()).await else { self.give_up(what, None) };
        self.process = None;
        status.expect("a child can be waited for")
    }

    /// Waits for a status with this property, over restarts of the node, and gives it.
    pub async fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        let found = timeout(WAIT_MAX, async {
            loop {
                if let Ok(found) = self.watch(&mut last, &holds).await {
                    return found;
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        });
        match found.await {
            Ok(status) => status,
            Err(_) => self.give_up(what, last.as_ref()),
        }
    }

    /// Watches one stream until the property holds or the stream ends.
    async fn watch(&self, last: &mut Option<Status>, holds: &impl Fn(&Status) -> bool) -> Result<Status, tonic::Status> {
        let mut updates = self.admin().await?.watch_status(WatchStatusRequest {}).await?.into_inner();
        while let Some(status) = updates.message().await? {
            if holds(&status) {
                return Ok(status);
            }
            *last = Some(status);
        }
        Err(tonic::Status::unavailable("the stream ended"))
    }

    fn give_up(&self, what: &str, last: Option<&Status>) -> ! {
        let last = last.map_or_else(|| "it never answered".to_owned(), brief);
        panic!("{} {what}: not within {WAIT_MAX:?}\nlast status: {last}\n{}", self.address, self.log_tail())
    }

    /// Its status now.
    pub async fn status(&self) -> Result<Status, tonic::Status> {
        within(async { Ok(self.admin().await?.get_status(GetStatusRequest {}).await?.into_inner()) }).await
    }

    /// Lifts the hold.
    pub async fn proceed(&self) -> Result<(), tonic::Status> {
        within(async { self.admin().await?.proceed(ProceedRequest::default()).await.map(drop) }).await
    }

    /// Every row of its schema, with timestamps.
    pub async fn schema(&self) -> Result<Vec<String>, tonic::Status> {
        within(async {
            let mut parts = self.admin().await?.get_schema(GetSchemaRequest {}).await?.into_inner();
            let mut rows = Vec::new();
            while let Some(part) = parts.message().await? {
                rows.extend(part.rows);
            }
            Ok(rows)
        })
        .await
    }

    async fn admin(&self) -> Result<AdminClient<Channel>, tonic::Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}:7001", self.address)).expect("an address");
        let connected = match &self.encryption {
            Some(encryption) => endpoint.connect_with_connector(encryption.client().connector(None)).await,
            None => endpoint.connect().await,
        };
        connected.map(AdminClient::new).map_err(|error| tonic::Status::unavailable(error.to_string()))
    }

    /// What the node wrote, in all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The end of that.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("log of {}:\n{}", self.address, lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
    }
}

async fn within<T>(call: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, tonic::Status> {
    timeout(WAIT_MAX, call).await.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("the node did not answer")))
}
