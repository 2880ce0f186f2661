//! A backlog in memory: for gateways without a directory for their state, and for tests.
//!
//! Invariant: at most `bytes` are kept; the oldest make room, or new ones are refused.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Arrival, Backlog, Depth, Full, Item, Place, Reader, What};
use crate::bridge::config::{Buffer, OnFull};
use crate::bridge::sequence::{StreamId, Why};
use crate::clock::Clock;

/// What one kept message costs besides its bytes.
const ENTRY_COST: u64 = 64;

/// A backlog in memory.
pub(crate) struct Memory {
    stream: StreamId,
    limits: Buffer,
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
    arrived: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: u64,
    /// Everything before this number was acknowledged.
    passed: u64,
    /// The next number.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    what: What,
    unix_us: i64,
}

impl Entry {
    fn cost(&self) -> u64 {
        ENTRY_COST + if let What::Message(bytes) = &self.what { bytes.len() as u64 } else { 0 }
    }

    fn after(&self) -> u64 {
        self.seq + if let What::Gap(count, _) = self.what { count } else { 1 }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // Nothing here panics between two changes that belong together.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number and position are the same here.
fn place(seq: u64) -> Place {
    Place { position: seq, seq }
}

impl Memory {
    /// An empty backlog with a stream of its own.
    pub(crate) fn new(stream: StreamId, limits: Buffer, clock: Clock) -> Self {
        let kept = Kept { passed: 1, next: 1, ..Kept::default() };
        Self { stream, limits, clock, kept: Arc::new(Mutex::new(kept)), arrived: Arc::default() }
    }

    fn take_in(&self, what: What, numbers: u64, even_when_full: bool) -> Result<u64, Full> {
        let now_us = self.clock.stamp().unix_us;
        let mut kept = lock(&self.kept);
        let entry = Entry { seq: kept.next, what, unix_us: now_us };
        let cost = entry.cost();
        let refuses = self.limits.on_full == OnFull::Refuse;
        if kept.bytes + cost > self.limits.size.0 && refuses && !even_when_full {
            return Err(Full);
        }
        let oldest = now_us.saturating_sub(i64::try_from(self.limits.age.0.as_micros()).unwrap_or(i64::MAX));
        while kept.entries.front().is_some_and(|first| {
            (kept.bytes + cost > self.limits.size.0 && !refuses) || first.unix_us < oldest
        }) {
            kept.drop_front();
        }
        kept.next += numbers;
        kept.bytes += cost;
        let seq = entry.seq;
        kept.entries.push_back(entry);
        drop(kept);
        self.arrived.notify_one();
        Ok(seq)
    }
}

impl Kept {
    fn drop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.cost();
        }
    }
}

impl Backlog for Memory {
    fn stream(&self) -> StreamId {
        self.stream
    }

    fn append(&self, bytes: &[u8], _urgent: bool) -> Result<Place, Full> {
        self.take_in(What::Message(bytes.to_vec()), 1, false).map(place)
    }

    fn leave_out(&self, count: u64, why: Why, even_when_full: bool) -> Result<(), Full> {
        self.take_in(What::Gap(count, why), count, even_when_full).map(|_| ())
    }

    fn cursor(&self) -> Place {
        place(lock(&self.kept).passed)
    }

    fn pass(&self, to: Place) {
        let mut kept = lock(&self.kept);
        kept.passed = kept.passed.max(to.seq);
        while kept.entries.front().is_some_and(|entry| entry.after() <= kept.passed) {
            kept.drop_front();
        }
    }

    fn end(&self) -> Place {
        place(lock(&self.kept).next)
    }

    fn reader(&self, from: Place) -> Box<dyn Reader> {
        Box::new(MemoryReader { kept: Arc::clone(&self.kept), next: from.seq })
    }

    fn depth(&self) -> Depth {
        let kept = lock(&self.kept);
        Depth {
            messages: kept.next - kept.passed,
            bytes: kept.bytes,
            oldest_us: kept.entries.front().map(|entry| entry.unix_us),
        }
    }

    fn fullness(&self) -> f64 {
        lock(&self.kept).bytes as f64 / self.limits.size.0.max(1) as f64
    }

    fn arrived(&self, from: Place) -> Arrival {
        let (kept, arrived) = (Arc::clone(&self.kept), Arc::clone(&self.arrived));
        Box::pin(async move {
            while lock(&kept).next <= from.seq {
                arrived.notified().await;
            }
        })
    }
}

