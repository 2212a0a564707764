//! The world as one look of an operator has it: what it asks lies here until the process sends it, answers until the look takes them.

use crate::{
    clock::Clock,
    kubernetes::api::{Reply, Request, Seen, SetChange},
    process::{Answer, Ask, Pid},
    recovery_step,
};
use group0_core::{
    ids::{Generation, HostId},
    io::{self, AdminReply, AdminRequest, CallError},
};
use group0_operator::{
    act::{Event, Failure, Order, Stored, World},
    crd::Group0UpgradeStatus,
    observe::{NodeSeen, NodeView, Object, Observation, Part, PodName},
    plan::Action,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    future::poll_fn,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

/// Something that a look asks.
#[derive(Debug)]
pub struct Asked {
    /// Its answer comes with this.
    pub token: u64,
    /// A node, or the API server.
    pub of: Option<Pid>,
    /// What.
    pub ask: Ask,
    /// Whether it changes anything.
    pub is_act: bool,
}

/// Between a process and its look.
#[derive(Debug)]
pub struct Mailbox {
    /// To be sent.
    pub asked: Vec<Asked>,
    /// What has come.
    pub answers: BTreeMap<u64, Result<Answer, CallError>>,
    /// The wall clock.
    pub now: Timestamp,
    started: Duration,
    moment: Duration,
    token: u64,
    /// The last word of each node, and when it came.
    said: BTreeMap<Pid, (NodeSeen, Duration)>,
    names: Vec<PodName>,
    /// The object that was read last.
    uid: String,
}

impl Mailbox {
    /// Of a process that starts.
    pub fn new(names: Vec<PodName>, clock: &Clock, moment: Duration) -> Self {
        let mut mailbox = Self {
            asked: Vec::new(),
            answers: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
            started: moment,
            moment,
            token: 0,
            said: BTreeMap::new(),
            names,
            uid: String::new(),
        };
        mailbox.tick(clock, moment);
        mailbox
    }

    /// Time has passed.
    pub fn tick(&mut self, clock: &Clock, moment: Duration) {
        self.moment = moment;
        self.now = Timestamp::from_microsecond(clock.now(self.started, moment).wall.0).unwrap_or(Timestamp::UNIX_EPOCH);
    }

    /// How long it is until then.
    pub fn until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.now)).unwrap_or_default()
    }

    /// Takes a node's word unless it is older than the last; whether it is news.
    pub fn said(&mut self, node: Pid, seen: NodeSeen, moment: Duration) -> bool {
        let before = self.said.get(&node).map(|(before, _)| before);
        if before.is_some_and(|before| seen.is_older_than(before)) {
            return false;
        }
        let is_news = before.is_none_or(|before| seen.is_news_after(before));
        self.said.insert(node, (seen, moment));
        is_news
    }

    fn node(&self, pid: Pid) -> Part<NodeSeen> {
        match self.said.get(&pid) {
            Some((seen, at)) => {
                let age = SignedDuration::try_from(self.moment.saturating_sub(*at)).unwrap_or(SignedDuration::MAX);
                Part::Known { value: seen.clone(), age }
            }
            None => Part::Unknown("it has not answered yet".into()),
        }
    }

    fn pid(&self, name: &PodName) -> Option<Pid> {
        self.names.iter().position(|known| known == name)
    }
}

/// The world of one look.
#[derive(Debug)]
pub struct SimWorld {
    mailbox: Arc<Mutex<Mailbox>>,
}

impl SimWorld {
    /// Behind that mailbox.
    pub const fn new(mailbox: Arc<Mutex<Mailbox>>) -> Self {
        Self { mailbox }
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, of: Option<Pid>, ask: Ask, is_act: bool) -> Result<Answer, Failure> {
        let token = {
            let mut mailbox = self.lock();
            mailbox.token += 1;
            let token = mailbox.token;
            mailbox.asked.push(Asked { token, of, ask, is_act });
            token
        };
        let answer = poll_fn(|_| self.lock().answers.remove(&token).map_or(Poll::Pending, Poll::Ready)).await;
        answer.map_err(|error| failure(&error))
    }

    async fn api(&self, request: Request, is_act: bool) -> Result<Reply, Failure> {
        match self.ask(None, Ask::Api(Box::new(request)), is_act).await? {
            Answer::Api(reply) => match *reply {
                Reply::Refused(why) => Err(Failure::Refused(why)),
                reply => Ok(reply),
            },
            other => Err(Failure::Unknown(format!("{other:?} is no answer of an API server"))),
        }
    }

    async fn admin(&self, node: &PodName, request: AdminRequest) -> Result<(), Failure> {
        let pid = self.lock().pid(node).ok_or_else(|| Failure::Refused(format!("{node}: no such node")))?;
        match self.ask(Some(pid), Ask::Admin(request), true).await? {
            Answer::Admin(AdminReply::Done | AdminReply::Schema(_) | AdminReply::Evidence(_)) => Ok(()),
            Answer::Admin(AdminReply::Refused(why)) => Err(Failure::Refused(why)),
            other => Err(Failure::Unknown(format!("{other:?} is no answer of a node"))),
        }
    }

