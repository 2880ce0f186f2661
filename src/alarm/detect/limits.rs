//! Up to four levels of one value, with hysteresis. Pure.
//!
//! The levels exclude each other: the outermost that holds is told. Invariant: a level that counts goes on
//! until the value is inside it by the hysteresis, and without hysteresis it ends just inside the limit.

use super::{Condition, Sight};

/// Limits in the unit of the value; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// The outer upper one.
    pub high_high: Option<f64>,
    /// The inner upper one, below the outer.
    pub high: Option<f64>,
    /// The inner lower one.
    pub low: Option<f64>,
    /// The outer lower one, below the inner.
    pub low_low: Option<f64>,
    /// How far inside a limit the value must come back; not negative.
    pub hysteresis: f64,
}

impl Limits {
    /// The limits that there are, the outer ones first.
    #[must_use]
    pub const fn levels(&self) -> [(Condition, Option<f64>); 4] {
        [
            (Condition::HighHigh, self.high_high),
            (Condition::LowLow, self.low_low),
            (Condition::High, self.high),
            (Condition::Low, self.low),
        ]
    }

    /// The limit that a condition is about.
    #[must_use]
    pub fn limit(&self, condition: Condition) -> Option<f64> {
        self.levels().into_iter().find(|(level, _)| *level == condition).and_then(|(_, limit)| limit)
    }

    /// What `value` is while `current` counts.
    #[must_use]
    pub fn look(&self, value: f64, current: Option<Condition>) -> Sight {
        let found = self.levels().into_iter().find(|(level, limit)| {
            limit.is_some_and(|limit| {
                beyond(*level, value, limit)
                    || (current.is_some_and(|current| covers(current, *level))
                        && !inside(*level, value, limit, self.hysteresis))
            })
        });
        match found {
            None => Sight::Inside,
            Some((level, Some(limit))) if Some(level) == current && !beyond(level, value, limit) => {
                Sight::Between
            }
            Some((level, _)) => Sight::Beyond(level),
        }
    }
}

const fn is_upper(level: Condition) -> bool {
    matches!(level, Condition::High | Condition::HighHigh)
}

fn beyond(level: Condition, value: f64, limit: f64) -> bool {
    if is_upper(level) { value >= limit } else { value <= limit }
}

fn inside(level: Condition, value: f64, limit: f64, hysteresis: f64) -> bool {
    if is_upper(level) { value <= limit - hysteresis } else { value >= limit + hysteresis }
}

/// Whether a value that has been at `current` has been at `level`, too.
const fn covers(current: Condition, level: Condition) -> bool {
    match level {
        Condition::High => matches!(current, Condition::High | Condition::HighHigh),
        Condition::HighHigh => matches!(current, Condition::HighHigh),
        Condition::Low => matches!(current, Condition::Low | Condition::LowLow),
        _ => matches!(current, Condition::LowLow),
    }
}
