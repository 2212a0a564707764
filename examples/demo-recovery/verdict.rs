//! What is asked of the nodes at the end, and the last lines.

use crate::{
    Why,
    cluster::Cluster,
    workload::{Changes, tables},
};
use group0_operator::crd::Run;
use std::{collections::BTreeSet, fmt, net::SocketAddr};

/// Recoveries that are to be carried out.
const RECOVERIES: usize = 2;
/// Hosts that are lost for good.
const LOST: usize = 4;
/// Schema changes in all, at least.
const CHANGES_AT_LEAST: usize = 100;

/// Everything that the last lines tell.
pub struct Verdict {
    recoveries: Vec<Run>,
    acknowledged: usize,
    lost: Vec<String>,
    refused: Vec<String>,
}

impl Verdict {
    /// Asks every node.
    pub async fn reach(cluster: &Cluster, changes: &[Changes], refused: Vec<String>) -> Result<Self, Why> {
        let mut everywhere: Option<BTreeSet<String>> = None;
        for address in cluster.addresses() {
            let there = tables(SocketAddr::new(*address, 9042)).await?;
            everywhere = Some(everywhere.map_or(there.clone(), |all| all.intersection(&there).cloned().collect()));
        }
        let everywhere = everywhere.unwrap_or_default();
        let acknowledged: Vec<_> = changes.iter().flat_map(|changes| &changes.acknowledged).map(|(table, _)| table).collect();
        let lost = acknowledged.iter().filter(|table| !everywhere.contains(**table)).map(|table| (*table).clone()).collect();
        let history = cluster.status().map(|status| status.history).unwrap_or_default();
        let recoveries = history.into_iter().filter(|run| !run.excluded.is_empty()).collect();
        Ok(Self { recoveries, acknowledged: acknowledged.len(), lost, refused })
    }

    /// What keeps this from being a success.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut demand = |holds: bool, what: &str| complaints.extend((!holds).then(|| what.to_owned()));
        demand(self.recoveries.len() == RECOVERIES, "there were not two recoveries");
        demand(self.lost.is_empty(), &format!("lost: {}", self.lost.join(", ")));
        demand(self.refused.len() == LOST, "not all of the dead were refused");
        demand(self.acknowledged >= CHANGES_AT_LEAST, &format!("fewer than {CHANGES_AT_LEAST} schema changes acknowledged"));
        for run in &self.recoveries {
            demand(run.schema_changes_off_millis.is_some(), "a recovery does not tell how long schema changes were off");
        }
        complaints
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "recoveries: {}", self.recoveries.len())?;
        for (number, run) in self.recoveries.iter().enumerate() {
            let seconds = |millis: Option<i64>| millis.unwrap_or_default().unsigned_abs() / 100;
            let (off, proof) = (seconds(run.schema_changes_off_millis), seconds(run.waiting_for_proof_millis));
            writeln!(
                f,
                "recovery {}: schema changes through group 0 unavailable for {}.{} s, of which {}.{} s were waiting for proof of death",
                number + 1,
                off / 10,
                off % 10,
                proof / 10,
                proof % 10
            )?;
        }
        writeln!(f, "schema changes: {} acknowledged, {} lost", self.acknowledged, self.lost.len())?;
        write!(f, "refused: {}", self.refused.join(" "))
    }
}
