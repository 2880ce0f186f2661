//! Whether the one host of a channel answers: what is an outage of it, and when it is tried again.
//!
//! One lost answer is no outage. While the host is silent, one request goes out after each growing pause and
//! everything else rests. Absent: readings, and the words that an outage has in the log, which are the owner's.
//! Invariant: the channel and all its devices are online and offline together.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::schedule::{Schedule, Turn};
use super::{ChannelContext, LinkState};
use crate::backoff::Backoff;

/// Pauses between tries while the host is silent: with a timeout of a second, what comes back is seen within two.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// So many requests in a row without an answer take the host offline.
const FAILURES: u32 = 2;

/// What is known of a channel's host.
#[derive(Debug)]
pub struct Reach {
    backoff: Backoff,
    /// Requests in a row without an answer.
    failures: u32,
    /// While the host is silent, when it is tried again.
    silent_until: Option<Instant>,
}

/// What a failed request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// An answer was lost, which is none yet.
    None,
    /// The host is down from now on.
    Begins,
    /// The host has been down before.
    Lasts,
}

impl Default for Reach {
    fn default() -> Self {
        Self { backoff: Backoff::new(RETRY.0, RETRY.1), failures: 0, silent_until: None }
    }
}

impl Reach {
    /// Whether the host is silent.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        self.silent_until.is_some()
    }

    /// While the host is silent, nothing runs before its pause is over; then whatever waits longest.
    pub fn next_turn(&self, schedule: &mut Schedule, now: Instant) -> Turn {
        match self.silent_until {
            Some(until) if until > now => Turn::Wait(until),
            _ => schedule.next(now),
        }
    }

    /// The host has answered. Says whether an outage ends with it: another device may have taken the address.
    pub fn answered(&mut self, context: &ChannelContext) -> bool {
        let stats = &context.stats;
        let lost = std::mem::take(&mut self.failures) > 0;
        stats.reconnects.fetch_add(u64::from(lost), Ordering::Relaxed);
        self.silent_until = None;
        self.backoff.reset();
        let before = stats.link.set(LinkState::Online);
        for device in &stats.devices {
            if device.link.set(LinkState::Online) != LinkState::Online {
                tracing::info!(channel = %stats.name, device = %device.name, "device online");
            }
        }
        before == LinkState::Offline
    }

    /// The host has not answered; `certain` when nothing can have been lost on the way, so that once is enough.
    pub fn failed(&mut self, context: &ChannelContext, certain: bool) -> Outage {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES && !certain {
            return Outage::None;
        }
        self.silent_until = Some(context.clock.mono() + self.backoff.pause(fastrand::f64()));
        if context.stats.link.set(LinkState::Offline) == LinkState::Offline {
            return Outage::Lasts;
        }
        for device in &context.stats.devices {
            device.link.set(LinkState::Offline);
        }
        Outage::Begins
    }
}
