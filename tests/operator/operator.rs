//! One process of the operator.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How it is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Where the API server is.
    pub kubeconfig: PathBuf,
    /// The namespace that it looks after, where the lease is, too.
    pub namespace: String,
    /// Where it serves.
    pub http: SocketAddr,
    /// What it is called in the lease.
    pub identity: String,
    /// Where its log is.
    pub log: PathBuf,
}

/// A process; it ends with this value at the latest.
pub struct Operator {
    process: Child,
    http: SocketAddr,
    log: PathBuf,
}

impl Operator {
    /// Starts it.
    pub fn start(start: &Start) -> Self {
        let log = File::options().create(true).append(true).open(&start.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_group0-operator"));
        command.arg("run").args(["--namespace", &start.namespace, "--lease-namespace", &start.namespace]);
        command.args(["--identity", &start.identity, "--http-address", &start.http.to_string()]);
        command.env("KUBECONFIG", &start.kubeconfig).env("RUST_LOG", "info,kube_client=error");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Self { process: command.spawn().unwrap(), http: start.http, log: start.log.clone() }
    }

    /// What it has in memory, in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// SIGTERM once it is up, and it must end well.
    pub async fn terminate(mut self) {
        while TcpStream::connect(self.http).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        let id = self.process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = timeout(Duration::from_secs(10), self.process.wait()).await.expect("it ends in time").unwrap();
        assert!(status.success(), "{status} after SIGTERM: {}", tail(&self.log));
    }
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
