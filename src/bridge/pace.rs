//! A purse of tokens: how many messages or bytes may be sent per second.
//!
//! Pure: times are handed in. Invariant: over any span, no more is spent than its length times the rate and one second's worth.

use std::time::{Duration, Instant};

/// A purse that fills at a rate, up to one second's worth.
#[derive(Debug, Clone)]
pub(crate) struct Purse {
    per_second: f64,
    most: f64,
    held: f64,
    filled: Option<Instant>,
}

impl Purse {
    /// A full purse.
    pub(crate) fn new(per_second: u64) -> Self {
        let per_second = per_second.max(1) as f64;
        Self { per_second, most: per_second, held: per_second, filled: None }
    }

    /// A purse that holds at most a tenth of a second's worth, but one unit: for what should flow and not burst.
    pub(crate) fn smooth(per_second: u64) -> Self {
        let most = (per_second as f64 / 10.0).max(1.0);
        Self { most, held: most, ..Self::new(per_second) }
    }

    /// A purse for a limit that holds over every second, wherever that second begins, when nothing costs more than
    /// `largest`: what may burst and what flows in are together no more than the rate.
    pub(crate) fn strict(per_second: u64, largest: u64) -> Self {
        let rate = per_second.max(1) as f64;
        let most = (rate / 10.0).max((largest as f64).min(rate / 2.0));
        Self { per_second: rate - most, most, held: most, filled: None }
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        self.filled = Some(now);
        self.held = (self.held + since.as_secs_f64() * self.per_second).min(self.most);
    }

    /// Whether something is in it, and if not: when there will be. What costs more than the purse can hold is let
    /// through when it is full, and then owed.
    pub(crate) fn ready(&mut self, cost: u64, now: Instant) -> Result<(), Instant> {
        self.fill(now);
        let needed = (cost as f64).min(self.most);
        if self.held >= needed {
            return Ok(());
        }
        let wait = Duration::from_secs_f64((needed - self.held) / self.per_second);
        // Rounded up, so that whoever waits does not come a moment too early.
        Err(now + wait + Duration::from_micros(1))
    }

    /// Takes out what was spent.
    pub(crate) fn spend(&mut self, cost: u64) {
        self.held -= cost as f64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_strict_limit_holds_over_every_second(rate in 4u64..2000, shares in prop::collection::vec(1u64..=100, 1..300)) {
            let largest = (rate / 4).max(1);
            let (start, mut purse) = (Instant::now(), Purse::strict(rate, largest));
            let (mut now, mut spent) = (start, Vec::new());
            for share in shares {
                let cost = (largest * share / 100).max(1);
                while let Err(at) = purse.ready(cost, now) {
                    now = at;
                }
                purse.spend(cost);
                spent.push((now, cost));
            }
            for (index, (from, _)) in spent.iter().enumerate() {
                let within = spent[index..].iter().take_while(|(at, _)| *at - *from < Duration::from_secs(1));
                let sum: u64 = within.map(|(_, cost)| cost).sum();
                prop_assert!(sum <= rate, "{sum} of {rate}");
            }
        }

        #[test]
        fn no_more_than_the_rate_is_spent(rate in 1u64..2000, costs in prop::collection::vec(1u64..50, 1..200)) {
            let (start, mut purse) = (Instant::now(), Purse::new(rate));
            let (mut now, mut spent, mut largest) = (start, 0, 0);
            for cost in costs {
                if let Err(at) = purse.ready(cost, now) {
                    prop_assert!(at > now);
                    now = at;
                    prop_assert!(purse.ready(cost, now).is_ok());
                }
                purse.spend(cost);
                spent += cost;
                largest = largest.max(cost);
                let most = rate as f64 * ((now - start).as_secs_f64() + 1.0) + largest as f64;
                prop_assert!(spent as f64 <= most, "{} of {}", spent, most);
            }
        }
    }
}
