//! The pods: made and made again by the controller of their StatefulSet, their processes started by a kubelet.

use super::{BAD_TEMPLATE, Kubernetes, api::Reply, past::Past, time};
use crate::{
    invariants::Act,
    process::{Kubelet, Moment, Note, Order, Outbox, Pid},
};
use group0_operator::observe::{Machine, Pod, PodName, PodState, Set};
use std::time::Duration;

/// A process that crashes is started again after so long at most.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The same where nothing goes wrong.
const SOON: Duration = Duration::from_secs(1);
/// A pod that is gone is made again after so long at most, and so is its process started.
const MAKING: Duration = Duration::from_millis(800);

/// The place of a pod.
pub struct Slot {
    /// Its name.
    pub name: PodName,
    /// The pod, while there is one.
    pub pod: Past<Option<Pod>>,
    /// When it is made, if it is to be.
    pub due: Option<Duration>,
    ready: bool,
    terminating: bool,
    /// Its machine is lost.
    destroyed: bool,
    /// Its claim is deleted: the next pod here gets another volume.
    unclaimed: bool,
    made: u32,
}

impl Slot {
    /// An empty one.
    pub fn new(name: PodName) -> Self {
        Self {
            name,
            pod: Past::new(None),
            due: None,
            ready: false,
            terminating: false,
            destroyed: false,
            unclaimed: false,
            made: 0,
        }
    }

    /// Whether its StatefulSet is to have it.
    pub fn is_wanted(&self, sets: &[Past<Set>]) -> bool {
        self.name.ordinal < sets[self.name.rack].now().replicas
    }

    /// Whether it is ready.
    pub fn serves(&self) -> bool {
        self.ready && !self.terminating
    }
}

impl Kubernetes {
    /// Makes the pods that are to be there at the beginning.
    pub(super) fn make_all(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        for pid in 0..self.pods.len() {
            if self.pods[pid].is_wanted(&self.sets) {
                self.make(moment, pid, Duration::from_secs(2), out);
            }
        }
    }

    /// Makes those whose time has come.
    pub(super) fn make_due(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        for pid in 0..self.pods.len() {
            if self.pods[pid].due.is_some_and(|due| due <= moment.now) {
                self.pods[pid].due = None;
                self.make(moment, pid, MAKING, out);
            }
        }
    }

    pub(super) fn scale_up(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        for pid in 0..self.pods.len() {
            if !self.pods[pid].is_wanted(&self.sets) {
                let rack = self.pods[pid].name.rack;
                self.change_set(moment.now, rack, |set| set.replicas += 1);
                self.make(moment, pid, MAKING, out);
            }
        }
    }

    fn make(&mut self, moment: Moment<'_>, pid: Pid, longest: Duration, out: &mut Outbox) {
        let version = self.next_version();
        if self.pods[pid].destroyed || self.pods[pid].unclaimed {
            out.orders.push(Order::Renew { node: pid });
        }
        let slot = &mut self.pods[pid];
        let set = self.sets[slot.name.rack].now();
        slot.made += 1;
        (slot.terminating, slot.destroyed, slot.unclaimed) = (false, false, false);
        let is_bad = set.template_hash == BAD_TEMPLATE;
        let pod = Pod {
            uid: format!("{}-{}", slot.name, slot.made),
            version,
            state: if is_bad { PodState::Broken("its image cannot be pulled".into()) } else { PodState::Changing },
            since: time(moment.now),
            flag: set.flag,
            hold: set.hold,
            template_hash: set.template_hash.clone(),
            machine: Machine::There,
            volume_gone: false,
        };
        out.line(format!("{} is made, flag {} hold {}, {}", slot.name, pod.flag, pod.hold, pod.template_hash));
        if is_bad {
            out.event("pod with a bad template");
        } else {
            let environment = Some((pod.flag, pod.hold));
            out.orders.push(Order::Start { node: pid, after: self.dice.short_time(longest), environment });
        }
        let forgotten = self.forgotten(moment.now);
        self.pods[pid].pod.put(moment.now, Some(pod), forgotten);
    }

