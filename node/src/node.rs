//! Puts a node together, in the order in which its parts can fail, and takes it apart.

use crate::{
    admin,
    clients::Clients,
    config::{Config, ConfigError},
    cost::RoundTrips,
    disk::{Disk, DiskError},
    driver::{Clock, Driver, Machine, Surroundings},
    health::Health,
    http::{self, Sources},
    injection::{BEFORE_SYNCHRONIZE, Injections},
    listeners::{Addresses, Back, Front, ListenError},
    port::{self, Port},
    rpc::{client::Network, server},
    seeds::{self, Seeds},
    settings,
    tls::Tls,
};
use futures::future;
use group0_api::tls::Identity;
use group0_core::{
    ids::Now,
    io::{Apply, Effects, Image, Input, Settings},
};
use std::{fmt, io, net::SocketAddr, pin::pin, thread, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long a shutdown may be announced before the process ends anyway.
const DRAIN: Duration = Duration::from_secs(5);
/// How long connections have to be told that they end.
const FAREWELL: Duration = Duration::from_millis(100);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The core refuses what it is started with.
    #[error("{0}")]
    Refused(String),
    /// The operating system refused something else.
    #[error("the operating system refused a thread or an address: {0}")]
    System(#[from] io::Error),
}

/// How a node has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked, the shutdown announced.
    Drained,
    /// As asked, though the shutdown could not be announced in time.
    Undrained,
    /// As an operator asked, the shutdown announced: the process is to begin anew.
    Restart,
    /// As the core demands, with its reason.
    Fatal(String),
}

/// A node that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    /// To ask it in this process.
    pub port: Port,
    /// Its health and metrics.
    pub sources: Sources,
    ended: watch::Receiver<Option<Ended>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    driver: Option<thread::JoinHandle<()>>,
}

/// Starts a node whose machine `make` makes of settings, store and time.
pub async fn start<M: Machine>(
    config: Config,
    make: impl FnOnce(Settings, Image, Now) -> Result<(M, Effects), String>,
) -> Result<Running, StartError> {
    let Tls { peers, to_peers, admin, identities } = Tls::read(&config)?;
    let injections = Injections::new(config.injections.clone(), config.enable_injections);
    let (sources, mut tasks) = (Sources { injections: injections.clone(), ..Sources::default() }, JoinSet::new());
    let front = Front::open(&config).await?;
    let shown = front.addresses()?;
    serve_front(&mut tasks, front, &sources);
    let (disk, image) = open_disk(&config).await?;
    settings::check_schema_commit_log(&config, &image)?;
    let back = Back::open(&config).await?;
    let addresses = Addresses::of(shown, &back)?;
    let own = SocketAddr::new(config.broadcast, addresses.peer.port());
    let seeds = resolve(&config, own, &image).await?;
    let clock = Clock::start();
    let settings = settings::of(&config, own, seeds);
    let (machine, first) = make(settings, image, clock.now()).map_err(StartError::Refused)?;
    let (port, inbox) = port::open();
    let (apply, applied) = mpsc::unbounded_channel();
    let (stop, round_trips) = (CancellationToken::new(), RoundTrips::default());
    let outgoing = Network::new(port.clone(), sources.metrics.clone(), round_trips.clone(), own, config.seeds, to_peers);
    let around = Surroundings {
        clock,
        store: disk,
        outgoing,
        inbox,
        applied: apply,
        health: sources.health.clone(),
        metrics: sources.metrics.clone(),
        round_trips,
        injections: injections.clone(),
        stop: stop.clone(),
    };
    let (cql, workdir) = (config.cql, config.workdir);
    let driver = run_driver(Driver::new(machine, around), first)?;
    drop(sources.port.set(port.clone()));
    spawn(&mut tasks, "Peer", server::serve(back.peer, peers, port.clone()));
    spawn(&mut tasks, "Admin", admin::serve(back.admin, admin, port.clone(), workdir));
    tasks.spawn(follow(identities, port.clone()));
    let (end, ended) = watch::channel(None);
    let clients = Clients::new(cql, port.clone(), sources.metrics.clone());
    tasks.spawn(attend(applied, Audience { clients, health: sources.health.clone(), injections, end }));
    Ok(Running { addresses, port, sources, ended, stop, tasks, driver: Some(driver) })
}

