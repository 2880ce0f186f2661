//! The sign of life of the arbiter, which those look at who feed watchdogs of devices.
//!
//! Whoever decides on outputs beats; a channel that feeds a device's watchdog does so only while the last beat is
//! young. Invariant: silence is never life: before the first beat nobody lives, and a watchdog is only disarmed after
//! the arbiter has said that the outputs are safe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the arbiter beats at least.
pub const BEAT: Duration = Duration::from_millis(250);

/// From this age of the last beat on the arbiter counts as hung: several beats, so that a machine under load is not
/// taken for one that stands.
pub const STALLED: Duration = Duration::from_secs(1);

/// The beats of one arbiter.
#[derive(Debug, Default)]
pub struct Heartbeat {
    last: Mutex<Option<Instant>>,
    safe: AtomicBool,
}

impl Heartbeat {
    /// The arbiter lives at `now`.
    pub fn beat(&self, now: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Whether the arbiter lives.
    #[must_use]
    pub fn is_alive(&self, now: Instant) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.saturating_duration_since(last) < STALLED)
    }

    /// The arbiter has stopped, and all outputs behind this queue stand as they shall then.
    pub fn left_safe(&self) {
        self.safe.store(true, Ordering::Release);
    }

    /// Whether the outputs were left safe, so that nobody has to watch over them.
    #[must_use]
    pub fn is_left_safe(&self) -> bool {
        self.safe.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_young_beat_is_life() {
        let (heart, now) = (Heartbeat::default(), Instant::now());
        assert!(!heart.is_alive(now) && !heart.is_left_safe());
        heart.beat(now);
        assert!(heart.is_alive(now + STALLED - Duration::from_millis(1)));
        assert!(!heart.is_alive(now + STALLED));
        heart.left_safe();
        assert!(heart.is_left_safe());
    }
}
