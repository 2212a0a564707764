#![allow(clippy::unwrap_used)]
//! One host's way through the procedure, with the world played by hand.

use super::*;
use crate::raft::Configuration;

struct World {
    peers: BTreeSet<HostId>,
    gossip: BTreeSet<HostId>,
    configuration: Configuration,
    stage: Stage,
    state: Upgrade,
    /// As the node's timer for the back-off.
    backs_off: bool,
}

fn id(number: u128) -> HostId {
    HostId::of(number)
}

fn ids(numbers: &[u128]) -> BTreeSet<HostId> {
    numbers.iter().map(|number| id(*number)).collect()
}

impl World {
    fn new() -> Self {
        let (peers, gossip) = (ids(&[2, 3]), ids(&[2, 3]));
        Self {
            peers,
            gossip,
            configuration: Configuration::default(),
            stage: Stage::UsePreRaft,
            state: Upgrade::default(),
            backs_off: false,
        }
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        let view = View {
            me: id(1),
            stage: self.stage,
            peers: &self.peers,
            gossip_members: &self.gossip,
            configuration: Some(&self.configuration),
        };
        self.backs_off &= event != Event::Retry;
        let (state, actions) = step(&self.state, &view, event);
        self.state = state;
        for action in &actions {
            match action {
                Action::Backoff => self.backs_off = true,
                Action::Abort => self.backs_off = false,
                _ => {}
            }
        }
        assert_eq!(self.state.setback.is_some(), self.backs_off, "a setback ends with its back-off, and lasts as long");
        actions
    }

    fn enter(&mut self, stage: Stage) -> Vec<Action> {
        self.stage = stage;
        self.event(Event::Entered(stage))
    }

    fn join_all(&mut self) -> Vec<Action> {
        self.configuration.voters = ids(&[1, 2, 3]);
        self.event(Event::Joined)
    }

    /// Up to the end of step 5.
    fn synchronize(&mut self) {
        self.event(Event::Begin);
        for host in [2, 3] {
            self.event(Event::Told(id(host), Stage::UsePreRaft));
        }
        self.join_all();
        self.event(Event::Compared(id(2), Comparison::Pulled));
        self.event(Event::Compared(id(3), Comparison::Equal(Stage::UsePreRaft)));
        self.event(Event::Told(id(2), Stage::UsePreRaft));
        let actions = self.event(Event::Told(id(3), Stage::UsePreRaft));
        assert_eq!(actions, [Action::Enter { from: Stage::UsePreRaft, to: Stage::Synchronize }]);
        self.enter(Stage::Synchronize);
        assert_eq!(self.state.phase, Phase::AwaitMembers);
    }
}

#[test]
fn the_undisturbed_way() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Told(id(2), Stage::Synchronize));
    let actions = world.event(Event::Told(id(3), Stage::Synchronize));
    assert_eq!(actions, [Action::ResetBackoff, Action::Barrier, Action::Compare(id(2)), Action::Compare(id(3))]);
    world.event(Event::Compared(id(2), Comparison::Equal(Stage::Synchronize)));
    world.event(Event::Barrier(Ok(())));
    let actions = world.event(Event::Compared(id(3), Comparison::Equal(Stage::UsePostRaft)));
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
    world.enter(Stage::UsePostRaft);
    assert_eq!(world.state.phase, Phase::Done);
}

#[test]
fn step_4_has_taken_place_where_step_3_pulled_nothing() {
    let mut world = World::new();
    world.event(Event::Begin);
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::UsePreRaft));
    }
    world.join_all();
    world.event(Event::Compared(id(2), Comparison::Equal(Stage::UsePreRaft)));
    let actions = world.event(Event::Compared(id(3), Comparison::Equal(Stage::UsePreRaft)));
    assert!(actions.contains(&Action::Enter { from: Stage::UsePreRaft, to: Stage::Synchronize }));
}

#[test]
fn a_final_member_whose_schema_went_on_turns_confirming_into_an_early_finish() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Told(id(2), Stage::UsePostRaft));
    assert!(matches!(world.state.phase, Phase::Confirm(_)));
    let actions = world.event(Event::Compared(id(2), Comparison::Behind(Stage::UsePostRaft)));
    assert!(matches!(world.state.phase, Phase::Early(_)) && actions.contains(&Action::Barrier));
}

#[test]
fn a_member_that_fails_and_another_that_is_final_turn_confirming_into_an_early_finish() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Silent(id(3), "broken pipe".into()));
    world.event(Event::Told(id(2), Stage::UsePostRaft));
    world.event(Event::Compared(id(2), Comparison::Behind(Stage::UsePostRaft)));
    assert!(matches!(world.state.phase, Phase::Early(_)));
}

