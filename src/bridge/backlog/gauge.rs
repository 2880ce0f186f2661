//! How many bytes wait between two numbers of a stream and since when, without looking at each message.
//!
//! Pure. Notes sum of bytes and time at some numbers: at each of them as long as few wait, else evenly
//! spread. Invariant: at most [`MOST`] notes are kept, and the bytes behind a number never grow as the number does.

use std::collections::VecDeque;

/// How many notes are kept; when there are more, every second one goes.
const MOST: usize = 1024;

/// What is known of a number.
#[derive(Debug, Clone, Copy)]
struct Note {
    seq: u64,
    /// The bytes of everything before it.
    sum: u64,
    /// When it was taken in, by the wall clock, in microseconds since 1970; `None`: before the start.
    unix_us: Option<i64>,
}

/// The sum of bytes up to some numbers.
#[derive(Debug)]
pub(super) struct Gauge {
    notes: VecDeque<Note>,
    /// The number behind everything, and all bytes.
    end: (u64, u64),
    /// Numbers between two notes.
    step: u64,
}

/// What waits from a number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) bytes: u64,
    /// When the first of it was taken in; with many it may be a neighbour's time. `None`: before the start.
    pub(super) since_us: Option<i64>,
}

impl Gauge {
    /// So many bytes wait between these numbers already.
    pub(super) fn new(first: u64, next: u64, bytes: u64) -> Self {
        let waits = next > first;
        let notes = waits.then_some(Note { seq: first, sum: 0, unix_us: None }).into_iter().collect();
        Self { notes, end: (next, if waits { bytes } else { 0 }), step: 1 }
    }

    /// Numbers up to `next` were given, for so many bytes more, at this time.
    pub(super) fn add(&mut self, next: u64, bytes: u64, unix_us: i64) {
        let (seq, sum) = self.end;
        if next <= seq {
            return;
        }
        let noted = self.notes.back().and_then(|note| note.unix_us.map(|_| note.seq));
        if noted.is_none_or(|noted| seq >= noted + self.step) {
            self.notes.push_back(Note { seq, sum, unix_us: Some(unix_us) });
        }
        self.end = (next, sum + bytes);
        if self.notes.len() > MOST {
            let mut keep = false;
            self.notes.retain(|_| {
                keep = !keep;
                keep
            });
            self.step *= 2;
        }
    }

    /// Everything before this number is gone. Returns what waits.
    pub(super) fn waiting(&mut self, from: u64) -> Waiting {
        while self.notes.get(1).is_some_and(|note| note.seq <= from) {
            self.notes.pop_front();
        }
        if self.notes.len() < MOST / 4 {
            self.step = (self.step / 2).max(1);
        }
        let Some(&Note { seq, sum, unix_us }) = self.notes.front() else {
            return Waiting { bytes: 0, since_us: None };
        };
        let (next, next_sum) = self.notes.get(1).map_or(self.end, |note| (note.seq, note.sum));
        let share = from.saturating_sub(seq) as f64 / next.saturating_sub(seq).max(1) as f64;
        let passed = sum + ((next_sum - sum) as f64 * share.min(1.0)) as u64;
        Waiting { bytes: self.end.1.saturating_sub(passed), since_us: unix_us }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_messages_are_counted_exactly(count in 0u64..5000, size in 1u64..500, step in 1u64..700) {
            let mut gauge = Gauge::new(1, 1, 99);
            for seq in 1..=count {
                gauge.add(seq + 1, size, 0);
            }
            let mut from = 1;
            while from <= count + 1 {
                let wanted = (count + 1 - from) * size;
                prop_assert!(gauge.waiting(from).bytes.abs_diff(wanted) <= 1, "at {from}");
                from += step;
            }
            prop_assert_eq!(gauge.waiting(count + 1).bytes, 0);
        }

        #[test]
        fn notes_are_few_and_bytes_only_shrink(sizes in prop::collection::vec(0u64..10_000, 1..3000), many in 1u64..100) {
            let mut gauge = Gauge::new(5, 10, 1000);
            let mut next = 10;
            for size in sizes {
                next += many;
                gauge.add(next, size, 0);
                prop_assert!(gauge.notes.len() <= MOST);
            }
            let mut before = u64::MAX;
            for from in (5..=next).step_by(usize::try_from(next / 50 + 1).unwrap()) {
                let waiting = gauge.waiting(from).bytes;
                prop_assert!(waiting <= before);
                before = waiting;
            }
            prop_assert_eq!(gauge.waiting(next).bytes, 0);
        }

        /// The time is the message's own while few wait, and that of one before it, not long before, when many do.
        #[test]
        fn what_waits_has_its_time(pauses in prop::collection::vec(0i64..3_000_000, 1..4000), passes in prop::collection::vec(0usize..50, 1..20)) {
            let mut gauge = Gauge::new(1, 1, 0);
            let (mut times, mut now) = (Vec::new(), 1);
            for pause in pauses {
                now += pause;
                times.push(now);
                gauge.add(times.len() as u64 + 1, 1, now);
            }
            let few = times.len() < MOST;
            let mut first = 0;
            for pass in passes {
                first = (first + pass).min(times.len() - 1);
                let since = gauge.waiting(first as u64 + 1).since_us.unwrap();
                prop_assert!(since <= times[first]);
                prop_assert!(!few || since == times[first], "{since} for {}", times[first]);
                let earlier = times[first.saturating_sub(2 * times.len().div_ceil(MOST) + 1)];
                prop_assert!(since >= earlier, "{since} is of another time than {}", times[first]);
            }
        }
    }

    #[test]
    fn what_waited_before_the_start_has_no_time() {
        let mut gauge = Gauge::new(10, 20, 1000);
        assert_eq!(gauge.waiting(10), Waiting { bytes: 1000, since_us: None });
        gauge.add(21, 100, 7);
        assert_eq!(gauge.waiting(19).since_us, None);
        assert_eq!(gauge.waiting(20), Waiting { bytes: 100, since_us: Some(7) });
    }
}
