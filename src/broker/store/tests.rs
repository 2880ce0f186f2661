//! The broker's log over restarts, with clocks and files under control.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::time::Times;
use super::*;
use crate::broker::codec::QoS;
use crate::broker::session::{Logged, Session};
use crate::clock::Clock;
use crate::journal::World;
use crate::model::units::Period;

const HOUR: i64 = 3_600_000_000;
const NOON: i64 = 1_800_000_000_000_000;
const DIR: &str = "/data";

/// A machine whose clocks the test sets: wall time and time since its boot.
struct Machine {
    world: World,
    wall: Arc<AtomicI64>,
    up: Arc<AtomicI64>,
    boot: u8,
}

impl Machine {
    fn new(wall_us: i64) -> Self {
        Self { world: World::default(), wall: Arc::new(wall_us.into()), up: Arc::default(), boot: 1 }
    }

    fn open(&self) -> (Arc<Store>, Replay) {
        self.open_as(&Config::default())
    }

    fn open_as(&self, config: &Config) -> (Arc<Store>, Replay) {
        let (wall, up) = (Arc::clone(&self.wall), Arc::clone(&self.up));
        let clock = Clock::with_wall(move || wall.load(Relaxed));
        let times = Times { clock, boot: [self.boot; 16], up_us: Arc::new(move || up.load(Relaxed)) };
        Store::open_with(Path::new(DIR), config, Arc::new(self.world.clone()), times).unwrap()
    }

    /// What a session waits for, after the store was opened again: payload, and what is left of its life.
    fn waiting(&self) -> Vec<(Vec<u8>, i64)> {
        let (store, replay) = self.open();
        let now = store.log_us();
        let slots = replay.sessions[&0].slots.values();
        let slots = slots.filter_map(|slot| match slot {
            replay::Slot::Waiting { message, .. } => {
                let life = i64::from(message.expiry.unwrap()) * 1_000_000;
                Some((message.payload.to_vec(), life - (now - message.log_us).max(0)))
            }
            _ => None,
        });
        slots.collect()
    }
}

fn attach(store: &Arc<Store>, sessions: u64) {
    for session in 0..sessions {
        let client: Arc<str> = format!("c{session}").into();
        store
            .put(&Record::Attached { session, client, owner: None, expiry: u32::MAX, will: None }, How::Must)
            .unwrap();
    }
}

fn publish(store: &Arc<Store>, payload: &[u8], entry: u64, sessions: u64) {
    let message = Arc::new(Kept {
        topic: "t".into(),
        publisher: "p".into(),
        forward: Box::default(),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        dup: false,
        expiry: Some(2 * 3_600),
        log_us: store.log_us(),
    });
    let target =
        |session| Target { session, entry, qos: QoS::AtLeastOnce, retain: false, ids: Box::default() };
    let targets = (0..sessions).map(target).collect();
    let published = Published { message, retained: false, received: None, targets };
    let position = store.put(&Record::Published(published), How::Message).unwrap();
    store.journal.wait(Level::Process, position).unwrap();
}

/// Something to be kept, for somebody with this promise. Returns its position once it is written.
fn keep(store: &Arc<Store>, promise: Promise) -> u64 {
    let position = store.put_for(&Record::Ended { session: 9 }, How::Must, promise).unwrap();
    store.journal.wait(Level::Process, position).unwrap();
    position
}

#[test]
fn alarms_do_not_wait_for_the_interval_between_syncs() {
    let config =
        Config { durability: Level::Power, sync_interval: Period::from_secs(3_600), ..Config::default() };
    let (store, _) = Machine::new(NOON).open_as(&config);
    let urgent = Promise { urgent: true, ..Promise::default() };
    let first = keep(&store, urgent);
    store.journal.wait(Level::Power, first).unwrap();
    let patient = keep(&store, Promise::default());
    assert!(!store.is_reached(patient), "the last sync was a moment ago");
    let alarm = keep(&store, urgent);
    store.journal.wait(Level::Power, alarm).unwrap();
    assert!(store.is_reached(patient));
}

