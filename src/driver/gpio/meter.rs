//! Counting edges: totals and frequency.
//!
//! Pure. Totals follow the kernel's own number of each edge, a u32 that wraps, so edges that did not fit into
//! its buffer are counted all the same. Frequency is reciprocal (edges over the time between the first and
//! the last of them), so that it is exact for slow pulses, too. Invariant: a total never falls.

use std::time::Duration;

/// After this time without an edge a frequency is 0.
pub(super) const SILENT: Duration = Duration::from_secs(10);

/// Counts the edges of one line.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    total: u64,
    /// The kernel's number of the last edge.
    last_number: Option<u32>,
    /// Edges that the kernel had to drop and that were counted by their numbers.
    pub(super) dropped: u64,
}

/// The frequency of the edges of one line, from one reading to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Frequency {
    /// The edge that the time is measured from.
    from_ns: Option<u64>,
    last_ns: u64,
    edges: u64,
    hertz: f64,
}

impl Meter {
    /// Goes on from a total.
    pub(super) fn new(total: u64) -> Self {
        Self { total, ..Self::default() }
    }

    /// One edge; `number` is the kernel's. `share`: of how many edges one counts. Returns how many it stands for.
    pub(super) fn edge(&mut self, number: u32, counted: bool, share: u64) -> u64 {
        let missed =
            self.last_number.map_or(0, |last| u64::from(number.wrapping_sub(last)).saturating_sub(1));
        self.last_number = Some(number);
        self.dropped += missed;
        let edges = u64::from(counted) + missed / share;
        self.total = self.total.saturating_add(edges);
        edges
    }

    /// The total.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// The line was requested anew: the kernel numbers from the start.
    pub(super) fn restart(&mut self) {
        self.last_number = None;
    }
}

impl Frequency {
    /// So many edges have come, the last of them at this time.
    pub(super) fn edges(&mut self, edges: u64, at_ns: u64) {
        if self.from_ns.is_none() {
            self.from_ns = Some(at_ns);
        } else {
            self.edges += edges;
        }
        self.last_ns = at_ns;
    }

    /// The edges per second since the last reading.
    pub(super) fn read(&mut self, now_ns: u64) -> f64 {
        let Some(from) = self.from_ns else { return 0.0 };
        let silent = now_ns.saturating_sub(self.last_ns);
        if silent > u64::try_from(SILENT.as_nanos()).unwrap_or(u64::MAX) {
            *self = Self::default();
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "a share of a second, not an identity")]
        let seconds = |ns: u64| ns as f64 / 1e9;
        if self.edges > 0 && self.last_ns > from {
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let edges = self.edges as f64;
            self.hertz = edges / seconds(self.last_ns - from);
            (self.from_ns, self.edges) = (Some(self.last_ns), 0);
        } else if silent > 0 {
            // The next edge can only be later than now.
            self.hertz = self.hertz.min(1.0 / seconds(silent));
        }
        self.hertz
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_total_goes_on_counts_what_was_dropped_and_survives_the_wrap() {
        let mut meter = Meter::new(1000);
        assert_eq!(meter.edge(u32::MAX - 1, true, 1), 1);
        meter.edge(u32::MAX, true, 1);
        meter.edge(0, true, 1);
        assert_eq!((meter.total(), meter.dropped), (1003, 0));
        assert_eq!(meter.edge(5, true, 1), 5, "four had no room");
        assert_eq!((meter.total(), meter.dropped), (1008, 4));
        meter.restart();
        meter.edge(1, true, 1);
        assert_eq!(meter.total(), 1009);
        // Every other edge counts where both are seen.
        meter.edge(2, false, 2);
        meter.edge(7, true, 2);
        assert_eq!(meter.total(), 1012);
    }

    #[test]
    fn a_frequency_is_exact_slows_down_and_ends() {
        let mut frequency = Frequency::default();
        assert_eq!(frequency.read(SECOND), 0.0);
        for edge in 0..=10_u64 {
            frequency.edges(1, SECOND + edge * SECOND / 4);
        }
        assert!((frequency.read(4 * SECOND) - 4.0).abs() < 1e-9);
        // Half a second without: at most 2 Hz; then less and less.
        assert!((frequency.read(4 * SECOND) - 2.0).abs() < 1e-9);
        assert!((frequency.read(13 * SECOND) - 1.0 / 9.5).abs() < 1e-9);
        assert_eq!(frequency.read(14 * SECOND), 0.0);
    }

    proptest! {
        #[test]
        fn a_total_never_falls(numbers in prop::collection::vec(any::<u32>(), 0..50)) {
            let mut meter = Meter::new(7);
            let mut before = meter.total();
            for number in numbers {
                meter.edge(number, true, 1);
                prop_assert!(meter.total() > before);
                before = meter.total();
            }
        }
    }
}
