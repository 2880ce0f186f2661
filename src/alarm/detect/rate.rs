//! How much a value has risen or fallen within a time. Pure.
//!
//! The time is cut into sixteen parts; of each part the least and the greatest value are kept. So the memory is
//! fixed however often the value is read, and what is compared lies between 15/16 of the time and all of it.
//! Invariant: a value older than the time never counts.

use std::time::{Duration, Instant};

use super::{Condition, Sight};

/// How many parts the time is cut into.
const PARTS: usize = 16;

/// Limits of a movement; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// By how much it may rise, in the point's unit.
    pub rise: Option<f64>,
    /// By how much it may fall, in the point's unit.
    pub fall: Option<f64>,
    /// Within this time; not zero.
    pub within: Duration,
    /// How far below the limit the movement must come before it is gone, in the point's unit.
    pub hysteresis: f64,
}

/// The values of the time, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    parts: [Option<(f64, f64)>; PARTS],
    /// When the first part began; parts are counted from there.
    origin: Option<Instant>,
    /// The newest part.
    newest: u64,
}

impl Rate {
    /// The length of one part.
    #[must_use]
    pub fn step(&self) -> Duration {
        part(self.within)
    }

    /// What the movement up to `value` is while `current` counts.
    #[must_use]
    pub fn look(&self, window: &mut Window, value: f64, current: Option<Condition>, now: Instant) -> Sight {
        window.advance(self.within, now);
        let (least, greatest) = window.extremes().unwrap_or((value, value));
        let sides = [
            (Condition::Rising, self.rise, value - least),
            (Condition::Falling, self.fall, greatest - value),
        ];
        for (condition, limit, moved) in sides {
            let Some(limit) = limit else { continue };
            if moved >= limit {
                return Sight::Beyond(condition);
            }
        }
        let lasts = sides.into_iter().any(|(condition, limit, moved)| {
            current == Some(condition) && limit.is_some_and(|limit| moved > limit - self.hysteresis)
        });
        if lasts { Sight::Between } else { Sight::Inside }
    }
}

impl Window {
    /// Takes in a value.
    pub fn push(&mut self, within: Duration, value: f64, at: Instant) {
        self.advance(within, at);
        // A reading that comes late counts as one of the newest part: its order is kept.
        let place = self.place(self.newest);
        let part = &mut self.parts[place];
        *part =
            Some(part.map_or((value, value), |(least, greatest)| (least.min(value), greatest.max(value))));
    }

    /// Forgets what is older than the time.
    fn advance(&mut self, within: Duration, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let length = part(within).as_nanos().max(1);
        let current = now.saturating_duration_since(origin).as_nanos() / length;
        let current = u64::try_from(current).unwrap_or(u64::MAX);
        let gone = current.saturating_sub(self.newest);
        for step in 1..=gone.min(PARTS as u64) {
            let place = self.place(self.newest.wrapping_add(step));
            self.parts[place] = None;
        }
        self.newest = self.newest.max(current);
    }

    fn place(&self, part: u64) -> usize {
        (part % PARTS as u64) as usize
    }

    fn extremes(&self) -> Option<(f64, f64)> {
        let known = self.parts.iter().flatten().copied();
        known.reduce(|(least, greatest), (low, high)| (least.min(low), greatest.max(high)))
    }
}

fn part(within: Duration) -> Duration {
    within / PARTS as u32
}
