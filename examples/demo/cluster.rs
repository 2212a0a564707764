//! The operator as a child process, with the cluster that it starts. Two demos share it.

#![allow(dead_code, reason = "each demo takes the part that it needs")]

use crate::Why;
use group0_operator::{
    admin::Admin,
    crd::{Group0Upgrade, Group0UpgradeStatus, Phase},
};
use std::{
    env, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

/// One call to the Admin service.
const CALL: Duration = Duration::from_secs(5);
/// How often files of the operator are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The operator ends its nodes within this.
const END: Duration = Duration::from_secs(20);

/// A program that was built beside this one.
pub fn program(name: &str) -> Result<PathBuf, Why> {
    let example = env::current_exe().map_err(|error| error.to_string())?;
    let bin = example.parent().and_then(Path::parent).ok_or("this program lies in no build folder")?;
    Ok(bin.join(name))
}

/// A running operator and its cluster.
pub struct Cluster {
    operator: Child,
    folder: PathBuf,
    file: PathBuf,
    addresses: Vec<IpAddr>,
}

impl Cluster {
    /// Starts so many nodes in a fresh folder under `demo/`, and there an operator with its own copy of this example.
    pub async fn start(nodes: u8, example: &str, settings: &[&str]) -> Result<Self, Why> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = checkout.join("demo").join(std::process::id().to_string());
        let file = folder.join(example);
        let copied = fs::create_dir_all(&folder).and_then(|()| fs::copy(checkout.join("examples").join(example), &file));
        copied.map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new(program("group0-operator")?);
        command.arg("local").arg("--file").arg(&file).arg("--dir").arg(&folder);
        command.args(["--nodes", &nodes.to_string(), "--stay", "--node-binary"]).arg(program("group0-node")?);
        command.args(settings.iter().flat_map(|setting| ["--node-setting", setting]));
        let operator =
            command.stdin(Stdio::null()).spawn().map_err(|error| format!("group0-operator: {error}; run make build first"))?;
        let mut cluster = Self { operator, folder, file, addresses: Vec::new() };
        match cluster.find_addresses(nodes).await {
            Ok(()) => Ok(cluster),
            Err(why) => cluster.stop().await.and(Err(why)),
        }
    }

    async fn find_addresses(&mut self, nodes: u8) -> Result<(), Why> {
        let path = self.folder.join("subnet");
        let subnet = loop {
            match fs::read_to_string(&path) {
                Ok(text) => break text,
                Err(_) => self.still_runs()?,
            }
            sleep(LOOK_EVERY).await;
        };
        let address = |index| format!("{}.{index}", subnet.trim()).parse().map_err(|_| format!("{}: '{subnet}'", path.display()));
        self.addresses = (1..=nodes).map(address).collect::<Result<_, Why>>()?;
        Ok(())
    }

    /// An error if the operator has ended.
    pub fn still_runs(&mut self) -> Result<(), Why> {
        match self.operator.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("group0-operator has ended ({status}); what it said is above")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Where the nodes are.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until the operator says Complete.
    pub async fn completed(&mut self) -> Result<(), Why> {
        while self.phase() != Phase::Complete {
            self.still_runs()?;
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The phase as the operator has written it.
    pub fn phase(&self) -> Phase {
        self.status().map_or(Phase::Pending, |status| status.phase)
    }

    /// All that it has written; `None` before the first time.
    pub fn status(&self) -> Option<Group0UpgradeStatus> {
        let text = fs::read_to_string(self.folder.join("status.yaml")).ok()?;
        let object: Group0Upgrade = serde_saphyr::from_str(&text).ok()?;
        object.status
    }

    /// The operator's own copy of the example.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A connection to the Admin service of each node.
    pub async fn admins(&self) -> Result<Vec<Admin>, Why> {
        let mut admins = Vec::new();
        for address in &self.addresses {
            admins.push(Admin::connect(SocketAddr::new(*address, 7001), CALL, None).await?);
        }
        Ok(admins)
    }

    /// Ends the operator, which ends its nodes.
    pub async fn stop(&mut self) -> Result<(), Why> {
        let pid = self.operator.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself in between.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match timeout(END, self.operator.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("group0-operator has ended with {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("group0-operator has not ended {} s after SIGTERM", END.as_secs())),
        }
    }

    /// Removes its folder, and `demo/` if nothing else is there.
    pub fn remove(&self) {
        // What cannot be removed lies in a folder that git ignores.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}
