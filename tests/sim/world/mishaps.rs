//! What goes wrong, and how it is set right.

use super::World;
use crate::{
    network::KEEP_ALIVE,
    process::{Arrival, End, Pid},
    queue::Event,
    trouble::Action,
};
use std::time::Duration;

/// Who is asked to end gets so long.
const DRAIN: Duration = Duration::from_secs(3);

impl World {
    pub(super) fn go_wrong(&mut self, action: Action) {
        self.log.line(self.now, format_args!("{action:?}"));
        match action {
            Action::Cut(from, to, long) => self.cut(from, to, long),
            Action::Isolate(node, long) => {
                for other in (0..self.swarm.nodes).chain([self.kubernetes]).filter(|other| *other != node) {
                    self.cut(node, other, long);
                    self.cut(other, node, long);
                }
            }
            Action::Part(first, long) => {
                let parted = first..self.swarm.nodes;
                for other in (0..self.slots.len()).filter(|other| !parted.contains(other)) {
                    for node in parted.clone() {
                        self.cut(node, other, long);
                        self.cut(other, node, long);
                    }
                }
            }
            Action::LoseSchemas(long) => self.network.lose_schemas(self.now + long),
            Action::Reset(one, other) => self.on_network(|network, around| network.reset(one, other, around)),
            Action::Crash(node) => self.end(node, &End::Crash("killed".into())),
            Action::Restart(node) => self.restart(node),
            Action::Pause(node, long) => self.pause(node, long),
            // What was aimed at a moment may come when all is to be well, and nobody would set this right any more.
            Action::Jump(..) if !self.trouble => {}
            Action::Jump(node, micros) => {
                self.events.count(if micros < 0 { "clock jumped back" } else { "clock jumped forward" });
                if let Some(clock) = self.slots[node].process.clock() {
                    clock.jump(micros);
                }
            }
        }
    }

    fn cut(&mut self, from: Pid, to: Pid, long: Duration) {
        let until = self.now + long;
        // In a story nothing goes wrong by itself.
        if self.trouble || self.story.is_told() {
            self.on_network(|network, around| network.cut(from, to, until, around));
        }
    }

    pub(super) fn restart(&mut self, pid: Pid) {
        if self.slots[pid].is_alive {
            self.events.count("graceful restart");
            self.queue.put(self.now + DRAIN, Event::Kill(pid, self.slots[pid].life));
            self.arrive(pid, Arrival::Shutdown);
        }
    }

    fn pause(&mut self, pid: Pid, long: Duration) {
        if self.slots[pid].is_alive && self.slots[pid].paused.is_none() {
            self.events.count("node paused");
            self.slots[pid].paused = Some(self.now);
            self.queue.put(self.now + long, Event::Resume(pid));
            self.queue.put(self.now + KEEP_ALIVE, Event::StillPaused(pid, self.now));
        }
    }

    pub(super) fn resume(&mut self, pid: Pid) {
        if self.slots[pid].paused.take().is_some() {
            let waiting = std::mem::take(&mut self.slots[pid].waiting);
            self.with(pid, |process, moment, out| process.take(moment, waiting, out));
        }
    }

    pub(super) fn calm(&mut self) {
        if !self.trouble {
            return;
        }
        self.log.line(self.now, format_args!("nothing goes wrong from here on"));
        self.trouble = false;
        self.network.heal();
        for pid in 0..self.slots.len() {
            self.resume(pid);
            if let Some(clock) = self.slots[pid].process.clock() {
                clock.set_right();
            }
            if !self.slots[pid].is_alive {
                let soon = self.dice.short_time(Duration::from_secs(1));
                self.queue.put(self.now + soon, Event::Start(pid));
            }
        }
    }
}
