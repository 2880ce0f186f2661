//! From intake to upstream: what was received and what was declared as missing is together everything that was produced,
//! whatever the buffer's limits, its policy, age, damage, cuts and restarts.
//!
//! Tests only. The upstream broker is a set of numbers; the way between is the bridge's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::backlog::{self, Backlog};
use super::config::{Backfill, BatchConfig, Buffer, Config, LiveFirst, OnFull, Rate, Rule, RuleConfig};
use super::intake::Intake;
use super::lane::{Feed, Lane, Next};
use super::mapping::Mapping;
use super::outgoing::{Outgoing, Prepared};
use super::prepare::Preparer;
use crate::broker::{Tap, Tapped};
use crate::clock::Clock;
use crate::model::units::{ByteSize, Period};

/// What happens to a bridge.
#[derive(Debug, Clone)]
enum Event {
    Publish {
        count: u16,
        topic: u8,
        bytes: u16,
    },
    Send(u8),
    /// The link is cut, and comes back.
    Cut,
    Restart,
    /// So many seconds pass.
    Wait(u16),
    /// A byte of the log changes while the program is down: how far into it, in 1/256.
    Damage(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (1u16..150, 0u8..4, 0u16..1500).prop_map(|(count, topic, bytes)| Event::Publish { count, topic, bytes }),
        6 => (1u8..100).prop_map(Event::Send),
        2 => Just(Event::Cut),
        1 => Just(Event::Restart),
        1 => (1u16..400).prop_map(Event::Wait),
        1 => any::<u8>().prop_map(Event::Damage),
    ]
}

/// A bridge without sockets.
struct Site {
    backlog: Arc<dyn Backlog>,
    intake: Intake,
    feed: Feed,
    preparer: Preparer,
}

impl Site {
    fn open(directory: Option<&Path>, config: &Config, clock: &Clock) -> Self {
        let backlog = backlog::open(directory, &config.buffer, clock).unwrap();
        let origin = "bridge/x".into();
        let on_full = config.buffer.on_full;
        let intake = Intake::new(Arc::clone(&backlog), origin, on_full, clock.clone(), Arc::default());
        let preparer = Preparer::new(config, Mapping::new(config), backlog.stream(), "gw", "a/own");
        let mut feed = Feed::new(&*backlog, config.backfill);
        feed.link_up(&*backlog);
        Self { backlog, intake, feed, preparer }
    }

    /// Waits until everything that was appended can be read.
    fn settle(&self) {
        if let Some((waiting, level)) = self.backlog.waiting() {
            let end = self.backlog.end().position.saturating_sub(1);
            while !waiting.is_reached(level, end) {
                std::thread::yield_now();
            }
        }
    }

    /// What goes out next, if anything does.
    fn next(&mut self, now: Instant) -> Option<(Lane, Outgoing)> {
        let Ok(Next::Item(lane, item)) = self.feed.next(now, true) else { return None };
        if let Some(entry) = self.preparer.entry(lane, &item) {
            let (mut batch, _, most) = self.preparer.begin(item.seq, lane, usize::MAX);
            if batch.takes(item.seq, lane, &entry, most) {
                batch.push(&entry, item.after);
                return Some((lane, self.preparer.finish(batch)));
            }
        }
        match self.preparer.prepare(lane, item, usize::MAX) {
            Prepared::Send(out) | Prepared::Unwanted(out) | Prepared::Dead(_, out) => Some((lane, out)),
            Prepared::Parts(_) => None,
        }
    }
}

/// What the other side has.
#[derive(Default)]
struct Other {
    received: BTreeSet<u64>,
    /// From and to.
    declared: BTreeMap<u64, u64>,
    /// The last number of each lane and topic since the last cut.
    last: BTreeMap<(bool, Box<str>), u64>,
}

impl Other {
    fn take(&mut self, lane: Lane, out: &Outgoing) -> Result<(), TestCaseError> {
        match out.gap {
            Some(gap) => {
                prop_assert_eq!((gap.to - gap.from + 1, gap.from), (gap.count, out.seq));
                let to = self.declared.entry(gap.from).or_default();
                *to = (*to).max(gap.to);
            }
            None => {
                let fresh = self.received.insert(out.seq);
                let last = self.last.entry((lane == Lane::Live, out.local.clone())).or_default();
                prop_assert!(!fresh || *last < out.seq, "{} behind {last} of {}", out.seq, out.local);
                *last = (*last).max(out.seq);
            }
        }
        Ok(())
    }
}

