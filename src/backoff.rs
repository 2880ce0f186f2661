//! Growing pauses between attempts.
//!
//! Pure: the caller sleeps. Invariant: the pause never exceeds `max`, and jitter only ever shortens it,
//! by at most a quarter, so that many devices that failed together do not come back together.

use std::time::Duration;

/// Doubles from `min` to `max`.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `min` up to `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), next: min }
    }

    /// The pause before the next attempt; `random` is uniform in 0 … 1.
    pub fn pause(&mut self, random: f64) -> Duration {
        let pause = self.next.mul_f64(1.0 - 0.25 * random.clamp(0.0, 1.0));
        self.next = self.next.saturating_mul(2).min(self.max);
        pause
    }

    /// Starts again from the shortest pause.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_to_the_ceiling_and_start_again(min_ms in 1u64..1000, factor in 1u32..100, randoms in prop::collection::vec(0.0f64..1.0, 20)) {
            let min = Duration::from_millis(min_ms);
            let max = min * factor;
            let mut backoff = Backoff::new(min, max);
            let mut base = min;
            for random in randoms {
                let pause = backoff.pause(random);
                prop_assert!(pause <= base && pause >= base.mul_f64(0.7499));
                base = (base * 2).min(max);
            }
            backoff.reset();
            prop_assert_eq!(backoff.pause(0.0), min);
        }
    }
}
