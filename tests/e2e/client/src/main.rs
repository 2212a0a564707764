//! A client in a pod: changes the schema all the while, and later checks that nothing acknowledged was lost.
//!
//! `work` appends one line for each acknowledged change to a file, and flushes it; `check` compares the file with what each node says
//! by itself. No statement is tried twice: what was not acknowledged is left behind, and nothing is claimed about it.

mod check;
mod work;

use clap::Parser;
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    errors::NewSessionError,
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Where all tables are.
const KEYSPACE: &str = "e2e";

/// Changes the schema of a cluster, or checks what was acknowledged.
#[derive(Parser)]
enum Arguments {
    /// Change the schema until killed.
    Work(Cluster),
    /// Compare what was acknowledged with what each node has.
    Check(Cluster),
}

/// Which cluster, and what was acknowledged.
#[derive(clap::Args)]
struct Cluster {
    /// Each node, by name or address with port.
    #[arg(long, required = true, value_delimiter = ',')]
    nodes: Vec<String>,
    /// The file of what was acknowledged.
    #[arg(long, default_value = "/tmp/acknowledged")]
    file: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse() {
        Arguments::Work(cluster) => work::work(&cluster.nodes, &cluster.file).await,
        Arguments::Check(cluster) => check::check(&cluster.nodes, &cluster.file).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The file by which `work` is told to change nothing more.
fn stop(file: &Path) -> PathBuf {
    file.with_extension("stop")
}

async fn connect(nodes: &[String]) -> Result<Session, NewSessionError> {
    SessionBuilder::new().known_nodes(nodes).connection_timeout(Duration::from_secs(5)).build().await
}
