//! What may happen next in a world, and what the world is afterwards: faults, pods that come back, and the operators' steps.

use crate::{
    operator::{Answer, Asks, Operators, Outcome},
    verbs,
    world::{PODS, Place, Pod, Rule, Setup, Stage, World},
};
use group0_operator::{controller::Operator, plan::Action};
use std::sync::Arc;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The process of a pod starts.
    Start(Place),
    /// Schemas are exchanged, both ways, between the node and all others.
    Exchange(Place),
    /// All advertise the feature, and enable it.
    Enable,
    /// The node becomes final.
    Finish(Place),
    /// An object is made where the former was deleted.
    MakeObject,
    /// The operator reads the object and looks around; one part of what it sees may be old.
    Look(usize, Option<Old>),
    /// What the operator writes is stored, if nobody else has written.
    Write(usize),
    /// What the operator does takes place, if its precondition holds.
    Act(usize),
    /// Another process of the operator is made the leader. The former one does not know.
    Elect(usize),
    /// The write is stored, and its answer lost.
    WriteUnanswered(usize),
    /// The act gets no answer: it may take place later, or never.
    ActUnanswered(usize),
    /// An act without an answer takes place.
    Late(Action, u64),
    /// The process of the pod ends.
    Crash(Place),
    /// The processes of all pods end.
    Outage,
    /// Somebody deletes the pod.
    Delete(Place),
    /// Somebody deletes the object.
    DeleteObject,
    /// Somebody sets `spec.cancel`, or takes it away.
    Cancel(bool),
}

/// What of a pod is seen as it was before it last went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Old {
    /// Of which pod.
    pub place: Place,
    /// The pod itself.
    pub pod: bool,
    /// Its node's word.
    pub node: bool,
}

/// What is explored, and what its operators have been found to do.
pub struct Rules<'a> {
    /// What is explored.
    pub setup: &'a Setup,
    /// What its operators do.
    pub operators: &'a Operators,
}

impl Rules<'_> {
    /// What needs no fault: pods come back, nodes go on. The operators' own steps are not among these.
    pub fn of_nodes(&self, world: &World) -> Vec<Move> {
        let mut moves = Vec::new();
        for (place, Pod { now, .. }) in world.pods.iter().enumerate() {
            match now.stage {
                Stage::Down | Stage::Away => moves.extend(self.setup.keeps(Rule::PodsComeBack).then_some(Move::Start(place))),
                Stage::Back => moves.push(Move::Exchange(place)),
                Stage::Sick => {}
                Stage::Whole => moves.extend((world.enabled && !now.is_final).then_some(Move::Finish(place))),
            }
        }
        let advertises = |pod: &Pod| pod.now.answers() && pod.now.flag && pod.now.proceed;
        moves.extend((!world.enabled && world.pods.iter().all(advertises)).then_some(Move::Enable));
        moves.extend(world.object.is_none().then_some(Move::MakeObject));
        moves
    }

    /// The next step of this operator, if it thinks that it leads.
    pub fn of_operator(&self, world: &World, number: usize) -> Option<Move> {
        let process = &world.operators[number];
        if !process.leads {
            let nobody_leads = world.operators.iter().all(|process| !process.leads);
            return nobody_leads.then_some(Move::Elect(number));
        }
        Some(match &*self.operators.ask(&process.operator, &process.answers) {
            Asks::Write(_) => Move::Write(number),
            Asks::Act(..) => Move::Act(number),
            Asks::Read | Asks::Observe | Asks::Nothing(..) => Move::Look(number, None),
        })
    }

    /// All that may happen next.
    pub fn possible(&self, world: &World) -> Vec<Move> {
        if world.broken.is_some() {
            return Vec::new();
        }
        let mut moves = self.of_nodes(world);
        for number in 0..world.operators.len() {
            let step = self.of_operator(world, number);
            faults_of_operator(world, number, step.as_ref(), &mut moves);
            moves.extend(step);
        }
        faults(world, &mut moves);
        moves
    }

    /// The world after that.
    pub fn after(&self, world: &World, step: &Move) -> World {
        let mut next = world.clone();
        let world = &mut next;
        match step {
            Move::Start(place) => {
                verbs::start(world, *place);
                if self.setup.lean {
                    verbs::exchange(world, *place);
                }
            }
            Move::Exchange(place) => verbs::exchange(world, *place),
            Move::Enable => world.enabled = true,
            Move::Finish(place) => world.pods[*place].now.is_final = true,
            Move::MakeObject => verbs::make_object(world),
            Move::Look(number, old) => self.look(world, *number, *old),
            Move::Write(number) => self.write(world, *number, true),
            Move::Act(number) => self.act(world, *number),
            Move::Elect(number) => elect(world, *number),
            Move::WriteUnanswered(number) => {
                world.left.lost_writes -= 1;
                self.write(world, *number, false);
            }
            Move::ActUnanswered(number) => self.act_unanswered(world, *number),
            Move::Late(action, epoch) => {
                world.late.remove(&(action.clone(), *epoch));
                verbs::act(self.setup, world, action, *epoch);
            }
            Move::Crash(place) => {
                world.left.crashes -= 1;
                verbs::crash(world, *place);
            }
            Move::Outage => {
                world.left.outages -= 1;
                (0..PODS).for_each(|place| verbs::crash(world, place));
            }
            Move::Delete(place) => {
                world.left.deletions -= 1;
                verbs::make_again(world, *place);
            }
            Move::DeleteObject => verbs::delete_object(world),
            Move::Cancel(cancel) => verbs::edit(world, *cancel),
        }
        if world.left.stale == 0 {
            world.pods.iter_mut().for_each(|pod| pod.before = None);
        }
        next
    }

    fn look(&self, world: &mut World, number: usize, old: Option<Old>) {
        let mut seen = world.seen();
        if let (Some(old), Some(seen)) = (old, &mut seen) {
            world.left.stale -= 1;
            let Old { place, pod, node } = old;
            let before = world.pods[place].before.expect("it was seen before");
            let sight = &mut seen.pods[place];
            sight.pod = if pod { before } else { sight.pod };
            sight.node = if node { before } else { sight.node };
        }
        let process = &mut world.operators[number];
        process.is_current = true;
        process.answers = vec![Answer::Object(world.object.clone())];
        process.answers.extend(seen.map(|seen| Answer::Seen(Arc::new(seen))));
        self.go_on(world, number);
    }

    fn write(&self, world: &mut World, number: usize, is_answered: bool) {
        let process = &world.operators[number];
        let asks = self.operators.ask(&process.operator, &process.answers);
        let Asks::Write(journal) = &*asks else { panic!("it does not write") };
        let is_stored = if self.setup.keeps(Rule::IntentsAreWritten) || journal.intents.is_empty() {
            verbs::write(self.setup, world, number, journal)
        } else {
            true
        };
        world.operators[number].answers.push(Answer::Written(is_stored && is_answered));
        self.go_on(world, number);
    }

    fn asks_to_act(&self, world: &World, number: usize) -> (Action, u64) {
        let process = &world.operators[number];
        match &*self.operators.ask(&process.operator, &process.answers) {
            Asks::Act(action, epoch) => (action.clone(), *epoch),
            other => panic!("it does not act: {other:?}"),
        }
    }

    /// Whether the first operator is about to tell a node to proceed.
    pub fn is_about_to_proceed(&self, world: &World) -> bool {
        let process = &world.operators[0];
        matches!(&*self.operators.ask(&process.operator, &process.answers), Asks::Act(Action::Proceed { .. }, _))
    }

    fn act(&self, world: &mut World, number: usize) {
        let (action, epoch) = self.asks_to_act(world, number);
        let outcome = verbs::act(self.setup, world, &action, epoch);
        world.operators[number].answers.push(Answer::Acted(outcome));
        self.go_on(world, number);
    }

    fn act_unanswered(&self, world: &mut World, number: usize) {
        world.left.unknowns -= 1;
        world.late.insert(self.asks_to_act(world, number));
        world.operators[number].answers.push(Answer::Acted(Outcome::Unknown));
        self.go_on(world, number);
    }

    /// To the next step of the operator that others could notice. A write that changes nothing is none.
    fn go_on(&self, world: &mut World, number: usize) {
        loop {
            let process = &mut world.operators[number];
            let asks = self.operators.ask(&process.operator, &process.answers);
            let stored = world.object.as_ref().and_then(|object| object.journal.as_ref());
            match &*asks {
                Asks::Write(journal) if process.is_current && stored == Some(&**journal) => {
                    process.answers.push(Answer::Written(true));
                }
                Asks::Act(action, epoch) if self.setup.lean && is_harmless(action) => {
                    let outcome = verbs::act(self.setup, world, action, *epoch);
                    world.operators[number].answers.push(Answer::Acted(outcome));
                }
                Asks::Nothing(operator, is_deposed) => {
                    process.operator = operator.clone();
                    process.answers.clear();
                    process.is_current = false;
                    process.leads = !is_deposed;
                    return;
                }
                _ => return,
            }
        }
    }
}

