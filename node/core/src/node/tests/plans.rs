//! A recovery by an operator's plan: each step on every survivor, ordered again until it is done.

use super::{
    agree, has_table,
    newcomers::{three_and_a_fourth, three_final},
    recovery::restart,
    report, upgrade, upgraded, with_keyspace,
    world::World,
};
use crate::{
    ids::{HostId, Incarnation},
    io::{AdminReply, AdminRequest, Order, Point, RecoveryPlan, RecoveryStep},
    status::{Evidence, PlanState},
    upgrade::Stage,
};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);
/// How often a step is ordered before it is given up.
const TRIES: usize = 20;

fn host(world: &World, number: usize) -> HostId {
    world.hosts[number].stored(crate::node::local::key::HOST_ID).unwrap().parse().unwrap()
}

fn evidence(world: &World, number: usize) -> Evidence {
    world.node(number).evidence()
}

fn plan_state(world: &World, number: usize) -> Option<PlanState> {
    evidence(world, number).plan.map(|plan| plan.state)
}

/// Who goes on, and who is given up.
pub(super) struct Plan {
    pub number: u64,
    pub live: Vec<usize>,
    pub lost: Vec<usize>,
}

impl Plan {
    /// Those who are given up end, and the others notice.
    pub fn lose(&self, world: &mut World) {
        for number in &self.lost {
            world.crash(*number);
        }
        world.run(Duration::from_secs(4));
    }

    fn prepare(&self, world: &World) -> RecoveryStep {
        let hosts = |numbers: &[usize]| numbers.iter().map(|number| host(world, *number)).collect();
        let (survivors, excluded) = (hosts(&self.live), hosts(&self.lost));
        RecoveryStep::PrepareFence(RecoveryPlan { number: self.number, survivors, excluded, text: "a plan\nof two lines".into() })
    }

    fn order(&self, world: &mut World, number: usize, step: &RecoveryStep) -> Option<Result<(), String>> {
        let id = world.admin(number, AdminRequest::Recover { order: Order::default(), plan: self.number, step: step.clone() });
        world.run_until(Duration::from_secs(6), |world| {
            world.admin_replies.contains_key(&id) || world.hosts[number].node.is_none()
        });
        match world.admin_replies.get(&id)? {
            AdminReply::Done => Some(Ok(())),
            AdminReply::Refused(why) => Some(Err(why.clone())),
            other => panic!("{other:?}"),
        }
    }

    /// Until it is done, over crashes.
    pub fn insist(&self, world: &mut World, number: usize, step: &RecoveryStep) {
        let mut last = None;
        for _ in 0..TRIES {
            if world.hosts[number].node.is_none() {
                world.start(number);
            }
            last = self.order(world, number, step);
            if last == Some(Ok(())) {
                return;
            }
            world.run(Duration::from_secs(1));
        }
        panic!("{} on {number}: {last:?}\n{}", step.name(), report(world));
    }

    pub fn on_each(&self, world: &mut World, step: &RecoveryStep) {
        for number in &self.live {
            self.insist(world, *number, step);
        }
    }

    fn revive(&self, world: &mut World) {
        for number in &self.live {
            if world.hosts[*number].node.is_none() {
                world.start(*number);
            }
        }
    }

    pub fn restart_each(&self, world: &mut World) {
        for number in &self.live {
            restart(world, *number);
            world.run(Duration::from_secs(3));
        }
    }

    fn fence(&self, world: &mut World) {
        let prepare = self.prepare(world);
        self.on_each(world, &prepare);
        self.on_each(world, &RecoveryStep::Fence);
    }

    pub fn enter(&self, world: &mut World) {
        self.fence(world);
        self.on_each(world, &RecoveryStep::EnterRecovery);
        self.restart_each(world);
    }

    /// The largest last position, then the largest id.
    fn donor(&self, world: &mut World) -> usize {
        self.revive(world);
        let by = |number: &&usize| (evidence(world, **number).last, host(world, **number));
        *self.live.iter().max_by_key(by).unwrap()
    }

    pub fn roll_forward(&self, world: &mut World) {
        let donor = self.donor(world);
        let step = RecoveryStep::RollForward { donor: host(world, donor) };
        self.insist(world, donor, &step);
        self.on_each(world, &step);
    }

