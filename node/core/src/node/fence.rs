use super::Node;
use crate::{
    io::{AdminReply, RecoveryStep, RequestId},
    status::Evidence,
};

impl Node {
    pub(super) fn evidence(&self) -> Evidence {
        Evidence::default()
    }

    pub(super) fn recover(&mut self, _: RequestId, _: u64, _: &RecoveryStep) -> Option<AdminReply> {
        Some(AdminReply::Refused("not yet".into()))
    }
}
