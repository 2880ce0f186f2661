//! The log's own time: it goes on evenly, whatever is done to the machine's wall clock.
//!
//! Machines without a battery start in 1970, and clocks are set while messages wait. Records therefore carry the
//! log's time, in microseconds: while the program runs it follows the monotonic clock; over a restart within
//! one boot it goes on by what the machine says it has been up; over a reboot by the wall clock, if that was
//! believable before and is now, and otherwise it stands still. Invariant: it never goes back, and a clock
//! that is set expires nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use super::Record;
use crate::clock::Clock;

/// A wall clock that stands before this was never set: 2025-01-01, in microseconds since 1970.
const BELIEVABLE: i64 = 1_735_689_600_000_000;

/// A wall clock that moves by more than this against the log's time was set, in microseconds.
const STEP: i64 = 2_000_000;

/// All clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Mark {
    /// Which boot of the machine; zeros: not known.
    pub(in crate::broker) boot: [u8; 16],
    /// Since the machine was booted, in microseconds, sleep included.
    pub(in crate::broker) up_us: i64,
    /// Wall time, in microseconds since 1970.
    pub(in crate::broker) wall_us: i64,
    /// The log's time.
    pub(in crate::broker) log_us: i64,
}

impl Mark {
    /// The same, when the log's time has come further; it does not go back.
    pub(in crate::broker) fn advanced(self, log_us: i64) -> Self {
        let by = log_us.saturating_sub(self.log_us).max(0);
        let Self { boot, up_us, wall_us, log_us } = self;
        let on = |us: i64| us.saturating_add(by);
        Self { boot, up_us: on(up_us), wall_us: on(wall_us), log_us: on(log_us) }
    }

    /// The log's time `now`, when this is the last that is known; that of `now` itself does not count.
    fn resumed(&self, now: &Self) -> i64 {
        let passed = if self.boot == now.boot && self.boot != [0; 16] {
            now.up_us.saturating_sub(self.up_us)
        } else if self.wall_us >= BELIEVABLE && now.wall_us >= BELIEVABLE {
            now.wall_us.saturating_sub(self.wall_us)
        } else {
            0
        };
        self.log_us.saturating_add(passed.max(0))
    }
}

/// Where the time comes from.
#[derive(Clone)]
pub(in crate::broker) struct Times {
    pub(in crate::broker) clock: Clock,
    /// Boot, and time since then in microseconds.
    pub(in crate::broker) boot: [u8; 16],
    pub(in crate::broker) up_us: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Times {
    /// The machine's.
    pub(in crate::broker) fn system() -> Self {
        let up_us = || {
            let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            up.tv_sec.saturating_mul(1_000_000).saturating_add(up.tv_nsec / 1_000)
        };
        let boot = crate::journal::Options::default().boot;
        Self { clock: Clock::system(), boot, up_us: Arc::new(up_us) }
    }

    /// Those of a machine that was booted anew, of which nothing but the wall clock is known.
    pub(in crate::broker) fn of_wall(clock: Clock) -> Self {
        Self { clock, boot: [0; 16], up_us: Arc::new(|| 0) }
    }

    fn mark(&self) -> Mark {
        Mark { boot: self.boot, up_us: (self.up_us)(), wall_us: self.clock.stamp().unix_us, log_us: 0 }
    }
}

/// The log's time in one run.
pub(super) struct LogTime {
    times: Times,
    start: Instant,
    start_us: i64,
    /// By how much the wall clock is ahead of the log's time, as the log knows.
    ahead: AtomicI64,
}

impl LogTime {
    /// Goes on from what the log says; without that, from the wall clock.
    pub(super) fn new(times: Times, last: Option<Mark>) -> Self {
        let now = times.mark();
        let start_us = last.map_or(now.wall_us, |last| last.resumed(&now));
        let start = times.clock.mono();
        // So that the first look finds a difference, and logs a mark.
        Self { times, start, start_us, ahead: AtomicI64::new(i64::MAX) }
    }

    /// The log's time, and a record that must be logged before it is used.
    pub(super) fn now(&self) -> (i64, Option<Record>) {
        let stamp = self.times.clock.stamp();
        let run = stamp.mono.saturating_duration_since(self.start).as_micros();
        let log_us = self.start_us.saturating_add(i64::try_from(run).unwrap_or(i64::MAX));
        let ahead = stamp.unix_us.saturating_sub(log_us);
        let known = self.ahead.load(Relaxed);
        if known.abs_diff(ahead) <= STEP.unsigned_abs() {
            return (log_us, None);
        }
        self.ahead.store(ahead, Relaxed);
        (log_us, Some(Record::Clock(Mark { log_us, ..self.times.mark() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const NOON: i64 = BELIEVABLE + 12 * HOUR;

    fn mark(boot: u8, up_us: i64, wall_us: i64, log_us: i64) -> Mark {
        Mark { boot: [boot; 16], up_us, wall_us, log_us }
    }

    #[test]
    fn time_goes_on_over_restarts_and_reboots_as_far_as_clocks_are_believable() {
        let last = mark(1, 50 * HOUR, NOON, 7 * HOUR);
        // The same boot: whatever the wall clock says.
        for wall in [0, NOON, NOON - 9 * HOUR, NOON + 999 * HOUR] {
            assert_eq!(last.resumed(&mark(1, 51 * HOUR, wall, 0)), 8 * HOUR);
        }
        // Another boot: the wall clock, if it was set then and is set now, and went on.
        assert_eq!(last.resumed(&mark(2, 0, NOON + 3 * HOUR, 0)), 10 * HOUR);
        assert_eq!(last.resumed(&mark(2, 0, 0, 0)), 7 * HOUR);
        assert_eq!(last.resumed(&mark(2, 0, NOON - HOUR, 0)), 7 * HOUR);
        let unset = mark(1, HOUR, HOUR, 7 * HOUR);
        assert_eq!(unset.resumed(&mark(2, 0, NOON, 0)), 7 * HOUR);
        // A machine that does not name its boots.
        assert_eq!(mark(0, 9 * HOUR, NOON, 0).resumed(&mark(0, 10 * HOUR, NOON + 2 * HOUR, 0)), 2 * HOUR);
    }

    #[test]
    fn a_mark_is_advanced_by_later_records_and_never_back() {
        let last = mark(1, 5, NOON, 100);
        assert_eq!(last.advanced(130), mark(1, 35, NOON + 30, 130));
        assert_eq!(last.advanced(20), last);
        assert_eq!(mark(1, 5, i64::MAX, 0).advanced(i64::MAX).wall_us, i64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_logged_once_and_moves_nothing() {
        let wall = Arc::new(AtomicI64::new(5_000_000));
        let shown = Arc::clone(&wall);
        let clock = Clock::with_wall(move || shown.load(Relaxed));
        let times = Times { clock, boot: [1; 16], up_us: Arc::new(|| 77) };
        let time = LogTime::new(times, None);
        let (now, record) = time.now();
        assert_eq!(now, 5_000_000);
        assert_eq!(record, Some(Record::Clock(mark(1, 77, 5_000_000, 5_000_000))));
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        wall.store(15_500_000, Relaxed);
        assert_eq!(time.now(), (15_000_000, None));
        wall.store(NOON, Relaxed);
        assert_eq!(time.now(), (15_000_000, Some(Record::Clock(mark(1, 77, NOON, 15_000_000)))));
        assert_eq!(time.now(), (15_000_000, None));
    }
}
