//! A node whose store has failed, and what it can still be asked. It takes no step any more: nothing that it would say could be held to
//! be durable. Reads see what it knew last, which may be a little more than its disk does.

use super::Node;
use crate::{
    cql::ast::Statement,
    io::{AdminReply, AdminRequest, ClientReply, ClientRequest, CqlError, Input, Refusal, Reply},
    status::Status,
};

impl Node {
    /// The answer to whoever asks, given how the store has failed.
    pub fn read(&self, input: &Input, failure: &str) -> Option<Reply> {
        let why = || format!("the storage of this node has failed, so that nothing can be changed here: {failure}");
        match input {
            Input::Client { id, request } => {
                let reply = self.read_client(request).unwrap_or_else(|| ClientReply::Error(CqlError::Server(why())));
                Some(Reply::Client { id: *id, reply })
            }
            Input::Admin { id, request: AdminRequest::GetStatus } => {
                let status = Status { ready: Err(why()), ..self.status() };
                Some(Reply::Admin { id: *id, reply: AdminReply::Status(Box::new(status)) })
            }
            Input::Admin { id, .. } => Some(Reply::Admin { id: *id, reply: AdminReply::Refused(why()) }),
            Input::Request { id, .. } => Some(Reply::Peer { id: *id, outcome: Err(Refusal::NotNow(why())) }),
            _ => None,
        }
    }

    fn read_client(&self, request: &ClientRequest) -> Option<ClientReply> {
        let is_write = request.statement.is_schema_change() || matches!(request.statement, Statement::Modify(_));
        (!is_write).then(|| self.answer_client(request))
    }
}
