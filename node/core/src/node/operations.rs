//! Schema changes of clients: the old way before the upgrade, refused in `synchronize`, through group 0 after it.
//!
//! Through group 0, changes that wait at this node share one read barrier and one append, where they do not conflict; each is an
//! [`Operation`]. Whoever changed something is answered when the live nodes have followed, or after a moment: drivers compare
//! schema versions right after a change, and wait if they differ.

use super::{
    Node, Timer,
    barrier::Waiter,
    boot::Boot,
    recovery::{Mode, RESTART_FIRST},
};
use crate::{
    cql::ast::{Kind, Name, Statement},
    group0::{
        Command, PreviousState,
        operation::{self, Action, Event, Operation},
    },
    ids::{HostId, Micros, TimeUuid},
    io::{ClientReply, ClientRequest, CqlError, Reply, RequestId},
    raft::MAX_COMMAND_BYTES,
    schema::{
        Rows,
        ddl::{self, Change, DdlContext},
    },
    upgrade::{Stage, machine},
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a client waits for other nodes to follow; what is slower than that is slow, and the change is durable.
const AGREEMENT_LIMIT: Duration = Duration::from_millis(500);

/// A command of which nothing was heard is submitted again after this.
const SILENCE: Duration = Duration::from_millis(500);

/// Operations at one node at a time, over all connections.
const OPERATIONS_MAX: usize = 4_096;

/// Rows of one merge command, encoded: half of what a command may hold, for the envelope and for ours being an estimate.
const MERGE_BYTES_MAX: usize = MAX_COMMAND_BYTES / 2;

/// Of the text of a statement, in the history: each row of it is kept in memory for a week, and is in every snapshot.
const DESCRIBED_BYTES_MAX: usize = 1_024;

/// What remedies rows that no command holds, however they came here.
const MAKE_SMALLER: &str = "on the node that has it, order recovery, ALTER or DROP what it belongs to, and end the recovery";

/// The error of schema changes in `synchronize`.
const IN_SYNCHRONIZE: &str = "Cannot perform schema or topology changes during this time; the cluster is currently upgrading to use \
     Raft for schema operations. If this error keeps happening, check the logs of your nodes to learn the state of upgrade. The \
     upgrade procedure may get stuck if there was a node failure";

/// Changes under way at this node.
#[derive(Debug, Default)]
pub struct Operations {
    open: BTreeMap<RequestId, Open>,
    by_state: BTreeMap<TimeUuid, RequestId>,
    /// Those whose barrier is under way, or has passed.
    covered: Vec<RequestId>,
    barrier: Barrier,
    agreements: BTreeMap<RequestId, Agreement>,
    last_internal: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Barrier {
    #[default]
    None,
    UnderWay,
    Passed,
}

#[derive(Debug)]
struct Open {
    operation: Operation,
    work: Work,
    submitted: Option<(TimeUuid, Bytes)>,
    reply: ClientReply,
    /// Commands that lost a race, each with what its success would have been: a second copy of one may have come behind what the first
    /// was made on, and taken effect.
    former: Vec<(TimeUuid, ClientReply)>,
}

#[derive(Debug)]
enum Work {
    /// A client's statement.
    Statement(Box<ClientRequest>),
    /// Rows to merge, for the procedure if so marked.
    Merge { rows: Rows, description: String, is_surplus: bool },
}

/// A change that is done, and whom its client's answer waits for.
#[derive(Debug)]
struct Agreement {
    reply: ClientReply,
    missing: Missing,
}

#[derive(Debug)]
enum Missing {
    /// Hosts that have not answered our push.
    Pushes(BTreeSet<HostId>),
    /// Final hosts whose version is older than this.
    Versions(TimeUuid),
}

impl Node {
    pub(super) fn schema_change(&mut self, id: RequestId, request: &ClientRequest) {
        let refuse = |error| Reply::Client { id, reply: ClientReply::Error(error) };
        let stage = self.stage();
        if self.is_stopping() || !self.boot.is_completed() {
            let why = self.boot.waiting().unwrap_or_else(|| "the node is shutting down".into());
            self.effects.reply.push(refuse(CqlError::Server(format!("no schema change is possible here now: {why}"))));
        } else if self.is_leaving() {
            let why = "no schema change is possible here any more: the node is leaving the cluster. Ask another one";
            self.effects.reply.push(refuse(CqlError::Server(why.into())));
        } else if self.operations.open.len() + self.operations.agreements.len() >= OPERATIONS_MAX {
            self.effects.reply.push(refuse(CqlError::Server(format!("more than {OPERATIONS_MAX} schema changes are under way"))));
        } else if self.recovery == Mode::Requested {
            self.effects.reply.push(refuse(CqlError::Server(RESTART_FIRST.into())));
        } else if stage == Stage::Synchronize {
            self.effects.reply.push(refuse(CqlError::Server(IN_SYNCHRONIZE.into())));
        } else if stage == Stage::UsePostRaft && request.text.len() > MAX_COMMAND_BYTES {
            // It is not held while it waits for a majority, and for nothing.
            self.effects.reply.push(refuse(too_large(request.text.len())));
        } else if stage == Stage::UsePostRaft {
            self.open_operation(id, Work::Statement(Box::new(request.clone())));
        } else {
            self.change_the_old_way(id, request);
        }
    }

    /// A local merge and a push to live peers, in one step.
    fn change_the_old_way(&mut self, id: RequestId, request: &ClientRequest) {
        let at = self.next_timestamp(None);
        let change = match self.prepare(request, at, None) {
            Ok(Some(change)) => change,
            Ok(None) => return self.effects.reply.push(Reply::Client { id, reply: ClientReply::Void }),
            Err(error) => return self.effects.reply.push(Reply::Client { id, reply: ClientReply::Error(error) }),
        };
        if let Some(cell) = oversized(&change.rows) {
            // Group 0 would never take it over.
            let error = CqlError::Invalid(format!("{cell} takes more than {MERGE_BYTES_MAX} bytes: nothing was changed"));
            return self.effects.reply.push(Reply::Client { id, reply: ClientReply::Error(error) });
        }
        self.merge_rows(&change.rows);
        tracing::info!(target: "schema", "Altering {} version={}", change.subject, self.schema_version());
        let live: BTreeSet<_> = self.gossip.live().filter(|host| self.peers.hosts().contains(host)).collect();
        self.await_agreement(id, success(&change), Missing::Pushes(live));
        self.push_rows(&change.rows, Some(id));
    }

    fn prepare(&mut self, request: &ClientRequest, at: Micros, version: Option<TimeUuid>) -> Result<Option<Change>, CqlError> {
        let context = DdlContext {
            keyspace: request.keyspace.as_deref(),
            at,
            table_id: self.random.time_uuid(at).0,
            version: version.map(|state| state.0),
            data_centers: &self.data_centers(),
        };
        ddl::prepare(&self.schema, &request.statement, &context)
    }

    fn data_centers(&self) -> Vec<String> {
        let others = self.peers.rows().values().map(|peer| peer.data_center.clone());
        let all: BTreeSet<_> = others.chain([self.settings.data_center.clone()]).collect();
        all.into_iter().collect()
    }

    /// Greater than the last state, than every write timestamp here, and than `after`: no fast clock wins over a later change.
    fn next_timestamp(&self, after: Option<Micros>) -> Micros {
        let last = self.history.last().map(TimeUuid::micros);
        let newest = [last, self.schema.newest(), after].into_iter().flatten().max().unwrap_or_default();
        self.now.wall.max(Micros(newest.0 + 1))
    }

    // Through group 0.

    fn open_operation(&mut self, id: RequestId, work: Work) {
        let (operation, Action::Barrier) = Operation::new() else { return };
        self.operations.open.insert(id, Open { operation, work, submitted: None, reply: ClientReply::Void, former: vec![] });
        self.timers.set(Timer::OperationExpired(id), self.now.elapsed + self.settings.raft_operation_timeout);
    }

    /// Rows that did not come through the log, as commands that apply whatever the last state is.
    pub(super) fn propose_merge(&mut self, rows: Rows, description: &str, surplus: Option<()>) {
        for rows in rows.split(MERGE_BYTES_MAX) {
            self.operations.last_internal += 1;
            let id = RequestId(u64::MAX - self.operations.last_internal);
            let description = format!("merge: {description}");
            self.open_operation(id, Work::Merge { rows, description, is_surplus: surplus.is_some() });
        }
    }

    pub(super) fn submit_surplus(&mut self, description: &str) {
        let rows = std::mem::take(&mut self.procedure.surplus);
        self.propose_merge(rows, description, Some(()));
    }

    /// Starts a barrier for those that wait, and gives them their turn once it has passed and nothing of ours is undecided.
    pub(super) fn settle_operations(&mut self) -> bool {
        match self.operations.barrier {
            Barrier::None => {
                let waiting = self.operations.open.iter().filter(|(_, open)| open.operation.awaits_turn());
                self.operations.covered = waiting.map(|(id, _)| *id).collect();
                if self.operations.covered.is_empty() {
                    return false;
                }
                self.operations.barrier = Barrier::UnderWay;
                self.barrier(Waiter::Operations);
                true
            }
            Barrier::Passed if self.operations.by_state.is_empty() => {
                self.operations.barrier = Barrier::None;
                self.give_turns();
                true
            }
            Barrier::UnderWay | Barrier::Passed => false,
        }
    }

    pub(super) fn operations_barrier(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.operations.barrier = Barrier::Passed,
            Err(cause) => {
                self.operations.barrier = Barrier::None;
                for id in std::mem::take(&mut self.operations.covered) {
                    self.close_operation(id, ClientReply::Error(self.unavailable(cause.clone())));
                }
            }
        }
    }

    /// Each is made on the state that the former one leads to; those that conflict with an earlier one wait for the next turn.
    fn give_turns(&mut self) {
        let (mut previous, mut after, mut taken) = (self.history.last(), None, Vec::new());
        for id in std::mem::take(&mut self.operations.covered) {
            let Some(open) = self.operations.open.get(&id) else { continue };
            let scope = scope(&open.work);
            if taken.iter().any(|other| conflict(other, &scope)) {
                continue;
            }
            taken.push(scope);
            self.operation_event(id, Event::Turn);
            if let Some(event) = self.former_event(id) {
                self.operation_event(id, event);
                continue;
            }
            let at = self.next_timestamp(after);
            if let Some(state) = self.make_command(id, at, previous) {
                (previous, after) = (Some(state), Some(at));
                self.operation_event(id, Event::Prepared);
            } else {
                self.operation_event(id, Event::Answered);
            }
        }
    }

    /// A command that seemed to have lost its race is in the history by now, and is the operation's; or may have been there and is dropped.
    fn former_event(&mut self, id: RequestId) -> Option<Event> {
        let open = self.operations.open.get_mut(&id)?;
        if let Some((state, reply)) = open.former.iter().find(|(state, _)| self.history.contains(*state)).cloned() {
            (open.submitted, open.reply) = (Some((state, Bytes::new())), reply);
            return Some(Event::Applied);
        }
        let is_forgotten = open.former.iter().any(|(state, _)| !self.history.reaches_back_to(*state));
        is_forgotten.then_some(Event::Forgotten)
    }

    /// Validates, and makes the command; or answers the client.
    fn make_command(&mut self, id: RequestId, at: Micros, previous: Option<TimeUuid>) -> Option<TimeUuid> {
        let state = self.random.time_uuid(at);
        let open = self.operations.open.get(&id)?;
        let (rows, description, reply, previous) = match &open.work {
            Work::Merge { rows, description, .. } => (rows.clone(), description.clone(), ClientReply::Void, None),
            Work::Statement(request) => {
                let request = request.clone();
                match self.prepare(&request, at, Some(state)) {
                    Ok(Some(change)) => {
                        tracing::info!(target: "schema", "Altering {} version={state}", change.subject);
                        let description = format!("CQL DDL statement: \"{}\"", beginning(&request.text));
                        (change.rows.clone(), description, success(&change), Some(PreviousState(previous)))
                    }
                    Ok(None) => return self.close_operation(id, ClientReply::Void),
                    Err(error) => return self.close_operation(id, ClientReply::Error(error)),
                }
            }
        };
        let command = Command { rows, previous, state, creator: self.host, description };
        let bytes = Bytes::from(postcard::to_allocvec(&command).unwrap_or_default());
        if bytes.len() > MAX_COMMAND_BYTES {
            return self.close_operation(id, ClientReply::Error(too_large(bytes.len())));
        }
        let open = self.operations.open.get_mut(&id)?;
        (open.submitted, open.reply) = (Some((state, bytes)), reply);
        Some(state)
    }

    fn operation_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = self.operations.open.get_mut(&id) else { return };
        let (next, action) = operation::step(&open.operation, event);
        open.operation = next;
        match action {
            Some(Action::Submit) => self.submit(id),
            Some(Action::Succeed) => self.operation_succeeded(id),
            Some(Action::GiveUp) => {
                let text = format!(
                    "other schema changes were faster {} times; it is unknown whether a copy of this one still takes effect. Look at \
                     the schema, and try again",
                    operation::MAX_ATTEMPTS
                );
                self.close_operation(id, ClientReply::Error(CqlError::Server(text)));
            }
            Some(Action::Wonder) => {
                let text = "it is unknown whether the change has taken effect: the history of group 0 does not go so far back. Look \
                            at the schema";
                self.close_operation(id, ClientReply::Error(CqlError::Server(text.into())));
            }
            Some(Action::TimeOut { submitted }) => self.operation_timed_out(id, submitted),
            Some(Action::Barrier) => self.forget_command(id),
            Some(Action::Prepare) | None => {}
        }
    }

    fn submit(&mut self, id: RequestId) {
        let Some((state, bytes)) = self.operations.open.get(&id).and_then(|open| open.submitted.clone()) else { return };
        self.operations.by_state.insert(state, id);
        self.timers.set(Timer::OperationSilent(id), self.now.elapsed + SILENCE);
        if let Some((_, group)) = &mut self.group {
            // One that is dropped is submitted again after the silence.
            let _ = group.propose(bytes);
        }
    }

    fn forget_command(&mut self, id: RequestId) {
        self.timers.unset(Timer::OperationSilent(id));
        let Some(open) = self.operations.open.get_mut(&id) else { return };
        if let Some((state, _)) = open.submitted.take() {
            open.former.push((state, open.reply.clone()));
            self.operations.by_state.remove(&state);
        }
    }

    pub(super) fn operation_silent(&mut self, id: RequestId) {
        self.operation_event(id, Event::Silence);
    }

    pub(super) fn operation_expired(&mut self, id: RequestId) {
        self.operation_event(id, Event::Expired);
    }

    /// A command of that state was applied, by whomever it was made.
    pub(super) fn command_applied(&mut self, state: TimeUuid, event: Event) {
        if let Some(id) = self.operations.by_state.get(&state).copied() {
            self.operation_event(id, event);
        }
    }

    fn operation_succeeded(&mut self, id: RequestId) {
        let Some(open) = self.operations.open.get_mut(&id) else { return };
        let (reply, state) = (open.reply.clone(), open.submitted.as_ref().map(|(state, _)| *state));
        let is_merge = matches!(open.work, Work::Merge { .. });
        if let (false, Some(state)) = (is_merge, state) {
            self.drop_operation(id);
            self.await_agreement(id, reply, Missing::Versions(state));
        } else {
            self.close_operation(id, ClientReply::Void);
        }
    }

    fn operation_timed_out(&mut self, id: RequestId, submitted: bool) {
        let outcome = if submitted { "it is unknown whether the change takes effect" } else { "nothing was changed" };
        let error = self.unavailable(format!("{}; {outcome}", self.quorum_report()));
        self.close_operation(id, ClientReply::Error(error));
    }

    fn unavailable(&self, message: String) -> CqlError {
        let voters = self.group.as_ref().map(|(_, group)| group.configuration().voters.clone()).unwrap_or_default();
        let alive = voters.iter().filter(|host| **host == self.host || self.gossip.is_up(**host)).count();
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        CqlError::Unavailable { message, required: count(voters.len() / 2 + 1), alive: count(alive) }
    }

    fn drop_operation(&mut self, id: RequestId) -> Option<Open> {
        self.forget_command(id);
        self.timers.unset(Timer::OperationExpired(id));
        self.operations.open.remove(&id)
    }

    /// Ends an operation with this answer. Returns `None`, for callers that have no command to return.
    fn close_operation(&mut self, id: RequestId, reply: ClientReply) -> Option<TimeUuid> {
        match self.drop_operation(id)?.work {
            Work::Statement(_) => self.effects.reply.push(Reply::Client { id, reply }),
            Work::Merge { rows, is_surplus: true, .. } => self.surplus_ended(&explained(reply, &rows)),
            Work::Merge { rows, .. } => match explained(reply, &rows) {
                // They stay where they came from, and come again as the surplus of that node.
                ClientReply::Error(error @ CqlError::Invalid(_)) => {
                    tracing::error!(target: "schema", %error, "rows from outside the log cannot be merged through it");
                }
                // It has left, or ends, with nobody to tell them to.
                ClientReply::Error(_) if self.boot == Boot::Left || self.is_stopping() => {}
                ClientReply::Error(error) => {
                    tracing::warn!(target: "schema", %error, "rows from outside the log could not be merged through it; tried again");
                    self.propose_merge(rows, "rows of a node outside the log", None);
                }
                _ => {}
            },
        }
        None
    }

    fn surplus_ended(&mut self, reply: &ClientReply) {
        let more = self.operations.open.values().any(|open| matches!(open.work, Work::Merge { is_surplus: true, .. }));
        match reply {
            ClientReply::Error(error) => {
                self.progressed();
                self.upgrade_event(machine::Event::SurplusFailed(error.to_string()));
            }
            _ if !more => self.upgrade_event(machine::Event::SurplusCommitted),
            _ => {}
        }
    }

    pub(super) fn end_operations(&mut self, why: &str) {
        let open: Vec<_> = self.operations.open.keys().copied().collect();
        for id in open {
            self.operation_event(id, Event::Expired);
        }
        let agreements: Vec<_> = self.operations.agreements.keys().copied().collect();
        tracing::debug!(target: "schema", why, "ending {} operations", agreements.len());
        for id in agreements {
            self.agreement_expired(id);
        }
    }

    // Agreement.

    fn await_agreement(&mut self, id: RequestId, reply: ClientReply, missing: Missing) {
        self.operations.agreements.insert(id, Agreement { reply, missing });
        self.timers.set(Timer::AgreementExpired(id), self.now.elapsed + AGREEMENT_LIMIT);
        self.check_agreement(id);
    }

    pub(super) fn push_answered(&mut self, id: RequestId, host: HostId) {
        if let Some(Agreement { missing: Missing::Pushes(hosts), .. }) = self.operations.agreements.get_mut(&id) {
            hosts.remove(&host);
        }
        self.check_agreement(id);
    }

    /// Some host's version or liveness has changed.
    pub(super) fn agreement_changed(&mut self) {
        let ids: Vec<_> = self.operations.agreements.keys().copied().collect();
        for id in ids {
            self.check_agreement(id);
        }
    }

    fn check_agreement(&mut self, id: RequestId) {
        let Some(agreement) = self.operations.agreements.get(&id) else { return };
        let live = |host: &HostId| self.gossip.is_up(*host);
        let agreed = match &agreement.missing {
            Missing::Pushes(hosts) => !hosts.iter().any(live),
            Missing::Versions(state) => {
                let endpoints = self.gossip.endpoints().values();
                let mut others =
                    endpoints.filter(|endpoint| endpoint.host != self.host && endpoint.is_final && live(&endpoint.host));
                others.all(|endpoint| has_applied(endpoint.schema_version, *state))
            }
        };
        if agreed {
            self.agreement_expired(id);
        }
    }

    pub(super) fn agreement_expired(&mut self, id: RequestId) {
        self.timers.unset(Timer::AgreementExpired(id));
        if let Some(Agreement { reply, .. }) = self.operations.agreements.remove(&id) {
            self.effects.reply.push(Reply::Client { id, reply });
        }
    }
}