#[test]
fn what_was_pulled_after_a_failure_begins_a_new_pass() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Silent(id(3), "broken pipe".into()));
    let actions = world.event(Event::Compared(id(2), Comparison::Pulled));
    assert_eq!(actions, [Action::Abort, Action::Barrier, Action::Compare(id(2)), Action::Compare(id(3))]);
}

#[test]
fn step_0_is_refused_while_gossip_knows_a_host_that_peers_lacks() {
    let mut world = World::new();
    world.gossip.insert(id(4));
    world.event(Event::Begin);
    world.event(Event::Told(id(2), Stage::UsePreRaft));
    assert_eq!(world.event(Event::Told(id(3), Stage::UsePreRaft)), []);
    world.peers.insert(id(4));
    assert_eq!(world.event(Event::Changed), [Action::Ask(id(4))]);
    let actions = world.event(Event::Told(id(4), Stage::UsePreRaft));
    assert!(actions.contains(&Action::Join));
}

#[test]
fn a_silent_peer_makes_the_whole_pass_repeat() {
    let mut world = World::new();
    world.event(Event::Begin);
    world.event(Event::Told(id(2), Stage::UsePreRaft));
    assert_eq!(world.event(Event::Silent(id(3), "timed out".into())), [Action::Backoff]);
    assert_eq!(world.event(Event::Retry), [Action::Abort, Action::Ask(id(2)), Action::Ask(id(3))]);
}

#[test]
fn an_answer_before_synchronize_does_not_count_in_step_7() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Barrier(Ok(())));
    world.event(Event::Compared(id(2), Comparison::Equal(Stage::Synchronize)));
    assert_eq!(world.event(Event::Compared(id(3), Comparison::Equal(Stage::UsePreRaft))), [Action::Backoff]);
}

#[test]
fn one_who_was_behind_and_follows_ends_the_wait_before_the_back_off() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Barrier(Ok(())));
    world.event(Event::Compared(id(2), Comparison::Equal(Stage::Synchronize)));
    world.event(Event::Compared(id(3), Comparison::Behind(Stage::Synchronize)));
    assert_eq!(world.event(Event::VersionMoved(id(3))), [Action::Compare(id(3))]);
    let actions = world.event(Event::Compared(id(3), Comparison::Equal(Stage::Synchronize)));
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
}

#[test]
fn schemas_that_agree_do_not_do_without_the_read_barrier() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.event(Event::Compared(id(2), Comparison::Equal(Stage::Synchronize)));
    assert_eq!(world.event(Event::Compared(id(3), Comparison::Equal(Stage::Synchronize))), []);
    let actions = world.event(Event::Barrier(Ok(())));
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
}

#[test]
fn a_configuration_that_grew_starts_step_6_again() {
    let mut world = World::new();
    world.synchronize();
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    world.configuration.voters.insert(id(4));
    world.event(Event::Barrier(Ok(())));
    assert_eq!(world.state.phase, Phase::AwaitMembers);
}

#[test]
fn a_final_member_ends_every_wait_but_for_the_surplus() {
    let mut world = World::new();
    world.event(Event::Begin);
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::UsePostRaft));
    }
    world.configuration.voters = ids(&[1, 2]);
    world.event(Event::Joined);
    let actions = world.event(Event::Told(id(2), Stage::UsePostRaft));
    assert_eq!(actions, [Action::Abort, Action::Enter { from: Stage::UsePreRaft, to: Stage::Synchronize }, Action::Barrier]);
    world.enter(Stage::Synchronize);
    assert_eq!(world.event(Event::Barrier(Ok(()))), [Action::Reconcile(id(2))]);
    assert_eq!(world.event(Event::Reconciled(true)), [Action::SubmitSurplus]);
    let actions = world.event(Event::SurplusCommitted);
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
}

#[test]
fn a_surplus_of_which_a_part_has_failed_makes_nobody_final() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Told(id(2), Stage::UsePostRaft));
    world.event(Event::Barrier(Ok(())));
    world.event(Event::Reconciled(true));
    assert_eq!(world.event(Event::SurplusFailed("too large".into())), [Action::Backoff]);
    assert_eq!(world.event(Event::SurplusCommitted), [], "the other parts");
    assert_eq!(world.event(Event::Retry), [Action::Abort, Action::Abort, Action::Barrier]);
    assert_eq!(world.event(Event::SurplusCommitted), [], "of the former pass");
    world.event(Event::Barrier(Ok(())));
    let actions = world.event(Event::Reconciled(false));
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
}

#[test]
fn a_final_member_is_enough_though_nobody_knows_the_address_of_another() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Silent(id(3), "the address of 3 is unknown".into()));
    let actions = world.event(Event::Told(id(2), Stage::UsePostRaft));
    assert_eq!(actions, [Action::Abort, Action::Barrier]);
    world.event(Event::Barrier(Ok(())));
    let actions = world.event(Event::Reconciled(false));
    assert_eq!(actions, [Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft }]);
}

