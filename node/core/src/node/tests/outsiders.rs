//! Who is out of the cluster, or of a former group, in every verb between nodes and in gossip.

use super::{
    by_hand::{FORGET_DISCOVERY, FORGET_GROUP},
    plans::{Plan, incarnations},
    recovery::restart,
    report,
    rules::foreign_rows,
    upgraded,
    world::{Host, World},
};
use crate::{
    gossip::Endpoint,
    ids::{GroupId, HostId, Incarnation},
    io::{
        AdminReply, AdminRequest, CallError, DiscoveryPeer, ExchangeReply, Header, JoinReply, Message, PeerReply, PeerRequest,
        RecoveryStep, Refusal, Replacement, StateReply,
    },
    node::{Node, departure::LEFT},
    raft::{Member, RaftMessage},
    schema::Rows,
};
use std::{collections::BTreeSet, iter::successors, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// Who sends, and what it may say of itself and of another host that it would have removed.
struct Sender {
    endpoint: Endpoint,
    header: Header,
    group: GroupId,
    victim: HostId,
    rows: Rows,
}

impl Sender {
    /// As it is now, with what it would write to the receiver, and would have removed there.
    fn new(world: &World, number: usize, to: usize, victim: usize) -> Self {
        let node = world.node(number);
        Self {
            endpoint: node.gossip.me().clone(),
            header: world.header(number, host(world, to)),
            group: node.joining.group().unwrap(),
            victim: host(world, victim),
            rows: foreign_rows(),
        }
    }

    /// What comes after that one in the list of all. A verb that there was not before has no place in it, and this does not compile.
    fn after(&self, request: &PeerRequest) -> Option<PeerRequest> {
        let me = Member { host: self.endpoint.host, address: self.endpoint.address };
        let peer = DiscoveryPeer { host: Some(me.host), address: me.address, generation: self.endpoint.generation };
        let (group, endpoint) = (self.group, self.endpoint.clone());
        let place = Replacement { host: self.victim, ignore: vec![] };
        Some(match request {
            PeerRequest::GetGroup0UpgradeState => PeerRequest::WatchGroup0UpgradeState,
            PeerRequest::WatchGroup0UpgradeState => PeerRequest::Group0PeerExchange { peers: vec![peer], bootstrapped: true },
            PeerRequest::Group0PeerExchange { .. } => {
                PeerRequest::Group0ModifyConfig { group, add: vec![(me, true)], remove: vec![] }
            }
            PeerRequest::Group0ModifyConfig { remove, .. } if remove.is_empty() => {
                PeerRequest::Group0ModifyConfig { group, add: vec![], remove: vec![self.victim] }
            }
            PeerRequest::Group0ModifyConfig { .. } => PeerRequest::SchemaCheck,
            PeerRequest::SchemaCheck => PeerRequest::MigrationRequest { snapshot_of: None },
            PeerRequest::MigrationRequest { snapshot_of: None } => PeerRequest::MigrationRequest { snapshot_of: Some(group) },
            PeerRequest::MigrationRequest { snapshot_of: Some(_) } => PeerRequest::DefinitionsUpdate(self.rows.clone()),
            PeerRequest::DefinitionsUpdate(_) => PeerRequest::JoinRing { endpoint, replaces: None },
            PeerRequest::JoinRing { replaces: None, .. } => PeerRequest::JoinRing { endpoint, replaces: Some(place) },
            PeerRequest::JoinRing { replaces: Some(_), .. } => PeerRequest::RemoveHost { host: self.victim, agreed: true },
            PeerRequest::RemoveHost { .. } => return None,
        })
    }

    fn every_request(&self) -> impl Iterator<Item = PeerRequest> {
        successors(Some(PeerRequest::GetGroup0UpgradeState), |last| self.after(last))
    }
}

/// Its kind; there are these two, and another one does not compile.
const fn kind(message: &Message) -> &'static str {
    match message {
        Message::Gossip(_) => "Gossip",
        Message::Raft(..) => "Raft",
    }
}

