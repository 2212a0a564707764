//! The Admin service: what an operator may ask, on a listener of its own.

use crate::{
    port::{Asked, Port, PortError},
    report,
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use group0_api::v1::{self, admin_server};
use group0_core::{
    io::{AdminReply, AdminRequest},
    schema::{Cell, RowKey, Rows},
};
use std::net::IpAddr;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Lines of one message of `GetSchema`: some hundred KiB.
const LINES: usize = 1000;

/// Serves the operator until the driver stops or the task is dropped.
pub async fn serve(listener: TcpListener, port: Port) -> Result<(), tonic::transport::Error> {
    let service = admin_server::AdminServer::new(Admin { port: port.clone() });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, async move { port.stopped().await }).await
}

struct Admin {
    port: Port,
}

impl Admin {
    async fn ask(&self, request: AdminRequest) -> Result<AdminReply, Status> {
        match self.port.admin(request)?.next().await.ok_or(PortError::Stopped)? {
            AdminReply::Refused(reason) => Err(Status::failed_precondition(reason)),
            reply => Ok(reply),
        }
    }

    /// A verb that changes something. Without TLS nobody can prove who he is, so that only this machine may.
    async fn change<Q>(&self, request: &Request<Q>, verb: AdminRequest) -> Result<(), Status> {
        let peer = request.remote_addr().map(|address| address.ip().to_canonical());
        if !peer.is_some_and(|address| IpAddr::is_loopback(&address)) {
            let text = "verbs that change the node are taken from 127.0.0.0/8 only, because this listener has no TLS; \
                        nothing was changed. Call from the node's own machine or pod";
            return Err(Status::permission_denied(text));
        }
        match self.ask(verb).await? {
            AdminReply::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> Status {
    Status::internal("the node's reply is of another verb")
}

fn status(reply: AdminReply) -> Result<v1::Status, Status> {
    match reply {
        AdminReply::Status(status) => Ok(report::status(&status)),
        AdminReply::Refused(reason) => Err(Status::failed_precondition(reason)),
        _ => Err(unexpected()),
    }
}

#[tonic::async_trait]
impl admin_server::Admin for Admin {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        status(self.ask(AdminRequest::GetStatus).await?).map(Response::new)
    }

    type WatchStatusStream = BoxStream<'static, Result<v1::Status, Status>>;

    async fn watch_status(&self, _: Request<v1::WatchStatusRequest>) -> Result<Response<Self::WatchStatusStream>, Status> {
        let asked: Asked<AdminReply> = self.port.admin(AdminRequest::WatchStatus)?;
        let all = stream::unfold(asked, async |mut asked| Some((status(asked.next().await?), asked)));
        Ok(Response::new(all.boxed()))
    }

    async fn proceed(&self, request: Request<v1::ProceedRequest>) -> Result<Response<v1::ProceedResponse>, Status> {
        self.change(&request, AdminRequest::Proceed).await?;
        Ok(Response::new(v1::ProceedResponse {}))
    }

    async fn retry_upgrade(
        &self,
        request: Request<v1::RetryUpgradeRequest>,
    ) -> Result<Response<v1::RetryUpgradeResponse>, Status> {
        self.change(&request, AdminRequest::RetryUpgrade).await?;
        Ok(Response::new(v1::RetryUpgradeResponse {}))
    }

    type GetSchemaStream = BoxStream<'static, Result<v1::SchemaRows, Status>>;

    async fn get_schema(&self, _: Request<v1::GetSchemaRequest>) -> Result<Response<Self::GetSchemaStream>, Status> {
        let AdminReply::Schema(rows) = self.ask(AdminRequest::GetSchema).await? else { return Err(unexpected()) };
        let lines = lines(&rows);
        let messages: Vec<_> = lines.chunks(LINES).map(|lines| Ok(v1::SchemaRows { rows: lines.to_vec() })).collect();
        Ok(Response::new(stream::iter(messages).boxed()))
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
