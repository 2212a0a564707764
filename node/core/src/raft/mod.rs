//! Consensus: one [`Group`] is one member's share of one Raft group, around `raft-rs`.
//!
//! Sans-IO like the rest of the core: calls go in, [`Group::take`] gives everything that came of them as one [`Output`].
//! What is in [`Output::persist`] must be durable, in one transaction and together with whatever applying
//! [`Output::committed`] changed, before anything in [`Output::send`] leaves.
//!
//! Nothing outside this folder sees `raft-rs` or protobuf, and protobuf never parses bytes that a peer sent:
//! messages are converted field by field (`convert`), membership changes are read from their postcard context
//! (`membership`), and the one place where `raft-rs` parses an entry (a leader looking at a proposal) is only reached
//! by entries of our own making, since `admit` refuses foreign ones.
//!
//! | file | what |
//! |---|---|
//! | `group` | the calls |
//! | `settle` | the loop over what `raft-rs` has ready |
//! | `membership` | changes of the membership, gathered and applied |
//! | `admit` | which messages of peers are let in |
//! | `convert` | to and from the types of `raft-rs` |
//! | `names` | host ids as the numbers of `raft-rs` |
//! | `log` | the storage that `raft-rs` reads |
//! | `stored` | what is on disk, and the writes that put it there |
//! | `limits` | bounds, and what `raft-rs` is told |
//! | `output` | what comes of the calls |

mod admit;
mod convert;
mod group;
mod limits;
mod log;
mod membership;
mod names;
mod output;
mod parts;
mod settle;
mod stored;
#[cfg(test)]
mod tests;
mod types;

pub use group::Group;
pub use limits::{MAX_COMMAND_BYTES, MAX_PART_BYTES};
pub use membership::ChangeId;
pub use output::{Dropped, MemberProgress, Output, RaftError, RaftStatus, RaftWrite, Role};
pub use stored::{Corrupt, HardState, Stored};
pub use types::{Configuration, Entry, EntryKind, MAX_MEMBERS, Member, MessageKind, RaftMessage, Snapshot};
