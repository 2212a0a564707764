//! The client of a node's Admin service: one connection and the verbs. Which verb when, it does not decide.

use group0_api::v1::{self, admin_client::AdminClient};
use std::{net::SocketAddr, time::Duration};
use tonic::{
    Request, Streaming,
    transport::{Channel, Endpoint},
};

/// How often a quiet connection is probed: a dead one is noticed after this and one call's time.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A connection to one node.
#[derive(Clone, Debug)]
pub struct Admin {
    client: AdminClient<Channel>,
    limit: Duration,
}

/// Why a call has no answer, in words.
pub type Why = String;

impl Admin {
    /// Connects; no call, connecting included, takes longer than `limit`.
    pub async fn connect(address: SocketAddr, limit: Duration) -> Result<Self, Why> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| format!("{address}: {e}"))?;
        let endpoint = endpoint
            .connect_timeout(limit)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(limit)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| format!("{address}: {}", root(&error)))?;
        Ok(Self { client: AdminClient::new(channel), limit })
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

    /// Lifts the hold.
    pub async fn proceed(&self) -> Result<(), Why> {
        let mut client = self.client.clone();
        self.within(client.proceed(Request::new(v1::ProceedRequest::default()))).await.map(drop)
    }

    /// Starts a failed procedure again.
    pub async fn retry_upgrade(&self) -> Result<(), Why> {
        let mut client = self.client.clone();
        self.within(client.retry_upgrade(Request::new(v1::RetryUpgradeRequest::default()))).await.map(drop)
    }

    /// Every row of the schema, one line each.
    pub async fn schema(&self) -> Result<Vec<String>, Why> {
        let mut client = self.client.clone();
        let mut stream = self.within(client.get_schema(Request::new(v1::GetSchemaRequest {}))).await?;
        let mut rows = Vec::new();
        while let Some(part) = stream.message().await.map_err(|status| status.message().to_owned())? {
            rows.extend(part.rows);
        }
        Ok(rows)
    }

    async fn within<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Result<T, Why> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("{}: {}", status.code(), status.message())),
            Err(_) => Err(format!("no answer within {} ms", self.limit.as_millis())),
        }
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
