//! Compares what was acknowledged with what each node has.

use super::{
    KEYSPACE,
    work::{ANSWER_MAX, STOPPED},
};
use scylla::client::{execution_profile::ExecutionProfile, session_builder::SessionBuilder};
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{net::lookup_host, time::sleep};

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Acknowledged {
    created: BTreeSet<String>,
    dropped: BTreeSet<String>,
    prepared: usize,
}

impl Acknowledged {
    fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("created", table)) => drop(told.created.insert(table.to_owned())),
                Some(("dropping", table)) => drop(told.created.remove(table)),
                Some(("dropped", table)) => drop(told.dropped.insert(table.to_owned())),
                _ if line == "prepared" => told.prepared += 1,
                _ => {}
            }
        }
        told
    }

    fn lost(&self, tables: &BTreeSet<String>) -> Vec<String> {
        let missing = self.created.difference(tables).map(|table| format!("{table} is missing"));
        let back = self.dropped.intersection(tables).map(|table| format!("{table} is there again"));
        missing.chain(back).collect()
    }
}

/// Ends the work. Fails if any node lacks anything, or if two differ.
pub async fn check(nodes: &[String], file: &Path) -> Result<(), String> {
    let text = told_at_last(file).await.map_err(|error| format!("{}: {error}", file.display()))?;
    let told = Acknowledged::read(&text);
    let mut all = Vec::new();
    for node in nodes {
        let tables = tables(node).await.map_err(|why| format!("{node}: {why}"))?;
        let lost = told.lost(&tables);
        if !lost.is_empty() {
            return Err(format!("{node} lost {} acknowledged changes: {}", lost.len(), lost.join(", ")));
        }
        all.push(tables);
    }
    if all.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("nodes have different tables: {all:?}"));
    }
    let (changes, equal) = (text.lines().filter(|line| !line.starts_with("dropping") && *line != STOPPED).count(), nodes.len());
    println!("schema changes and prepared statements: {changes} acknowledged, 0 lost, tables equal on {equal}/{equal} nodes");
    if told.created.is_empty() || told.prepared == 0 { Err("nothing was acknowledged".to_owned()) } else { Ok(()) }
}

/// Everything that was told, once no more comes and it has had time to reach every node.
async fn told_at_last(file: &Path) -> io::Result<String> {
    fs::write(super::stop(file), "")?;
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(file)?;
        if text.lines().any(|line| line == STOPPED) {
            sleep(Duration::from_secs(1)).await;
            return Ok(text);
        }
        if begin.elapsed() > 2 * ANSWER_MAX {
            return Err(io::Error::other("the work does not end"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The tables that this node, and no other, tells of.
async fn tables(node: &str) -> Result<BTreeSet<String>, String> {
    let address: SocketAddr = lookup_host(node).await.map_err(|error| error.to_string())?.next().ok_or("no address")?;
    let only = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::NodeAddress(address), None);
    let profile = ExecutionProfile::builder().load_balancing_policy(only).build();
    let builder = SessionBuilder::new().known_node_addr(address).default_execution_profile_handle(profile.into_handle());
    let session = builder.build().await.map_err(|error| error.to_string())?;
    let query = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}'");
    let rows = session.query_unpaged(query, &[]).await.map_err(|error| error.to_string())?;
    let rows = rows.into_rows_result().map_err(|error| error.to_string())?;
    let names = rows.rows::<(String,)>().map_err(|error| error.to_string())?;
    names.map(|name| name.map(|(name,)| name).map_err(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_dropped_gone() {
        let told = Acknowledged::read("created t1\ncreated t2\nprepared\ncreated t3\ndropping t1\ndropped t1\ndropping t2\n");
        let there = |tables: &[&str]| tables.iter().map(|table| (*table).to_owned()).collect();
        assert_eq!(told.lost(&there(&["t3"])), Vec::<String>::new());
        assert_eq!(told.lost(&there(&["t1", "t2"])), ["t3 is missing", "t1 is there again"]);
        assert_eq!(told.prepared, 1);
    }
}
