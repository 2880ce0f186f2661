//! Debouncing in software, for lines whose driver leaves it to us.
//!
//! Pure: the caller says what time it is. Invariant: a state counts once it has stood for the whole period.

use std::time::{Duration, Instant};

/// One line's filter.
#[derive(Debug, Clone)]
pub(super) struct Debounce {
    period: Duration,
    stable: bool,
    pending: Option<(bool, Instant)>,
}

impl Debounce {
    /// A filter on a line that stands at `state`.
    pub(super) const fn new(period: Duration, state: bool) -> Self {
        Self { period, stable: state, pending: None }
    }

    /// The line has changed.
    pub(super) fn edge(&mut self, state: bool, at: Instant) {
        self.pending = (state != self.stable).then_some((state, at + self.period));
    }

    /// When to ask again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.map(|(_, due)| due)
    }

    /// The new state, once it has stood long enough.
    pub(super) fn settle(&mut self, now: Instant) -> Option<bool> {
        let (state, _) = self.pending.filter(|(_, due)| *due <= now)?;
        self.pending = None;
        self.stable = state;
        Some(state)
    }

    /// The state that counts.
    pub(super) const fn state(&self) -> bool {
        self.stable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounces_do_not_count_and_a_state_that_stands_does() {
        let (start, ms) = (Instant::now(), Duration::from_millis(1));
        let mut filter = Debounce::new(20 * ms, false);
        for at in [0, 3, 6, 9] {
            filter.edge(at % 2 == 0, start + at * ms);
            assert_eq!(filter.settle(start + at * ms), None);
        }
        assert_eq!(filter.due(), None, "it fell back to where it was");
        filter.edge(true, start + 12 * ms);
        assert_eq!(filter.due(), Some(start + 32 * ms));
        assert_eq!(filter.settle(start + 31 * ms), None);
        assert_eq!(filter.settle(start + 32 * ms), Some(true));
        assert!(filter.state());
        assert_eq!(filter.settle(start + 99 * ms), None);
    }
}
