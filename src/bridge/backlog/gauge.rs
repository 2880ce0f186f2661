//! How many bytes wait between two numbers of a stream, without looking at each message.
//!
//! Pure. Notes the sum of bytes at some numbers and interpolates between them. Invariant: at most [`MOST`] notes are kept,
//! and the bytes behind a number never grow as the number does.

use std::collections::VecDeque;

/// How many notes are kept; when there are more, every second one goes.
const MOST: usize = 1024;

/// The sum of bytes up to some numbers.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Number, and the bytes of everything before it.
    notes: VecDeque<(u64, u64)>,
    /// The number behind everything, and all bytes.
    end: (u64, u64),
    /// Numbers between two notes.
    step: u64,
}

impl Gauge {
    /// So many bytes wait between these numbers already.
    pub(super) fn new(first: u64, next: u64, bytes: u64) -> Self {
        let bytes = if next > first { bytes } else { 0 };
        Self { notes: VecDeque::from([(first, 0)]), end: (next, bytes), step: 64 }
    }

    /// Numbers up to `next` were given, for so many bytes more.
    pub(super) fn add(&mut self, next: u64, bytes: u64) {
        let last = self.notes.back().map_or(0, |(seq, _)| *seq);
        if self.end.0 >= last + self.step {
            self.notes.push_back(self.end);
        }
        self.end = (next, self.end.1 + bytes);
        if self.notes.len() > MOST {
            let mut keep = false;
            self.notes.retain(|_| {
                keep = !keep;
                keep
            });
            self.step *= 2;
        }
    }

    /// Everything before this number is gone. Returns the bytes that wait.
    pub(super) fn waiting(&mut self, from: u64) -> u64 {
        while self.notes.get(1).is_some_and(|(seq, _)| *seq <= from) {
            self.notes.pop_front();
        }
        let Some(&(seq, sum)) = self.notes.front() else { return 0 };
        let (next, next_sum) = self.notes.get(1).copied().unwrap_or(self.end);
        let share = from.saturating_sub(seq) as f64 / next.saturating_sub(seq).max(1) as f64;
        let passed = sum + ((next_sum - sum) as f64 * share.min(1.0)) as u64;
        self.end.1.saturating_sub(passed)
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
                gauge.add(seq + 1, size);
            }
            let mut from = 1;
            while from <= count + 1 {
                let wanted = (count + 1 - from) * size;
                prop_assert!(gauge.waiting(from).abs_diff(wanted) <= 1, "at {from}");
                from += step;
            }
            prop_assert_eq!(gauge.waiting(count + 1), 0);
        }

        #[test]
        fn notes_are_few_and_bytes_only_shrink(sizes in prop::collection::vec(0u64..10_000, 1..3000), many in 1u64..100) {
            let mut gauge = Gauge::new(5, 10, 1000);
            let mut next = 10;
            for size in sizes {
                next += many;
                gauge.add(next, size);
                prop_assert!(gauge.notes.len() <= MOST);
            }
            let mut before = u64::MAX;
            for from in (5..=next).step_by(usize::try_from(next / 50 + 1).unwrap()) {
                let waiting = gauge.waiting(from);
                prop_assert!(waiting <= before);
                before = waiting;
            }
            prop_assert_eq!(gauge.waiting(next), 0);
        }
    }
}
