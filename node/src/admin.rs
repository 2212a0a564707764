//! The Admin service: what an operator may ask, on a listener of its own.

use crate::{
    disk, listeners,
    port::{Asked, Port, PortError},
    report,
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use group0_api::{
    tls,
    v1::{self, admin_server},
};
use group0_core::{
    ids::{Generation, HostId},
    io::{AdminReply, AdminRequest, Order, RecoveryPlan, RecoveryStep},
    schema::{Cell, RowKey, Rows},
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::Server};

/// Bytes of one message of `GetSchema`, unless a single line has more: clients of gRPC take 4 MiB if they are told nothing else.
const SCHEMA_MESSAGE_BYTES: usize = 1 << 20;
/// Of the text of a plan of recovery, in bytes: it is stored on every survivor.
const PLAN_TEXT: usize = 64 << 10;
/// How often an operator that says nothing is asked whether it is there, and for how long: its machine may have vanished.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Characters of the name of a run, as in the operator's own object: it goes to the log.
const RUN_ID: usize = 64;

/// Serves the operator until the driver stops or the task is dropped.
pub async fn serve(
    listener: TcpListener,
    tls: Option<tls::Server>,
    port: Port,
    workdir: PathBuf,
) -> Result<(), tonic::transport::Error> {
    let service = admin_server::AdminServer::new(Admin { port: port.clone(), workdir });
    let keep_alive = Some(KEEP_ALIVE);
    let router = Server::builder().http2_keepalive_interval(keep_alive).http2_keepalive_timeout(keep_alive).add_service(service);
    listeners::serve(router, listener, tls, async move { port.stopped().await }).await
}

struct Admin {
    port: Port,
    workdir: PathBuf,
}

impl Admin {
    async fn ask(&self, request: AdminRequest) -> Result<AdminReply, Status> {
        match self.port.admin(request)?.next().await.ok_or(PortError::Stopped)? {
            AdminReply::Refused(reason) => Err(Status::failed_precondition(reason)),
            reply => Ok(reply),
        }
    }

    async fn step(&self, request: Request<v1::RecoveryOrder>, step: RecoveryStep) -> Result<Response<v1::RecoveryDone>, Status> {
        self.change(request, |asked| recover(asked.epoch, asked.run_id, asked.plan, step)).await?;
        Ok(Response::new(v1::RecoveryDone {}))
    }

    /// A verb that changes something.
    async fn change<Q>(&self, request: Request<Q>, verb: impl FnOnce(Q) -> Result<AdminRequest, Status>) -> Result<(), Status> {
        if !may_change(&request) {
            let text = "verbs that change the node are taken from 127.0.0.0/8 only, because this listener has no TLS; \
                        nothing was changed. Call from the node's own machine or pod, or set admin_encryption_options";
            return Err(Status::permission_denied(text));
        }
        match self.ask(verb(request.into_inner())?).await? {
            AdminReply::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }
}

/// With TLS whoever has come this far has proven who he is. Without it nobody can, so that only this machine may.
fn may_change<Q>(request: &Request<Q>) -> bool {
    let peer = request.remote_addr().map(|address| address.ip().to_canonical());
    request.peer_certs().is_some() || peer.is_some_and(|address| IpAddr::is_loopback(&address))
}

fn unexpected() -> Status {
    Status::internal("the node's reply is of another verb")
}

fn order(epoch: u64, run_id: String) -> Result<Order, Status> {
    if run_id.chars().count() > RUN_ID {
        return Err(Status::invalid_argument(format!("run_id has more than {RUN_ID} characters; nothing was changed")));
    }
    Ok(Order { run_id, epoch })
}

/// Which start is to end. 0 is none: who forgets it shall not be told that all is done.
fn generation(asked: u64) -> Result<Generation, Status> {
    let forgotten = || Status::invalid_argument("generation is missing; nothing was changed. Name the one that the status shows");
    NonZeroU64::new(asked).map(|generation| Generation(generation.get())).ok_or_else(forgotten)
}

fn host(asked: &str) -> Result<HostId, Status> {
    let invalid = |_| Status::invalid_argument(format!("host_id '{asked}' is no UUID; nothing was changed"));
    asked.parse().map_err(invalid)
}

fn epoch(asked: u64) -> Result<NonZeroU64, Status> {
    NonZeroU64::new(asked)
        .ok_or_else(|| Status::invalid_argument("epoch 0 cannot be claimed; nothing was changed. Epochs begin at 1"))
}

fn hosts(asked: &[String]) -> Result<BTreeSet<HostId>, Status> {
    asked.iter().map(|id| host(id)).collect()
}

fn recover(epoch: u64, run_id: String, plan: u64, step: RecoveryStep) -> Result<AdminRequest, Status> {
    if plan == 0 && step != RecoveryStep::LiftFence {
        return Err(Status::invalid_argument("the number of the plan is missing; nothing was changed"));
    }
    Ok(AdminRequest::Recover { order: order(epoch, run_id)?, plan, step })
}

fn recovery_plan(asked: v1::RecoveryPlan) -> Result<RecoveryPlan, Status> {
    if asked.text.len() > PLAN_TEXT {
        return Err(Status::invalid_argument(format!(
            "the text of the plan has more than {PLAN_TEXT} bytes; nothing was changed"
        )));
    }
    let (survivors, excluded) = (hosts(&asked.survivors)?, hosts(&asked.excluded)?);
    Ok(RecoveryPlan { number: asked.number, survivors, excluded, text: asked.text })
}

fn status(reply: AdminReply, workdir: &Path) -> Result<v1::Status, Status> {
    match reply {
        AdminReply::Status(status) => Ok(report::status(&status, disk::free_bytes(workdir))),
        AdminReply::Refused(reason) => Err(Status::failed_precondition(reason)),
        _ => Err(unexpected()),
    }
}

#[tonic::async_trait]
impl admin_server::Admin for Admin {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        status(self.ask(AdminRequest::GetStatus).await?, &self.workdir).map(Response::new)
    }

    type WatchStatusStream = BoxStream<'static, Result<v1::Status, Status>>;

    async fn watch_status(&self, _: Request<v1::WatchStatusRequest>) -> Result<Response<Self::WatchStatusStream>, Status> {
        let asked: Asked<AdminReply> = self.port.admin(AdminRequest::WatchStatus)?;
        let all = stream::unfold((asked, self.workdir.clone()), async |(mut asked, workdir)| {
            Some((status(asked.next().await?, &workdir), (asked, workdir)))
        });
        Ok(Response::new(all.boxed()))
    }

    async fn claim_epoch(&self, request: Request<v1::ClaimEpochRequest>) -> Result<Response<v1::ClaimEpochResponse>, Status> {
        let claimed = request.get_ref().epoch;
        self.change(request, |asked| Ok(AdminRequest::ClaimEpoch(epoch(asked.epoch)?))).await?;
        Ok(Response::new(v1::ClaimEpochResponse { epoch: claimed }))
    }

    async fn proceed(&self, request: Request<v1::ProceedRequest>) -> Result<Response<v1::ProceedResponse>, Status> {
        self.change(request, |asked| Ok(AdminRequest::Proceed(order(asked.epoch, asked.run_id)?))).await?;
        Ok(Response::new(v1::ProceedResponse {}))
    }

    async fn retry_upgrade(
        &self,
        request: Request<v1::RetryUpgradeRequest>,
    ) -> Result<Response<v1::RetryUpgradeResponse>, Status> {
        self.change(request, |asked| Ok(AdminRequest::RetryUpgrade(order(asked.epoch, asked.run_id)?))).await?;
        Ok(Response::new(v1::RetryUpgradeResponse {}))
    }

    async fn restart(&self, request: Request<v1::RestartRequest>) -> Result<Response<v1::RestartResponse>, Status> {
        let verb = |asked: v1::RestartRequest| {
            let order = order(asked.epoch, asked.run_id)?;
            Ok(AdminRequest::Restart { order, generation: generation(asked.generation)? })
        };
        self.change(request, verb).await?;
        Ok(Response::new(v1::RestartResponse {}))
    }

    async fn remove_node(&self, request: Request<v1::RemoveNodeRequest>) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        let verb = |asked: v1::RemoveNodeRequest| {
            let order = Some(order(asked.epoch, asked.run_id)?);
            let ignore = hosts(&asked.ignore_host_ids)?.into_iter().collect();
            Ok(AdminRequest::RemoveNode { order, host: host(&asked.host_id)?, ignore })
        };
        self.change(request, verb).await?;
        Ok(Response::new(v1::RemoveNodeResponse {}))
    }

    async fn decommission(
        &self,
        request: Request<v1::DecommissionRequest>,
    ) -> Result<Response<v1::DecommissionResponse>, Status> {
        let verb =
            |asked: v1::DecommissionRequest| Ok(AdminRequest::Decommission { order: Some(order(asked.epoch, asked.run_id)?) });
        self.change(request, verb).await?;
        Ok(Response::new(v1::DecommissionResponse {}))
    }

    type GetSchemaStream = BoxStream<'static, Result<v1::SchemaRows, Status>>;

    async fn get_schema(&self, _: Request<v1::GetSchemaRequest>) -> Result<Response<Self::GetSchemaStream>, Status> {
        let AdminReply::Schema(rows) = self.ask(AdminRequest::GetSchema).await? else { return Err(unexpected()) };
        Ok(Response::new(stream::iter(schema_messages(lines(&rows)).into_iter().map(Ok)).boxed()))
    }

    async fn get_evidence(&self, _: Request<v1::GetEvidenceRequest>) -> Result<Response<v1::Evidence>, Status> {
        let AdminReply::Evidence(evidence) = self.ask(AdminRequest::GetEvidence).await? else { return Err(unexpected()) };
        Ok(Response::new(report::evidence(&evidence)))
    }

    async fn prepare_fence(&self, request: Request<v1::PrepareFenceRequest>) -> Result<Response<v1::RecoveryDone>, Status> {
        let verb = |asked: v1::PrepareFenceRequest| {
            let plan = recovery_plan(asked.plan.unwrap_or_default())?;
            recover(asked.epoch, asked.run_id, plan.number, RecoveryStep::PrepareFence(plan))
        };
        self.change(request, verb).await?;
        Ok(Response::new(v1::RecoveryDone {}))
    }

    async fn fence(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::Fence).await
    }

    async fn lift_fence(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::LiftFence).await
    }

    async fn enter_recovery(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::EnterRecovery).await
    }

    async fn roll_forward(&self, request: Request<v1::RollForwardRequest>) -> Result<Response<v1::RecoveryDone>, Status> {
        let verb = |asked: v1::RollForwardRequest| {
            let step = RecoveryStep::RollForward { donor: host(&asked.donor_host_id)? };
            recover(asked.epoch, asked.run_id, asked.plan, step)
        };
        self.change(request, verb).await?;
        Ok(Response::new(v1::RecoveryDone {}))
    }

    async fn reset_group0(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::ResetGroup0).await
    }

    async fn leave_recovery(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::LeaveRecovery).await
    }

    async fn close_recovery(&self, request: Request<v1::RecoveryOrder>) -> Result<Response<v1::RecoveryDone>, Status> {
        self.step(request, RecoveryStep::CloseRecovery).await
    }
}