/// What one sends to the others; every kind is among it.
fn overhear_every_kind(world: &mut World, one: usize) -> Vec<Message> {
    let others = (0..world.hosts.len()).filter(|other| *other != one);
    let heard: Vec<_> = others.flat_map(|other| world.overhear(one, other, Duration::from_secs(1))).collect();
    let kinds: BTreeSet<_> = heard.iter().map(kind).collect();
    assert_eq!(kinds, ["Gossip", "Raft"].into());
    heard
}

fn host(world: &World, number: usize) -> HostId {
    world.node(number).host
}

/// All of a host that an outsider might change: its store, and what it believes.
fn all_of(world: &World, number: usize) -> impl PartialEq + use<> {
    let node = world.node(number);
    let raft = node.group.as_ref().map(|(id, group)| (*id, group.status().term, group.configuration().clone()));
    let live: Vec<_> = node.gossip.live().collect();
    let view = (node.gossip.endpoints().clone(), live, node.peers.rows().clone(), node.joining.discovery().known());
    let stands = (node.stage(), node.boot.clone(), node.evidence().incarnation, node.departure.is_some());
    (world.hosts[number].store.clone(), raft, view, stands)
}

/// In every verb, and in what else it sends.
fn is_refused(world: &mut World, to: usize, sender: &Sender, messages: &[Message], why: impl Fn(&Refusal) -> bool) {
    let before = all_of(world, to);
    let header = Header { to: Some(host(world, to)), ..sender.header.clone() };
    for request in sender.every_request() {
        let verb = format!("{request:?}");
        let id = world.ask(to, header.clone(), request);
        match world.peer_replies.get(&id) {
            Some(Err(refusal)) if why(refusal) => {}
            other => panic!("{to} to {verb}: {other:?}"),
        }
        assert!(all_of(world, to) == before, "{to}: {verb} has changed something");
    }
    for message in messages {
        world.tell(to, header.clone(), message.clone());
        assert!(all_of(world, to) == before, "{to}: {} has changed something", kind(message));
    }
}

/// The same of a host that was removed: it is told that, whatever it wants, and whichever group and incarnation it tells of.
fn is_told_to_be_removed(world: &mut World, to: usize, sender: &Sender, messages: &[Message]) {
    let gone = sender.endpoint.host;
    let is_it = |refusal: &Refusal| CallError::Refused(refusal.clone()).is_removal_of(gone);
    is_refused(world, to, sender, messages, is_it);
    let present = world.node(to).joining.group().unwrap_or(sender.group);
    let header = Header { incarnation: Incarnation(99), ..sender.header.clone() };
    let pretends = Sender { header, group: present, endpoint: sender.endpoint.clone(), rows: sender.rows.clone(), ..*sender };
    let to_host = host(world, to);
    let of_present_group = |message: &Message| match message {
        Message::Raft(_, message) => Message::Raft(present, RaftMessage { to: to_host, term: 99, ..message.clone() }),
        Message::Gossip(bytes) => Message::Gossip(bytes.clone()),
    };
    let messages: Vec<_> = messages.iter().map(of_present_group).collect();
    is_refused(world, to, &pretends, &messages, is_it);
}

#[test]
fn from_the_first_reset_on_the_excluded_are_refused_in_every_verb_and_in_gossip_for_ever() {
    let mut world = upgraded(5);
    let plan = Plan { number: 1, live: vec![1, 2], lost: vec![0, 3, 4] };
    let sender = Sender::new(&world, 0, 1, 2);
    let late = overhear_every_kind(&mut world, 0);
    plan.lose(&mut world);
    plan.enter(&mut world);
    plan.roll_forward(&mut world);
    plan.insist(&mut world, 1, &RecoveryStep::ResetGroup0);
    is_told_to_be_removed(&mut world, 1, &sender, &late);
    is_refused(&mut world, 2, &sender, &late, |why| why.to_string().contains("is fenced by recovery plan 1"));
    plan.insist(&mut world, 2, &RecoveryStep::ResetGroup0);
    plan.on_each(&mut world, &RecoveryStep::LeaveRecovery);
    plan.restart_each(&mut world);
    for number in [1, 2] {
        is_told_to_be_removed(&mut world, number, &sender, &late);
    }
    plan.ends_final(&mut world);

    world.start(0);
    let again = world.overhear(0, 1, Duration::from_secs(2));
    assert!(!again.is_empty());
    assert!(world.run_until(LIMIT, |world| world.hosts[0].ready == Err(LEFT.to_owned())), "{:?}", world.hosts[0].ready);
    let gone = sender.endpoint.host;
    for number in [1, 2] {
        restart(&mut world, number);
        world.run(Duration::from_secs(3));
        is_told_to_be_removed(&mut world, number, &sender, &[late.clone(), again.clone()].concat());
        assert!(!world.node(number).gossip.endpoints().contains_key(&gone));
    }
    assert_eq!(incarnations(&world, &plan.live), [Incarnation(2); 2]);
    world.execute(1, "CREATE TABLE ks.after (a int PRIMARY KEY)");
}

