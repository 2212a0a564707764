//! Whole nodes with scripts for machines, in one process on 127.x.

mod orders;
mod rpc;
mod show;
mod tls;
mod toy;