    async fn change(&self, set: &str, version: u64, change: SetChange) -> Result<(), Failure> {
        self.api(Request::ChangeSet { set: set.into(), version, change }, true).await.map(drop)
    }
}

/// Only what was never sent was certainly not done.
fn failure(error: &CallError) -> Failure {
    let was_not_sent = match error {
        CallError::Closed(why) => why == "connection refused",
        CallError::TimedOut { sent } | CallError::Aborted { sent } => !sent,
        CallError::Refused(_) => true,
    };
    if was_not_sent { Failure::Refused(error.to_string()) } else { Failure::Unknown(error.to_string()) }
}

impl World for SimWorld {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn read(&mut self) -> Result<Option<Stored>, Failure> {
        match self.api(Request::Read, false).await? {
            Reply::Object(stored) => {
                let uid = stored.as_ref().and_then(|stored| stored.object.metadata.uid.clone());
                self.lock().uid = uid.unwrap_or_default();
                Ok(stored.map(|stored| *stored))
            }
            other => Err(Failure::Unknown(format!("{other:?} is no object"))),
        }
    }

    async fn write(&mut self, version: &str, status: &Group0UpgradeStatus) -> Result<String, Failure> {
        let request = Request::Write { version: version.into(), status: Box::new(status.clone()) };
        match self.api(request, true).await? {
            Reply::Written(version) => Ok(version),
            other => Err(Failure::Unknown(format!("{other:?} is no version"))),
        }
    }

    async fn observe(&mut self) -> Observation {
        let seen = match self.api(Request::Observe, false).await {
            Ok(Reply::Seen(seen)) => Ok(*seen),
            Ok(other) => Err(format!("{other:?} is nothing to see")),
            Err(failure) => Err(failure.to_string()),
        };
        let mailbox = self.lock();
        match seen {
            Ok(Seen { object, sets, budgets, pods }) => {
                let nodes = pods.into_iter().filter_map(|(name, pod)| {
                    let node = mailbox.node(mailbox.pid(&name)?);
                    Some((name, NodeView { pod, node }))
                });
                Observation { object, sets, budgets, nodes: nodes.collect() }
            }
            Err(why) => nothing(&mailbox, &why),
        }
    }

    async fn act(&mut self, action: &Action, order: &Order) -> Result<(), Failure> {
        let owner = Some(self.lock().uid.clone());
        let by = || io::Order { run_id: order.run_id.clone(), epoch: order.epoch };
        match action {
            Action::Own { set, version } => self.change(set, *version, SetChange::Owner(owner)).await,
            Action::Disown { set, version } => self.change(set, *version, SetChange::Owner(None)).await,
            Action::TouchSet { set, version } => self.change(set, *version, SetChange::Touch).await,
            Action::SetTemplate { set, version, flag } => self.change(set, *version, SetChange::Flag(*flag)).await,
            Action::TouchPod { node, uid } => {
                self.api(Request::Touch { pod: node.clone(), uid: uid.clone() }, true).await.map(drop)
            }
            Action::Recreate { node, uid, version } => {
                let request = Request::Evict { pod: node.clone(), uid: uid.clone(), version: *version };
                self.api(request, true).await.map(drop)
            }
            Action::ClaimEpoch { node } => {
                let epoch = NonZeroU64::new(order.epoch).ok_or_else(|| Failure::Refused("epoch 0".into()))?;
                self.admin(node, AdminRequest::ClaimEpoch(epoch)).await
            }
            Action::Restart { node, generation } => {
                let request = AdminRequest::Restart { order: by(), generation: Generation(*generation) };
                self.admin(node, request).await
            }
            Action::Backup { node } => self.admin(node, AdminRequest::GetSchema).await,
            Action::Proceed { node } => self.admin(node, AdminRequest::Proceed(by())).await,
            Action::RetryUpgrade { node } => self.admin(node, AdminRequest::RetryUpgrade(by())).await,
            Action::Recover { node, plan, verb } => {
                let step = recovery_step::of(*verb, order.plan.as_ref());
                let step = step.ok_or_else(|| Failure::Refused("there is no plan".into()))?;
                self.admin(node, AdminRequest::Recover { order: by(), plan: *plan, step }).await
            }
            Action::RemoveHost { node, host, ignore } => {
                let ignore = ignore.iter().map(|host| HostId(host.0)).collect();
                self.admin(node, AdminRequest::RemoveNode { order: Some(by()), host: HostId(host.0), ignore }).await
            }
            Action::Replace { node, uid } => {
                self.api(Request::Replace { pod: node.clone(), uid: uid.clone() }, true).await.map(drop)
            }
        }
    }

    async fn event(&mut self, _: &Event) {}
}

/// What is known while the API server does not answer.
fn nothing(mailbox: &Mailbox, why: &str) -> Observation {
    let view =
        |(pid, name): (Pid, &PodName)| (name.clone(), NodeView { pod: Part::Unknown(why.to_owned()), node: mailbox.node(pid) });
    Observation {
        object: Object::default(),
        sets: Vec::new(),
        budgets: Part::Unknown(why.to_owned()),
        nodes: mailbox.names.iter().enumerate().map(view).collect(),
    }
}