/// Without a recovery a removal is as final.
#[test]
fn whoever_was_removed_is_refused_in_every_verb_and_in_gossip() {
    let mut world = upgraded(4);
    let sender = Sender::new(&world, 3, 0, 2);
    let late = overhear_every_kind(&mut world, 3);
    world.crash(3);
    assert!(world.run_until(LIMIT, |world| !world.node(0).gossip.is_up(sender.endpoint.host)));
    let removal = world.admin(0, AdminRequest::RemoveNode { order: None, host: sender.endpoint.host, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| matches!(world.admin_replies.get(&removal), Some(AdminReply::Done))));
    world.run(Duration::from_secs(2));
    for number in 0..3 {
        is_told_to_be_removed(&mut world, number, &sender, &late);
    }
}

/// One of three has founded the next group by itself, as its configuration told it to, and then the other two are back in the former one:
/// nobody has removed them yet.
fn two_of_a_former_group() -> World {
    let mut world = upgraded(3);
    world.crash(1);
    world.crash(2);
    world.run(Duration::from_secs(4));
    world.execute(0, FORGET_DISCOVERY);
    world.execute(0, FORGET_GROUP);
    world.hosts[0].settings.recovery_leader = Some(host(&world, 0));
    restart(&mut world, 0);
    let leads = |world: &World| world.node(0).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    assert!(world.run_until(LIMIT, leads), "{}", report(&world));
    world.start(1);
    world.start(2);
    world.run(Duration::from_secs(5));
    assert_eq!(incarnations(&world, &[0, 1, 2]), [Incarnation(2), Incarnation(1), Incarnation(1)]);
    world
}

/// What a request of a former group meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// That group is not ours.
    OtherGroup,
    /// What comes from there counts for nothing.
    Former,
    /// It is told of the present group, and finds out that it is in another one.
    Told,
}

const fn fate(request: &PeerRequest) -> Fate {
    match request {
        PeerRequest::Group0ModifyConfig { .. } | PeerRequest::MigrationRequest { snapshot_of: Some(_) } => Fate::OtherGroup,
        PeerRequest::DefinitionsUpdate(_) | PeerRequest::RemoveHost { .. } => Fate::Former,
        PeerRequest::GetGroup0UpgradeState
        | PeerRequest::WatchGroup0UpgradeState
        | PeerRequest::Group0PeerExchange { .. }
        | PeerRequest::SchemaCheck
        | PeerRequest::MigrationRequest { snapshot_of: None }
        | PeerRequest::JoinRing { .. } => Fate::Told,
    }
}

/// Whether an answer tells of that node's group, in a way that the asker does not take for its own.
fn tells_of(node: &Node, asker: &Node, reply: &PeerReply) -> bool {
    let ours = (node.joining.group(), node.local.incarnation());
    let is_foreign = |state: &StateReply| (state.group, state.incarnation) == ours && asker.is_foreign(state).is_some();
    match reply {
        PeerReply::State(state) | PeerReply::Schema { state, .. } => is_foreign(state),
        PeerReply::Migration(migration) => is_foreign(&migration.state) && migration.snapshot.is_none(),
        PeerReply::Exchange { reply: ExchangeReply::Group { group, incarnation, .. }, .. }
        | PeerReply::JoinRing(JoinReply::Final { group, incarnation }) => (Some(*group), *incarnation) == ours,
        PeerReply::JoinRing(JoinReply::Refused(why)) => why.contains("is alive"),
        _ => false,
    }
}

