//! Traces that an abstract search once found: each is found again when the rule that prevents it is switched off.

use crate::{
    broken::{gets_stuck, notices},
    world::{Rule, Setup},
};
use std::collections::BTreeSet;

/// Nodes by whom each knows.
pub fn who_know(peers: &[&[u8]]) -> Setup {
    Setup { peers: peers.iter().map(|peers| peers.iter().copied().collect::<BTreeSet<_>>()).collect(), ..Setup::default() }
}

/// A leads, N has applied the addition of nobody but these two; B is added, too, and serves old-style statements.
#[test]
fn trace_52_a_joiner_that_knows_the_leader_only() {
    let setup = Setup { joined: true, lean: true, ..who_know(&[&[1, 2], &[0], &[0, 1]]) };
    notices(setup, Rule::BarrierWaits, "S2");
}

/// N has the smallest id and never was in the cluster: it founds a group of its own.
#[test]
fn trace_53_a_first_boot_that_founds() {
    let setup = Setup { fresh: 0b001, lean: true, ..who_know(&[&[], &[2], &[1]]) };
    notices(setup, Rule::FirstBootWaits, "S6");
}

/// N takes its snapshot before the last pull of who makes it.
#[test]
fn trace_54_a_snapshot_before_the_last_pull() {
    let setup = Setup { fresh: 0b100, joined: true, lean: true, old_ddls: 1, strangers: true, ..who_know(&[&[1], &[0], &[]]) };
    notices(setup, Rule::FinalOnesAdd, "S7");
}

/// N joins while the others upgrade, and is lost for good.
#[test]
fn trace_55_a_joiner_that_is_lost() {
    gets_stuck(lost_newcomer(), Rule::FirstBootWaits);
}

/// Two upgrade, and a newcomer may be lost at any moment.
pub fn lost_newcomer() -> Setup {
    let (lost, crashes, unbreakable) = (0b100, 1, 0b011);
    Setup { fresh: 0b100, lost, crashes, unbreakable, joined: true, lean: true, strangers: true, ..who_know(&[&[1], &[0], &[0]]) }
}

/// A does not know C, and applies the configuration late.
#[test]
fn trace_56_a_late_configuration() {
    let setup = Setup { joined: true, lean: true, ..who_know(&[&[1], &[0, 2], &[0, 1]]) };
    notices(setup, Rule::BarrierWaits, "S2");
}

/// What was acknowledged in recovery stays on that node.
#[test]
fn trace_57_a_recovery_on_one_node() {
    let setup = Setup { finished: true, recoveries: 1, recoverable: 0b01, old_ddls: 1, ..Setup::of(2) };
    notices(setup, Rule::SurplusIsNoticed, "S7");
}

/// The node is repaired while another member is dead: only who is final already can help it.
#[test]
fn trace_58_a_repair_beside_a_dead_member() {
    gets_stuck(repair_beside_a_dead_member(), Rule::FinalIsBelieved);
}

/// Of three that are final one may be lost, and another is in recovery for a while.
pub fn repair_beside_a_dead_member() -> Setup {
    let (lost, crashes, unbreakable) = (0b100, 1, 0b011);
    Setup { finished: true, recoveries: 1, recoverable: 0b010, lost, crashes, unbreakable, lean: true, ..Setup::of(3) }
}

/// A has stored the id of the group, and crashes before it is added.
#[test]
fn trace_59_a_joiner_that_does_not_ask_again() {
    gets_stuck(Setup { crashes: 1, lean: true, asked: true, ..Setup::of(2) }, Rule::MembershipIsAsked);
}

/// The founder crashes between the id and the snapshot.
#[test]
fn trace_60_a_founding_in_two_parts() {
    gets_stuck(Setup { crashes: 1, lean: true, asked: true, ..Setup::of(2) }, Rule::FoundingIsWhole);
}

/// Nobody knows the first, who has the smallest id.
#[test]
fn trace_61_a_leader_that_answers_its_list() {
    let setup = Setup { lean: true, ..who_know(&[&[1], &[2], &[1]]) };
    notices(setup, Rule::LeaderIsSilent, "S3");
}

