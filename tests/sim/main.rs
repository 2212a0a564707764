//! Whole clusters in one deterministic world: real nodes on simulated clocks, disks and network, and all that can go wrong.
//!
//! A seed is a run: the same seed gives the same log, byte for byte. `make sim SEEDS=n` runs many; `SEED=n` runs one, with `LOG=1`
//! it is told line by line. A seed that fails says how to run it again, in the smallest world in which it still fails.
//!
//! [`swarm`] draws a seed's world, [`world`] runs it. In it are processes ([`process`]): [`node`] with its [`disk`] and [`clock`],
//! [`clients`] with their [`beliefs`], [`rivals`], one or two [`operator`]s with the [`mailbox`] of their looks, [`kubernetes`] and [`people`], or
//! an [`administrator`] instead of an operator; between them is the [`network`], and over them comes [`trouble`]. What must be true is
//! in [`invariants`], what must have happened in [`events`]. [`runner`] spreads seeds over the cores. Before them come
//! [`scenarios`], and [`kills`], which end the operator at each of its acts and survivors at each of their steps, and [`replay`] of
//! scripts that a real API server plays, too.

#![allow(clippy::unwrap_used)]

mod administrator;
mod beliefs;
mod clients;
mod clock;
mod dice;
mod disk;
mod errands;
mod events;
#[path = "../linear/history/mod.rs"]
mod history;
mod invariants;
mod kills;
mod kubernetes;
mod log;
mod mailbox;
mod network;
mod node;
mod operator;
mod people;
mod platter;
mod process;
mod queue;
#[path = "../harness/recovery_step.rs"]
mod recovery_step;
mod replay;
mod report;
mod rivals;
mod runner;
mod scenarios;
#[path = "../harness/script.rs"]
mod script;
mod swarm;
mod trouble;
mod world;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runner::run(&runner::Request::of_environment())
}
