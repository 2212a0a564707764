//! The command line.

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
}

/// Arguments of `crd`.
#[derive(Args, Debug)]
pub struct CrdArguments {
    /// Write group0upgrades.yaml into this folder instead of printing it.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
