//! A refusal as the status of a call: a code that any client understands and the typed reason in a trailer.

use crate::v1;
use prost::Message as _;
use tonic::{Code, Status, metadata::MetadataValue};

/// The trailer that holds the encoded [`v1::Refusal`].
pub const TRAILER: &str = "group0-refusal-bin";

/// The status that carries `refusal`; `text` is for people.
pub fn to_status(refusal: &v1::Refusal, text: impl Into<String>) -> Status {
    let mut status = Status::new(Code::FailedPrecondition, text);
    status.metadata_mut().insert_bin(TRAILER, MetadataValue::from_bytes(&refusal.encode_to_vec()));
    status
}

/// The refusal that `status` carries, if it does.
pub fn from_status(status: &Status) -> Option<v1::Refusal> {
    let encoded = status.metadata().get_bin(TRAILER)?.to_bytes().ok()?;
    v1::Refusal::decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_trailer() {
        let reason = v1::refusal::Reason::NotNow(v1::refusal::NotNow { reason: "später".into() });
        let refusal = v1::Refusal { reason: Some(reason) };
        let status = to_status(&refusal, "not now");
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(from_status(&status), Some(refusal));
        assert_eq!(from_status(&Status::unavailable("no")), None);
    }
}