    fn reset_and_leave(&self, world: &mut World) {
        self.on_each(world, &RecoveryStep::ResetGroup0);
        self.on_each(world, &RecoveryStep::LeaveRecovery);
        self.restart_each(world);
    }

    fn carry_out(&self, world: &mut World) {
        self.enter(world);
        self.roll_forward(world);
        self.reset_and_leave(world);
        self.ends_final(world);
    }

    pub fn ends_final(&self, world: &mut World) {
        let live = &self.live;
        let is_done = |world: &World| {
            let running = |number: &usize| world.hosts[*number].node.as_ref();
            live.iter().all(|number| running(number).is_some_and(|node| node.stage() == Stage::UsePostRaft))
        };
        for _ in 0..TRIES {
            self.revive(world);
            if world.run_until(LIMIT, is_done) {
                break;
            }
        }
        assert!(is_done(world), "{}", report(world));
        self.on_each(world, &RecoveryStep::CloseRecovery);
    }
}

/// Trace 62: an entry that three of five have is acknowledged, three are lost at once; of the survivors one has the entry and does not
/// know that it is committed.
pub(super) fn with_an_entry_that_nobody_left_knows_to_be_committed() -> (World, Plan) {
    let mut world = upgraded(5);
    let leader = (0..5).find(|number| world.node(*number).group.as_ref().unwrap().1.status().is_leader).unwrap();
    let others: Vec<usize> = (0..5).filter(|number| *number != leader).collect();
    let (has_it, behind) = (others[0], others[1]);
    world.cut(behind, &(0..5).filter(|number| *number != behind).collect::<Vec<_>>());
    let before = world.node(has_it).group.as_ref().unwrap().1.status().commit;
    let id = world.client(leader, "CREATE TABLE ks.acknowledged (a int PRIMARY KEY)");
    let has_entry = |world: &World| {
        let status = world.node(has_it).group.as_ref().unwrap().1.status();
        status.last_index > before && status.commit == before
    };
    assert!(world.run_until(LIMIT, has_entry), "{}", report(&world));
    world.cut(has_it, &(0..5).filter(|number| *number != has_it).collect::<Vec<_>>());
    assert_eq!(world.outcome(id, LIMIT), Ok(()));
    let lost: Vec<usize> = (0..5).filter(|number| ![has_it, behind].contains(number)).collect();
    for number in &lost {
        world.crash(*number);
    }
    world.cuts.clear();
    world.run(Duration::from_secs(4));
    assert!(!has_table(&world, has_it, "acknowledged") && !has_table(&world, behind, "acknowledged"));
    (world, Plan { number: 1, live: vec![has_it, behind], lost })
}

#[test]
fn what_was_acknowledged_survives_in_the_log_of_one() {
    let (mut world, plan) = with_an_entry_that_nobody_left_knows_to_be_committed();
    let (has_it, behind) = (plan.live[0], plan.live[1]);
    assert_eq!(evidence(&world, has_it).commit, evidence(&world, behind).commit, "the commit index does not tell them apart");
    plan.enter(&mut world);
    assert_eq!(plan.donor(&mut world), has_it);
    plan.roll_forward(&mut world);
    assert!([has_it, behind].into_iter().all(|number| has_table(&world, number, "acknowledged")));
    plan.reset_and_leave(&mut world);
    plan.ends_final(&mut world);
    for number in &plan.live {
        let found = evidence(&world, *number);
        assert_eq!((found.incarnation, found.removed.len()), (Incarnation(2), 3));
        assert_eq!(found.plan.unwrap().state, PlanState::Done);
        assert_eq!(world.node(*number).peers.hosts().len(), 1);
    }
    world.execute(behind, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);

    for number in &plan.lost {
        world.start(*number);
    }
    world.run(Duration::from_secs(10));
    assert!(plan.lost.iter().all(|number| !has_table(&world, *number, "after")), "the dead are heard by nobody");
    world.execute(has_it, "CREATE TABLE ks.alone (a int PRIMARY KEY)");
    assert_eq!(incarnations(&world, &plan.live), [Incarnation(2); 2]);
}

