//! Where messages enter a bridge: in line with the broker's routing, into the backlog.
//!
//! A message is numbered and kept when its publisher's acknowledgement leaves. Absent: renaming, which is done when a
//! message is sent. Invariant: every message that the filters select takes a number or is counted as left out, except
//! the bridge's own.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::backlog::Backlog;
use super::config::OnFull;
use super::record::Record;
use super::sequence::Why;
use super::status::Status;
use crate::broker::{Tap, TapRefusal, Tapped};
use crate::clock::Clock;
use crate::journal::{Level, Waiting};

/// From this share on the buffer is thinned out; at each halving of what is left, twice as much.
const THIN_FROM: f64 = 0.5;

/// The most messages of a topic of which one is kept.
const MOST_THINNED: u32 = 64;

/// Topics that are counted for thinning; more share their counts.
const MOST_TOPICS: usize = 4_096;

/// So many left out messages are declared at the latest.
const DECLARE_AFTER: u64 = 100;

/// The tap of one bridge.
pub(crate) struct Intake {
    backlog: Arc<dyn Backlog>,
    /// What the bridge publishes here itself; it must not go round in circles.
    origin: Arc<str>,
    on_full: OnFull,
    clock: Clock,
    status: Arc<Status>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scratch: Vec<u8>,
    /// Left out and not yet declared.
    left_out: Option<(u64, Why)>,
    hasher: RandomState,
    counts: HashMap<u64, u32>,
}

impl Intake {
    /// An intake into this backlog.
    pub(crate) fn new(
        backlog: Arc<dyn Backlog>,
        origin: Arc<str>,
        on_full: OnFull,
        clock: Clock,
        status: Arc<Status>,
    ) -> Self {
        Self { backlog, origin, on_full, clock, status, state: Mutex::default() }
    }

    /// Declares what was left out, also when the buffer is full: called now and then and at the end, it adds little.
    pub(crate) fn declare(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.declare_in(&mut state, true);
    }

    fn declare_in(&self, state: &mut State, even_when_full: bool) {
        if let Some((count, why)) = state.left_out
            && self.backlog.leave_out(count, why, even_when_full).is_ok()
        {
            state.left_out = None;
        }
    }

    fn leave_out(&self, state: &mut State, why: Why) {
        self.status.left_out.add(1);
        match &mut state.left_out {
            Some((count, known)) if *known == why => *count += 1,
            _ => {
                self.declare_in(state, false);
                // What could not be declared for want of room is counted with what comes.
                let before = state.left_out.map_or(0, |(count, _)| count);
                state.left_out = Some((before + 1, why));
            }
        }
        if state.left_out.is_some_and(|(count, _)| count >= DECLARE_AFTER) && why == Why::Thinned {
            self.declare_in(state, false);
        }
    }
}

/// Of how many messages of a topic one is kept.
fn keep_one_of(fullness: f64) -> u32 {
    let (mut every, mut limit) = (1, THIN_FROM);
    while fullness >= limit && every < MOST_THINNED {
        every *= 2;
        limit += (1.0 - limit) / 2.0;
    }
    every
}

impl State {
    /// Whether this message of the topic is one that is kept.
    fn keeps(&mut self, topic: &str, every: u32) -> bool {
        if every <= 1 {
            self.counts.clear();
            return true;
        }
        let key = self.hasher.hash_one(topic);
        let key = if self.counts.len() < MOST_TOPICS || self.counts.contains_key(&key) { key } else { 0 };
        let count = self.counts.entry(key).or_default();
        *count = count.wrapping_add(1);
        // The first of a topic is kept, so that no topic is starved.
        (*count - 1).is_multiple_of(every)
    }
}