fn is_harmless(action: &Action) -> bool {
    !action.is_harmful_when_late() && !matches!(action, Action::Proceed { .. })
}

fn faults(world: &World, moves: &mut Vec<Move>) {
    let left = &world.left;
    moves.extend(world.late.iter().map(|(action, epoch)| Move::Late(action.clone(), *epoch)));
    for (place, pod) in world.pods.iter().enumerate() {
        moves.extend((left.crashes > 0 && pod.now.answers()).then_some(Move::Crash(place)));
        moves.extend((left.deletions > 0 && pod.now.stage != Stage::Away).then_some(Move::Delete(place)));
    }
    moves.extend((left.outages > 0 && world.pods.iter().all(|pod| pod.now.answers())).then_some(Move::Outage));
    if let Some(object) = &world.object {
        moves.extend((left.deletes_of_object > 0).then_some(Move::DeleteObject));
        moves.extend((left.cancels > 0).then_some(Move::Cancel(!object.cancel)));
    }
}

/// Parts that may be seen as they were.
fn olds(world: &World) -> impl Iterator<Item = Old> {
    let has = |place: &Place| world.pods[*place].before.is_some();
    let places: Vec<_> = (0..PODS).filter(has).collect();
    let parts = [(true, false), (false, true), (true, true)];
    places.into_iter().flat_map(move |place| parts.map(|(pod, node)| Old { place, pod, node }))
}

fn elect(world: &mut World, number: usize) {
    let is_needed = world.operators.iter().all(|process| !process.leads);
    world.left.elections -= u8::from(!is_needed);
    let process = &mut world.operators[number];
    process.leads = true;
    process.operator = Operator::default();
    process.answers.clear();
    process.is_current = false;
}

/// What may go wrong with the next step of an operator.
fn faults_of_operator(world: &World, number: usize, step: Option<&Move>, moves: &mut Vec<Move>) {
    let left = &world.left;
    match step {
        Some(Move::Look(..)) if left.stale > 0 => moves.extend(olds(world).map(|old| Move::Look(number, Some(old)))),
        Some(Move::Write(_)) if left.lost_writes > 0 => moves.push(Move::WriteUnanswered(number)),
        Some(Move::Act(_)) if left.unknowns > 0 => moves.push(Move::ActUnanswered(number)),
        None if left.elections > 0 => moves.push(Move::Elect(number)),
        _ => {}
    }
}
