//! Refusals and failures.

use super::{WireError, group, host, id};
use group0_api::{CallError as WireCallError, refusal, v1};
use group0_core::io::{CallError, Refusal};
use tonic::{Code, Status};

/// As the status of a call.
pub fn refusal_to_status(refusal: &Refusal) -> Status {
    refusal::to_status(&refusal_to(refusal), refusal.to_string())
}

/// Why a call has no reply, in the core's words.
pub fn call_error(error: WireCallError) -> CallError {
    match error {
        WireCallError::Aborted { sent } => CallError::Aborted { sent },
        WireCallError::TimedOut { sent } => CallError::TimedOut { sent },
        WireCallError::Status(status) => status_error(&status),
    }
}

fn status_error(status: &Status) -> CallError {
    match refusal::from_status(status).map(refusal_from) {
        Some(Ok(refusal)) => CallError::Refused(refusal),
        Some(Err(error)) => CallError::Closed(error.to_string()),
        None if status.code() == Code::DeadlineExceeded => CallError::TimedOut { sent: true },
        None => CallError::Closed(format!("{:?}: {}", status.code(), cause(status))),
    }
}

/// tonic says "transport error" and hides the reason below.
fn cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut below = std::error::Error::source(status);
    while let Some(error) = below {
        text = error.to_string();
        below = error.source();
    }
    text
}

fn refusal_to(refusal: &Refusal) -> v1::Refusal {
    use v1::refusal::{ForeignCluster, Never, NotNow, OtherGroup, Reason, RemovedHost, WrongDestination};
    let reason = match refusal {
        Refusal::ForeignCluster { ours, theirs } => {
            Reason::ForeignCluster(ForeignCluster { ours: ours.clone(), theirs: theirs.clone() })
        }
        Refusal::WrongDestination { ours, meant } => {
            Reason::WrongDestination(WrongDestination { ours: id(ours.0), meant: id(meant.0) })
        }
        Refusal::RemovedHost(host) => Reason::RemovedHost(RemovedHost { host: id(host.0) }),
        Refusal::OtherGroup { ours, theirs } => {
            Reason::OtherGroup(OtherGroup { ours: ours.map(|group| id(group.0)), theirs: id(theirs.0) })
        }
        Refusal::NotNow(reason) => Reason::NotNow(NotNow { reason: reason.clone() }),
        Refusal::Never(reason) => Reason::Never(Never { reason: reason.clone() }),
    };
    v1::Refusal { reason: Some(reason) }
}

fn refusal_from(refusal: v1::Refusal) -> Result<Refusal, WireError> {
    use v1::refusal::Reason;
    Ok(match refusal.reason.ok_or(WireError::Missing("the reason of a refusal"))? {
        Reason::ForeignCluster(foreign) => Refusal::ForeignCluster { ours: foreign.ours, theirs: foreign.theirs },
        Reason::WrongDestination(wrong) => Refusal::WrongDestination { ours: host(&wrong.ours)?, meant: host(&wrong.meant)? },
        Reason::RemovedHost(removed) => Refusal::RemovedHost(host(&removed.host)?),
        Reason::OtherGroup(other) => {
            Refusal::OtherGroup { ours: other.ours.as_deref().map(group).transpose()?, theirs: group(&other.theirs)? }
        }
        Reason::NotNow(not_now) => Refusal::NotNow(not_now.reason),
        Reason::Never(never) => Refusal::Never(never.reason),
    })
}