pub(super) fn incarnations(world: &World, live: &[usize]) -> Vec<Incarnation> {
    live.iter().map(|number| world.node(*number).local.incarnation()).collect()
}

/// Before the group is forgotten, whoever comes back is welcome (scenario 78): the fence is lifted and all goes on as it was.
#[test]
fn a_plan_is_withdrawn_when_the_dead_come_back() {
    let (mut world, plan) = with_an_entry_that_nobody_left_knows_to_be_committed();
    plan.enter(&mut world);
    plan.roll_forward(&mut world);
    for number in &plan.lost {
        world.start(*number);
    }
    world.run(Duration::from_secs(3));
    let back = host(&world, plan.lost[0]);
    assert!(evidence(&world, plan.live[0]).heard[&back] < Duration::from_secs(3), "fenced, and yet a sign of life");
    assert!(!world.node(plan.live[0]).gossip.is_up(back));
    plan.on_each(&mut world, &RecoveryStep::LiftFence);
    assert!(plan.live.iter().all(|number| !evidence(&world, *number).recovery_stored));
    plan.restart_each(&mut world);
    let all_final = |world: &World| world.all(|node| node.stage() == Stage::UsePostRaft);
    assert!(world.run_until(LIMIT, all_final), "{}", report(&world));
    world.execute(plan.live[0], "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
    assert!((0..5).all(|number| has_table(&world, number, "acknowledged")));
    assert!((0..5).all(|number| world.node(number).local.incarnation() == Incarnation(1)));
    let refused = plan.order(&mut world, plan.live[0], &RecoveryStep::Fence).unwrap().unwrap_err();
    assert!(refused.contains("withdrawn"), "{refused}");
}

/// What was rolled forward need not be committed: the plan is withdrawn, and the others go on in the group with something else. Whoever
/// had it in the log has the history that they have, and goes on with them.
#[test]
fn what_was_rolled_forward_and_then_overwritten_is_in_no_history() {
    let mut world = upgraded(5);
    let leader = (0..5).find(|number| world.node(*number).group.as_ref().unwrap().1.status().is_leader).unwrap();
    let others: Vec<usize> = (0..5).filter(|number| *number != leader).collect();
    let (has_it, rest) = (others[0], &others[1..]);
    let last = |world: &World, number: usize| world.node(number).group.as_ref().unwrap().1.status().last_index;
    let before = last(&world, leader);
    world.client(leader, "CREATE TABLE ks.unacknowledged (a int PRIMARY KEY)");
    assert!(world.run_until(LIMIT, |world| last(world, leader) > before), "{}", report(&world));
    for number in rest {
        world.crash(*number);
    }
    assert!(world.run_until(LIMIT, |world| last(world, has_it) > before), "{}", report(&world));
    world.crash(leader);
    world.start(rest[0]);
    let plan = Plan { number: 1, live: vec![has_it, rest[0]], lost: vec![leader, rest[1], rest[2]] };
    world.run(Duration::from_secs(4));
    plan.enter(&mut world);
    plan.roll_forward(&mut world);
    assert!(plan.live.iter().all(|number| has_table(&world, *number, "unacknowledged")));

    world.cut(has_it, rest);
    world.start(rest[1]);
    world.start(rest[2]);
    plan.insist(&mut world, rest[0], &RecoveryStep::LiftFence);
    restart(&mut world, rest[0]);
    world.run(LIMIT);
    world.execute(rest[1], "CREATE TABLE ks.instead (a int PRIMARY KEY)");
    world.cuts.clear();
    plan.insist(&mut world, has_it, &RecoveryStep::LiftFence);
    restart(&mut world, has_it);
    world.start(leader);
    let all_final = |world: &World| world.all(|node| node.stage() == Stage::UsePostRaft);
    assert!(world.run_until(LIMIT, all_final), "{}", report(&world));
    world.execute(has_it, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
    let history = |number: usize| world.node(number).history.rows().map(|row| row.state).collect::<Vec<_>>();
    assert!((0..5).all(|number| history(number) == history(rest[1])), "one has another history");
}

/// Every transaction of a recovery on each survivor, before and after it is durable.
#[test]
fn a_crash_in_each_transaction_of_a_recovery_is_survived() {
    for victim in 0..2 {
        for after in [false, true] {
            let mut number = 1;
            loop {
                let (mut world, plan) = with_an_entry_that_nobody_left_knows_to_be_committed();
                let crashes = plan.live[victim];
                world.hosts[crashes].crash_in = Some((number, after));
                plan.carry_out(&mut world);
                if world.hosts[crashes].crash_in.take().is_some() {
                    break;
                }
                agree(&mut world);
                let has_all = plan.live.iter().all(|number| has_table(&world, *number, "acknowledged"));
                assert!(has_all, "transaction {number} of {victim}, after: {after}");
                assert_eq!(incarnations(&world, &plan.live), [Incarnation(2); 2]);
                number += 1;
            }
            assert!(number > 10, "only {number} transactions");
        }
    }
}

/// A survivor is lost in the middle, at each step: a plan of a higher number goes on with what is left.
#[test]
fn another_plan_takes_over_when_a_survivor_is_lost() {
    type Part = fn(&Plan, &mut World);
    let [fence, enter, roll, reset, end]: [Part; 5] =
        [Plan::fence, Plan::enter, Plan::roll_forward, Plan::reset_and_leave, Plan::ends_final];
    for done in [&[fence][..], &[enter], &[enter, roll], &[enter, roll, reset], &[enter, roll, reset, end]] {
        let mut world = upgraded(5);
        world.execute(0, "CREATE TABLE ks.before (a int PRIMARY KEY)");
        for number in [0, 1] {
            world.crash(number);
        }
        world.crash(2);
        world.run(Duration::from_secs(4));
        let plan = Plan { number: 1, live: vec![3, 4], lost: vec![0, 1, 2] };
        for part in done {
            part(&plan, &mut world);
        }
        world.crash(4);
        world.run(Duration::from_secs(4));
        let next = Plan { number: 2, live: vec![3], lost: vec![0, 1, 2, 4] };
        next.carry_out(&mut world);
        world.execute(3, "CREATE TABLE ks.after (a int PRIMARY KEY)");
        assert!(has_table(&world, 3, "before"), "after {} parts", done.len());
        let old = plan.order(&mut world, 3, &RecoveryStep::ResetGroup0).unwrap().unwrap_err();
        assert!(old.contains("the plan of this node is 2"), "{old}");
    }
}

/// The founder is lost with its new group before anybody has heard of that: the group of the next plan is of another incarnation.
#[test]
fn a_founder_that_told_nobody_of_its_group_is_in_no_incarnation_of_the_others() {
    let mut world = upgraded(5);
    let plan = Plan { number: 1, live: vec![3, 4], lost: vec![0, 1, 2] };
    plan.lose(&mut world);
    plan.enter(&mut world);
    plan.roll_forward(&mut world);
    for number in &plan.live {
        world.hosts[*number].crash_at = Some((Point::Founded, true));
    }
    plan.reset_and_leave(&mut world);
    let has_ended = |world: &World, number: usize| world.hosts[number].node.is_none();
    assert!(world.run_until(LIMIT, |world| plan.live.iter().any(|number| has_ended(world, *number))), "{}", report(&world));
    let (founders, others): (Vec<_>, Vec<_>) = plan.live.iter().partition(|number| has_ended(&world, **number));
    world.run(Duration::from_secs(4));
    let next = Plan { number: 2, live: others, lost: [&plan.lost[..], &founders].concat() };
    next.carry_out(&mut world);
    world.hosts[founders[0]].crash_at = None;
    world.start(founders[0]);
    assert_eq!(incarnations(&world, &[founders[0], next.live[0]]), [Incarnation(2), Incarnation(3)]);
}

/// The upgrade stands still because one is lost in the middle of it.
#[test]
fn a_stalled_upgrade_is_finished_by_a_plan() {
    for point in [Point::Founded, Point::Joining, Point::Configuration, Point::Synchronize] {
        let mut world = with_keyspace(3);
        for number in 0..3 {
            world.hosts[number].crash_at = Some((point, true));
        }
        upgrade(&mut world);
        world.run_until(LIMIT, |world| world.hosts.iter().any(|host| host.node.is_none()));
        let lost = world.hosts.iter().position(|host| host.node.is_none()).expect("one reaches it");
        let live: Vec<usize> = (0..3).filter(|number| *number != lost).collect();
        for number in &live {
            world.hosts[*number].crash_at = None;
        }
        world.run(Duration::from_secs(4));
        for number in &live {
            if world.hosts[*number].node.is_none() {
                world.start(*number);
            }
        }
        world.run(Duration::from_secs(4));
        let plan = Plan { number: 1, live, lost: vec![lost] };
        plan.carry_out(&mut world);
        world.execute(plan.live[0], "CREATE TABLE ks.after (a int PRIMARY KEY)");
        agree(&mut world);
    }
}

/// It may have founded the group and told nobody of it, so that the others do not take it out of the way: a plan does.
#[test]
fn who_is_lost_before_there_is_a_group_is_not_removed_once_the_feature_is_enabled_and_a_plan_goes_on() {
    let mut world = with_keyspace(3);
    world.hosts[2].crash_at = Some((Point::FeatureEnabled, true));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()));
    world.run(Duration::from_secs(4));
    assert!((0..2).all(|number| world.node(number).joining.group().is_none()), "{}", report(&world));
    let lost = host(&world, 2);
    let id = world.admin(0, AdminRequest::RemoveNode { order: None, host: lost, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)));
    let AdminReply::Refused(why) = &world.admin_replies[&id] else { panic!("it is removed") };
    assert!(why.contains("use the procedure of recovery"), "{why}");
    let plan = Plan { number: 1, live: vec![0, 1], lost: vec![2] };
    plan.carry_out(&mut world);
    world.execute(0, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
}

