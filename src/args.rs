//! The command line.

use crate::local::Subnet;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

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
    Local(LocalArguments),
}

/// Arguments of `crd`.
#[derive(Args, Debug)]
pub struct CrdArguments {
    /// Write group0upgrades.yaml into this folder instead of printing it.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
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
    /// Stay when the upgrade is complete, and go on watching until SIGINT or SIGTERM.
    #[arg(long)]
    pub stay: bool,
}
