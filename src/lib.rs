//! The operator: moves a live cluster from gossip-propagated schema to group 0, once.
//!
//! The pipeline is observe → validate → plan → act → record.

pub mod args;
pub mod crd;
pub mod error;
pub mod observe;
pub mod plan;
pub mod status;
