//! `iogate broker --data` killed at random moments: what was acknowledged is there afterwards.
//!
//! A few rounds here; `IOGATE_KILL_ROUNDS=200 cargo nextest run --test broker_data` runs as many as wanted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

mod broker_data {
    pub(crate) mod client;
    pub(crate) mod process;
}

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use broker_data::client::Client;
use broker_data::process::Running;

/// Messages per topic and round, at most.
const BURST: u32 = 400;

fn rounds() -> u32 {
    std::env::var("IOGATE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4)
}

#[test]
fn sessions_messages_and_retained_ones_are_there_after_a_kill() {
    for durability in ["process", "power"] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Running::start(dir.path(), durability);
        let mut sub = Client::connect(broker.port, "sub", false).unwrap();
        assert!(!sub.present);
        sub.subscribe("a/#", 2).unwrap();
        drop(sub);
        let mut publisher = Client::connect(broker.port, "pub", true).unwrap();
        publisher.publish_acked(1, "a/1", b"one", true).unwrap();
        publisher.publish_acked(2, "a/2", b"two", false).unwrap();
        publisher.publish_acked(1, "kept", b"always", true).unwrap();
        publisher.publish_acked(1, "gone", b"x", true).unwrap();
        publisher.publish_acked(1, "gone", b"", true).unwrap();
        broker.kill();
        let broker = Running::start(dir.path(), durability);
        let mut sub = Client::connect(broker.port, "sub", false).unwrap();
        assert!(sub.present);
        assert_eq!(sub.receive().unwrap(), ("a/1".into(), b"one".to_vec()));
        assert_eq!(sub.receive().unwrap(), ("a/2".into(), b"two".to_vec()));
        sub.subscribe("#", 1).unwrap();
        let mut retained = BTreeSet::from([sub.receive().unwrap(), sub.receive().unwrap()]);
        assert_eq!(retained.pop_last(), Some(("kept".into(), b"always".to_vec())));
        assert_eq!(retained.pop_last(), Some(("a/1".into(), b"one".to_vec())));
        // The subscription is there, too, and what was acknowledged does not come again.
        let mut publisher = Client::connect(broker.port, "pub", true).unwrap();
        publisher.publish_acked(1, "a/3", b"three", false).unwrap();
        assert_eq!(sub.receive().unwrap(), ("a/3".into(), b"three".to_vec()));
        sub.disconnect();
        broker.stop();
        let broker = Running::start(dir.path(), durability);
        let mut sub = Client::connect(broker.port, "sub", false).unwrap();
        assert!(sub.present);
        let mut publisher = Client::connect(broker.port, "pub", true).unwrap();
        publisher.publish_acked(1, "a/4", b"four", false).unwrap();
        assert_eq!(sub.receive().unwrap(), ("a/4".into(), b"four".to_vec()));
        sub.disconnect();
        let over = Client::connect(broker.port, "sub", true).unwrap();
        assert!(!over.present);
        over.disconnect();
        broker.kill();
        let broker = Running::start(dir.path(), durability);
        assert!(!Client::connect(broker.port, "sub", false).unwrap().present);
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_while_the_subscriber_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut broker = Running::start(dir.path(), "process");
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    sub.subscribe("t/+", 1).unwrap();
    drop(sub);
    let (mut next, mut acked) = (0u32, BTreeSet::new());
    for _ in 0..rounds() {
        let kill_at = Instant::now() + Duration::from_millis(random.u64(5..120));
        let mut publisher = Client::connect(broker.port, "pub", true).unwrap();
        publisher.flood(&mut next, BURST, 20, kill_at, |number| {
            acked.insert(number);
        });
        broker.kill();
        broker = Running::start(dir.path(), "process");
    }
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    assert!(sub.present);
    let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut missing = acked.clone();
    while !missing.is_empty() {
        let (topic, payload) = sub.receive().unwrap();
        let number: u32 = std::str::from_utf8(&payload).unwrap().parse().unwrap();
        missing.remove(&number);
        seen.entry(topic).or_default().push(number);
    }
    for (topic, numbers) in &seen {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{topic}: {numbers:?}");
    }
    assert!(acked.len() > 100, "{}", acked.len());
}

#[test]
fn qos_2_comes_exactly_once_however_often_the_broker_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut broker = Running::start(dir.path(), "process");
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    sub.subscribe("t/+", 2).unwrap();
    let mut sender = Client::connect(broker.port, "pub", false).unwrap();
    let (mut next, mut open) = (0u32, BTreeMap::new());
    let (mut seen, mut held) = (Vec::new(), BTreeSet::new());
    for round in 0..=rounds() {
        let last = round == rounds();
        let kill_at = Instant::now() + Duration::from_millis(random.u64(5..150));
        loop {
            let work = sender
                .exchange(&mut next, &mut open, if last { 0 } else { 20 })
                .and_then(|()| sub.take_exactly_once(&mut seen, &mut held));
            let done = open.is_empty() && seen.len() as u32 >= next;
            if work.is_err() || (last && done) || (!last && Instant::now() >= kill_at) {
                assert!(!last || done, "{work:?}");
                break;
            }
        }
        if !last {
            broker.kill();
            broker = Running::start(dir.path(), "process");
            sub = Client::connect(broker.port, "sub", false).unwrap();
            sender = Client::connect(broker.port, "pub", false).unwrap();
            assert!(sub.present && sender.present);
            sender.resend(&open).unwrap();
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..next).collect::<Vec<_>>(), "every message once");
    for topic in 0..4 {
        let of_topic: Vec<_> = seen.iter().filter(|number| *number % 4 == topic).collect();
        assert!(of_topic.is_sorted(), "order of topic {topic}");
    }
    assert!(next > 50, "{next}");
}

#[test]
fn a_will_comes_after_a_kill_and_a_directory_has_one_broker() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path(), "process");
    let mut watcher = Client::connect(broker.port, "watcher", false).unwrap();
    watcher.subscribe("will", 1).unwrap();
    let _doomed = Client::connect_with_will(broker.port, "doomed", "will", b"farewell").unwrap();
    let second = Running::command(dir.path(), "process").output().unwrap();
    assert_eq!(second.status.code(), Some(4), "{second:?}");
    let why = String::from_utf8(second.stderr).unwrap();
    assert!(why.contains("another process has this log open"), "{why}");
    broker.kill();
    let broker = Running::start(dir.path(), "process");
    let mut watcher = Client::connect(broker.port, "watcher", false).unwrap();
    assert_eq!(watcher.receive().unwrap(), ("will".into(), b"farewell".to_vec()));
}
