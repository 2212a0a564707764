//! The recovery's place in status, both ways: what is remembered of it, and what is shown.

use super::{
    cut,
    journal::{at, host},
    story,
};
use crate::{
    crd::{ExcludedStatus, FrozenStatus, RecoveryStatus, Run, SilentStatus},
    observe::{HostId, Observation, PodName},
    plan::{Because, Donor, Event, FrozenPlan, Gone, Plan, Proof, Recovery, Silent, Step, WaitingFor, stall::Class},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::SignedDuration};
use std::collections::BTreeSet;

/// As the CRD bounds them.
const MAX_LINES: usize = 256;
const MAX_LINE_CHARS: usize = 512;
const MAX_BLOCKED: usize = 32;
/// A run's id is shorter; a recovery's ends with the number of its plan.
const MAX_RUN_ID_CHARS: usize = 40;

type Member<'a> = &'a dyn Fn(&str) -> Option<PodName>;

/// What is shown, if there is anything to show: who is lost, what is decided, what is refused and why.
pub(super) fn shown(plan: &Plan, seen: &Observation) -> Option<RecoveryStatus> {
    let refusal = |why: &WaitingFor| match why {
        WaitingFor::Recovery(why) if why.is_refusal() => Some(cut(&format!("{}: {why}", why.reason()), MAX_LINE_CHARS)),
        _ => None,
    };
    let blocked_by: Vec<_> = plan.report.waiting.iter().filter_map(refusal).take(MAX_BLOCKED).collect();
    let recovery = plan.journal.recovery.as_ref();
    if recovery.is_none() && blocked_by.is_empty() {
        return None;
    }
    let lines = story::lines(plan, seen).into_iter().take(MAX_LINES).map(|line| cut(&line, MAX_LINE_CHARS));
    let step = recovery.filter(|recovery| recovery.is_in_force() || blocked_by.is_empty());
    Some(RecoveryStatus {
        step: step.map_or(Step::Freeze, |recovery| recovery.step).name(),
        plan: lines.collect(),
        plan_hash: recovery.map_or_else(String::new, |recovery| recovery.plan.hash()),
        blocked_by,
        started_at: recovery.map(|recovery| Time(recovery.frozen_at)),
        frozen: None,
    })
}

/// A recovery that has ended, for history.
pub(super) fn ended(run_id: &str, recovery: &Recovery) -> Option<Run> {
    let ended_at = recovery.ended_at?;
    let is_withdrawn = recovery.withdrawn.is_some();
    let millis = |duration: SignedDuration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Some(Run {
        run_id: format!("{}/plan-{}", cut(run_id, MAX_RUN_ID_CHARS), recovery.plan.number),
        started_at: Time(recovery.frozen_at),
        ended_at: Time(ended_at),
        result: if is_withdrawn { "Withdrawn" } else { "Recovered" }.into(),
        approved_by: String::new(),
        overridden: Vec::new(),
        plan_hash: recovery.plan.hash(),
        excluded: recovery.plan.excluded.iter().map(ToString::to_string).collect(),
        schema_changes_off_millis: recovery.outage().map(millis),
        waiting_for_proof_millis: recovery.outage().map(|_| millis(recovery.wait_for_proof())),
    })
}

/// What is remembered, added to what is shown.
pub(super) fn write(recovery: Option<&Recovery>, shown: Option<RecoveryStatus>) -> Option<RecoveryStatus> {
    match (recovery, shown) {
        (None, shown) => shown.map(|shown| RecoveryStatus { frozen: None, ..shown }),
        (Some(recovery), shown) => {
            let (step, plan_hash, frozen) = (recovery.step.name(), recovery.plan.hash(), Some(frozen(recovery)));
            Some(RecoveryStatus { step, plan_hash, frozen, ..shown.unwrap_or_default() })
        }
    }
}