#[test]
fn what_is_not_its_turn_is_refused_and_changes_nothing() {
    let mut world = upgraded(3);
    let plan = |number, live: &[usize], lost: &[usize]| Plan { number, live: live.into(), lost: lost.into() };
    let wrong = |world: &mut World, plan: &Plan, step: &RecoveryStep| plan.order(world, 0, step).unwrap().unwrap_err();
    let alive = plan(1, &[0, 1], &[2]);
    let prepare = alive.prepare(&world);
    assert!(wrong(&mut world, &alive, &prepare).contains("is up as this node sees it"));
    world.crash(2);
    world.run(Duration::from_secs(4));
    let other = plan(1, &[1], &[2]);
    let theirs = other.prepare(&world);
    assert!(wrong(&mut world, &other, &theirs).contains("does not have this host"));
    for step in [RecoveryStep::Fence, RecoveryStep::EnterRecovery, RecoveryStep::ResetGroup0, RecoveryStep::LiftFence] {
        assert!(wrong(&mut world, &alive, &step).contains("no plan was ever prepared"), "{step:?}");
    }
    assert_eq!(alive.order(&mut world, 0, &prepare), Some(Ok(())));
    assert_eq!(alive.order(&mut world, 0, &prepare), Some(Ok(())), "again");
    let same_number = plan(1, &[0], &[2]);
    let differs = same_number.prepare(&world);
    assert!(wrong(&mut world, &same_number, &differs).contains("is another one or older"));
    let roll = RecoveryStep::RollForward { donor: host(&world, 0) };
    for step in [RecoveryStep::EnterRecovery, RecoveryStep::ResetGroup0, RecoveryStep::LeaveRecovery, RecoveryStep::CloseRecovery]
    {
        assert!(wrong(&mut world, &alive, &step).contains("it is not the turn"), "{step:?}");
    }
    assert!(wrong(&mut world, &alive, &roll).contains("not in recovery"));
    assert_eq!(alive.order(&mut world, 0, &RecoveryStep::Fence), Some(Ok(())));
    assert!(wrong(&mut world, &alive, &RecoveryStep::ResetGroup0).contains("not in recovery"));
    restart(&mut world, 0);
    assert_eq!(plan_state(&world, 0), Some(PlanState::Fenced), "over a restart");
    assert_eq!(alive.order(&mut world, 0, &RecoveryStep::LiftFence), Some(Ok(())));
    assert_eq!(plan_state(&world, 0), Some(PlanState::Withdrawn));
    let older = plan(0, &[0, 1], &[2]);
    let former = older.prepare(&world);
    assert!(wrong(&mut world, &older, &former).contains("is another one or older"));
    world.run(Duration::from_secs(3));
    world.execute(1, "CREATE TABLE ks.t (a int PRIMARY KEY)");
}

