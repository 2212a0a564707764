//! Every interleaving of small clusters that upgrade: the real machines of the core over a log that is atomic.
//!
//! `world` is the state, `moves` what may happen, with what a [`person`] does, what comes with a [`first_boot`] or before it in the
//! [`old_way`], and what becomes of a [`statement`]; `glue` carries the machines' actions out, `properties` is what must hold and
//! `search` how it is explored. Setups are in `clusters`; `broken` proves that the checker notices when a rule is switched off, and `traces` that each rule prevents what it is
//! there for. How many states there
//! are, and what the model leaves out, is in `docs/model.md`.

#![allow(clippy::unwrap_used)]

mod broken;
mod clusters;
mod first_boot;
mod glue;
mod moves;
mod old_way;
mod person;
mod properties;
#[path = "../harness/reach.rs"]
mod reach;
mod search;
mod statement;
mod traces;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
