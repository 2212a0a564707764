//! Whether the node can be used, and why not: what `/readyz` says. Written by the driver, read by everyone.

use std::sync::Arc;
use tokio::sync::watch;

/// Shared by all parts of one node.
#[derive(Clone, Debug)]
pub struct Health(Arc<watch::Sender<State>>);

#[derive(Clone, Debug)]
struct State {
    ready: Result<(), String>,
    broken: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State { ready: Err("starting".to_owned()), broken: false })))
    }
}

impl Health {
    /// The node says whether CQL is usable. A broken store stays the reason.
    pub fn set(&self, ready: Result<(), String>) {
        self.0.send_modify(|state| {
            if !state.broken {
                state.ready = ready;
            }
        });
    }

    /// The store has failed: nothing makes this process ready again.
    pub fn set_broken(&self, cause: String) {
        self.0.send_replace(State { ready: Err(cause), broken: true });
    }

    /// Whether it is usable; if not, why.
    pub fn ready(&self) -> Result<(), String> {
        self.0.borrow().ready.clone()
    }

    /// Whether the store has failed.
    pub fn is_broken(&self) -> bool {
        self.0.borrow().broken
    }
}
