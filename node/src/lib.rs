//! shell
pub mod config;
pub mod disk;
pub mod seeds;
