//! Every interleaving of small clusters that upgrade: the real machines of the core over a log that is atomic.
//!
//! `world` is the state, `moves` what may happen, `glue` carries the machines' actions out, `properties` is what must hold and
//! `search` how it is explored. Setups are in `clusters`; `broken` proves that the checker notices when a rule is switched off.

#![allow(clippy::unwrap_used)]

mod broken;
mod clusters;
mod glue;
mod moves;
mod properties;
mod search;
mod world;
