//! The real controller, stopped at each of its awaits: what it asks of the world next is a function of what it has been answered.
//!
//! A look is a future, which can be neither cloned nor hashed. So it is run again from its beginning for each step, with the
//! answers of before; what it then asks is remembered, for the same question comes up in many states.

use crate::{
    seen,
    world::{PODS, Set, View},
};
use group0_operator::{
    act::{Event, Failure, Order, Stored, World},
    controller::{Look, Operator},
    crd::{Group0Upgrade, Group0UpgradeStatus},
    observe::Observation,
    plan::{Action, Journal},
    status,
};
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::HashMap,
    future::pending,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// What the world has said to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The object.
    Object(Option<Arc<crate::world::Object>>),
    /// Everything else that is to be seen.
    Seen(Arc<Seen>),
    /// Whether the write took place, as far as is known.
    Written(bool),
    /// How an act ended.
    Acted(Outcome),
}

/// How an act ended, as its performer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took place.
    Done,
    /// It certainly did not.
    Refused,
    /// No answer.
    Unknown,
}

/// What one look sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Number and generation of the object.
    pub object: (u8, u8),
    /// Whether the owner of the StatefulSet exists.
    pub exists: bool,
    /// The StatefulSet.
    pub set: Set,
    /// Each pod.
    pub pods: [Sight; PODS],
    /// All have enabled the feature.
    pub enabled: bool,
}

/// One pod as a look sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    /// The pod, perhaps as it was before.
    pub pod: View,
    /// Its node's word, perhaps of before.
    pub node: View,
    /// As it is: the other nodes know it so.
    pub truth: View,
}

/// What an operator asks of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Asks {
    /// The object.
    Read,
    /// Everything else.
    Observe,
    /// To write this.
    Write(Box<Journal>),
    /// To do this, in that epoch.
    Act(Action, u64),
    /// Nothing more: this look is over, and the operator is to go on with what it remembers, unless it is deposed.
    Nothing(Operator, bool),
}

/// Remembers what is asked after which answers.
#[derive(Default)]
pub struct Operators {
    asked: Mutex<HashMap<u64, Arc<Asks>, BuildHasherDefault<DefaultHasher>>>,
    backup: bool,
    forget_versions: bool,
}

impl Operators {
    /// Operators of this spec. `forget_versions`: where nothing is seen late, versions need not be remembered.
    pub fn new(backup: bool, forget_versions: bool) -> Self {
        Self { backup, forget_versions, ..Self::default() }
    }

    /// What this operator asks after these answers.
    pub fn ask(&self, operator: &Operator, answers: &[Answer]) -> Arc<Asks> {
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one((operator, answers));
        if let Some(known) = self.asked.lock().unwrap().get(&key) {
            return known.clone();
        }
        let asks = Arc::new(self.replay(operator.clone(), answers));
        self.asked.lock().unwrap().insert(key, asks.clone());
        asks
    }

    fn replay(&self, mut operator: Operator, answers: &[Answer]) -> Asks {
        let mut script = Script { answers: answers.iter(), operators: self, asks: None };
        let ended = {
            let mut look = pin!(operator.reconcile(&mut script, "run"));
            match look.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(ended) => Some(matches!(ended, Ok(Look::Deposed))),
                Poll::Pending => None,
            }
        };
        match ended {
            Some(is_deposed) => Asks::Nothing(operator, is_deposed),
            None => script.asks.expect("it waits for something"),
        }
    }

    /// The journal of a status. Time stands still, so that progress and silence say nothing.
    fn journal(&self, status: &Group0UpgradeStatus) -> Journal {
        let mut journal = status::journal(status, seen::names());
        journal.progress = None;
        for node in journal.nodes.values_mut() {
            if self.forget_versions {
                (node.pod_version, node.sequence) = (0, 0);
            }
        }
        journal.silent.clear();
        journal
    }
}

/// A world that says what it is told to say, and then nothing.
struct Script<'a> {
    answers: std::slice::Iter<'a, Answer>,
    operators: &'a Operators,
    asks: Option<Asks>,
}

impl<'a> Script<'a> {
    async fn next(&mut self, asks: Asks) -> &'a Answer {
        if let Some(answer) = self.answers.next() {
            return answer;
        }
        self.asks = Some(asks);
        pending().await
    }
}

fn wrong(answer: &Answer) -> ! {
    panic!("that was not asked: {answer:?}")
}

impl World for Script<'_> {
    fn now(&self) -> Timestamp {
        seen::now()
    }

    async fn read(&mut self) -> Result<Option<Stored>, Failure> {
        match self.next(Asks::Read).await {
            Answer::Object(object) => Ok(object.as_ref().map(|object| self.operators.stored(object))),
            other => wrong(other),
        }
    }

    async fn write(&mut self, _: &str, status: &Group0UpgradeStatus) -> Result<String, Failure> {
        let journal = self.operators.journal(status);
        match self.next(Asks::Write(Box::new(journal))).await {
            Answer::Written(true) => Ok(String::new()),
            Answer::Written(false) => Err(Failure::Refused("conflict".into())),
            other => wrong(other),
        }
    }

    async fn observe(&mut self) -> Observation {
        match self.next(Asks::Observe).await {
            Answer::Seen(seen) => seen::observation(seen),
            other => wrong(other),
        }
    }

    async fn act(&mut self, action: &Action, order: &Order) -> Result<(), Failure> {
        match self.next(Asks::Act(action.clone(), order.epoch)).await {
            Answer::Acted(Outcome::Done) => Ok(()),
            Answer::Acted(Outcome::Refused) => Err(Failure::Refused("precondition".into())),
            Answer::Acted(Outcome::Unknown) => Err(Failure::Unknown("timeout".into())),
            other => wrong(other),
        }
    }

    async fn event(&mut self, _: &Event) {}
}

impl Operators {
    fn stored(&self, object: &crate::world::Object) -> Stored {
        let mut spec = seen::spec();
        spec.cancel = object.cancel;
        spec.backup.enabled = self.backup;
        let status = object.journal.as_ref().map(|journal| {
            let mut status = Group0UpgradeStatus::default();
            status::write_journal(journal, &mut status);
            status
        });
        Stored { object: Group0Upgrade { status, ..Group0Upgrade::new("upgrade", spec) }, version: String::new() }
    }
}