fn frozen(recovery: &Recovery) -> FrozenStatus {
    let Recovery {
        plan: FrozenPlan { number, survivors, excluded: _, text },
        trigger,
        pods,
        step: _,
        step_since,
        frozen_at,
        lost_at,
        proven_at,
        needs_human,
        forward_only,
        because,
        approved_at,
        donor,
        reset_at,
        leaving_at,
        verified_at,
        replaced,
        withdrawn,
        ended_at,
    } = recovery;
    let name = |pod: &Option<PodName>| pod.as_ref().map_or_else(String::new, |pod| pod.name.clone());
    FrozenStatus {
        number: *number,
        trigger: trigger.to_string(),
        survivors: survivors.iter().map(ToString::to_string).collect(),
        excluded: pods.iter().map(|(host, pod)| ExcludedStatus { host_id: host.to_string(), pod_name: name(pod) }).collect(),
        text: text.clone(),
        step_since: Time(*step_since),
        frozen_at: Time(*frozen_at),
        lost_at: Time(*lost_at),
        proven_at: Time(*proven_at),
        needs_human: *needs_human,
        forward_only: *forward_only,
        because: because.as_ref().map(|because| cut(&format!("{}: {}", because.what.name(), because.text), MAX_LINE_CHARS)),
        approved_at: approved_at.map(Time),
        donor: donor.map(|donor| if let Donor::Host(host) = donor { host.to_string() } else { String::new() }),
        reset_at: reset_at.map(Time),
        leaving_at: leaving_at.map(Time),
        verified_at: verified_at.map(Time),
        replaced: replaced.iter().map(|pod| pod.name.clone()).collect(),
        withdrawn: withdrawn.clone(),
        ended_at: ended_at.map(Time),
    }
}

/// What was remembered. A status that cannot be read is none: the nodes know the plan.
pub(super) fn read(status: &RecoveryStatus, member: Member<'_>) -> Option<Recovery> {
    let frozen = status.frozen.as_ref()?;
    let hosts = |texts: &[String]| texts.iter().map(|text| host(text)).collect::<Option<BTreeSet<HostId>>>();
    let excluded: Option<Vec<_>> =
        frozen.excluded.iter().map(|excluded| Some((host(&excluded.host_id)?, member(&excluded.pod_name)))).collect();
    let excluded = excluded?;
    let plan = FrozenPlan {
        number: frozen.number,
        survivors: hosts(&frozen.survivors)?,
        excluded: excluded.iter().map(|(host, _)| *host).collect(),
        text: frozen.text.clone(),
    };
    let donor =
        frozen.donor.as_deref().map(|donor| if donor.is_empty() { Some(Donor::Nobody) } else { host(donor).map(Donor::Host) });
    Some(Recovery {
        plan,
        trigger: Class::named(&frozen.trigger)?,
        pods: excluded.into_iter().collect(),
        step: Step::named(&status.step)?,
        step_since: frozen.step_since.0,
        frozen_at: frozen.frozen_at.0,
        lost_at: frozen.lost_at.0,
        proven_at: frozen.proven_at.0,
        needs_human: frozen.needs_human,
        forward_only: frozen.forward_only,
        because: frozen.because.as_deref().and_then(because),
        approved_at: at(frozen.approved_at.as_ref()),
        donor: donor.flatten(),
        reset_at: at(frozen.reset_at.as_ref()),
        leaving_at: at(frozen.leaving_at.as_ref()),
        verified_at: at(frozen.verified_at.as_ref()),
        replaced: frozen.replaced.iter().filter_map(|name| member(name)).collect(),
        withdrawn: frozen.withdrawn.clone(),
        ended_at: at(frozen.ended_at.as_ref()),
    })
}

fn because(text: &str) -> Option<Because> {
    let (what, text) = text.split_once(": ")?;
    Some(Because { what: Event::named(what)?, text: text.into() })
}

/// A host that nobody sees alive.
pub(super) fn write_silent((host, silent): (&HostId, &Silent)) -> SilentStatus {
    let Silent { pod, since, proof, given_up } = silent;
    let gone = proof.as_ref().map(|proof| match proof.of {
        Gone::Machine => "Machine",
        Gone::Volume => "Volume",
    });
    SilentStatus {
        host_id: host.to_string(),
        pod_name: pod.as_ref().map_or_else(String::new, |pod| pod.name.clone()),
        since: since.map(Time),
        gone: gone.unwrap_or_default().into(),
        gone_pod_uid: proof.as_ref().map_or_else(String::new, |proof| proof.uid.clone()),
        gone_at: proof.as_ref().map(|proof| Time(proof.at)),
        given_up: *given_up,
    }
}

/// The same, read again.
pub(super) fn read_silent(status: &SilentStatus, member: Member<'_>) -> Option<(HostId, Silent)> {
    let of = match status.gone.as_str() {
        "Machine" => Some(Gone::Machine),
        "Volume" => Some(Gone::Volume),
        _ => None,
    };
    let proof = of.zip(at(status.gone_at.as_ref())).map(|(of, at)| Proof { of, uid: status.gone_pod_uid.clone(), at });
    Some((
        host(&status.host_id)?,
        Silent { pod: member(&status.pod_name), since: at(status.since.as_ref()), proof, given_up: status.given_up },
    ))
}