/// One line a row and one a deletion, sorted by key: equal schemas give equal lines.
fn lines(rows: &Rows) -> Vec<String> {
    let cells = rows.cells.iter().map(|(key, cells)| {
        let cells: Vec<_> = cells.iter().map(|(column, cell)| cell_text(column, cell)).collect();
        format!("{} {{{}}}", key_text(key), cells.join(", "))
    });
    let deletions = rows.deletions.iter().map(|(key, at)| format!("{} deleted@{}", key_text(key), at.0));
    let mut lines: Vec<_> = cells.chain(deletions).collect();
    lines.sort();
    lines
}

/// As few messages as take the lines, in their order.
fn schema_messages(lines: Vec<String>) -> Vec<v1::SchemaRows> {
    let mut messages: Vec<v1::SchemaRows> = Vec::new();
    let mut room = 0;
    for line in lines {
        if let Some(message) = messages.last_mut().filter(|_| line.len() <= room) {
            room -= line.len();
            message.rows.push(line);
        } else {
            room = SCHEMA_MESSAGE_BYTES.saturating_sub(line.len());
            messages.push(v1::SchemaRows { rows: vec![line] });
        }
    }
    messages
}

fn key_text(key: &RowKey) -> String {
    format!("{:?}{:?}", key.table, key.parts)
}