/// A person writes `recovery`, and the last step would store over it.
#[test]
fn trace_65_a_marker_that_is_overwritten() {
    let setup = Setup { recoveries: 1, recoverable: 0b01, joined: true, ..Setup::of(2) };
    notices(setup, Rule::MarkerEndsProcedure, "a stored recovery");
}

/// N has leave to come in the old way, and comes in when the others, who do not know of it, are final.
#[test]
fn trace_71_a_leave_that_is_not_recorded() {
    notices(newcomer_of_before(), Rule::LeaveIsRecorded, "S6");
}

/// N asks for leave to come in the old way when the others have enabled the feature, and have asked all whom they know.
#[test]
fn trace_71_a_leave_that_comes_too_late() {
    notices(newcomer_of_before(), Rule::LeaveEndsWithTheFeature, "S6");
}

/// Two know each other, the feature is not enabled yet, and a third comes.
pub fn newcomer_of_before() -> Setup {
    Setup { enabling: true, fresh: 0b100, lean: true, ..who_know(&[&[1], &[0], &[0, 1]]) }
}

/// N has begun to come in the old way, the feature is enabled, and N crashes: step 0 waits for it, and nobody lets it in.
#[test]
fn trace_72_a_joiner_that_is_not_let_in_again() {
    let setup = Setup { enabling: true, fresh: 0b10, crashes: 1, unbreakable: 0b01, lean: true, ..who_know(&[&[], &[0]]) };
    gets_stuck(setup, Rule::RecordedMayComeIn);
}

/// The same, and N does not come back.
#[test]
fn trace_72_a_joiner_that_is_lost() {
    gets_stuck(lost_joiner(who_know(&[&[], &[0]])), Rule::LostAreRemoved);
}

/// The last of these comes in the old way, and may be lost before it is in.
pub fn lost_joiner(setup: Setup) -> Setup {
    let last = 1 << (setup.peers.len() - 1);
    Setup { enabling: true, fresh: last, lost: last, crashes: 1, unbreakable: last - 1, lean: true, ..setup }
}

/// N has a hold and comes up when all is done, so that nobody tells it to proceed.
#[test]
fn trace_73_a_hold_after_the_end() {
    gets_stuck(held_newcomer(), Rule::HoldEndsWithTheFeature);
}

/// One that never was in the cluster has a hold; it comes at any time.
pub fn held_newcomer() -> Setup {
    Setup { enabling: true, held: 0b10, fresh: 0b10, lean: true, ..who_know(&[&[], &[0]]) }
}

/// The marker is removed beside a final node.
#[test]
fn trace_74_a_node_that_begins_anew_after_recovery() {
    let setup = Setup { finished: true, recoveries: 1, recoverable: 0b01, ..Setup::of(2) };
    notices(setup, Rule::ReachedIsKept, "S6");
}

/// A push comes after schemas were compared, and before the node is final: from one in recovery to one that comes out of it. The third
/// member does not hear of it, since the second finds that the first has it.
#[test]
fn trace_75_a_push_after_the_comparison() {
    notices(two_recoveries(), Rule::PushesAreSetAside, "S7");
}

/// Two of three that were final are in recovery, with a client each, and come out of it.
pub fn two_recoveries() -> Setup {
    let (in_recovery, without_clients) = (0b011, 0b100);
    Setup { finished: true, in_recovery, old_ddls: 2, without_clients, lean: true, ..Setup::of(3) }
}

/// The snapshot for N is made by who is not final yet, and has not taken what was made before the group.
#[test]
fn trace_76_a_snapshot_of_who_is_not_final() {
    notices(newcomer_beside_a_stranger(), Rule::FinalOnesMakeSnapshots, "S7");
}

/// The first knows nobody, and is final at once; the second finds it, and so does a newcomer.
pub fn newcomer_beside_a_stranger() -> Setup {
    let without_clients = 0b110;
    Setup { fresh: 0b100, lean: true, old_ddls: 1, without_clients, strangers: true, ..who_know(&[&[], &[0], &[]]) }
}
