//! `iogate broker --data` killed at random moments: what was acknowledged is there afterwards.
//!
//! A few rounds here; `IOGATE_KILL_ROUNDS=200 cargo test --test broker_data -- --nocapture` makes as many as wanted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

mod broker_data {
    pub(crate) mod client;
    pub(crate) mod process;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use broker_data::client::{Client, Open};
use broker_data::process::Running;

/// Messages that are acknowledged in each round, three at QoS 1 for each at QoS 2.
const MESSAGES: usize = 10_000;

fn rounds() -> u32 {
    std::env::var("IOGATE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
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

/// What two publishers, one at QoS 1 and one at QoS 2, have sent and been told.
#[derive(Default)]
struct Sent {
    next: [u32; 2],
    acked: BTreeSet<u32>,
    open: BTreeMap<u32, Open>,
}

impl Sent {
    fn is_done(&self) -> bool {
        let done = self.next[1] as usize - self.open.len();
        self.acked.len() >= MESSAGES - MESSAGES / 4 && done >= MESSAGES / 4 && self.open.is_empty()
    }

    /// Publishes until all is acknowledged, or the broker is gone.
    fn publish(&mut self, port: u16) {
        let Self { next: [next, next2], acked, open } = self;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let enough = |number: Option<u32>| {
                    acked.extend(number);
                    acked.len() >= MESSAGES - MESSAGES / 4
                };
                Client::connect(port, "pub", true).and_then(|mut one| one.flood(next, 20, enough))
            });
            scope.spawn(|| {
                let mut two = Client::connect(port, "pub2", false)?;
                two.resend(open)?;
                loop {
                    let started = *next2 as usize >= MESSAGES / 4;
                    if started && open.is_empty() {
                        return Ok::<_, std::io::Error>(());
                    }
                    two.exchange(next2, open, if started { 0 } else { 20 })?;
                }
            });
        });
    }

    fn all_acked(&self) -> BTreeSet<(u8, u32)> {
        let two = (0..self.next[1]).map(|number| (2, number));
        self.acked.iter().map(|&number| (1, number)).chain(two).collect()
    }
}

/// One round: the subscriber is absent, the broker is killed again and again while messages come, and once more
/// behind the last of them. Returns how often.
fn round(dir: &Path, durability: &str, random: &mut fastrand::Rng) -> u32 {
    let mut broker = Running::start(dir, durability);
    Client::connect(broker.port, "sub", true).unwrap().disconnect();
    Client::connect(broker.port, "pub2", true).unwrap().disconnect();
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    sub.subscribe("t1/+", 1).unwrap();
    sub.subscribe("t2/+", 2).unwrap();
    drop(sub);
    let (mut sent, mut kills) = (Sent::default(), 0);
    while !sent.is_done() {
        let port = broker.port;
        let publishing = std::thread::scope(|scope| {
            let publishing = scope.spawn(|| sent.publish(port));
            // The moment is what is varied here; nothing is waited for.
            std::thread::sleep(Duration::from_micros(random.u64(1_000..800_000)));
            broker.kill();
            publishing.join()
        });
        publishing.unwrap();
        kills += 1;
        broker = Running::start(dir, durability);
    }
    // And while the subscriber takes its messages.
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    assert!(sub.present);
    let seen = sub.take_all(sent.all_acked()).unwrap();
    for qos in [1, 2] {
        for topic in 0..4 {
            let of_topic = seen.iter().filter(|(of, number)| *of == qos && *number % 4 == topic);
            assert!(
                of_topic.is_sorted_by(|a, b| a < b),
                "QoS {qos}, topic {topic}: lost order or came twice"
            );
        }
    }
    sub.disconnect();
    broker.kill();
    kills + 1
}

#[test]
fn nothing_that_was_acknowledged_is_lost_while_the_subscriber_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (mut random, mut kills) = (fastrand::Rng::with_seed(7), 0);
    for number in 0..rounds() {
        kills += round(dir.path(), "process", &mut random);
        if number % 20 == 19 {
            println!(
                "{} rounds of {MESSAGES} acknowledged messages, {kills} kills: nothing lost",
                number + 1
            );
        }
    }
    assert!(kills >= 2 * rounds());
}

#[test]
fn qos_2_comes_exactly_once_however_often_the_broker_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut broker = Running::start(dir.path(), "process");
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    sub.subscribe("t2/+", 2).unwrap();
    let mut sender = Client::connect(broker.port, "pub", false).unwrap();
    let (mut next, mut open) = (0u32, BTreeMap::new());
    let (mut seen, mut held) = (Vec::new(), BTreeSet::new());
    for round in 0..=rounds() {
        let last = round == rounds();
        let kill_at = Instant::now() + Duration::from_millis(random.u64(5..150));
        loop {
            let work = sender
                .exchange(&mut next, &mut open, if last { 0 } else { 20 })
                .and_then(|()| sub.take_exactly_once(false, &mut seen, &mut held));
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
    assert_eq!(sorted, (0..next).map(|number| (2, number)).collect::<Vec<_>>(), "every message once");
    for topic in 0..4 {
        let of_topic = seen.iter().filter(|(_, number)| *number % 4 == topic);
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
