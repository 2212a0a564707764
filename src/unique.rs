//! Names that are never given twice.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Instant,
};
use uuid::Uuid;

/// Another one at each call, of whatever process. Not a secret.
pub fn id() -> Uuid {
    let draw = || RandomState::new().hash_one(Instant::now());
    Uuid::from_u64_pair(draw(), draw())
}
