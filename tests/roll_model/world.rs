//! The state that the checker explores: three pods of one StatefulSet, the stored object, and up to two operators that look at
//! them. Nothing here acts; see `moves` for what may happen and `verbs` for what an act comes to.

use crate::{
    operator::{Answer, Seen, Sight},
    seen,
};
use group0_operator::{
    controller::Operator,
    plan::{Action, Journal},
};
use std::{collections::BTreeSet, sync::Arc};

/// How many pods there are.
pub const PODS: usize = 3;

/// How far epochs had come when the record was lost.
const FORMER_EPOCH: u32 = 7;

/// The number of a pod: its ordinal.
pub type Place = usize;

/// What is explored.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How often a pod may crash.
    pub crashes: u8,
    /// How often all pods may crash at the same time.
    pub outages: u8,
    /// How often somebody may delete a pod, which is made again from the template that there is.
    pub deletions: u8,
    /// How often another operator is made the leader, while the former may go on as one that was paused.
    pub elections: u8,
    /// How often an act may end without an answer. It may take place at any later time, or never.
    pub unknowns: u8,
    /// How often the answer to a write may be lost, although it is stored.
    pub lost_writes: u8,
    /// How often one pod or node may be seen as it was before it last went away.
    pub stale: u8,
    /// How often the object is deleted, and made again without status.
    pub deletes_of_object: u8,
    /// How often `spec.cancel` is set or taken away.
    pub cancels: u8,
    /// This pod runs, but is not ready, until it is made again.
    pub sick: Option<Place>,
    /// Schemas are copied before the point of no return.
    pub backup: bool,
    /// There was a run before, of an object that is gone: two of its acts may still take place.
    pub is_record_lost: bool,
    /// It begins when the first node is about to be told to proceed.
    pub from_no_return: bool,
    /// Leaves interleavings out that make no difference by argument; setups without it check the argument. A started process is
    /// whole at once, and what is harmless at any time takes place together with the step before.
    pub lean: bool,
    /// The rule that is switched off, to prove that the checker notices.
    pub off: Option<Rule>,
    /// Names of `sometimes` properties that this setup must reach.
    pub reaches: Vec<&'static str>,
}

/// Rules that the world must keep for the operators, or they for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A pod is made again only in the version that was asked for.
    PodVersionIsChecked,
    /// A node refuses orders of an older epoch.
    EpochIsChecked,
    /// The object is written only in the version that was read.
    ObjectVersionIsChecked,
    /// Intents are in the object before anything is done.
    IntentsAreWritten,
    /// The budget of faults is spent, and then pods come back.
    PodsComeBack,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// By ordinal.
    pub pods: [Pod; PODS],
    /// What stands for the StatefulSet.
    pub set: Set,
    /// The object, while there is one.
    pub object: Option<Arc<Object>>,
    /// How many objects there were before.
    pub former_objects: u8,
    /// The operators.
    pub operators: [Process; 2],
    /// Acts without an answer, which may still take place, with the epoch of each.
    pub late: BTreeSet<(Action, u64)>,
    /// All nodes have enabled the feature.
    pub enabled: bool,
    /// Some object once said that the point of no return was passed.
    pub no_return_was_stored: bool,
    /// Faults to come.
    pub left: Left,
    /// What went wrong in a single move; nothing follows it.
    pub broken: Option<Breach>,
}

/// Faults to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub crashes: u8,
    pub outages: u8,
    pub deletions: u8,
    pub elections: u8,
    pub unknowns: u8,
    pub lost_writes: u8,
    pub stale: u8,
    pub deletes_of_object: u8,
    pub cancels: u8,
}

/// What only the moment of a move can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// A pod was taken while another one that was taken was not back.
    TwoTaken,
    /// A node was told to proceed before the point of no return was stored.
    ProceedTooEarly,
    /// A node was told to proceed although the run is cancelled.
    ProceedAfterCancel,
    /// Something harmful took place that the stored journal, of a run that has begun, does not know.
    Unexplained,
}

/// A pod with its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// How it is now.
    pub now: View,
    /// How it was before it last went away; kept while somebody may still see it so.
    pub before: Option<View>,
    /// We took it, and it is not whole again.
    pub taken: bool,
}