#[test]
fn a_listener_may_promise_more_than_the_broker() {
    let (store, _) = Machine::new(NOON).open();
    let usual = keep(&store, Promise::default());
    assert!(
        store.is_reached(usual) && store.journal.reached(Level::Power) < usual,
        "nobody asked for a sync"
    );
    let more = keep(&store, Promise { level: Some(Level::Power), ..Promise::default() });
    store.journal.wait(Level::Power, more).unwrap();
    // Less than the broker promises is a matter of the answer alone.
    let (store, _) = Machine::new(NOON).open_as(&Config { durability: Level::Power, ..Config::default() });
    let less = keep(&store, Promise { level: Some(Level::None), ..Promise::default() });
    store.journal.wait(Level::Power, less).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_before_a_restart_expires_nothing() {
    let machine = Machine::new(5_000_000);
    let (store, _) = machine.open();
    attach(&store, 1);
    publish(&store, b"of 1970", 0, 1);
    // An hour later the clock is set.
    tokio::time::advance(Duration::from_secs(3_600)).await;
    machine.wall.store(NOON, Relaxed);
    machine.up.store(HOUR, Relaxed);
    publish(&store, b"of noon", 1, 1);
    drop(store);
    // Restarted within the boot, half an hour later.
    machine.up.store(HOUR + HOUR / 2, Relaxed);
    machine.wall.store(NOON + HOUR / 2, Relaxed);
    assert_eq!(machine.waiting(), [(b"of 1970".to_vec(), HOUR / 2), (b"of noon".to_vec(), HOUR + HOUR / 2)]);
    // Rebooted without a clock: the time off the power is not known, and nothing expires.
    let machine = Machine { boot: 2, up: Arc::default(), ..machine };
    machine.wall.store(3_000_000, Relaxed);
    assert_eq!(machine.waiting(), [(b"of 1970".to_vec(), HOUR / 2), (b"of noon".to_vec(), HOUR + HOUR / 2)]);
    // Set in that run, and rebooted with a good clock another half hour later: now it counts, from when it was set.
    let (store, _) = machine.open();
    machine.wall.store(NOON + 5 * HOUR, Relaxed);
    publish(&store, b"of five", 2, 1);
    drop(store);
    let machine = Machine { boot: 3, ..machine };
    machine.wall.store(NOON + 5 * HOUR + HOUR / 4, Relaxed);
    let left = [HOUR / 4, HOUR + HOUR / 4, HOUR + HOUR * 3 / 4];
    let names = [b"of 1970".to_vec(), b"of noon".to_vec(), b"of five".to_vec()];
    assert_eq!(machine.waiting(), names.into_iter().zip(left).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_or_far_ahead_within_a_boot_changes_nothing() {
    for wall in [0, NOON - 1_000 * HOUR, NOON + 100_000 * HOUR] {
        let machine = Machine::new(NOON);
        let (store, _) = machine.open();
        attach(&store, 1);
        publish(&store, b"x", 0, 1);
        machine.wall.store(wall, Relaxed);
        drop(store);
        machine.up.store(HOUR, Relaxed);
        assert_eq!(machine.waiting(), [(b"x".to_vec(), HOUR)], "wall clock at {wall}");
    }
}

#[tokio::test]
async fn a_message_for_many_sessions_is_stored_once() {
    let payload: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1_000).collect();
    let machine = Machine::new(NOON);
    let (store, _) = machine.open();
    attach(&store, 200);
    let before = store.report();
    for entry in 0..50 {
        publish(&store, &payload, entry, 200);
    }
    let after = store.report();
    // A message, and a few bytes for each session; in the log only what differs from the message before.
    let each = (after.message_bytes - before.message_bytes) / 50;
    assert!((1_000..1_000 + 200 * 8).contains(&each), "{each}");
    assert!(after.stats.bytes_written - before.stats.bytes_written < 50 * 2_000);
    // So in memory after a restart.
    drop(store);
    let (_, replay) = machine.open();
    let message = |session| match &replay.sessions[&session].slots[&7] {
        replay::Slot::Waiting { message, .. } => Arc::as_ptr(message),
        slot => panic!("{slot:?}"),
    };
    assert!((1..200).all(|session| message(session) == message(0)));
}

#[tokio::test]
async fn messages_that_only_gather_are_not_written_again_in_snapshots() {
    let machine = Machine::new(NOON);
    let (store, _) = machine.open();
    attach(&store, 1);
    let payload: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(100_000).collect();
    for entry in 0..300 {
        publish(&store, &payload, entry, 1);
    }
    store.settle();
    assert_eq!(store.report().stats.snapshots, 0);
    // Once they are gone, little is left, and a snapshot makes room.
    for entry in 0..300 {
        store.put(&Record::Acknowledged { session: 0, entry }, How::Later).unwrap();
    }
    for entry in 300..700 {
        publish(&store, &payload, entry, 1);
        store.put(&Record::Acknowledged { session: 0, entry }, How::Later).unwrap();
        store.settle();
    }
    let stats = store.report().stats;
    assert!(stats.snapshots >= 1 && stats.bytes < 60 << 20, "{stats:?}");
    drop(store);
    assert_eq!(machine.open().1.sessions[&0].next_entry, 700);
}

impl Store {
    /// Until no snapshot is being made.
    fn settle(&self) {
        while self.snapshotting.load(Relaxed) {
            std::thread::yield_now();
        }
    }
}

/// Counts how often a task would be polled again.
#[derive(Default)]
struct Calls(AtomicUsize);

impl std::task::Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_message_that_became_durable_before_it_was_waited_for_is_not_forgotten() {
    let (store, _) = Machine::new(NOON).open();
    let session = Session::new("c".into());
    let mut state = lock(&session.state);
    state.log = Some(Logged::new(&store, 0, 0));
    let calls = Arc::new(Calls::default());
    let waker = std::task::Waker::from(Arc::clone(&calls));
    let written = keep(&store, Promise::default());
    state.await_log(written, &waker);
    assert_eq!(calls.0.load(Relaxed), 1, "it was durable already");
    state.await_log(0, &waker);
    assert_eq!(calls.0.load(Relaxed), 2, "its publisher is about to log it");
    state.await_log(written + 1, &waker);
    assert_eq!(calls.0.load(Relaxed), 2, "there is no such record yet");
    keep(&store, Promise::default());
    while calls.0.load(Relaxed) < 3 {
        std::thread::yield_now();
    }
}