#[test]
fn of_a_former_group_every_verb_is_refused_or_answered_with_the_present_one_and_none_changes_anything() {
    let mut world = two_of_a_former_group();
    let sender = Sender::new(&world, 1, 0, 2);
    let (former, present) = (sender.group, world.node(0).joining.group());
    assert_ne!(Some(former), present);
    // Of hosts of the ring discovery takes the newest address, whoever asks.
    world.ask(0, sender.header.clone(), PeerRequest::Group0PeerExchange { peers: vec![], bootstrapped: true });
    let before = all_of(&world, 0);
    for request in sender.every_request() {
        let (fate, verb) = (fate(&request), format!("{request:?}"));
        let id = world.ask(0, sender.header.clone(), request);
        let reply = &world.peer_replies[&id];
        let is_as_expected = match (fate, reply) {
            (Fate::OtherGroup, Err(Refusal::OtherGroup { ours, theirs })) => (*ours, *theirs) == (present, former),
            (Fate::Former, Err(Refusal::NotNow(why))) => why.contains("incarnation 1") && why.contains("incarnation 2"),
            (Fate::Told, Ok(reply)) => tells_of(world.node(0), world.node(1), reply),
            _ => false,
        };
        assert!(is_as_expected, "{verb}: {reply:?}");
        assert!(all_of(&world, 0) == before, "{verb} has changed something");
    }
    for message in overhear_every_kind(&mut world, 1).into_iter().filter(|message| kind(message) == "Raft") {
        let before = all_of(&world, 0);
        world.tell(0, sender.header.clone(), message);
        assert!(all_of(&world, 0) == before, "Raft of the former group has changed something");
    }
}

/// By gossip it is heard, since nobody has removed it, and learns that it is of a former incarnation; neither group takes anything over.
#[test]
fn whoever_is_of_a_former_group_learns_the_new_incarnation_by_gossip_and_no_schema_crosses() {
    let mut world = two_of_a_former_group();
    let groups = |world: &World| [0, 1, 2].map(|number| world.node(number).joining.group());
    let before = groups(&world);
    assert!([1, 2].into_iter().all(|number| world.node(number).evidence().incarnation == Incarnation(2)));
    assert!(world.node(0).gossip.is_up(host(&world, 1)));
    world.execute(0, "CREATE TABLE ks.present (a int PRIMARY KEY)");
    world.execute(1, "CREATE TABLE ks.former (a int PRIMARY KEY)");
    world.run(Duration::from_secs(10));
    assert_eq!(groups(&world), before);
    let has = |number: usize, name: &str| world.node(number).schema.table("ks", name).is_some();
    assert!(has(0, "present") && !has(0, "former") && has(2, "former") && !has(2, "present"));
}

/// It has come in after the removal and was not told of it: when the removed host comes back, and hears of the newcomer first, the others say so.
#[test]
fn a_newcomer_is_told_of_a_removal_from_before_when_the_removed_host_comes_back() {
    let mut world = upgraded(3);
    let gone = host(&world, 2);
    world.crash(2);
    assert!(world.run_until(LIMIT, |world| !world.node(0).gossip.is_up(gone)));
    let removal = world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| matches!(world.admin_replies.get(&removal), Some(AdminReply::Done))));
    world.hosts.push(Host::new(4));
    world.start(3);
    assert!(world.run_until(LIMIT, |world| world.hosts[3].ready.is_ok()), "{:?}", world.hosts[3].ready);
    assert!(!world.node(3).local.removed().contains(&gone));
    world.cut(2, &[0, 1]);
    world.hosts[2].settings.seeds = vec![world.hosts[3].settings.broadcast_address];
    world.start(2);
    let is_told = |world: &World| world.node(3).local.removed().contains(&gone) && !world.node(3).peers.hosts().contains(&gone);
    assert!(world.run_until(LIMIT, is_told), "{}", report(&world));
    world.run(Duration::from_secs(5));
    assert!(is_told(&world) && !world.node(3).gossip.is_up(gone));
    assert_eq!(world.hosts[2].ready, Err(LEFT.to_owned()));
}
