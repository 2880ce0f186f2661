//! Counters that begin anew at their end, and when the agent does.
//!
//! Pure. A count that falls has either passed its end or was lost with the agent's restart; only the agent's
//! uptime tells which, so it is asked for together with counters (RFC 2578, section 7.1.6). Invariants: a total
//! never falls, and no rate is made of counts of two lives of an agent.

use std::time::{Duration, Instant};

/// Two uptimes may differ from the clock by this much and still be of one life: agents tick in hundredths of a
/// second, and an answer takes its time.
const SLACK: Duration = Duration::from_secs(5);

/// A counter as it was read last.
#[derive(Debug, Clone, Copy)]
struct Last {
    count: u64,
    at: Instant,
    uptime: Option<u32>,
}

/// Follows one counter.
#[derive(Debug, Clone, Default)]
pub(super) struct Follower {
    last: Option<Last>,
}

/// What has been counted since the last reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// How much.
    pub(super) counted: u64,
    /// In how many seconds; `None` when the agent has begun anew in between, or at the first reading.
    pub(super) seconds: Option<f64>,
}

impl Follower {
    /// The next reading of a counter of so many bits; `uptime` is the agent's, in hundredths of a second.
    pub(super) fn step(&mut self, count: u64, bits: u32, uptime: Option<u32>, at: Instant) -> Step {
        let last = self.last.replace(Last { count, at, uptime });
        let Some(last) = last else { return Step { counted: 0, seconds: None } };
        let passed = at.saturating_duration_since(last.at);
        // Without an uptime a count that falls may be either; an end that was passed is then the bolder guess.
        let unknown = last.uptime.is_none() || uptime.is_none();
        if has_restarted(last.uptime, uptime, passed) || (unknown && count < last.count) {
            // What it counted before it ended is lost; what it has counted since is known.
            return Step { counted: count, seconds: None };
        }
        let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
        let counted = count.wrapping_sub(last.count) & mask;
        let seconds = passed.as_secs_f64();
        Step { counted, seconds: (seconds > 0.0).then_some(seconds) }
    }
}

/// Whether the agent has begun anew between two uptimes. Uptimes begin anew, too, every 497 days.
fn has_restarted(before: Option<u32>, now: Option<u32>, passed: Duration) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return false };
    let ran = Duration::from_millis(10 * u64::from(now.wrapping_sub(before)));
    ran > passed + SLACK
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_passes_its_end_and_a_restart_is_none() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut follower = Follower::default();
        let first = follower.step(u64::from(u32::MAX) - 9, 32, Some(1000), at(0));
        assert_eq!(first, Step { counted: 0, seconds: None });
        // 10 to its end, 90 behind it.
        let step = follower.step(90, 32, Some(2000), at(10));
        assert_eq!(step, Step { counted: 100, seconds: Some(10.0) });
        // The agent was away for a moment, and begins at nothing.
        let step = follower.step(3, 32, Some(100), at(20));
        assert_eq!(step, Step { counted: 3, seconds: None });
        assert_eq!(follower.step(5, 32, Some(1100), at(30)), Step { counted: 2, seconds: Some(10.0) });
        let mut wide = Follower::default();
        wide.step(u64::MAX, 64, Some(1), at(0));
        assert_eq!(wide.step(1, 64, Some(101), at(1)).counted, 2);
        let mut blind = Follower::default();
        blind.step(100, 32, None, at(0));
        assert_eq!(blind.step(3, 32, None, at(1)), Step { counted: 3, seconds: None });
    }

    #[test]
    fn an_uptime_passes_its_end_too() {
        let start = Instant::now();
        let mut follower = Follower::default();
        follower.step(5, 32, Some(u32::MAX - 99), start);
        let step = follower.step(6, 32, Some(400), start + Duration::from_secs(5));
        assert_eq!(step, Step { counted: 1, seconds: Some(5.0) });
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_was_added(from in any::<u32>(), steps in prop::collection::vec(0u32..1 << 30, 1..30)) {
            let start = Instant::now();
            let (mut follower, mut count, mut uptime, mut total) = (Follower::default(), from, 7_u32, 0_u64);
            follower.step(u64::from(count), 32, Some(uptime), start);
            for (turn, step) in steps.iter().enumerate() {
                count = count.wrapping_add(*step);
                uptime = uptime.wrapping_add(100);
                let at = start + Duration::from_secs(turn as u64 + 1);
                total += follower.step(u64::from(count), 32, Some(uptime), at).counted;
            }
            prop_assert_eq!(total, steps.iter().map(|step| u64::from(*step)).sum::<u64>());
        }
    }
}
