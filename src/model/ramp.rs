//! Ramps: how an analog output comes from where it stands to what it shall be. Pure.
//!
//! Absent: when a step is written and what the device makes of it, which the keeper knows. Invariants: a step never
//! leads past the target or away from it, and never further than the slope permits in the time since the step before, of
//! which no more than [`Ramp::CREDIT`] intervals count: what a line has lost is not caught up.

use std::time::{Duration, Instant};

/// How an output is ramped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// How much it may rise, in its unit per second; above 0.
    pub up: f64,
    /// How much it may fall, in its unit per second; above 0.
    pub down: f64,
    /// The least time between two steps.
    pub every: Duration,
    /// Whether the safe state is approached in steps, too.
    pub also_safe: bool,
}

/// Where a ramped output stands: what its device has taken last, and when that was given to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand {
    /// In the point's unit; whole numbers keep their fraction here.
    pub at: f64,
    /// Since when.
    pub since: Instant,
}

impl Ramp {
    /// How many intervals of time a step may use up at most.
    pub const CREDIT: u32 = 2;

    /// The interval between steps where none is said.
    pub const USUAL_EVERY: Duration = Duration::from_millis(200);

    /// Where the next step leads that is made now.
    #[must_use]
    pub fn step(&self, from: Stand, to: f64, now: Instant) -> f64 {
        let time = now.saturating_duration_since(from.since).min(self.every * Self::CREDIT).as_secs_f64();
        let next = match to > from.at {
            true => (from.at + self.up * time).min(to),
            false => (from.at - self.down * time).max(to),
        };
        // The rest of a rounding error is no way to go.
        if (to - next).abs() <= (to - from.at).abs() * 1e-9 { to } else { next }
    }

    /// How long the way takes at least.
    #[must_use]
    pub fn time(&self, from: f64, to: f64) -> Duration {
        let way = to - from;
        let seconds = if way > 0.0 { way / self.up } else { -way / self.down };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::control::tests::histories;

    const RAMP: Ramp = Ramp { up: 5.0, down: 10.0, every: Duration::from_millis(200), also_safe: false };

    #[test]
    fn a_setpoint_is_approached_in_steps_and_turned_to_from_anywhere() {
        let mut now = Instant::now();
        let mut stand = Stand { at: 0.0, since: now };
        let mut steps = Vec::new();
        while stand.at != 2.5 {
            now += RAMP.every;
            stand = Stand { at: RAMP.step(stand, 2.5, now), since: now };
            steps.push((stand.at * 1e3).round() / 1e3);
        }
        assert_eq!(steps, [1.0, 2.0, 2.5]);
        assert_eq!(RAMP.step(stand, -50.0, now + RAMP.every), 0.5, "down at another slope");
        assert_eq!(RAMP.step(stand, -50.0, now + 60 * RAMP.every), -1.5, "a lost minute is not caught up");
        assert_eq!(RAMP.time(0.0, 2.5), Duration::from_millis(500));
        assert_eq!(RAMP.time(2.5, 0.0), Duration::from_millis(250));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: histories(1_000, 50), ..ProptestConfig::default() })]

        #[test]
        fn no_step_is_steeper_than_the_slope_or_goes_too_far(
            up in 0.001f64..1e4, down in 0.001f64..1e4, every_ms in 1u64..5_000, first in -1e4f64..1e4,
            turns in prop::collection::vec((-1e4f64..1e4, prop::collection::vec((0u64..20_000, any::<bool>()), 0..20)), 1..10)
        ) {
            let ramp = Ramp { up, down, every: Duration::from_millis(every_ms), also_safe: false };
            let mut now = Instant::now();
            let mut stand = Stand { at: first, since: now };
            for (to, waits) in turns {
                for (wait, taken) in waits {
                    now += Duration::from_millis(wait);
                    let next = ramp.step(stand, to, now);
                    let time = now.duration_since(stand.since).as_secs_f64();
                    let slope = if next > stand.at { up } else { down };
                    prop_assert!((next - stand.at).abs() <= slope * time * (1.0 + 1e-6) + 1e-6);
                    prop_assert!((next - stand.at).abs() <= slope * 2.0 * ramp.every.as_secs_f64() * (1.0 + 1e-6) + 1e-6);
                    let (low, high) = (stand.at.min(to), stand.at.max(to));
                    prop_assert!((low..=high).contains(&next), "{} is not between {} and {}", next, low, high);
                    // A step that the device has not taken leaves the output where it was.
                    if taken {
                        stand = Stand { at: next, since: now };
                    }
                }
            }
        }

        #[test]
        fn every_way_ends(up in 0.5f64..1e3, from in -1e3f64..1e3, to in -1e3f64..1e3) {
            let ramp = Ramp { up, down: up, ..RAMP };
            let mut stand = Stand { at: from, since: Instant::now() };
            let most = 2 + (ramp.time(from, to).as_secs_f64() / ramp.every.as_secs_f64()).ceil() as u32;
            for _ in 0..most {
                let now = stand.since + ramp.every;
                stand = Stand { at: ramp.step(stand, to, now), since: now };
            }
            prop_assert_eq!(stand.at, to);
        }
    }
}
