//! What is asked of the nodes at the end, and the five lines.

use crate::{
    Why,
    cluster::Cluster,
    workload::{Changes, tables},
};
use group0_api::v1;
use group0_operator::{admin::Admin, crd::Phase};
use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The state of a node that is done.
const FINAL: &str = "use_post_raft_procedures";
/// A final node applies what others have acknowledged within this.
const APPLY: Duration = Duration::from_secs(5);

/// Everything that the last lines tell.
pub struct Verdict {
    phase: Phase,
    statuses: Vec<v1::Status>,
    changes: Vec<Changes>,
    lost: Vec<String>,
    rows_equal_on: usize,
    /// Of the statements without an answer: how many took effect.
    unknown_done: usize,
}

impl Verdict {
    /// Asks every node.
    pub async fn reach(cluster: &Cluster, changes: Vec<Changes>) -> Result<Self, Why> {
        let admins = cluster.admins().await?;
        let rows_equal_on = rows_equal_on(&admins).await?;
        let mut statuses = Vec::new();
        for admin in &admins {
            statuses.push(admin.status().await?);
        }
        let mut everywhere: Option<BTreeSet<String>> = None;
        for address in cluster.addresses() {
            let there = tables(SocketAddr::new(*address, 9042)).await?;
            everywhere = Some(everywhere.map_or(there.clone(), |all| all.intersection(&there).cloned().collect()));
        }
        let everywhere = everywhere.unwrap_or_default();
        let acknowledged = changes.iter().flat_map(|changes| &changes.acknowledged).map(|(table, _)| table);
        let lost = acknowledged.filter(|table| !everywhere.contains(*table)).cloned().collect();
        let unknown_done = changes.iter().flat_map(|changes| &changes.unknown).filter(|t| everywhere.contains(*t)).count();
        Ok(Self { phase: cluster.phase(), statuses, changes, lost, rows_equal_on, unknown_done })
    }

    /// What keeps this from being a success.
    pub fn complaints(&self, each_at_least: usize, all_at_least: usize) -> Vec<String> {
        let nodes = self.statuses.len();
        let mut complaints = Vec::new();
        let mut demand = |holds: bool, what: &str| complaints.extend((!holds).then(|| what.to_owned()));
        demand(self.phase == Phase::Complete, "the phase is not Complete");
        demand(self.final_nodes() == nodes, "not every node is final");
        demand(self.group().is_some(), "there is not one group");
        demand(self.lost.is_empty(), &format!("lost: {}", self.lost.join(", ")));
        demand(self.rows_equal_on == nodes, "the rows differ");
        demand(self.last().is_some(), "no node tells what its upgrade took");
        demand(self.acknowledged() >= all_at_least, &format!("fewer than {all_at_least} schema changes acknowledged"));
        for index in 0..nodes {
            let (before, after) = self.before_and_after(index);
            demand(before >= each_at_least, &format!("only {before} schema changes before the upgrade on node {index}"));
            demand(after >= each_at_least, &format!("only {after} schema changes after the upgrade on node {index}"));
        }
        complaints.extend(self.changes.iter().flat_map(|changes| changes.errors.iter().cloned()));
        complaints
    }

    fn acknowledged(&self) -> usize {
        self.changes.iter().map(|changes| changes.acknowledged.len()).sum()
    }

    /// Acknowledged by this node before it was final, and after: in `synchronize` it acknowledges none.
    fn before_and_after(&self, index: usize) -> (usize, usize) {
        let finished = self.statuses.get(index).and_then(|status| status.upgrade_figures.as_ref()).map(|f| f.finished_micros);
        let Some(changes) = self.changes.get(index) else { return (0, 0) };
        let is_before = |at: i64| finished.is_none_or(|finished| at < finished);
        let before = changes.acknowledged.iter().filter(|(_, at)| is_before(*at)).count();
        (before, changes.acknowledged.len() - before)
    }

    fn final_nodes(&self) -> usize {
        self.statuses.iter().filter(|status| status.upgrade_state == FINAL).count()
    }

