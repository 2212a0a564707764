//! Before the first restart: every guard is asked, and what the run begins with is written down.

use super::{Given, Plan, guard, rolling};
use crate::crd::Phase;

/// Asks every guard; when all pass, the roll begins.
pub(super) fn ask(given: &Given<'_>) -> Plan {
    let verdicts = guard::ask(given, |_| true);
    let in_the_way = guard::in_the_way(&verdicts);
    if !in_the_way.is_empty() {
        return given.wait(Phase::Preflight, in_the_way);
    }
    let mut journal = given.journal.clone();
    journal.preflight_passed_at = Some(given.now);
    journal.template_hash = Some(given.template_hash());
    journal.overridden = guard::let_pass(&verdicts).collect();
    rolling::next(&Given { journal: &journal, ..*given })
}
