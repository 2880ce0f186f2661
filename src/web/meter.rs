//! Rates from counters that only grow: load of a line, readings and messages per second.
//!
//! Nothing runs in the background: a sample is taken when someone looks. Invariant: a rate spans at least
//! [`MIN_WINDOW`], unless the program itself is younger.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time over which a rate is formed.
pub(super) const MIN_WINDOW: Duration = Duration::from_secs(1);

/// The counters at one moment.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// When.
    pub(super) at: Instant,
    /// Readings on the bus.
    pub(super) readings: u64,
    /// Messages that the broker has taken in and given out.
    pub(super) messages: u64,
    /// Busy microseconds per channel.
    pub(super) busy_us: Vec<u64>,
}

/// What lies between two samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rates {
    /// The time between them.
    pub(super) window: Duration,
    /// Readings per second.
    pub(super) readings: f64,
    /// Broker messages per second.
    pub(super) messages: f64,
    /// The share of the time in which each channel was busy, 0 to 1.
    pub(super) load: Vec<f64>,
}

/// Remembers two former samples.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Pair>);

#[derive(Debug)]
struct Pair {
    older: Sample,
    newer: Sample,
}

impl Meter {
    /// A meter that counts from `start` on.
    #[must_use]
    pub(super) fn new(start: Sample) -> Self {
        Self(Mutex::new(Pair { older: start.clone(), newer: start }))
    }

    /// The rates up to `current`, since the newest remembered sample that is old enough.
    #[must_use]
    pub(super) fn rates(&self, current: &Sample) -> Rates {
        let mut pair = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.at.saturating_duration_since(pair.newer.at) >= MIN_WINDOW {
            pair.older = std::mem::replace(&mut pair.newer, current.clone());
        }
        between(&pair.older, current)
    }
}

fn between(from: &Sample, to: &Sample) -> Rates {
    let window = to.at.saturating_duration_since(from.at);
    let seconds = window.as_secs_f64().max(1e-3);
    let per_second = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    let load = from.busy_us.iter().zip(&to.busy_us);
    Rates {
        window,
        readings: per_second(from.readings, to.readings),
        messages: per_second(from.messages, to.messages),
        load: load.map(|(a, b)| (per_second(*a, *b) / 1e6).min(1.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, readings: u64, busy_us: u64) -> Sample {
        Sample { at, readings, messages: 2 * readings, busy_us: vec![busy_us] }
    }

    #[test]
    fn a_rate_spans_at_least_a_second_however_often_someone_looks() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let meter = Meter::new(sample(start, 0, 0));
        let first = meter.rates(&sample(after(2_000), 200, 500_000));
        assert_eq!((first.readings, first.messages, first.load[0]), (100.0, 200.0, 0.25));
        let soon = meter.rates(&sample(after(2_500), 200, 500_000));
        assert_eq!(soon.window, Duration::from_millis(2_500));
        let later = meter.rates(&sample(after(4_000), 600, 2_500_000));
        assert_eq!(later.window, Duration::from_secs(2));
        assert_eq!((later.readings, later.load[0]), (200.0, 1.0));
    }

    #[test]
    fn no_time_and_counters_that_fell_back_do_no_harm() {
        let start = Instant::now();
        let meter = Meter::new(sample(start, 10, 10));
        let rates = meter.rates(&sample(start, 5, 5));
        assert_eq!((rates.readings, rates.load[0]), (0.0, 0.0));
    }
}
