//! The load averages below `$SYS/broker/load`: what happened per minute, averaged over 1, 5 and 15 minutes.
//!
//! Exponentially weighted, as Mosquitto's and the kernel's are; time is given by the caller.

use std::time::Duration;

use super::super::Stats;

/// The averages' names and their times in seconds.
const SPANS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

/// A counter that only grows.
type Counter = fn(&Stats) -> u64;

/// What is averaged.
const COUNTERS: [(&str, Counter); 9] = [
    ("messages/received", |stats| stats.packets_in),
    ("messages/sent", |stats| stats.packets_out + stats.messages_out),
    ("publish/received", |stats| stats.messages_in),
    ("publish/sent", |stats| stats.messages_out),
    ("publish/dropped", |stats| stats.dropped_queue_full + stats.dropped_too_large + stats.dropped_expired),
    ("bytes/received", |stats| stats.bytes_in),
    ("bytes/sent", |stats| stats.bytes_out),
    ("sockets", |stats| stats.connections_total),
    ("connections", |stats| stats.connects),
];

/// The averages and where the counters stood when they were last brought up to date.
pub(super) struct Loads {
    last: [u64; COUNTERS.len()],
    averages: [[f64; SPANS.len()]; COUNTERS.len()],
}

impl Loads {
    pub(super) fn new(stats: &Stats) -> Self {
        Self { last: COUNTERS.map(|(_, read)| read(stats)), averages: Default::default() }
    }

    /// Takes in what happened during `elapsed`.
    #[allow(clippy::cast_precision_loss, reason = "an average needs no more than 52 bits")]
    pub(super) fn update(&mut self, stats: &Stats, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        for (((_, read), last), averages) in COUNTERS.iter().zip(&mut self.last).zip(&mut self.averages) {
            let value = read(stats);
            let per_minute = value.saturating_sub(*last) as f64 * 60.0 / seconds;
            *last = value;
            for ((_, span), average) in SPANS.iter().zip(averages) {
                *average += (1.0 - (-seconds / span).exp()) * (per_minute - *average);
            }
        }
    }

    /// Calls `each` with every name below `$SYS/broker` and its value, two digits behind the point.
    pub(super) fn report(&self, mut each: impl FnMut(String, String)) {
        for ((name, _), averages) in COUNTERS.iter().zip(&self.averages) {
            for ((span, _), average) in SPANS.iter().zip(averages) {
                each(format!("load/{name}/{span}"), format!("{average:.2}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(loads: &Loads) -> Vec<String> {
        let mut found = Vec::new();
        loads.report(|name, value| {
            if name.starts_with("load/publish/received/") {
                found.push(value);
            }
        });
        found
    }

    #[test]
    fn a_steady_rate_becomes_the_average_and_silence_lets_it_fade() {
        let mut stats = Stats { messages_in: 1_000, ..Stats::default() };
        let mut loads = Loads::new(&stats);
        loads.update(&stats, Duration::from_secs(10));
        assert_eq!(received(&loads), ["0.00"; 3]);
        for _ in 0..1_000 {
            stats.messages_in += 20;
            loads.update(&stats, Duration::from_secs(10));
        }
        assert_eq!(received(&loads), ["120.00"; 3]);
        loads.update(&stats, Duration::from_secs(60));
        // 120 / e, 120 / e^0.2, 120 / e^(1/15)
        assert_eq!(received(&loads), ["44.15", "98.25", "112.26"]);
        loads.update(&stats, Duration::ZERO);
        assert_eq!(received(&loads)[0], "44.15");
    }
}