/// Scenario 63: a fence that reaches some of the survivors only parts them from the dead that come back, until it is lifted.
#[test]
fn half_a_fence_is_lifted() {
    let mut world = upgraded(5);
    let plan = Plan { number: 1, live: vec![1, 2], lost: vec![0, 3, 4] };
    plan.lose(&mut world);
    let prepare = plan.prepare(&world);
    plan.on_each(&mut world, &prepare);
    plan.insist(&mut world, 1, &RecoveryStep::Fence);
    for number in &plan.lost {
        world.start(*number);
    }
    world.run(Duration::from_secs(4));
    world.execute(2, "CREATE TABLE ks.meanwhile (a int PRIMARY KEY)");
    let ago = evidence(&world, 1).heard[&host(&world, 0)];
    assert!(ago < Duration::from_secs(4), "whom it does not believe it hears all the same");
    let refused = plan.order(&mut world, 2, &RecoveryStep::Fence).unwrap().unwrap_err();
    assert!(refused.contains("is up as this node sees it"), "{refused}");
    plan.on_each(&mut world, &RecoveryStep::LiftFence);
    world.run(Duration::from_secs(4));
    assert!(has_table(&world, 1, "meanwhile"));
    world.execute(1, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
}

/// A person has truncated the history of one of them meanwhile: that one stays in recovery, and holds up nobody else.
#[test]
fn a_plan_is_withdrawn_beside_one_that_cannot_go_on_in_its_group() {
    let mut world = upgraded(5);
    let plan = Plan { number: 1, live: vec![1, 2, 3], lost: vec![0, 4] };
    plan.lose(&mut world);
    plan.enter(&mut world);
    world.execute(2, "TRUNCATE system.group0_history");
    for number in &plan.lost {
        world.start(*number);
    }
    plan.on_each(&mut world, &RecoveryStep::LiftFence);
    plan.restart_each(&mut world);
    let go_on = |world: &World| [1, 3].iter().all(|number| world.node(*number).stage() == Stage::UsePostRaft);
    assert!(world.run_until(LIMIT, go_on), "{}", report(&world));
    assert!(evidence(&world, 2).in_recovery && plan_state(&world, 2) == Some(PlanState::Withdrawn));
    let none = Plan { number: 0, ..plan };
    let refused = none.order(&mut world, 2, &RecoveryStep::LiftFence).unwrap().unwrap_err();
    assert!(refused.contains("group0_history was truncated"), "{refused}");
}

/// Scenario 64: the dead come back while the survivors have no group, and tell of theirs.
#[test]
fn survivors_without_a_group_do_not_go_back_into_the_former_one() {
    let (mut world, plan) = with_an_entry_that_nobody_left_knows_to_be_committed();
    plan.enter(&mut world);
    plan.roll_forward(&mut world);
    plan.on_each(&mut world, &RecoveryStep::ResetGroup0);
    for number in &plan.lost {
        world.start(*number);
    }
    world.run(Duration::from_secs(4));
    plan.on_each(&mut world, &RecoveryStep::LeaveRecovery);
    plan.restart_each(&mut world);
    plan.ends_final(&mut world);
    assert_eq!(incarnations(&world, &plan.live), [Incarnation(2); 2]);
    let groups = |numbers: &[usize]| -> Vec<_> { numbers.iter().map(|number| world.node(*number).joining.group()).collect() };
    assert_eq!(groups(&plan.live)[0], groups(&plan.live)[1]);
    assert!(plan.lost.iter().all(|number| world.node(*number).joining.group() != groups(&plan.live)[0]));
}

/// Scenario 77: after the plan was made the dead come back, commit with one survivor, and die again.
#[test]
fn the_donor_is_chosen_when_no_log_grows_any_more() {
    let mut world = upgraded(5);
    let plan = Plan { number: 1, live: vec![1, 2], lost: vec![0, 3, 4] };
    let die = |world: &mut World| {
        for number in [0, 3, 4] {
            world.crash(number);
        }
        world.run(Duration::from_secs(4));
    };
    die(&mut world);
    let prepare = plan.prepare(&world);
    plan.on_each(&mut world, &prepare);
    for number in &plan.lost {
        world.start(*number);
    }
    world.cut(1, &[0, 2, 3, 4]);
    world.run(Duration::from_secs(4));
    world.execute(2, "CREATE TABLE ks.meanwhile (a int PRIMARY KEY)");
    die(&mut world);
    world.cuts.clear();
    world.run(Duration::from_secs(4));
    plan.carry_out(&mut world);
    assert!(plan.live.iter().all(|number| has_table(&world, *number, "meanwhile")));
}

/// A person put one into recovery and forgot it: what it did there is everybody's, and the group goes on with it.
#[test]
fn a_marker_that_belongs_to_no_plan_is_taken_away() {
    let mut world = upgraded(3);
    world.execute(1, super::recovery::ENTER);
    restart(&mut world, 1);
    world.execute(1, "CREATE TABLE ks.alone (a int PRIMARY KEY)");
    let none = Plan { number: 0, live: vec![1], lost: vec![] };
    none.insist(&mut world, 1, &RecoveryStep::LiftFence);
    restart(&mut world, 1);
    let is_final = |world: &World| world.all(|node| node.stage() == Stage::UsePostRaft);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    agree(&mut world);
    assert!(has_table(&world, 0, "alone"));
}

/// What takes the place of a lost host is sent to a group that takes nobody in, and is still on its way when a recovery makes another.
#[test]
fn who_waits_for_the_former_group_comes_into_the_new_one() {
    for restarts in [false, true] {
        let mut world = three_final(&three_and_a_fourth());
        let plan = Plan { number: 1, live: vec![0], lost: vec![1, 2] };
        plan.lost.iter().for_each(|number| world.crash(*number));
        world.run(Duration::from_secs(4));
        world.start(3);
        world.run(Duration::from_secs(4));
        let former = world.node(3).joining.group();
        assert_eq!(former, world.node(0).joining.group());
        if restarts {
            world.crash(3);
        }
        plan.carry_out(&mut world);
        if restarts {
            world.start(3);
        }
        let is_in = |world: &World| world.node(3).boot.is_completed() && world.node(3).stage() == Stage::UsePostRaft;
        assert!(world.run_until(LIMIT, is_in), "{}", report(&world));
        assert_ne!(world.node(3).joining.group(), former);
        agree(&mut world);
        assert!(has_table(&world, 3, "before"));
    }
}

/// The same, however far it had come by then (seed 1000065 with disasters).
#[test]
fn who_has_come_halfway_into_the_former_group_comes_into_the_new_one() {
    let base = three_final(&three_and_a_fourth());
    let mut ways = BTreeSet::new();
    for millis in 0.. {
        let mut world = World::after(&base);
        let plan = Plan { number: 1, live: vec![0], lost: vec![1, 2] };
        (0..3).for_each(|number| world.start(number));
        world.run(Duration::from_secs(4));
        world.start(3);
        world.run(Duration::from_millis(millis));
        let way = world.node(3).boot.waiting();
        plan.lost.iter().for_each(|number| world.crash(*number));
        world.run(Duration::from_secs(4));
        let voters = |number: usize| world.node(number).group.as_ref().map_or(0, |(_, group)| group.configuration().voters.len());
        if [0, 3].into_iter().any(|number| voters(number) == 4) {
            break;
        }
        ways.extend(way);
        plan.carry_out(&mut world);
        let is_in = |world: &World| world.node(3).boot.is_completed() && world.node(3).stage() == Stage::UsePostRaft;
        assert!(world.run_until(LIMIT, is_in), "{millis} ms: {:?}\n{}", world.hosts[3].ready, report(&world));
        assert_eq!(world.node(3).joining.group(), world.node(0).joining.group());
        agree(&mut world);
    }
    assert!(ways.iter().any(|way| way.starts_with("waiting for a read barrier")), "{ways:?}");
}
