//! etcd, an API server and the controllers, as processes on 127.0.0.1: one for all tests of this binary.

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
};

/// It ends when our end of its standard input closes, so with this process however that ends.
struct Running {
    kubeconfig: PathBuf,
    _process: Child,
    _stdin: ChildStdin,
}

/// The kubeconfig with all rights; nothing if this machine has no control plane to start.
pub fn kubeconfig() -> Option<&'static Path> {
    static RUNNING: OnceLock<Option<Running>> = OnceLock::new();
    RUNNING.get_or_init(|| program().map(|program| start(&program))).as_ref().map(|running| running.kubeconfig.as_path())
}

/// With all rights. Each test needs a client of its own: connections belong to the runtime that made them.
pub async fn client() -> Option<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig()?).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    Some(Client::try_from(config).unwrap())
}

/// The program that `tests/cluster/tools kube` builds.
fn program() -> Option<PathBuf> {
    let cache = env::var_os("GROUP0_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/group0")))?;
    let program = cache.join("cluster/bin/kube");
    if program.exists() {
        return Some(program);
    }
    assert!(env::var_os("GROUP0_NEED_CLUSTER").is_none(), "{} is not there: tests/cluster/tools kube", program.display());
    // A test captures what is printed, but not what goes to standard error directly.
    let why = format!("{} is not there (tests/cluster/tools kube builds it)", program.display());
    writeln!(io::stderr(), "operator: skipped: {why}").expect("standard error takes text");
    None
}

fn start(program: &Path) -> Running {
    let dir = folder();
    let mut command = Command::new(program);
    command.arg("control-plane").arg("--controllers").arg(&dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let stdin = process.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the control plane has not come up: its logs are in {}", dir.display());
    Running { kubeconfig: line.trim().into(), _process: process, _stdin: stdin }
}

/// Named for this process. Those of processes that are gone are removed: nobody does it at the end of a test's process.
fn folder() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("control-planes");
    fs::create_dir_all(&all).unwrap();
    for old in fs::read_dir(&all).unwrap().flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    all.join(std::process::id().to_string())
}
