//! Membership and failure detection.

mod endpoint;

pub use endpoint::{Endpoint, RingStatus};