/// What can be seen of a pod and of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Grows each time that it is made again.
    pub uid: u8,
    /// Grows when it is made again or touched.
    pub version: u8,
    /// Whether it has flag and hold.
    pub flag: bool,
    /// Grows with each start of the process.
    pub generation: u8,
    /// How far its process is.
    pub stage: Stage,
    /// The epoch claimed on it.
    pub epoch: u32,
    /// The hold is lifted.
    pub proceed: bool,
    /// It is final.
    pub is_final: bool,
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It crashed.
    Down,
    /// It is being made again.
    Away,
    /// It runs, but will not become ready.
    Sick,
    /// It serves, but schemas have not been exchanged since.
    Back,
    /// Nothing is missing.
    Whole,
}

/// What stands for the StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Grows with each change.
    pub version: u8,
    /// Whether its template has flag and hold.
    pub flag: bool,
    /// The object that owns it; 0 for none.
    pub owner: u8,
}

/// The object as it is stored. Of its status only the journal is kept: it is all that a plan is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Counts the objects.
    pub uid: u8,
    /// Counts the changes of its spec.
    pub generation: u8,
    /// `spec.cancel`
    pub cancel: bool,
    /// Its status; none is written yet.
    pub journal: Option<Journal>,
}

/// A process of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// It thinks that it leads.
    pub leads: bool,
    /// What it remembers from one look to the next.
    pub operator: Operator,
    /// What its present look has been answered so far.
    pub answers: Vec<Answer>,
    /// Nobody else has written the object since it read or wrote it.
    pub is_current: bool,
}

impl World {
    /// Before anything happens: all pods run without the flag, and the first operator leads.
    pub fn initial(setup: &Setup) -> Self {
        let Setup { crashes, outages, deletions, elections, unknowns, lost_writes, stale, deletes_of_object, cancels, .. } =
            *setup;
        let pod = |place: Place| Pod {
            now: View {
                uid: 1,
                version: 1,
                flag: false,
                generation: 1,
                stage: if setup.sick == Some(place) { Stage::Sick } else { Stage::Whole },
                epoch: if setup.is_record_lost { FORMER_EPOCH } else { 0 },
                proceed: false,
                is_final: false,
            },
            before: None,
            taken: false,
        };
        let lost = setup.is_record_lost;
        let process = |leads| Process { leads, operator: Operator::default(), answers: Vec::new(), is_current: false };
        Self {
            pods: std::array::from_fn(pod),
            set: Set { version: 1, flag: false, owner: u8::from(lost) },
            object: Some(Arc::new(Object { uid: 1 + u8::from(lost), generation: 1, cancel: false, journal: None })),
            former_objects: u8::from(lost),
            operators: [process(true), process(false)],
            late: if lost { former_acts() } else { BTreeSet::new() },
            enabled: false,
            no_return_was_stored: false,
            left: Left { crashes, outages, deletions, elections, unknowns, lost_writes, stale, deletes_of_object, cancels },
            broken: None,
        }
    }

    /// What is to be seen now, save what a cache may make of it.
    pub fn seen(&self) -> Option<Seen> {
        let object = self.object.as_ref()?;
        Some(Seen {
            object: (object.uid, object.generation),
            exists: self.set.owner == object.uid,
            set: self.set,
            pods: self.pods.each_ref().map(|pod| Sight { pod: pod.now, node: pod.now, truth: pod.now }),
            enabled: self.enabled,
        })
    }

    /// Whether nothing is left to be done: the upgrade is complete, or cancelled while that is asked for.
    pub fn is_goal(&self) -> bool {
        let Some(object) = &self.object else { return false };
        let Some(journal) = &object.journal else { return false };
        let is_complete = journal.completed_at.is_some() && self.pods.iter().all(|pod| pod.now.is_final);
        let has_none = !self.set.flag && self.pods.iter().all(|pod| !pod.now.flag);
        let is_cancelled = object.cancel && journal.cancelled_at.is_some() && has_none && self.set.owner == 0;
        is_complete || is_cancelled
    }
}

/// What an operator may have begun whose record is lost.
fn former_acts() -> BTreeSet<(Action, u64)> {
    let set = Action::SetTemplate { set: "db".into(), version: 1, flag: true };
    let pod = Action::Recreate { node: seen::names()[2].clone(), uid: "1".into(), version: 1 };
    [set, pod].map(|action| (action, FORMER_EPOCH.into())).into()
}

impl Setup {
    /// Whether that rule is kept.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.off != Some(rule)
    }
}

impl View {
    /// Whether its Admin service answers.
    pub fn answers(&self) -> bool {
        matches!(self.stage, Stage::Sick | Stage::Back | Stage::Whole)
    }
}