impl Tap for Intake {
    fn take(&self, message: &Tapped<'_>) -> Result<u64, TapRefusal> {
        if *message.publisher == *self.origin {
            return Ok(0);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let every = if self.on_full == OnFull::Thin { keep_one_of(self.backlog.fullness()) } else { 1 };
        if !state.keeps(message.topic, every) {
            self.leave_out(&mut state, Why::Thinned);
            return Ok(0);
        }
        self.declare_in(&mut state, false);
        let mut scratch = std::mem::take(&mut state.scratch);
        scratch.clear();
        let record = Record {
            topic: message.topic,
            payload: message.payload,
            properties: message.properties,
            retain: message.retain,
            expiry_s: message.expiry_s,
            unix_us: self.clock.stamp().unix_us,
        };
        record.encode(&mut scratch);
        let taken = self.backlog.append(&scratch, message.urgent);
        state.scratch = scratch;
        match taken {
            Ok(place) => {
                self.status.taken_in.add(1);
                Ok(place.position)
            }
            Err(_) => {
                self.leave_out(&mut state, Why::Refused);
                Err(TapRefusal)
            }
        }
    }

    fn waiting(&self) -> Option<(Waiting, Level)> {
        self.backlog.waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::backlog::{Memory, What};
    use crate::bridge::config::Buffer;
    use crate::bridge::sequence::StreamId;
    use crate::model::units::ByteSize;

    fn intake(on_full: OnFull) -> (Intake, Arc<Memory>) {
        let clock = Clock::with_wall(|| 0);
        let limits = Buffer { size: ByteSize(64 << 10), on_full, ..Buffer::default() };
        let backlog = Arc::new(Memory::new(StreamId(1), limits, clock.clone()));
        (Intake::new(backlog.clone(), "bridge/x".into(), on_full, clock, Arc::default()), backlog)
    }

    fn take(intake: &Intake, topic: &str, publisher: &str) -> Result<u64, TapRefusal> {
        let payload = &[0; 1000];
        intake.take(&Tapped {
            topic,
            payload,
            properties: &[],
            retain: false,
            expiry_s: None,
            publisher,
            urgent: false,
        })
    }

    /// Messages kept and numbers declared.
    fn read(backlog: &Memory) -> (u64, u64) {
        let mut reader = backlog.reader(backlog.cursor());
        let (mut messages, mut missing) = (0, 0);
        while let Some(item) = reader.next().unwrap() {
            match item.what {
                What::Message(_) => messages += 1,
                What::Gap(count, _) => missing += count,
            }
        }
        (messages, missing)
    }

    #[test]
    fn own_messages_go_past() {
        let (intake, backlog) = intake(OnFull::DropOldest);
        take(&intake, "a", "bridge/x").unwrap();
        take(&intake, "a", "client").unwrap();
        assert_eq!(read(&backlog), (1, 0));
    }

    #[test]
    fn a_full_buffer_refuses_and_declares_once_there_is_room() {
        let (intake, backlog) = intake(OnFull::Refuse);
        let taken = (0..100).filter(|_| take(&intake, "a", "c").is_ok()).count() as u64;
        assert!((50..64).contains(&taken), "{taken}");
        let (kept, declared) = read(&backlog);
        assert_eq!(kept, taken);
        backlog.pass(backlog.end());
        take(&intake, "a", "c").unwrap();
        assert_eq!(read(&backlog), (1, 100 - taken - declared));
        assert_eq!(backlog.end().seq, 102, "every message has its number");
    }

    #[test]
    fn a_filling_buffer_is_thinned_per_topic_and_nothing_is_missing_unsaid() {
        let (intake, backlog) = intake(OnFull::Thin);
        for _ in 0..200 {
            take(&intake, "a", "c").unwrap();
            take(&intake, "b", "c").unwrap();
        }
        intake.declare();
        let (messages, missing) = read(&backlog);
        assert_eq!(messages + missing, 400);
        assert!(missing > 100 && messages > 40, "{messages} and {missing}");
        assert_eq!((keep_one_of(0.4), keep_one_of(0.5), keep_one_of(0.75), keep_one_of(1.0)), (1, 2, 4, 64));
    }
}
