//! The client of a node's Admin service: one connection and the verbs. Which verb when, it does not decide.

use crate::{
    act::{Failure, Order},
    observe::HostId,
    plan::RecoveryVerb,
};
use group0_api::{
    tls::Client,
    v1::{self, admin_client::AdminClient},
};
use std::{net::SocketAddr, time::Duration};
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// How often a quiet connection is probed: a dead one is noticed after this and one call's time.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Of one answer: one row of the schema may be as long as a command of group 0, and longer as text.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to one node.
#[derive(Clone, Debug)]
pub struct Admin {
    client: AdminClient<Channel>,
    limit: Duration,
}

/// Why a call has no answer, in words.
pub type Why = String;

impl Admin {
    /// Connects; no call, connecting included, takes longer than `limit`. With `tls` only a node that proves who it is, is spoken to.
    pub async fn connect(address: SocketAddr, limit: Duration, tls: Option<&Client>) -> Result<Self, Why> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| format!("{address}: {e}"))?;
        let endpoint = endpoint
            .connect_timeout(limit)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(limit)
            .keep_alive_while_idle(true);
        let connected = match tls {
            Some(tls) => endpoint.connect_with_connector(tls.connector(None)).await,
            None => endpoint.connect().await,
        };
        let channel = connected.map_err(|error| format!("{address}: {}", root(&error)))?;
        Ok(Self { client: AdminClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES), limit })
    }

    /// The whole status, once.
    pub async fn status(&self) -> Result<v1::Status, Why> {
        let mut client = self.client.clone();
        self.within(client.get_status(Request::new(v1::GetStatusRequest {}))).await
    }

    /// The status now and at every change.
    pub async fn watch(&self) -> Result<Streaming<v1::Status>, Why> {
        let mut client = self.client.clone();
        self.within(client.watch_status(Request::new(v1::WatchStatusRequest {}))).await
    }

    /// From now on the node refuses orders of a lower epoch.
    pub async fn claim_epoch(&self, epoch: u64) -> Result<(), Failure> {
        let mut client = self.client.clone();
        self.confirmed(client.claim_epoch(Request::new(v1::ClaimEpochRequest { epoch }))).await
    }

    /// Lifts the hold.
    pub async fn proceed(&self, order: &Order) -> Result<(), Failure> {
        let Order { run_id, epoch, .. } = order.clone();
        let mut client = self.client.clone();
        self.confirmed(client.proceed(Request::new(v1::ProceedRequest { epoch, run_id }))).await
    }

    /// Starts a failed procedure again.
    pub async fn retry_upgrade(&self, order: &Order) -> Result<(), Failure> {
        let Order { run_id, epoch, .. } = order.clone();
        let mut client = self.client.clone();
        self.confirmed(client.retry_upgrade(Request::new(v1::RetryUpgradeRequest { epoch, run_id }))).await
    }

    /// Ends the start of the process that has this generation; it begins anew by itself.
    pub async fn restart(&self, order: &Order, generation: u64) -> Result<(), Failure> {
        let Order { run_id, epoch, .. } = order.clone();
        let mut client = self.client.clone();
        self.confirmed(client.restart(Request::new(v1::RestartRequest { epoch, run_id, generation }))).await
    }

    /// Removes a dead host for good; `ignore` names others that need not agree.
    pub async fn remove_host(&self, order: &Order, host: HostId, ignore: &[HostId]) -> Result<(), Failure> {
        let Order { run_id, epoch, .. } = order.clone();
        let ignore_host_ids = ignore.iter().map(ToString::to_string).collect();
        let request = v1::RemoveNodeRequest { epoch, run_id, host_id: host.to_string(), ignore_host_ids };
        let mut client = self.client.clone();
        self.confirmed(client.remove_node(Request::new(request))).await
    }

    /// A step of the recovery by the plan with this number.
    pub async fn recover(&self, order: &Order, plan: u64, verb: RecoveryVerb) -> Result<(), Failure> {
        let Order { run_id, epoch, .. } = order.clone();
        let mut client = self.client.clone();
        let by = Request::new(v1::RecoveryOrder { epoch, run_id: run_id.clone(), plan });
        match verb {
            RecoveryVerb::PrepareFence => {
                let plan = Some(frozen(order, plan)?);
                let request = v1::PrepareFenceRequest { epoch, run_id, plan };
                self.confirmed(client.prepare_fence(Request::new(request))).await
            }
            RecoveryVerb::RollForward { donor } => {
                let request = v1::RollForwardRequest { epoch, run_id, plan, donor_host_id: donor.to_string() };
                self.confirmed(client.roll_forward(Request::new(request))).await
            }
            RecoveryVerb::Fence => self.confirmed(client.fence(by)).await,
            RecoveryVerb::LiftFence => self.confirmed(client.lift_fence(by)).await,
            RecoveryVerb::EnterRecovery => self.confirmed(client.enter_recovery(by)).await,
            RecoveryVerb::ResetGroup0 => self.confirmed(client.reset_group0(by)).await,
            RecoveryVerb::LeaveRecovery => self.confirmed(client.leave_recovery(by)).await,
            RecoveryVerb::CloseRecovery => self.confirmed(client.close_recovery(by)).await,
        }
    }

    /// Every row of the schema, one line each.
    pub async fn schema(&self) -> Result<Vec<String>, Why> {
        let mut client = self.client.clone();
        let mut stream = self.within(client.get_schema(Request::new(v1::GetSchemaRequest {}))).await?;
        let mut rows = Vec::new();
        while let Some(part) = self.within(async { stream.message().await.map(tonic::Response::new) }).await? {
            rows.extend(part.rows);
        }
        Ok(rows)
    }

    async fn within<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Why> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(in_words(&status)),
            Err(_) => Err(self.no_answer()),
        }
    }

    async fn confirmed<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<(), Failure> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map(drop).map_err(|status| failure(&status)),
            Err(_) => Err(Failure::Unknown(self.no_answer())),
        }
    }

    fn no_answer(&self) -> Why {
        format!("no answer within {} ms", self.limit.as_millis())
    }
}

fn frozen(order: &Order, number: u64) -> Result<v1::RecoveryPlan, Failure> {
    let plan = order.plan.as_ref().filter(|plan| plan.number == number);
    let plan = plan.ok_or_else(|| Failure::Refused(format!("plan {number} is not the one that is being carried out")))?;
    let texts = |hosts: &std::collections::BTreeSet<HostId>| hosts.iter().map(ToString::to_string).collect();
    Ok(v1::RecoveryPlan { number, survivors: texts(&plan.survivors), excluded: texts(&plan.excluded), text: plan.text.clone() })
}

fn in_words(status: &Status) -> Why {
    format!("{}: {}", status.code(), status.message())
}

/// Only codes that a node gives before it does anything prove that nothing was done.
fn failure(status: &Status) -> Failure {
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented => {
            Failure::Refused(in_words(status))
        }
        _ => Failure::Unknown(in_words(status)),
    }
}

/// The innermost cause: "transport error" says nothing, "Connection refused" does.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_says_that_nothing_was_done() {
        for code in (0..=16).map(Code::from_i32) {
            let refused = matches!(failure(&Status::new(code, "why")), Failure::Refused(_));
            let expected = ["FailedPrecondition", "InvalidArgument", "PermissionDenied", "Unimplemented"];
            assert_eq!(refused, expected.contains(&format!("{code:?}").as_str()), "{code:?}");
        }
    }
}