    /// What a kubelet tells of a process.
    pub(super) fn hear(&mut self, moment: Moment<'_>, pid: Pid, news: Kubelet, out: &mut Outbox) {
        let is_terminating = self.pods[pid].terminating;
        match news {
            Kubelet::Ready(ready) => {
                self.pods[pid].ready = ready;
                self.change_pod(moment.now, pid, |_| {});
            }
            Kubelet::Started if is_terminating => {}
            Kubelet::Started => self.change_pod(moment.now, pid, |pod| {
                pod.state = PodState::Running;
                pod.since = time(moment.now);
            }),
            Kubelet::Ended(_) if is_terminating => {
                self.pods[pid].ready = false;
                let forgotten = self.forgotten(moment.now);
                self.pods[pid].pod.put(moment.now, None, forgotten);
                self.pods[pid].due = Some(moment.now + self.dice.short_time(MAKING));
            }
            Kubelet::Ended(_) if self.pods[pid].destroyed => self.pods[pid].ready = false,
            Kubelet::Ended(why) => {
                self.pods[pid].ready = false;
                let after = self.dice.short_time(if moment.trouble { BACK_OFF } else { SOON });
                out.orders.push(Order::Start { node: pid, after: Duration::from_millis(50) + after, environment: None });
                self.change_pod(moment.now, pid, |pod| pod.state = PodState::Down(why));
            }
        }
    }

    /// Whether a kubelet may start the process of this pod.
    pub fn may_start(&self, pid: Pid) -> bool {
        let slot = &self.pods[pid];
        let is_broken = |pod: &Pod| matches!(pod.state, PodState::Broken(_));
        !slot.terminating && !slot.destroyed && slot.pod.now().as_ref().is_some_and(|pod| !is_broken(pod))
    }

    fn change_pod(&mut self, now: Duration, pid: Pid, change: impl FnOnce(&mut Pod)) {
        let version = self.next_version();
        let forgotten = self.forgotten(now);
        let slot = &mut self.pods[pid];
        if let Some(mut pod) = slot.pod.now().clone() {
            change(&mut pod);
            pod.version = version;
            slot.pod.put(now, Some(pod), forgotten);
        }
    }

    /// These machines are lost.
    pub(super) fn destroy(&mut self, now: Duration, pids: Vec<Pid>, with_disks: bool, out: &mut Outbox) {
        for pid in &pids {
            self.pods[*pid].destroyed = true;
            self.change_pod(now, *pid, |pod| {
                (pod.machine, pod.volume_gone) = (Machine::OutOfService, with_disks);
                pod.state = PodState::Down("its machine is lost".into());
            });
        }
        out.orders.push(Order::Destroy { nodes: pids });
    }

    /// These machines are deleted from Kubernetes, which does not hear of what runs on them any more.
    pub(super) fn forget(&mut self, now: Duration, pids: &[Pid]) {
        for pid in pids {
            self.change_pod(now, *pid, |pod| {
                pod.machine = Machine::Gone;
                pod.state = PodState::Down("its machine does not answer".into());
            });
        }
    }

    /// They are there again. What ran on them is ended, as its pod is not known any more.
    pub(super) fn remember(&mut self, now: Duration, pids: &[Pid], out: &mut Outbox) {
        for pid in pids {
            self.change_pod(now, *pid, |pod| pod.machine = Machine::There);
            self.remove(now, *pid, out);
        }
    }

    /// Those of them are here again that were not given up.
    pub(super) fn come_back(&mut self, now: Duration, pids: &[Pid], out: &mut Outbox) {
        for pid in pids.iter().copied() {
            if self.pods[pid].destroyed && !self.pods[pid].terminating && self.pods[pid].pod.now().is_some() {
                out.event("the dead came back");
                self.pods[pid].destroyed = false;
                self.change_pod(now, pid, |pod| {
                    (pod.machine, pod.volume_gone) = (Machine::There, false);
                    pod.state = PodState::Down("its machine was away".into());
                });
                out.orders.push(Order::Start { node: pid, after: self.dice.short_time(MAKING), environment: None });
            }
        }
    }

