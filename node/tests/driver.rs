//! The driver's order, and what it does when the store fails.

use group0_core::{
    cql::ast::Statement,
    ids::Now,
    io::{
        AdminReply, AdminRequest, Apply, ClientReply, ClientRequest, Effects, Input, Order, Persist, Reply, ResultSet, Send,
        Table, Write,
    },
};
use group0_node::{
    cost::RoundTrips,
    disk::DiskError,
    driver::{Clock, Driver, Machine, Outgoing, Store, Surroundings},
    health::Health,
    injection::Injections,
    metrics::Metrics,
    port::{self, Port, PortError},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, line: &'static str) {
    log.lock().expect("no test panics with it").push(line);
}

struct Recorded {
    log: Log,
    is_full: bool,
}

impl Store for Recorded {
    fn commit(&mut self, _: &Persist) -> Result<(), DiskError> {
        note(&self.log, "persist");
        if self.is_full { Err(DiskError::Full { path: "/x/group0.redb".into() }) } else { Ok(()) }
    }
}

impl Outgoing for Recorded {
    fn carry_out(&mut self, _: Send) {
        note(&self.log, "send");
    }
}

/// Writes, sends, applies and replies at `Proceed`; at `GetStatus` only replies, and wants to be woken. Writes and answers clients at length.
struct Busy(Log);

impl Machine for Busy {
    fn step(&mut self, now: Now, input: Input) -> Effects {
        let done = |id| vec![Reply::Admin { id, reply: AdminReply::Done }];
        match input {
            Input::Admin { id, request: AdminRequest::Proceed(_) } => {
                let persist = Persist { writes: vec![Write::Delete(Table::Local, vec![1])], points: vec![] };
                Effects { persist, send: vec![Send::Resolve], apply: vec![Apply::Ready(Ok(()))], reply: done(id), wake_at: None }
            }
            Input::Admin { id, .. } => {
                note(&self.0, "asked");
                Effects { reply: done(id), wake_at: Some(now.elapsed + Duration::from_millis(30)), ..Effects::default() }
            }
            Input::Wake => {
                note(&self.0, "woken");
                Effects::default()
            }
            Input::Client { id, .. } => {
                let rows = vec![vec![]; 6_000];
                let reply = Reply::Client { id, reply: ClientReply::Rows(ResultSet { rows, ..ResultSet::default() }) };
                let persist = Persist { writes: vec![Write::Delete(Table::Local, vec![1])], points: vec![] };
                Effects { persist, reply: vec![reply], ..Effects::default() }
            }
            _ => Effects::default(),
        }
    }

    fn read(&self, input: &Input, failure: &str) -> Option<Reply> {
        let Input::Client { id, .. } = input else { return None };
        note(&self.0, "read");
        Some(Reply::Client { id: *id, reply: ClientReply::SetKeyspace(failure.to_owned()) })
    }
}

struct World {
    log: Log,
    port: Port,
    health: Health,
    applied: mpsc::UnboundedReceiver<Apply>,
    stop: CancellationToken,
    driver: JoinHandle<()>,
}

fn world(is_full: bool) -> World {
    let (log, health, stop) = (Log::default(), Health::default(), CancellationToken::new());
    let (port, inbox) = port::open();
    let (apply, applied) = mpsc::unbounded_channel();
    let around = Surroundings {
        clock: Clock::start(),
        store: Recorded { log: Arc::clone(&log), is_full },
        outgoing: Recorded { log: Arc::clone(&log), is_full },
        inbox,
        applied: apply,
        health: health.clone(),
        metrics: Metrics::default(),
        round_trips: RoundTrips::default(),
        injections: Injections::default(),
        stop: stop.clone(),
    };
    let driver = tokio::spawn(Driver::new(Busy(Arc::clone(&log)), around).run(Effects::default()));
    World { log, port, health, applied, stop, driver }
}

#[tokio::test]
async fn what_is_persisted_is_durable_before_anything_leaves() {
    let mut world = world(false);
    let mut asked = world.port.admin(AdminRequest::Proceed(Order::default())).expect("the driver runs");
    assert!(matches!(asked.next().await, Some(AdminReply::Done)));
    assert_eq!(*world.log.lock().expect("no panic"), ["persist", "send"]);
    assert_eq!(world.applied.recv().await, Some(Apply::Ready(Ok(()))));
    world.stop.cancel();
    world.driver.await.expect("it ends");
}

#[tokio::test]
async fn after_a_failed_transaction_nothing_leaves_any_more() {
    let world = world(true);
    let mut asked = world.port.admin(AdminRequest::Proceed(Order::default())).expect("the driver runs");
    assert!(asked.next().await.is_none());
    assert_eq!(*world.log.lock().expect("no panic"), ["persist"]);
    let reason = world.health.ready().expect_err("it is broken");
    assert!(reason.contains("no space left") && reason.contains("/x/group0.redb"), "{reason}");
    world.health.set(Ok(()));
    assert!(world.health.ready().is_err());
    assert!(world.port.admin(AdminRequest::GetStatus).expect("the driver runs").next().await.is_none());
    assert_eq!(*world.log.lock().expect("no panic"), ["persist"], "no step follows");
    world.stop.cancel();
    world.driver.await.expect("it ends");
    assert_eq!(world.port.admin(AdminRequest::GetStatus).expect_err("nobody listens"), PortError::Stopped);
}

#[tokio::test]
async fn after_a_failed_transaction_reads_go_on_and_are_told_why() {
    let world = world(true);
    let mut asked = world.port.admin(AdminRequest::Proceed(Order::default())).expect("the driver runs");
    assert!(asked.next().await.is_none());
    for _ in 0..2 {
        let statement = Statement::Use("ks".to_owned());
        let request = ClientRequest { statement, text: "USE ks".to_owned(), keyspace: None };
        let Ok(ClientReply::SetKeyspace(told)) = world.port.client(request).await else { unreachable!("an answer") };
        assert!(told.contains("no space left"), "{told}");
    }
    assert_eq!(*world.log.lock().expect("no panic"), ["persist", "read", "read"]);
    world.stop.cancel();
    world.driver.await.expect("it ends");
}

/// Two of these are as many rows as a turn may have.
#[tokio::test]
async fn what_is_answered_at_length_takes_several_turns() {
    let world = world(false);
    let request = || ClientRequest { statement: Statement::Use("ks".to_owned()), text: "USE ks".to_owned(), keyspace: None };
    let all = futures::future::join_all((0..10).map(|_| world.port.client(request()))).await;
    assert!(all.iter().all(|answer| matches!(answer, Ok(ClientReply::Rows(set)) if set.rows.len() == 6_000)), "{all:?}");
    assert_eq!(*world.log.lock().expect("no panic"), ["persist"; 5]);
    world.stop.cancel();
    world.driver.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn it_wakes_the_machine_when_asked_to() {
    let world = world(false);
    let mut asked = world.port.admin(AdminRequest::GetStatus).expect("the driver runs");
    asked.next().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(*world.log.lock().expect("no panic"), ["asked"]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(*world.log.lock().expect("no panic"), ["asked", "woken"]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(*world.log.lock().expect("no panic"), ["asked", "woken"]);
}