impl Other {
    /// The first number below `end` that was neither received nor declared.
    fn missing(&self, end: u64) -> Option<u64> {
        let mut seq = 1;
        while seq < end {
            let covering = self.declared.range(..=seq).map(|(_, to)| *to).filter(|to| *to >= seq).max();
            seq = match covering {
                Some(to) => to + 1,
                None if self.received.contains(&seq) => seq + 1,
                None => return Some(seq),
            };
        }
        None
    }
}

/// Publishes so many messages. Whether they are taken is for the intake to say.
fn publish(site: &Site, count: u64, topic: &str, payload: &[u8]) {
    let (properties, publisher) = (&[][..], "p");
    let message =
        Tapped { topic, payload, properties, retain: false, expiry_s: None, publisher, urgent: false };
    for _ in 0..count {
        let _ = site.intake.take(&message);
    }
}

fn damage(directory: &Path, share: u8) {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.is_file() && file.metadata().is_ok_and(|about| about.len() > 0));
    files.sort();
    let Some(file) = files.get(usize::from(share) * files.len() / 256) else { return };
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() * usize::from(share) / 256;
    bytes[at] ^= 0x55;
    std::fs::write(file, bytes).unwrap();
}

fn check(events: Vec<Event>, config: &Config, directory: Option<&Path>) -> Result<(), TestCaseError> {
    let wall = Arc::new(AtomicI64::new(1_000_000_000_000_000));
    let read = Arc::clone(&wall);
    let clock = Clock::with_wall(move || read.load(Relaxed));
    let mut site = Site::open(directory, config, &clock);
    let (mut other, mut produced, mut now, mut harmed) = (Other::default(), 0u64, Instant::now(), false);
    for event in events.into_iter().chain([Event::Send(0)]) {
        match event {
            Event::Publish { count, topic, bytes } => {
                publish(&site, count.into(), &format!("a/{topic}"), &vec![b'x'; bytes.into()]);
                produced += u64::from(count);
            }
            Event::Send(count) => {
                site.settle();
                for _ in 0..count {
                    now += Duration::from_secs(1);
                    let Some((lane, out)) = site.next(now) else { break };
                    other.take(lane, &out)?;
                    let cursor = site.feed.pass(lane, out.seq, out.after);
                    site.backlog.pass(cursor);
                }
            }
            Event::Cut => {
                site.settle();
                site.feed.link_up(&*site.backlog);
            }
            Event::Wait(seconds) => drop(wall.fetch_add(i64::from(seconds) * 1_000_000, Relaxed)),
            Event::Restart | Event::Damage(_) => {
                let Some(directory) = directory else { continue };
                site.intake.declare();
                site.settle();
                drop(site);
                if let Event::Damage(share) = event {
                    damage(directory, share);
                    harmed = true;
                }
                site = Site::open(Some(directory), config, &clock);
                // What overtook before the end of the program may come once more.
                other.last.clear();
            }
        }
        site.backlog.maintain();
    }
    site.intake.declare();
    site.settle();
    while let Some((lane, out)) = site.next(now) {
        other.take(lane, &out)?;
        let cursor = site.feed.pass(lane, out.seq, out.after);
        site.backlog.pass(cursor);
        now += Duration::from_secs(1);
    }
    let end = site.backlog.end().seq;
    if !harmed {
        prop_assert_eq!(end - 1, produced, "every message that was produced has a number");
    }
    prop_assert!(end > produced, "{end} numbers for {produced} messages");
    prop_assert_eq!(other.missing(end), None, "neither received nor declared, of {}", end);
    prop_assert_eq!(site.backlog.cursor().seq, end, "the cursor came to the end");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn received_and_declared_is_everything(
        events in prop::collection::vec(event(), 1..40),
        on_full in prop::sample::select(vec![OnFull::DropOldest, OnFull::Refuse, OnFull::Thin]),
        size in 64u64..512,
        age in 30u64..2000,
        on_disk: bool,
        live_first: bool,
        batched: bool,
    ) {
        // What age takes on the disk goes by segments, at moments of the log's own.
        let age = if on_disk { 1_000_000 } else { age };
        let live = Backfill::LiveFirst(LiveFirst { rate: Rate(1000) });
        let config = Config {
            forward: vec![Rule(RuleConfig::of("a/#"))],
            buffer: Buffer { size: ByteSize(size << 10), age: Period::from_secs(age), on_full, ..Buffer::default() },
            backfill: if live_first { live } else { Backfill::OldestFirst },
            batch: batched.then(BatchConfig::default),
            ..Config::to("mqtt://broker.example.com".parse().unwrap())
        };
        let folder = tempfile::tempdir().unwrap();
        check(events, &config, on_disk.then_some(folder.path()))?;
    }
}
