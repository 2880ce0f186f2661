//! `iogate broker --data` on a disk that is full or fails: it acknowledges nothing that it cannot keep, says so,
//! starts again from whatever is there, and goes on by itself once the disk does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "broker_data/client.rs"]
#[allow(dead_code, reason = "shared with broker_data")]
mod client;
#[path = "broker_disk/fault.rs"]
mod fault;
#[path = "broker_data/process.rs"]
#[allow(dead_code, reason = "shared with broker_data")]
mod process;
#[path = "broker_disk/small.rs"]
mod small;
#[path = "broker_disk/v5.rs"]
mod v5;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use client::Client;
use fault::Fault;
use process::Running;
use small::Small;
use v5::V5;

/// Quota exceeded.
const QUOTA: u8 = 0x97;

/// Numbers on topics of the small client's, with noise behind them that no log makes smaller.
fn payload(number: u32) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number.into());
    let noise = std::iter::repeat_with(|| random.alphanumeric()).take(700);
    format!("{number} ").chars().chain(noise).collect::<String>().into_bytes()
}

fn subscribe(broker: &Running) {
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    sub.subscribe("full/#", 1).unwrap();
}

/// What waits for the subscriber.
fn take(broker: &Running, until: u32) -> Vec<u32> {
    let mut sub = Client::connect(broker.port, "sub", false).unwrap();
    assert!(sub.present);
    let mut seen = Vec::new();
    while seen.last() != Some(&until) {
        let (_, payload) = sub.receive().unwrap();
        let text = String::from_utf8(payload).unwrap();
        seen.push(text.split(' ').next().unwrap().parse().unwrap());
    }
    sub.disconnect();
    seen
}

#[test]
fn a_full_disk_is_refused_with_a_reason_and_gone_on_from() {
    let Some(small) = Small::mount() else { return eprintln!("not run: mounting is not allowed here") };
    let data = small.path().join("data");
    let mut next = 0;
    for round in 0..12usize {
        let level = if round % 2 == 0 { "process" } else { "power" };
        let broker = Running::start(&data, level);
        if round == 0 {
            subscribe(&broker);
        }
        // Full at another point in each round.
        let room = rustix::fs::statvfs(&data).unwrap();
        let room = (room.f_bavail * room.f_frsize) as usize;
        small.fill(room.saturating_sub(12_000 + 3_700 * round));
        let mut acked = BTreeSet::new();
        let mut publisher = V5::connect(broker.port, "pub");
        let refused = loop {
            match publisher.publish("full/x", &payload(next)) {
                Some(0) => drop(acked.insert(next)),
                // It was in hand when the disk was found to be full, and is answered once it is kept.
                None => publisher = V5::connect(broker.port, "pub"),
                Some(code) => break code,
            }
            next += 1;
        };
        assert_eq!(refused, QUOTA, "round {round}, after {}", acked.len());
        if round == 3 {
            // Published every ten seconds.
            assert_eq!(V5::connect(broker.port, "watcher").retained("$SYS/broker/log/state"), "full");
        }
        // An older client cannot be told, so it gets no answer at all.
        let mut old = Client::connect(broker.port, "old", true).unwrap();
        assert!(old.publish_acked(1, "full/x", &payload(next), false).is_err());
        broker.kill();
        // It starts on a full disk, too, and has what it acknowledged.
        let broker = Running::start(&data, level);
        small.free();
        let last = next + 1;
        let mut publisher = V5::connect(broker.port, "pub");
        // It tries again every few moments.
        let patience = Instant::now() + Duration::from_secs(20);
        while publisher.publish("full/x", &payload(last)) != Some(0) {
            assert!(Instant::now() < patience, "it does not recover");
        }
        next = last + 1;
        let seen: BTreeSet<u32> = take(&broker, last).into_iter().collect();
        let missing: Vec<_> = acked.iter().filter(|number| !seen.contains(number)).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} were acknowledged");
        broker.stop();
    }
}

/// One run with a fault: what was acknowledged, and how often calls were made. The broker may refuse to start, but not
/// crash.
fn faulty(data: &Path, fault: &Fault<'_>, level: &str, next: &mut u32) -> (BTreeSet<u32>, u64) {
    let mut acked = BTreeSet::new();
    let Some(broker) = Running::try_start(fault.apply(Running::command(data, level))) else {
        return (acked, 0);
    };
    let mut publisher = V5::connect(broker.port, "pub");
    for _ in 0..6 {
        let code = publisher.publish("full/x", &payload(*next)).expect("it goes on by itself");
        assert!(code == 0 || code == QUOTA, "{code:#x} in call {}", fault.call);
        if code == 0 {
            acked.insert(*next);
        }
        *next += 1;
    }
    // It recovers by itself: the fault comes once.
    let patience = Instant::now() + Duration::from_secs(20);
    while publisher.publish("full/x", &payload(*next)) != Some(0) {
        assert!(Instant::now() < patience, "it does not recover");
    }
    acked.insert(*next);
    *next += 1;
    broker.kill();
    (acked, fault.calls())
}

#[test]
fn every_call_may_fail_once_and_what_was_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(shim) = fault::build(folder.path()) else {
        return eprintln!("not run: there is no C compiler");
    };
    for level in ["process", "power"] {
        let data = folder.path().join(level);
        let broker = Running::start(&data, level);
        subscribe(&broker);
        broker.kill();
        let mut next = 0;
        let (mut acked, calls) = faulty(&data, &Fault::new(&shim, &data, u64::MAX, 0), level, &mut next);
        assert!(calls > 8, "{calls}");
        for code in [libc_code::EIO, libc_code::ENOSPC, libc_code::EROFS] {
            for call in 0..=calls {
                let fault = Fault::new(&shim, &data, call, code);
                acked.append(&mut faulty(&data, &fault, level, &mut next).0);
            }
        }
        let broker = Running::start(&data, level);
        let mut publisher = V5::connect(broker.port, "pub");
        assert_eq!(publisher.publish("full/x", &payload(next)), Some(0));
        let seen: BTreeSet<u32> = take(&broker, next).into_iter().collect();
        let missing: Vec<_> = acked.iter().filter(|number| !seen.contains(number)).collect();
        assert!(missing.is_empty(), "{level}: {missing:?} of {} were acknowledged", acked.len());
    }
}

/// What the calls fail with.
mod libc_code {
    pub(crate) const EIO: i32 = 5;
    pub(crate) const ENOSPC: i32 = 28;
    pub(crate) const EROFS: i32 = 30;
}
