//! What a person does: edits spec and the StatefulSets.

use super::{World, grow_old, host};
use group0_operator::{
    crd::{ConfirmedDead, GuardOverride, Mode, RecoveryMode, Weekday, Window},
    observe::{Owner, Part},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

impl World {
    /// What a person writes into spec.
    pub fn edit(&mut self, field: &str, value: &str) {
        self.seen.object.generation += 1;
        let seconds = || std::time::Duration::from_secs(value.parse().unwrap()).into();
        match field {
            "paused" => self.spec.paused = value.parse().unwrap(),
            "dryRun" => self.spec.dry_run = value.parse().unwrap(),
            "cancel" => self.spec.cancel = value.parse().unwrap(),
            "bake" => self.spec.pacing.bake_seconds = value.parse().unwrap(),
            "between" => self.spec.pacing.min_seconds_between_nodes = value.parse().unwrap(),
            "podReady" => self.spec.deadlines.pod_ready = seconds(),
            "noProgress" => self.spec.deadlines.no_progress = seconds(),
            "rpc" => self.spec.deadlines.rpc = seconds(),
            "deadAfter" => self.spec.recovery.dead_after = seconds(),
            "supervised" => self.spec.mode = Mode::Supervised,
            "approve" => self.spec.approved_run_id = Some(value.into()),
            "backup" => self.spec.backup.enabled = value.parse().unwrap(),
            "touch" => {}
            "recovery" => {
                self.spec.recovery.mode = match value {
                    "Disabled" => RecoveryMode::Disabled,
                    "Approve" => RecoveryMode::Approve,
                    "Automatic" => RecoveryMode::Automatic,
                    other => panic!("unknown mode {other}"),
                }
            }
            "approvedPlanHash" => self.spec.recovery.approved_plan_hash = Some(value.into()),
            "replaceLostNodes" => self.spec.recovery.replace_lost_nodes = value.parse().unwrap(),
            "confirmDead" => {
                let host_id = host(&self.name(value)).to_string();
                self.spec.recovery.confirm_dead.push(ConfirmedDead { host_id, reason: "it burnt".into() });
            }
            "window" => {
                let (start, end) = value.split_once('-').unwrap();
                let days = vec![Weekday::Thursday];
                self.spec.window = Some(Window { days, start: start.into(), end: end.into(), time_zone: "UTC".into() });
            }
            "override" => {
                let (guard, until) = value.split_once(' ').unwrap();
                let expires_at = Time(Timestamp::from_second(until.parse().unwrap()).unwrap());
                self.spec.overrides.push(GuardOverride { guard: guard.into(), reason: "I know why".into(), expires_at });
            }
            other => panic!("unknown field {other}"),
        }
    }

    /// What a person or Helm writes into a StatefulSet, or how an older view of it looks.
    pub fn change_set(&mut self, name: &str, field: &str, value: &str) {
        if field == "stale" {
            let rack = self.spec.cluster_ref.stateful_sets.iter().position(|set| set == name).unwrap();
            return grow_old(&mut self.seen.sets[rack], value);
        }
        let set = self.set(name);
        set.version = if field == "older" { set.version - 1 } else { set.version + 1 };
        match field {
            "older" | "touched" => {}
            "template" => set.template_hash = value.into(),
            "flag" => (set.flag, set.hold) = (value.parse().unwrap(), value.parse().unwrap()),
            "hold" => set.hold = value.parse().unwrap(),
            "replicas" => set.replicas = value.parse().unwrap(),
            "kept" => set.kept = value.parse().unwrap(),
            "onDelete" => set.on_delete = value.parse().unwrap(),
            "parallel" => set.parallel = value.parse().unwrap(),
            "settled" => set.settled = value.parse().unwrap(),
            "owner" => set.owner = Some(Owner { uid: value.into(), exists: true }),
            "stale-owner" => set.owner = Some(Owner { uid: value.into(), exists: false }),
            "unknown" => {
                let place = self.seen.sets.iter().position(|set| set.known().is_some_and(|set| set.name == name)).unwrap();
                self.seen.sets[place] = Part::Unknown(value.into());
            }
            other => panic!("unknown field {other}"),
        }
    }
}
