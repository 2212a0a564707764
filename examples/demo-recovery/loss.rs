//! Machines that break with their disks, and what was thought to be destroyed coming back.

use crate::{
    Why,
    cluster::{Cluster, program},
};
use group0_operator::admin::Admin;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

/// Where a node that is armed dies.
const INJECTION: &str = "error_injections_at_startup: [before_group0_synchronize]\n";
/// One call to the Admin service.
const CALL: Duration = Duration::from_secs(5);
/// How often something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Whoever is refused notices within this.
const NOTICE: Duration = Duration::from_secs(30);

/// A host whose machine broke.
pub struct Lost {
    host: String,
    /// What was on its disk, in truth.
    data: PathBuf,
    /// The configuration that it had.
    config: PathBuf,
}

/// Waits for the node's configuration and adds the injection to it, which its next start reads.
pub async fn arm(cluster: &mut Cluster, index: usize) -> Result<(), Why> {
    let path = config(cluster, index);
    while !path.exists() {
        cluster.still_runs()?;
        sleep(LOOK_EVERY).await;
    }
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    fs::write(&path, text + INJECTION).map_err(|error| format!("{}: {error}", path.display()))
}

/// Its data is gone from where it was; the process, which still has it open, does not live on for long.
pub async fn take_data(cluster: &Cluster, index: usize) -> Result<Lost, Why> {
    let address = cluster.addresses().get(index).ok_or("no such node")?;
    let host = Admin::connect(SocketAddr::new(*address, 7001), CALL, None).await?.status().await?.host_id;
    let folder = folder(cluster, index);
    let data = folder.join(format!("lost-{host}"));
    fs::rename(folder.join("data"), &data).map_err(|error| format!("{}: {error}", data.display()))?;
    let path = config(cluster, index);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?.replace(INJECTION, "");
    // What replaces it is not armed.
    fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Lost { host, data, config: path })
}

/// As a power failure does it.
pub fn kill(cluster: &Cluster, index: usize) -> Result<(), Why> {
    let path = folder(cluster, index).join("pid");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let pid = text.split(' ').next().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("{}: '{text}'", path.display()))?;
    kill_process(pid, Signal::KILL).map_err(|error| error.to_string())
}

/// The lost start once more, with their data, on addresses of their own. Returns those whom nobody heard, and who know it.
pub async fn come_back(cluster: &Cluster, lost: &[Lost]) -> Result<Vec<String>, Why> {
    println!("==> the disks were not destroyed after all: the dead come back");
    let mut refused = Vec::new();
    for (number, lost) in lost.iter().enumerate() {
        let first = cluster.addresses().first().ok_or("no nodes")?;
        let address = spare(*first, number)?;
        let config = lost.data.with_extension("yaml");
        let text = fs::read_to_string(&lost.config).map_err(|error| format!("{}: {error}", lost.config.display()))?;
        fs::write(&config, moved(&text, lost, address)).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = Command::new(program("group0-node")?);
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.kill_on_drop(true).spawn().map_err(|error| error.to_string())?;
        let is_refused = timeout(NOTICE, notices(address)).await.unwrap_or(false);
        process.kill().await.map_err(|error| error.to_string())?;
        refused.extend(is_refused.then(|| lost.host.clone()));
    }
    Ok(refused)
}

/// The same configuration at another address, over the data that it had.
fn moved(text: &str, lost: &Lost, address: IpAddr) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((key, _)) if key.ends_with("_address") => format!("{key}: {address}\n"),
        Some(("workdir", _)) => format!("workdir: {}\n", lost.data.display()),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

async fn notices(address: IpAddr) -> bool {
    loop {
        if let Ok(admin) = Admin::connect(SocketAddr::new(address, 7001), CALL, None).await
            && let Ok(status) = admin.status().await
            && status.not_ready_reason.contains("has left the cluster for good")
        {
            return true;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn spare(first: IpAddr, number: usize) -> Result<IpAddr, Why> {
    match first {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let last = u8::try_from(200 + number).map_err(|error| error.to_string())?;
            Ok(IpAddr::from([a, b, c, last]))
        }
        IpAddr::V6(_) => Err("the nodes are not on 127.x".into()),
    }
}

fn folder(cluster: &Cluster, index: usize) -> PathBuf {
    cluster.folder().join("nodes").join(index.to_string())
}

fn config(cluster: &Cluster, index: usize) -> PathBuf {
    folder(cluster, index).join("node.yaml")
}
