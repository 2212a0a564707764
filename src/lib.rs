//! The operator: moves a live cluster from gossip-propagated schema to group 0, once.
//!
//! The pipeline is observe → validate → plan → act → record, all of it in [`controller`], its steps in [`look`]: [`observe`]
//! reads everything into one plain value, [`plan`] decides without doing, [`act`] does without deciding, [`status`] says it in
//! the terms of [`crd`]. [`local`] carries it out on processes of this machine, [`kubernetes`] on pods.

pub mod act;
pub mod admin;
pub mod args;
pub mod controller;
pub mod crd;
pub mod error;
pub mod kubernetes;
pub mod local;
pub mod look;
pub mod observe;
pub mod plan;
pub mod status;
pub mod unique;
pub mod validate;