fn too_large(bytes: usize) -> CqlError {
    CqlError::Invalid(format!("the change takes {bytes} bytes as a command; at most {MAX_COMMAND_BYTES} are allowed"))
}

/// As much of a text as the history keeps.
fn beginning(text: &str) -> Cow<'_, str> {
    match text.floor_char_boundary(DESCRIBED_BYTES_MAX) {
        end if end < text.len() => format!("{}…", &text[..end]).into(),
        _ => text.into(),
    }
}

/// A cell that no command of a merge holds for certain, by name.
fn oversized(rows: &Rows) -> Option<String> {
    let (key, column) = rows.oversized(MERGE_BYTES_MAX)?;
    Some(format!("column {column} of system_schema.{}, row {}", key.table.name(), key.parts.join(".")))
}

/// Of rows that no command holds, by name and with the remedy.
fn explained(reply: ClientReply, rows: &Rows) -> ClientReply {
    match &reply {
        ClientReply::Error(CqlError::Invalid(text)) => {
            let cell = oversized(rows).unwrap_or_default();
            let text = format!("{cell} is too large for group 0: {text}. To make it smaller, {MAKE_SMALLER}");
            ClientReply::Error(CqlError::Invalid(text))
        }
        _ => reply,
    }
}

/// Whether a final host with that schema version has applied the command of that state. Before the first command its version is a digest
/// still, which as a time would be any.
fn has_applied(version: uuid::Uuid, state: TimeUuid) -> bool {
    version.get_version_num() == 1 && TimeUuid(version) >= state
}

