//! Calls that end early: by an abort of whoever wanted them or by a deadline, and which of the two it was.
//!
//! An aborted call that has not been sent is never sent. One that was sent is forgotten: its stream is reset and a late reply
//! goes nowhere; what the receiver does with it is unknown, and the error says so (`sent`).

use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, codec::Streaming};

/// How much longer than we the server may think that somebody waits. Ours fires first: tonic's own timeout would answer
/// `Cancelled`, which reads like an abort.
const SERVER_GRACE: Duration = Duration::from_millis(50);

/// When a call ends without an answer.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Cancelled by whoever wanted the answer.
    pub abort: CancellationToken,
    /// After which nobody waits. On tokio's clock, which tests may stop.
    pub deadline: Option<Instant>,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Whoever wanted it gave up.
    #[error("aborted {}", outcome(*.sent))]
    Aborted {
        /// Whether it may have been carried out.
        sent: bool,
    },
    /// The deadline passed.
    #[error("timed out {}", outcome(*.sent))]
    TimedOut {
        /// Whether it may have been carried out.
        sent: bool,
    },
    /// The connection or the peer failed it.
    #[error(transparent)]
    Status(#[from] Status),
}

const fn outcome(sent: bool) -> &'static str {
    if sent { "after it was sent: its outcome is unknown" } else { "before it was sent" }
}

impl Call {
    /// A call that nobody aborts.
    pub fn within(time: Duration) -> Self {
        Self { abort: CancellationToken::new(), deadline: Some(Instant::now() + time) }
    }

    /// Carries `work` out until the call ends. Work that the end interrupts is dropped; it may have been sent.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, CallError> {
        self.check()?;
        tokio::select! {
            biased;
            result = work => result.map_err(CallError::from),
            () = self.abort.cancelled() => Err(CallError::Aborted { sent: true }),
            () = passed(self.deadline) => Err(CallError::TimedOut { sent: true }),
        }
    }

    /// Whether it still makes sense to send. Who gave up is never told that the time passed.
    pub fn check(&self) -> Result<(), CallError> {
        if self.abort.is_cancelled() {
            Err(CallError::Aborted { sent: false })
        } else if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Err(CallError::TimedOut { sent: false })
        } else {
            Ok(())
        }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline.saturating_duration_since(Instant::now()) + SERVER_GRACE);
        }
        request
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// One request, one answer.
pub async fn unary<Q, A>(
    call: &Call,
    message: Q,
    send: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
) -> Result<A, CallError> {
    call.run(send(call.request(message))).await.map(Response::into_inner)
}

/// One request, a stream of answers.
pub async fn stream<Q, A>(
    call: &Call,
    message: Q,
    send: impl AsyncFnOnce(Request<Q>) -> Result<Response<Streaming<A>>, Status>,
) -> Result<Answers<A>, CallError> {
    let answers = unary(call, message, send).await?;
    Ok(Answers { answers, call: call.clone() })
}

/// The answers to a call, as long as it lasts.
#[derive(Debug)]
pub struct Answers<A> {
    answers: Streaming<A>,
    call: Call,
}

impl<A> Answers<A> {
    /// The next answer; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<A>, CallError> {
        match self.call.check() {
            Err(CallError::Aborted { .. }) => return Err(CallError::Aborted { sent: true }),
            Err(CallError::TimedOut { .. }) => return Err(CallError::TimedOut { sent: true }),
            Ok(()) | Err(CallError::Status(_)) => {}
        }
        self.call.run(self.answers.message()).await
    }

    /// From now on the next answer may take so long: for a stream that is as long as what it carries.
    pub fn extend(&mut self, time: Duration) {
        self.call.deadline = Some(Instant::now() + time);
    }

    /// From now on only an abort ends it: for a watch, whose deadline is for its first answer.
    pub const fn forget_deadline(&mut self) {
        self.call.deadline = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> impl Future<Output = Result<(), Status>> {
        std::future::pending()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_and_an_abort_are_told_apart() {
        let call = Call::within(Duration::from_secs(1));
        assert!(matches!(call.run(never()).await, Err(CallError::TimedOut { sent: true })));
        assert!(matches!(call.run(never()).await, Err(CallError::TimedOut { sent: false })));
        call.abort.cancel();
        assert!(matches!(call.run(never()).await, Err(CallError::Aborted { sent: false })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_and_an_abort_at_the_same_time_read_as_an_abort() {
        let call = Call::within(Duration::from_secs(1));
        let abort = async {
            passed(call.deadline).await;
            call.abort.cancel();
        };
        let ((), outcome) = tokio::join!(biased; abort, call.run(never()));
        assert!(matches!(outcome, Err(CallError::Aborted { sent: true })));
        assert!(matches!(call.run(never()).await, Err(CallError::Aborted { sent: false })));
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_ends_every_call_that_shares_it() {
        let call = Call { deadline: None, ..Call::default() };
        let calls = tokio::join!(call.run(never()), call.run(never()), async { call.abort.cancel() });
        assert!(matches!(calls, (Err(CallError::Aborted { sent: true }), Err(CallError::Aborted { sent: true }), ())));
    }
}