#[test]
fn an_early_finish_begins_again_with_a_final_member_that_was_silent_and_is_not_told_of_again() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Told(id(2), Stage::UsePostRaft));
    world.event(Event::Told(id(3), Stage::Synchronize));
    world.event(Event::Barrier(Ok(())));
    assert_eq!(world.event(Event::Silent(id(2), "timed out".into())), [Action::Backoff]);
    assert!(world.event(Event::Retry).contains(&Action::Compare(id(2))));
    let actions = world.event(Event::Compared(id(2), Comparison::Behind(Stage::UsePostRaft)));
    assert_eq!(actions, [Action::Abort, Action::Abort, Action::Barrier]);
    assert_eq!(world.event(Event::Barrier(Ok(()))), [Action::Reconcile(id(2))]);
}

#[test]
fn a_recovery_marker_ends_the_procedure() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Overruled(Stage::Recovery));
    assert!(matches!(world.state.phase, Phase::Failed(Step::AwaitMembers, _)));
    world.stage = Stage::Recovery;
    world.event(Event::Begin);
    assert_eq!(world.state.phase, Phase::Idle);
}

#[test]
fn a_restart_in_synchronize_goes_on_at_6() {
    let mut world = World::new();
    world.stage = Stage::Synchronize;
    assert_eq!(world.event(Event::Begin), [Action::Abort, Action::Abort, Action::ResetBackoff, Action::Join]);
    world.join_all();
    assert_eq!(world.state.phase, Phase::AwaitMembers);
}

/// A person put the only final member into recovery while it took one in, which waits for a final member itself (seed 910499).
#[test]
fn who_is_on_the_way_in_and_has_nothing_yet_is_not_waited_for() {
    let newcomer = id(9);
    let mut world = World::new();
    world.synchronize();
    world.configuration.learners.insert(newcomer);
    for host in [2, 3] {
        world.event(Event::Told(id(host), Stage::Synchronize));
    }
    assert_eq!(world.state.phase, Phase::AwaitMembers, "nobody knows how far it is");
    world.event(Event::Told(newcomer, Stage::UsePreRaft));
    assert_eq!(world.state.phase, Phase::Confirm(Confirm::of(ids(&[2, 3]))));
    world.event(Event::Told(newcomer, Stage::Synchronize));
    assert_eq!(world.state.phase, Phase::Confirm(Confirm::of(ids(&[2, 3]))), "what it lacks, it waits for (seed 95294)");
    world.gossip.insert(newcomer);
    world.event(Event::Told(newcomer, Stage::Synchronize));
    assert_eq!(world.state.phase, Phase::Confirm(Confirm::of(ids(&[2, 3, 9]))), "it is in the ring");
}

/// A person put the only final member into recovery, who changed the schema there, while a newcomer had its snapshot already (seed 74164).
#[test]
fn what_was_compared_is_in_the_log_before_a_newcomer_that_nobody_awaits_goes_on_from_it() {
    let newcomer = id(9);
    let ready = || {
        let mut world = World::new();
        world.synchronize();
        world.configuration.learners.insert(newcomer);
        world.event(Event::Told(newcomer, Stage::UsePreRaft));
        for host in [2, 3] {
            world.event(Event::Told(id(host), Stage::Synchronize));
            world.event(Event::Compared(id(host), Comparison::Equal(Stage::Synchronize)));
        }
        world.event(Event::Compared(id(2), Comparison::Equal(Stage::Synchronize)));
        assert_eq!(world.event(Event::Barrier(Ok(()))), [Action::SubmitSchema]);
        assert_eq!(world.event(Event::Changed), [], "once");
        world
    };
    let finish = Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft };
    assert_eq!(ready().event(Event::SurplusCommitted), std::slice::from_ref(&finish));

    let mut world = ready();
    assert_eq!(world.event(Event::SurplusFailed("no quorum".into())), [Action::Backoff]);
    assert_eq!(world.event(Event::SurplusCommitted), [], "another part of it");
    let again = world.event(Event::Retry);
    assert!(again.contains(&Action::Barrier) && !again.contains(&finish), "{again:?}");

    let mut world = ready();
    world.gossip.insert(newcomer);
    world.event(Event::Told(newcomer, Stage::Synchronize));
    assert_eq!(world.event(Event::SurplusCommitted), [], "it is awaited now");
}

#[test]
fn what_it_waits_for_is_named() {
    let mut world = World::new();
    world.synchronize();
    world.event(Event::Told(id(2), Stage::Synchronize));
    let view = View {
        me: id(1),
        stage: world.stage,
        peers: &world.peers,
        gossip_members: &world.gossip,
        configuration: Some(&world.configuration),
    };
    assert_eq!(world.state.waiting_on(&view), [WaitingOn::Synchronize(id(3))]);
}