struct MemoryReader {
    kept: Arc<Mutex<Kept>>,
    next: u64,
}

impl Reader for MemoryReader {
    fn next(&mut self) -> io::Result<Option<Item>> {
        let kept = lock(&self.kept);
        let index = kept.entries.partition_point(|entry| entry.after() <= self.next);
        let Some(entry) = kept.entries.get(index) else {
            let missing = kept.next.saturating_sub(self.next);
            let seq = std::mem::replace(&mut self.next, kept.next);
            let what = What::Gap(missing, Why::Dropped);
            return Ok((missing > 0).then_some(Item { seq, after: place(kept.next), what }));
        };
        let seq = self.next;
        let (what, after) = match entry.seq.checked_sub(seq).filter(|missing| *missing > 0) {
            Some(missing) => (What::Gap(missing, Why::Dropped), entry.seq),
            None => match &entry.what {
                // Read from its middle on, a gap is shorter.
                What::Gap(_, why) => (What::Gap(entry.after() - seq, *why), entry.after()),
                message => (message.clone(), entry.after()),
            },
        };
        self.next = after;
        Ok(Some(Item { seq, after: place(after), what }))
    }

    fn place(&self) -> Place {
        place(self.next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::units::{ByteSize, Period};

    fn memory(size: u64, on_full: OnFull) -> Memory {
        let limits =
            Buffer { size: ByteSize(size), age: Period::from_secs(1000), on_full, ..Buffer::default() };
        Memory::new(StreamId(1), limits, Clock::with_wall(|| 0))
    }

    #[derive(Debug, Clone)]
    enum Event {
        Append(u8),
        LeaveOut(u8),
        Read(u8),
        Pass,
        Again,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            5 => (0u8..200).prop_map(Event::Append),
            1 => (1u8..9).prop_map(Event::LeaveOut),
            4 => (1u8..6).prop_map(Event::Read),
            1 => Just(Event::Pass),
            1 => Just(Event::Again),
        ]
    }

    proptest! {
        /// Received and declared is together everything, whatever was dropped and wherever reading began anew.
        #[test]
        fn nothing_is_missing_unsaid(events in prop::collection::vec(event(), 1..200), refuse: bool) {
            let on_full = if refuse { OnFull::Refuse } else { OnFull::DropOldest };
            let backlog = memory(1000, on_full);
            let (mut reader, mut expected) = (backlog.reader(backlog.cursor()), 1);
            for event in events.into_iter().chain([Event::Read(u8::MAX)]) {
                match event {
                    Event::Append(length) => { let _ = backlog.append(&vec![0; length.into()], false); }
                    Event::LeaveOut(count) => { let _ = backlog.leave_out(count.into(), Why::Thinned, false); }
                    Event::Read(count) => {
                        for _ in 0..count {
                            let Some(item) = reader.next().unwrap() else { break };
                            prop_assert_eq!(item.seq, expected);
                            if let What::Gap(count, _) = item.what {
                                prop_assert_eq!(item.after.seq, item.seq + count);
                            }
                            expected = item.after.seq;
                        }
                    }
                    Event::Pass => backlog.pass(reader.place()),
                    Event::Again => {
                        reader = backlog.reader(backlog.cursor());
                        expected = backlog.cursor().seq;
                    }
                }
                prop_assert!(lock(&backlog.kept).bytes <= 1000);
            }
            while reader.next().unwrap().is_some() {}
            prop_assert_eq!(reader.place(), backlog.end());
        }
    }

    #[test]
    fn what_is_too_old_goes_with_the_next_message() {
        let now = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let wall = Arc::clone(&now);
        let clock = Clock::with_wall(move || wall.load(std::sync::atomic::Ordering::Relaxed));
        let limits = Buffer { age: Period::from_secs(1), ..Buffer::default() };
        let backlog = Memory::new(StreamId(1), limits, clock);
        backlog.append(b"old", false).unwrap();
        now.store(2_000_000, std::sync::atomic::Ordering::Relaxed);
        backlog.append(b"new", false).unwrap();
        let mut reader = backlog.reader(backlog.cursor());
        assert_eq!(reader.next().unwrap().unwrap().what, What::Gap(1, Why::Dropped));
        assert_eq!(reader.next().unwrap().unwrap().what, What::Message(b"new".to_vec()));
        assert_eq!(backlog.depth().messages, 2);
        backlog.pass(reader.place());
        assert_eq!((backlog.depth().messages, backlog.depth().bytes), (0, 0));
    }
}
