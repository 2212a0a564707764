//! Processes come and go, and what Kubernetes and people order of them.

use super::{
    World, address,
    estates::{Estate, HIDDEN, end_apart},
};
use crate::{
    process::{End, Kubelet, Order, Pid},
    queue::Event,
    swarm::Fault,
    trouble::Action,
};
use std::time::Duration;

impl World {
    pub(super) fn start(&mut self, pid: Pid) {
        let is_node = pid < self.swarm.nodes;
        if self.slots[pid].is_alive || is_node && !self.kubernetes().is_some_and(|kubernetes| kubernetes.may_start(pid)) {
            return;
        }
        if is_node {
            self.tell_kubelet(pid, Kubelet::Started);
            self.has_returned |= self.lost.remove(&pid);
        }
        self.slots[pid].life += 1;
        self.slots[pid].is_alive = true;
        self.network.started(pid, self.slots[pid].life);
        self.with(pid, |process, moment, out| process.start(moment, out));
    }

    pub(super) fn end(&mut self, pid: Pid, end: &End) {
        if !self.slots[pid].is_alive {
            return;
        }
        let name = self.slots[pid].process.name().to_owned();
        match end {
            End::Exit => self.log.line(self.now, format_args!("{name} has ended")),
            End::Crash(why) => {
                self.events.count("crash");
                self.log.line(self.now, format_args!("{name} dies: {why}"));
            }
        }
        self.with(pid, |process, moment, out| process.crash(moment, out));
        let slot = &mut self.slots[pid];
        (slot.is_alive, slot.paused) = (false, None);
        slot.waiting.clear();
        slot.life += 1;
        self.on_network(|network, around| network.ended(pid, around));
        if self.trouble {
            self.maybe_move(pid);
        }
        if pid < self.swarm.nodes {
            let how = if let End::Crash(why) = end { why.clone() } else { "it has ended".into() };
            self.tell_kubelet(pid, Kubelet::Ended(how));
        } else {
            let away = Duration::from_millis(50) + self.dice.short_time(Duration::from_secs(if self.trouble { 10 } else { 1 }));
            self.queue.put(self.now + away, Event::Start(pid));
        }
    }

    /// Whoever comes back may do so at another address.
    fn maybe_move(&mut self, pid: Pid) {
        if pid >= self.swarm.nodes || !self.dice.chance(self.swarm.up_to(Fault::Address, 800_000)) {
            return;
        }
        self.moves += 1;
        let mut fresh = address(pid, self.moves);
        let other = self.dice.index(self.swarm.nodes);
        if self.swarm.has(Fault::Reuse) && !self.slots[other].is_alive && other != pid {
            // Both are away: they come back with each other's address.
            fresh = self.addresses[other];
            self.addresses[other] = self.addresses[pid];
            self.network.move_to(other, self.addresses[other]);
            self.events.count("address of another host taken");
        }
        self.addresses[pid] = fresh;
        self.network.move_to(pid, fresh);
        self.events.count("address changed");
        self.log.line(self.now, format_args!("n{} will be at {}", pid + 1, fresh.ip()));
    }

    pub(super) fn obey(&mut self, order: &Order) {
        match *order {
            Order::Start { node, after, environment } => {
                if let (Some((flag, hold)), Some(process)) = (environment, self.slots[node].process.node()) {
                    (process.template.flag, process.template.hold) = (flag.then_some(true), hold);
                }
                self.queue.put(self.now + after, Event::Start(node));
            }
            Order::Lose { node, host } => {
                self.end(node, &End::Crash("its machine is lost".into()));
                if let Some(process) = self.slots[node].process.node() {
                    process.lose(host);
                }
            }
            Order::Destroy { ref nodes } => self.destroy(nodes),
            Order::Renew { node } => {
                self.lost.remove(&node);
                if let Some(process) = self.slots[node].process.node() {
                    process.renew();
                }
            }
            Order::Isolate { node, long } => self.go_wrong(Action::Isolate(node, long)),
            Order::Stop { node } if self.slots[node].is_alive => self.restart(node),
            Order::Stop { node } => self.tell_kubelet(node, Kubelet::Ended("it did not run".into())),
        }
    }

    fn destroy(&mut self, nodes: &[Pid]) {
        self.events.count("disaster");
        for pid in nodes {
            self.end(*pid, &End::Crash("its machine is destroyed".into()));
            self.lost.insert(*pid);
        }
        self.had_disaster = true;
        // Who was lost before is no survivor, be it that it has come back: whatever it has, others were told that it is gone.
        let survivors: Vec<_> = (0..self.swarm.nodes).filter(|pid| !self.lost.contains(pid)).collect();
        let (lost, survivors) = (self.estates(nodes), self.estates(&survivors));
        if end_apart(&survivors) {
            self.events.count("survivors at different log positions");
        }
        if self.kept.lose(&lost, &survivors) {
            self.events.count(HIDDEN);
        }
        for pid in nodes {
            self.gone.extend(self.slots[*pid].process.node().and_then(|node| node.host()));
        }
    }

    /// Of those of these nodes that were never lost.
    fn estates(&mut self, nodes: &[Pid]) -> Vec<Estate> {
        let mut estates = Vec::new();
        for pid in nodes {
            let Some(node) = self.slots[*pid].process.node() else { continue };
            if node.host().is_none_or(|host| self.gone.contains(&host)) {
                continue;
            }
            match Estate::read(&node.image()) {
                Ok(estate) => estates.push(estate),
                Err(why) => self.violated("disk", why),
            }
        }
        estates
    }
}
