//! The metadata node: what `group0-core` decides, carried out on disk and network.
//!
//! [`node::start`] puts it together: [`config`] → [`listeners`] → [`disk`] → the core → [`driver`], the one loop. Inputs reach
//! the loop through [`port`]; its sends leave through [`rpc`]. [`clients`] serve CQL; [`admin`] and [`http`] show the
//! status; [`tls`] says who is who; [`telemetry`] logs; [`program`] begins anew;
//! [`descriptors`] are what it may have open.
//! Only this crate knows files, sockets, clocks and the environment, and it decides nothing.

pub mod admin;
pub mod clients;
pub mod config;
pub mod cost;
pub mod cql;
pub mod descriptors;
pub mod disk;
pub mod driver;
pub mod health;
pub mod http;
pub mod injection;
pub mod listeners;
pub mod metrics;
pub mod node;
pub mod port;
pub mod program;
pub mod report;
pub mod rpc;
pub mod seeds;
pub mod settings;
pub mod telemetry;
pub mod tls;

use group0_core::{
    ids::Now,
    io::{Effects, Input, Reply},
    node::Node,
};

/// Starts the node that the configuration describes.
pub async fn run(config: config::Config) -> Result<node::Running, node::StartError> {
    node::start(config, |settings, image, now| Node::new(settings, &image, now).map_err(|error| error.to_string())).await
}

impl driver::Machine for Node {
    fn step(&mut self, now: Now, input: Input) -> Effects {
        Self::step(self, now, input)
    }

    fn read(&self, input: &Input, failure: &str) -> Option<Reply> {
        Self::read(self, input, failure)
    }
}
