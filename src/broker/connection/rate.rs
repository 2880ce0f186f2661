//! How fast one client may publish: a bucket of tokens.
//!
//! What was read is always handled; a client that is ahead of its rate is simply not read until it is
//! not, so it feels the limit as back-pressure and loses nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Messages per second, and one second's worth at once.
pub(super) struct Bucket {
    /// Messages per second, at least 1.
    rate: u32,
    /// When the bucket is full again. In the past: it is full.
    full: Instant,
}

impl Bucket {
    /// `rate` 0: no limit.
    pub(super) fn new(rate: u32, now: Instant) -> Option<Self> {
        (rate > 0).then_some(Self { rate, full: now })
    }

    /// Takes tokens for so many messages, in advance if need be. Returns until when nothing may be read,
    /// if the bucket is overdrawn.
    pub(super) fn take(&mut self, messages: u64, now: Instant) -> Option<Instant> {
        let nanos = u128::from(messages) * 1_000_000_000 / u128::from(self.rate);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.full = self.full.max(now) + cost;
        let overdrawn = self.full.saturating_duration_since(now).checked_sub(Duration::from_secs(1))?;
        (!overdrawn.is_zero()).then(|| now + overdrawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_free_and_then_it_is_the_rate() {
        let start = Instant::now();
        assert!(Bucket::new(0, start).is_none());
        let mut bucket = Bucket::new(10, start).unwrap();
        assert_eq!(bucket.take(10, start), None);
        assert_eq!(bucket.take(1, start), Some(start + Duration::from_millis(100)));
        assert_eq!(bucket.take(4, start), Some(start + Duration::from_millis(500)));
        let later = start + Duration::from_millis(1500);
        assert_eq!(bucket.take(0, later), None);
        assert_eq!(
            bucket.take(11, start + Duration::from_secs(100)),
            Some(start + Duration::from_millis(100_100))
        );
    }
}