fn success(change: &Change) -> ClientReply {
    change.events.first().cloned().map_or(ClientReply::Void, ClientReply::SchemaChange)
}

/// What a change reads and writes: a keyspace, or one table of it; everything for a merge.
type Scope = (Option<String>, Option<String>);

fn conflict(one: &Scope, other: &Scope) -> bool {
    let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    same(&one.0, &other.0) && same(&one.1, &other.1)
}

fn scope(work: &Work) -> Scope {
    let Work::Statement(request) = work else { return (None, None) };
    let table = |name: &Name| (name.keyspace.clone().or_else(|| request.keyspace.clone()), Some(name.name.clone()));
    match &request.statement {
        Statement::CreateTable(create) => table(&create.name),
        Statement::AlterTable(alter) => table(&alter.name),
        Statement::Drop(drop) if drop.kind == Kind::Table => table(&drop.name),
        Statement::CreateKeyspace(create) => (Some(create.name.clone()), None),
        Statement::AlterKeyspace(alter) => (Some(alter.name.clone()), None),
        Statement::Drop(drop) if drop.kind == Kind::Keyspace => (Some(drop.name.name.clone()), None),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_no_applied_state() {
        let state = |micros| TimeUuid::new(Micros(micros), 0);
        let digest = uuid::Builder::from_md5_bytes([0xff; 16]).into_uuid();
        assert!(TimeUuid(digest) > state(5), "as a time, this digest would be late");
        assert!(!has_applied(digest, state(5)));
        assert!(!has_applied(state(4).0, state(5)) && has_applied(state(5).0, state(5)) && has_applied(state(6).0, state(5)));
    }
}