fn cell_text(column: &str, cell: &Cell) -> String {
    match &cell.value {
        Some(value) => format!("{column}={value:?}@{}", cell.at.0),
        None => format!("{column} deleted@{}", cell.at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use group0_core::{ids::Micros, schema::SchemaTable, value::Value};
    use tonic::transport::server::TcpConnectInfo;

    #[test]
    fn without_tls_only_this_machine_may_change() {
        for (address, may) in [("127.9.9.9:1", true), ("[::ffff:127.0.0.1]:1", true), ("10.0.0.1:1", false), ("", false)] {
            let mut request = Request::new(());
            request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: address.parse().ok() });
            assert_eq!(may_change(&request), may, "{address}");
        }
    }

    #[test]
    fn a_message_of_the_schema_has_as_many_lines_as_fit() {
        let lines: Vec<_> = [1 << 10, 1 << 19, 1 << 19, 3 << 20, 1, 1 << 20, 5].map(|bytes| "x".repeat(bytes)).into();
        let messages = schema_messages(lines.clone());
        assert_eq!(messages.iter().map(|it| it.rows.len()).collect::<Vec<_>>(), [2, 1, 1, 1, 1, 1]);
        assert_eq!(messages.into_iter().flat_map(|it| it.rows).collect::<Vec<_>>(), lines);
        assert_eq!(schema_messages(Vec::new()), []);
    }

    #[test]
    fn a_schema_is_one_line_a_row() {
        let key = RowKey { table: SchemaTable::Tables, parts: vec!["ks".into(), "t".into()] };
        let cell = |at, value| Cell { at: Micros(at), value };
        let mut rows = Rows::default();
        let cells = [("a".to_owned(), cell(1, Some(Value::Int(5)))), ("b".to_owned(), cell(2, None))];
        rows.cells.insert(key.clone(), cells.into());
        rows.deletions.insert(key, Micros(0));
        let expected = [r#"Tables["ks", "t"] deleted@0"#, r#"Tables["ks", "t"] {a=Int(5)@1, b deleted@2}"#];
        assert_eq!(lines(&rows), expected);
    }
}
