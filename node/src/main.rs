//! The program: arguments, configuration, signals and exit codes. All else is in the library.

use clap::Parser;
use futures::FutureExt as _;
use group0_node::{
    config::{Config, ConfigError, Layers, default_path},
    descriptors, disk,
    node::{Ended, Running, StartError},
    program::Program,
    telemetry,
};
use std::{
    env, io, panic,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The work directory, where the first of the default configurations is looked for.
const WORKDIR: &str = "GROUP0_WORKDIR";

/// A node of a cluster that keeps its schema in group 0.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; unless given, conf/scylla.yaml under the work directory or /etc/group0/node.yaml, if one is there
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What a supervisor can tell a mistake from a failure by.
enum Exit {
    Done,
    Failure,
    Misconfigured,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
            Exit::Misconfigured => Self::from(2),
        }
    }
}

fn main() -> ExitCode {
    let program = Program::present();
    let arguments = Arguments::parse();
    telemetry::start();
    report_damage();
    descriptors::raise();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Failure).into(),
    };
    let exit = runtime.block_on(run(arguments.config, &program));
    // A name that is being looked up would hold the end up for as long as that takes.
    runtime.shutdown_background();
    exit.into()
}

async fn run(path: Option<PathBuf>, program: &Program) -> Exit {
    let workdir = env::var(WORKDIR).unwrap_or_else(|_| ".".to_owned());
    let path = path.or_else(|| default_path(Path::new(&workdir)));
    let config = match read(path.as_deref()) {
        Ok(config) => config,
        Err(error) => return failed(&error, Exit::Misconfigured),
    };
    config.warn_of_unknown();
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error, Exit::Failure),
    };
    let started = tokio::select! {
        started = group0_node::run(config.clone()) => started,
        () = signals.end.recv() => return Exit::Done,
    };
    let running = match started {
        Ok(running) => running,
        Err(error @ StartError::Config(_)) => return failed(&error, Exit::Misconfigured),
        Err(error) => return failed(&error, Exit::Failure),
    };
    match attend(&running, &mut signals, path.as_deref(), config).await {
        Some(Ended::Restart) => restart(running, &mut signals.end, program).await,
        Some(ended) => exit(&ended),
        None => {
            tracing::info!("shutting down");
            exit(&running.shutdown().await)
        }
    }
}

/// Until the node ends by itself, which is told, or is told to by a signal.
async fn attend(running: &Running, signals: &mut Signals, path: Option<&Path>, mut config: Config) -> Option<Ended> {
    loop {
        tokio::select! {
            ended = running.ended() => return Some(ended),
            _ = signals.reread.recv() => config = read_again(path, config),
            () = signals.end.recv() => return None,
        }
    }
}

/// Returns only if the process is to end after all: a signal that came meanwhile goes before the operator's wish.
async fn restart(running: Running, end: &mut End, program: &Program) -> Exit {
    tracing::info!(program = %program.path().display(), "restarting in place");
    running.stop().await;
    if end.recv().now_or_never().is_some() {
        return Exit::Done;
    }
    let error = program.execute();
    failed(&format!("cannot execute {} again: {error}. Start the node again", program.path().display()), Exit::Failure)
}

fn exit(ended: &Ended) -> Exit {
    match ended {
        Ended::Drained | Ended::Restart => Exit::Done,
        Ended::Undrained => failed(&"stopped without announcing the shutdown", Exit::Failure),
        Ended::Fatal(reason) => failed(reason, Exit::Failure),
    }
}

fn read(path: Option<&Path>) -> Result<Config, ConfigError> {
    let environment = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::read(Layers::read(path, environment)?)
}

/// Nothing can be changed while the node runs yet; a mistake is told before the next start meets it.
fn read_again(path: Option<&Path>, old: Config) -> Config {
    match read(path) {
        Ok(new) => {
            let changed = old.changed_keys(&new).join(", ");
            if !changed.is_empty() {
                tracing::warn!(target: "config", keys = changed, "changes take effect at the next start");
            }
            tracing::info!(target: "config", "completed re-reading configuration file");
            new
        }
        Err(error) => {
            tracing::error!(target: "config", %error, "failed to re-read the configuration; going on with the former one");
            old
        }
    }
}

struct Signals {
    end: End,
    reread: Signal,
}

struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            end: End { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? },
            reread: signal(SignalKind::hangup())?,
        })
    }
}

impl End {
    /// One that ends the process has come.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A damaged database may show itself as a panic; say what it means and what to do.
fn report_damage() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| match disk::report_panic() {
        Some(error) => {
            tracing::error!("{error}");
            std::process::exit(1);
        }
        None => before(info),
    }));
}

fn failed(cause: &impl ToString, exit: Exit) -> Exit {
    tracing::error!("{}", cause.to_string());
    exit
}
