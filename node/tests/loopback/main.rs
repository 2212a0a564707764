//! Whole nodes with scripts for machines, in one process on 127.x.

#[path = "../http/mod.rs"]
mod http;
mod orders;
mod rest;
mod rpc;
mod show;
mod tls;
mod toy;