    /// The claim is deleted, and the pod with it: both are made anew, whatever was on the volume.
    pub(super) fn replace(&mut self, now: Duration, name: &PodName, uid: &str, out: &mut Outbox) -> Reply {
        match self.find(name, uid) {
            Ok((pid, _)) => {
                out.notes.push(Note::Act(Act::Replaced { name: name.to_string(), uid: uid.into() }));
                self.pods[pid].unclaimed = true;
                self.give_up(now, pid);
                self.remove(now, pid, out);
                Reply::Done
            }
            Err(why) => Reply::Refused(why),
        }
    }

    /// Only of a machine that is lost; of another there is nothing to give up.
    pub(super) fn give_up(&mut self, now: Duration, pid: Pid) {
        if self.pods[pid].destroyed {
            let forgotten = self.forgotten(now);
            self.pods[pid].pod.put(now, None, forgotten);
            self.pods[pid].due = Some(now + self.dice.short_time(MAKING));
        }
    }

    fn find(&self, name: &PodName, uid: &str) -> Result<(Pid, &Pod), String> {
        let pid = self.pods.iter().position(|slot| slot.name == *name).ok_or("no such pod")?;
        let pod = self.pods[pid].pod.now().as_ref().ok_or("there is no such pod now")?;
        if pod.uid == uid { Ok((pid, pod)) } else { Err(format!("the pod has UID {}, not {uid}", pod.uid)) }
    }

    pub(super) fn touch(&mut self, now: Duration, name: &PodName, uid: &str) -> Reply {
        match self.find(name, uid) {
            Ok((pid, _)) => {
                self.change_pod(now, pid, |_| {});
                Reply::Done
            }
            Err(why) => Reply::Refused(why),
        }
    }

    pub(super) fn evict(&mut self, moment: Moment<'_>, name: &PodName, uid: &str, version: u64, out: &mut Outbox) -> Reply {
        let (pid, pod) = match self.find(name, uid) {
            Ok(found) => found,
            Err(why) => return Reply::Refused(why),
        };
        if pod.version != version {
            return Reply::Refused(format!("the pod is in version {}, not {version}", pod.version));
        }
        if self.pods[pid].terminating {
            return Reply::Refused("it is going already".into());
        }
        if self.budgets.len() > 1 {
            return Reply::Refused("the eviction subresource does not support multiple PodDisruptionBudgets".into());
        }
        if !self.budget_allows(pid) {
            out.event("eviction held back by the budget");
            return Reply::Refused("the budget does not allow it".into());
        }
        let set = self.sets[name.rack].now();
        let is_right = pod.flag == set.flag && pod.template_hash == set.template_hash;
        let served = self.pods[pid].serves();
        out.notes.push(Note::Act(Act::Evicted { node: pid, name: name.to_string(), uid: uid.into(), version, served, is_right }));
        self.remove(moment.now, pid, out);
        Reply::Done
    }

    /// At most one may be away, and one that is away already may always go.
    pub(super) fn budget_allows(&self, pid: Pid) -> bool {
        let mut others = self.pods.iter().enumerate().filter(|(other, slot)| *other != pid && slot.is_wanted(&self.sets));
        !self.pods[pid].serves() || others.all(|(_, slot)| slot.serves())
    }

    /// The pod goes. When its process has ended, it is made again.
    pub(super) fn remove(&mut self, now: Duration, pid: Pid, out: &mut Outbox) {
        if self.pods[pid].terminating || self.pods[pid].pod.now().is_none() {
            return;
        }
        self.pods[pid].terminating = true;
        self.change_pod(now, pid, |pod| pod.state = PodState::Changing);
        out.orders.push(Order::Stop { node: pid });
    }
}
