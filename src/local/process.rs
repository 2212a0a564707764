//! One process of a node: started by us or found running; ended only by its recorded identity.
//!
//! A process is its pid together with its start time: a pid that was given to another process is never signalled.

use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{sleep, timeout},
};

/// After SIGTERM so long for draining, then SIGKILL.
const DRAIN: Duration = Duration::from_secs(10);
/// A killed process is gone after this, or the machine is in trouble.
const DEATH: Duration = Duration::from_secs(5);
/// How often a process that is not our child is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Pid and start time (in ticks since the machine was started).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pid: i32,
    started: u64,
}

impl Identity {
    /// The process that has this pid now, unless it has ended.
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program is in parentheses and may contain anything; state is the first field after it.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let started = fields.get(19)?.parse().ok()?;
        (!matches!(fields.first(), Some(&("Z" | "X")))).then_some(Self { pid, started })
    }

    /// A process that was started with this configuration: whoever started it may have been killed before writing down its pid.
    pub fn of_config(config: &Path) -> Option<Self> {
        let is_it = |pid: &i32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments: Vec<_> = arguments.split(|byte| *byte == 0).collect();
            arguments.windows(2).any(|pair| pair[0] == b"--config" && pair[1] == config.as_os_str().as_encoded_bytes())
        };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(is_it).and_then(Self::of)
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether this variable is `true` in the environment that it was started with.
    pub fn has_in_environment(self, variable: &str) -> Option<bool> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let entry = format!("{variable}=true");
        Some(environment.split(|byte| *byte == 0).any(|found| found == entry.as_bytes()))
    }

    fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            // It may end in between: then there is nobody to tell.
            let _ = kill_process(pid, signal);
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid, self.started)
    }
}

impl std::str::FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) = text.trim().split_once(' ').ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, started: started.parse().map_err(drop)? })
    }
}

/// A process and the news of its end.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    ended: watch::Receiver<Option<String>>,
    /// Whether it was started by this run.
    pub ours: bool,
}

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// Variables that it gets; of the caller's own none that begins with `GROUP0_`.
    pub environment: Vec<(String, String)>,
}

impl Process {
    /// Starts it in a process group of its own: a Ctrl-C on the terminal is for us, we then end it in order.
    pub fn start(launch: &Launch, on_end: impl Fn() + Send + 'static) -> Result<Self, Error> {
        let failed = |what: &Path, error: std::io::Error| Error::failure(format!("{}: {error}", what.display()));
        let log = fs::OpenOptions::new().create(true).append(true).open(&launch.log);
        let log = log.map_err(|error| failed(&launch.log, error))?;
        let errors = log.try_clone().map_err(|error| failed(&launch.log, error))?;
        let mut command = Command::new(&launch.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GROUP0_")) {
            command.env_remove(name);
        }
        command.arg("--config").arg(&launch.config).envs(launch.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let child = command.spawn().map_err(|error| failed(&launch.program, error))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        // A child that has ended at once is a zombie until it is waited for: its start time is not needed then.
        let identity = Identity::of(pid).unwrap_or(Identity { pid, started: 0 });
        let (sender, ended) = watch::channel(None);
        tokio::spawn(wait(child, sender, on_end));
        Ok(Self { identity, ended, ours: true })
    }

    /// One that runs already.
    pub fn attach(identity: Identity, on_end: impl Fn() + Send + 'static) -> Self {
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            while identity.is_alive() && !sender.is_closed() {
                sleep(LOOK_EVERY).await;
            }
            sender.send_replace(Some("it is gone".into()));
            on_end();
        });
        Self { identity, ended, ours: false }
    }

    /// One that ended before this run and is not started again.
    pub fn ended_before(identity: Identity) -> Self {
        let (_, ended) = watch::channel(Some("it is gone".into()));
        Self { identity, ended, ours: false }
    }

    /// Which process it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        self.identity.signal(Signal::TERM);
    }

    /// Waits until it has ended after [`Self::terminate`]; kills it when it takes too long.
    pub async fn gone(&mut self, name: &str) -> Result<(), Error> {
        if self.ends_within(DRAIN).await {
            return Ok(());
        }
        tracing::warn!(name, "has not ended {} s after SIGTERM, killing it", DRAIN.as_secs());
        self.identity.signal(Signal::KILL);
        if self.ends_within(DEATH).await {
            return Ok(());
        }
        Err(Error::failure(format!("{name}: process {} does not end, not even killed", self.identity.pid)))
    }

    async fn ends_within(&mut self, limit: Duration) -> bool {
        timeout(limit, self.ended.wait_for(Option::is_some)).await.is_ok()
    }
}

async fn wait(mut child: Child, sender: watch::Sender<Option<String>>, on_end: impl Fn()) {
    let how = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    sender.send_replace(Some(how));
    on_end();
}
