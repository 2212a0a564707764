//! Every interleaving of a small roll: the real controller with its planner, audit and journal, stopped at each of its awaits.
//!
//! `world` is the state, `moves` what may happen, `verbs` what an act comes to, `seen` what a planner sees of it and `operator`
//! the controller; `properties` is what must hold and `search` how it is explored. Setups are in `rolls`; `broken` proves that
//! the checker notices when a rule is switched off.

#![allow(clippy::unwrap_used, clippy::panic)]

mod broken;
mod moves;
mod operator;
mod properties;
mod rolls;
mod search;
mod seen;
mod verbs;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
