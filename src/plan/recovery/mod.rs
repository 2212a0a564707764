//! Brings a cluster back that has lost nodes which group 0 needs: a plan is frozen, approved, carried out step by step, and verified.

mod frozen;

pub use frozen::FrozenPlan;
