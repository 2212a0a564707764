//! The command line.

use crate::local::Subnet;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// Moves a live cluster from gossip-propagated schema to group 0, once, without downtime.
#[derive(Parser, Debug)]
#[command(name = "group0-operator", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print the CustomResourceDefinition, or write it into a folder.
    Crd(CrdArguments),
    /// Perform a Group0Upgrade on node processes of this machine.
    Local(LocalCommand),
    /// Perform the Group0Upgrades of Kubernetes: in a pod, or on the cluster that KUBECONFIG names.
    Run(RunArguments),
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// A namespace whose upgrades are performed; may be given several times. Without it: all.
    #[arg(long = "namespace", value_name = "NAME")]
    pub namespaces: Vec<String>,
    /// The lease by which one process of several leads.
    #[arg(long, default_value = "group0-operator", value_name = "NAME")]
    pub lease: String,
    /// The namespace of the lease; by default our own.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub lease_namespace: Option<String>,
    /// What we are called in the lease; by default a name that nobody else has.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
    /// Where /live, /ready and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub http_address: SocketAddr,
}

/// Arguments of `crd`.
#[derive(Args, Debug)]
pub struct CrdArguments {
    /// Write group0upgrades.yaml into this folder instead of printing it.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `local`, or `local set`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct LocalCommand {
    /// Something else than performing it.
    #[command(subcommand)]
    pub other: Option<LocalOther>,
    /// Performing it.
    #[command(flatten)]
    pub perform: Option<LocalArguments>,
}

/// What else `local` does.
#[derive(Subcommand, Debug)]
pub enum LocalOther {
    /// Change a field of spec in the file; a run that watches it takes it up at once.
    Set(SetArguments),
}

/// Arguments of `local set`.
#[derive(Args, Debug)]
pub struct SetArguments {
    /// The Group0Upgrade.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// paused, dryRun, cancel, mode, approvedRunID, recovery.mode or recovery.approvedPlanHash.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// How progress is told.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A table on a terminal, lines elsewhere.
    Text,
    /// The whole status as one line of JSON, whenever it changes.
    Json,
}

/// Arguments of `local`.
#[derive(Args, Debug)]
pub struct LocalArguments {
    /// The Group0Upgrade.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// The folder of the cluster: its nodes are started there with the flag off, or, if they run already, attached to.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Nodes of the cluster: 3, or as many as the folder has.
    #[arg(long, value_name = "N")]
    pub nodes: Option<u32>,
    /// The node's program; by default group0-node beside this one.
    #[arg(long, value_name = "PATH")]
    pub node_binary: Option<PathBuf>,
    /// The nodes listen on 127.a.b.1, .2 and so on; by default a subnet that is free.
    #[arg(long, value_name = "127.a.b")]
    pub subnet: Option<Subnet>,
    /// Leave the nodes running when the upgrade is complete.
    #[arg(long)]
    pub keep_running: bool,
    /// A further key of the configuration of nodes that are new, e.g. failure_detector_timeout_in_ms=4000; may be given several times.
    #[arg(long = "node-setting", value_name = "KEY=VALUE", value_parser = setting)]
    pub node_settings: Vec<(String, String)>,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Stay when the upgrade is complete, and go on watching until SIGINT or SIGTERM.
    #[arg(long)]
    pub stay: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}