    /// The group, if all have the same one.
    fn group(&self) -> Option<&str> {
        let ids: Option<BTreeSet<&str>> = self.statuses.iter().map(|s| s.group.as_ref().map(|g| g.id.as_str())).collect();
        ids.filter(|ids| ids.len() == 1).and_then(|ids| ids.into_iter().next())
    }

    /// The node that finished last, with its figures.
    fn last(&self) -> Option<(&v1::Status, &v1::UpgradeFigures)> {
        let with_figures = self.statuses.iter().filter_map(|status| status.upgrade_figures.as_ref().map(|f| (status, f)));
        with_figures.max_by_key(|(_, figures)| figures.finished_micros)
    }

    /// From the first node in synchronize to the last one final.
    fn refused_micros(&self) -> i64 {
        let figures = || self.statuses.iter().filter_map(|status| status.upgrade_figures.as_ref());
        let from = figures().map(|f| f.synchronize_micros).min().unwrap_or_default();
        let to = figures().map(|f| f.finished_micros).max().unwrap_or_default();
        to - from
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.statuses.len();
        let unknown: usize = self.changes.iter().map(|changes| changes.unknown.len()).sum();
        let refusals: usize = self.changes.iter().map(|changes| changes.refusals).sum();
        let (before, after) = (0..nodes).map(|index| self.before_and_after(index)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        writeln!(
            f,
            "besides: {refusals} refused and sent again, {unknown} with a broken connection ({} of these took effect)",
            self.unknown_done
        )?;
        writeln!(f, "phase: {}", self.phase)?;
        writeln!(f, "nodes: {}/{nodes} {FINAL}, one group {}", self.final_nodes(), self.group().unwrap_or("(none)"))?;
        writeln!(
            f,
            "schema changes: {} acknowledged ({before} before, {after} after), {} lost, rows equal on {}/{nodes} nodes",
            self.acknowledged(),
            self.lost.len(),
            self.rows_equal_on
        )?;
        if let Some((status, figures)) = self.last() {
            writeln!(f, "{}", Cost::of(status, figures))?;
        }
        write!(f, "schema changes refused for {:.1} ms", millis(self.refused_micros()))
    }
}

/// Where the time of the upgrade went.
struct Cost {
    total_micros: i64,
    hops: u32,
    round_trip_nanos: u64,
    fsyncs: u32,
    fsync_nanos: u64,
}

impl Cost {
    fn of(status: &v1::Status, figures: &v1::UpgradeFigures) -> Self {
        Self {
            total_micros: figures.finished_micros - figures.started_micros,
            hops: figures.hops,
            round_trip_nanos: status.round_trip_nanos,
            fsyncs: figures.fsyncs,
            fsync_nanos: status.fsync_nanos,
        }
    }

    fn unexplained_micros(&self) -> i64 {
        let round_trips = self.round_trip_nanos.saturating_mul(self.hops.into()) / 2;
        let explained = round_trips.saturating_add(self.fsync_nanos.saturating_mul(self.fsyncs.into()));
        self.total_micros - i64::try_from(explained / 1000).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "upgrade: {:.1} ms = {} round trips of {} µs + {} fsyncs of {} µs + {:.1} ms unexplained",
            millis(self.total_micros),
            f64::from(self.hops) / 2.0,
            self.round_trip_nanos / 1000,
            self.fsyncs,
            self.fsync_nanos / 1000,
            millis(self.unexplained_micros())
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations of seconds")]
fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

/// On how many nodes the rows are those of the first, once they have applied what was acknowledged.
async fn rows_equal_on(admins: &[Admin]) -> Result<usize, Why> {
    let since = Instant::now();
    loop {
        let mut schemas = Vec::new();
        for admin in admins {
            schemas.push(admin.schema().await?);
        }
        let equal = schemas.iter().filter(|schema| schemas.first() == Some(schema)).count();
        if equal == admins.len() || since.elapsed() > APPLY {
            return Ok(equal);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
