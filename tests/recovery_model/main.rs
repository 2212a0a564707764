//! Every interleaving of a recovery of three nodes: the real machine of a survivor and the real planner of the operator, with one loss
//! at any point, and perhaps another one later.
//!
//! `world` is the state, `moves` what may happen, [`group`] what becomes of the former group and of the new one, [`verbs`] what an order
//! comes to on a node, `seen` what a planner sees and `operator` when it looks, [`person`] what somebody approves; `properties` is what must hold and `search` how it is
//! explored. Setups are in `losses`; `broken` proves that the checker notices when a rule is switched off. How many states there are,
//! and what the model leaves out, is in `docs/model.md`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod broken;
mod group;
mod losses;
mod moves;
mod operator;
mod person;
mod properties;
#[path = "../harness/reach.rs"]
mod reach;
#[path = "../harness/recovery_step.rs"]
mod recovery_step;
mod search;
mod seen;
mod verbs;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
