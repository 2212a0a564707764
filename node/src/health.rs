//! Whether the node can be used, and why not: what `/readyz` says. Written by the driver, read by everyone.

use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// A transaction that takes longer does not come to an end, as far as anybody can tell: the volume has stalled without an error.
const TRANSACTION_MAX: Duration = Duration::from_secs(15);

/// Shared by all parts of one node.
#[derive(Clone, Debug)]
pub struct Health(Arc<watch::Sender<State>>);

#[derive(Clone, Debug)]
struct State {
    ready: Result<(), String>,
    broken: bool,
    /// The transaction under way.
    since: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State { ready: Err("starting".to_owned()), broken: false, since: None })))
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
        self.0.send_replace(State { ready: Err(cause), broken: true, since: None });
    }

    /// A transaction begins, or the last one has ended.
    pub fn set_committing(&self, is_committing: bool) {
        self.0.send_if_modified(|state| {
            state.since = is_committing.then(Instant::now);
            false
        });
    }

    /// Whether it is usable; if not, why.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.0.borrow();
        match state.since.map(|since| since.elapsed()).filter(|elapsed| *elapsed >= TRANSACTION_MAX) {
            Some(elapsed) => Err(format!(
                "the disk does not answer: a transaction has not returned for {} s; nothing goes on here until it does. See to the volume of \
                 the work directory",
                elapsed.as_secs()
            )),
            None => state.ready.clone(),
        }
    }

    /// Whether the store has failed, or does not answer.
    pub fn is_broken(&self) -> bool {
        let state = self.0.borrow();
        state.broken || state.since.is_some_and(|since| since.elapsed() >= TRANSACTION_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, TRANSACTION_MAX};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_transaction_that_does_not_return_is_told_while_it_lasts() {
        let health = Health::default();
        health.set(Ok(()));
        health.set_committing(true);
        advance(TRANSACTION_MAX / 2).await;
        assert!(health.ready().is_ok() && !health.is_broken());
        advance(TRANSACTION_MAX).await;
        let why = health.ready().unwrap_err();
        assert!(health.is_broken() && why.contains("a transaction has not returned for 22 s"), "{why}");
        health.set_committing(false);
        assert!(health.ready().is_ok() && !health.is_broken());
    }
}