async fn open_disk(config: &Config) -> Result<(Disk, Image), StartError> {
    let workdir = config.workdir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let disk = Disk::open(&workdir)?;
        let image = disk.load()?;
        Ok::<_, DiskError>((disk, image))
    });
    Ok(opened.await.map_err(io::Error::other)??)
}

async fn resolve(config: &Config, own: SocketAddr, image: &Image) -> Result<Seeds, ConfigError> {
    let resolve = async || seeds::resolve(&config.seeds, own).await;
    let seeds = if image.is_empty() { seeds::await_all(resolve).await } else { resolve().await };
    seeds::check(&seeds, image)?;
    Ok(seeds)
}

/// The driver's thread: a transaction blocks it and nothing else.
fn run_driver<M: Machine>(driver: Driver<M, Disk, Network>, first: Effects) -> io::Result<thread::JoinHandle<()>> {
    let runtime = Handle::current();
    thread::Builder::new().name("driver".to_owned()).spawn(move || runtime.block_on(driver.run(first)))
}

fn serve_front(tasks: &mut JoinSet<()>, front: Front, sources: &Sources) {
    let Front { api, prometheus } = front;
    tasks.spawn(http::serve(api, sources.clone()));
    tasks.spawn(http::serve(prometheus, sources.clone()));
}

/// Takes up certificates that are replaced, until the driver stops.
async fn follow(identities: Vec<Identity>, port: Port) {
    let all = future::join_all(identities.iter().map(Identity::follow));
    future::select(pin!(all), pin!(port.stopped())).await;
}

fn spawn<E: fmt::Display>(
    tasks: &mut JoinSet<()>,
    name: &'static str,
    service: impl Future<Output = Result<(), E>> + Send + 'static,
) {
    tasks.spawn(async move {
        if let Err(error) = service.await {
            tracing::error!(target: "rpc", service = name, %error, "a service has ended");
        }
    });
}

/// What the core applies concerns these.
struct Audience {
    clients: Clients,
    health: Health,
    injections: Injections,
    end: watch::Sender<Option<Ended>>,
}

/// Does what the core applies outside of itself, until the driver stops.
async fn attend(mut applied: mpsc::UnboundedReceiver<Apply>, mut audience: Audience) {
    while let Some(apply) = applied.recv().await {
        audience.hear(apply).await;
    }
    audience.clients.close().await;
}

impl Audience {
    async fn hear(&mut self, apply: Apply) {
        self.clients.tell(&apply);
        match apply {
            Apply::Drained => self.end(Ended::Drained),
            Apply::Restart => self.end(Ended::Restart),
            Apply::Struck => self.injections.set(BEFORE_SYNCHRONIZE, None),
            Apply::Fatal(reason) => self.end(Ended::Fatal(reason)),
            Apply::Ready(Ok(())) => match self.clients.open().await {
                Ok(()) => self.health.set(Ok(())),
                Err(error) => self.end(Ended::Fatal(error.to_string())),
            },
            Apply::Ready(Err(reason)) => {
                tracing::info!(target: "cql", reason, "CQL cannot be used");
                self.health.set(Err(reason));
                self.clients.close().await;
            }
            Apply::SchemaChanged(_) | Apply::HostChanged { .. } | Apply::RingChanged { .. } => {}
        }
    }

    fn end(&self, ended: Ended) {
        self.end.send_replace(Some(ended));
    }
}

impl Running {
    /// Waits until the node ends by itself.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|end| end.clone()) {
            Ok(Some(end)) => end,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Announces the shutdown, as long as that takes no longer than [`DRAIN`], and stops.
    pub async fn shutdown(self) -> Ended {
        self.port.tell(Input::Shutdown);
        let ended = if self.sources.health.is_broken() {
            Ended::Undrained
        } else {
            timeout(DRAIN, self.ended()).await.unwrap_or(Ended::Undrained)
        };
        self.stop().await;
        ended
    }

    /// Stops at once, as a crash would; the store is closed when this returns, unless the disk does not answer.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(driver) = self.driver.take() {
            drop(timeout(2 * DRAIN, tokio::task::spawn_blocking(move || driver.join())).await);
        }
        let farewell = async { while self.tasks.join_next().await.is_some() {} };
        drop(timeout(FAREWELL, farewell).await);
        self.tasks.shutdown().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
