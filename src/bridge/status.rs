//! How a bridge stands: state, last error in words, counters.
//!
//! Written by the bridge's task, read by whoever shows it. Invariant: no secret and no payload stands in it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use super::backlog::Depth;
use super::sequence::{Gap, StreamId};

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Rates are over at least this span.
const RATE_SPAN: Duration = Duration::from_secs(2);

/// What a bridge is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It tries to connect.
    #[default]
    Connecting,
    /// The upstream broker has let it in.
    Connected,
    /// It pauses before it tries again.
    Waiting,
    /// It was stopped.
    Stopped,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }
}

/// The live status of a bridge.
#[derive(Debug, Default)]
pub(crate) struct Status {
    told: Mutex<Told>,
    /// Is notified when the state changes.
    pub(crate) changed: Notify,
    /// Messages taken in.
    pub(crate) taken_in: Count,
    /// Messages left out because the buffer was full or filling up.
    pub(crate) left_out: Count,
    /// Messages sent, again and again counted.
    pub(crate) sent: Count,
    /// Messages acknowledged by the upstream broker.
    pub(crate) acknowledged: Count,
    /// Bytes of payload acknowledged.
    pub(crate) acknowledged_bytes: Count,
    /// Messages sent once more because their acknowledgement did not come.
    pub(crate) resent: Count,
    /// Gaps declared.
    pub(crate) gaps: Count,
    /// Numbers that they miss.
    pub(crate) missing: Count,
    /// Messages that cannot be sent.
    pub(crate) dead_letters: Count,
    /// Messages from upstream that were published here.
    pub(crate) accepted: Count,
    /// Messages from upstream that were not.
    pub(crate) refused: Count,
    /// Connections made.
    pub(crate) connections: Count,
}

#[derive(Debug, Clone, Default)]
struct Told {
    state: State,
    since_us: i64,
    last_error: Option<String>,
    warning: Option<String>,
    last_gap: Option<Gap>,
    rates: Rates,
}

/// Messages per second of late.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    /// When they were measured, and the counters then.
    at: Option<(Instant, u64, u64)>,
    taken_in: f64,
    acknowledged: f64,
}

/// The status of a bridge at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// What it is about.
    pub state: State,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Why the link is down, or was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What the upstream broker refuses though the link is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The stream of its messages.
    pub stream: StreamId,
    /// Messages taken in per second of late.
    pub taken_in_rate: f64,
    /// Messages acknowledged upstream per second of late.
    pub acknowledged_rate: f64,
    /// The gap that was declared last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_gap: Option<Gap>,
    /// Messages that wait.
    pub queued: u64,
    /// Bytes that wait.
    pub queued_bytes: u64,
    /// Age of the oldest message that waits, in seconds.
    pub oldest_s: u64,
    /// Messages taken in since the start.
    pub taken_in: u64,
    /// Messages left out since the start because the buffer was full or filling up.
    pub left_out: u64,
    /// Messages acknowledged upstream since the start.
    pub acknowledged: u64,
    /// Payload bytes of them.
    pub acknowledged_bytes: u64,
    /// Messages sent once more since the start.
    pub resent: u64,
    /// Gaps declared since the start.
    pub gaps: u64,
    /// How many messages were declared missing since the start.
    pub missing: u64,
    /// Messages put onto the dead-letter topic since the start.
    pub dead_letters: u64,
    /// Messages accepted from upstream since the start.
    pub accepted: u64,
    /// Messages from upstream that were refused since the start.
    pub refused: u64,
    /// Connections made since the start.
    pub connections: u64,
}

impl Status {
    fn told(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes a new state.
    pub(crate) fn enter(&self, state: State, now_us: i64) {
        self.told(|told| {
            if told.state != state || told.since_us == 0 {
                (told.state, told.since_us) = (state, now_us);
            }
            if state == State::Connected {
                (told.last_error, told.warning) = (None, None);
            }
        });
        self.changed.notify_one();
    }

    /// Whether this is the state.
    pub(crate) fn is(&self, state: State) -> bool {
        let mut same = false;
        self.told(|told| same = told.state == state);
        same
    }

    /// Notes why the link is down. Returns whether it is another reason than before.
    pub(crate) fn failed(&self, why: String) -> bool {
        let mut new = false;
        self.told(|told| {
            new = told.last_error.as_ref() != Some(&why);
            told.last_error = Some(why);
        });
        new
    }

    /// Notes what is refused though the link is up. Returns whether that is new.
    pub(crate) fn warn(&self, what: String) -> bool {
        let mut new = false;
        self.told(|told| {
            new = told.warning.as_ref() != Some(&what);
            told.warning = Some(what);
        });
        new
    }

    /// A gap is declared upstream.
    pub(crate) fn declared(&self, gap: Gap) {
        self.told(|told| told.last_gap = Some(gap));
    }

    /// Measures rates, if the last time is long enough ago.
    pub(crate) fn measure(&self, now: Instant) {
        let (taken_in, acknowledged) = (self.taken_in.get(), self.acknowledged.get());
        self.told(|told| {
            let rates = &mut told.rates;
            if let Some((at, taken_before, acknowledged_before)) = rates.at {
                let span = now.saturating_duration_since(at);
                if span < RATE_SPAN {
                    return;
                }
                let rate = |now: u64, before: u64| {
                    let rate = now.saturating_sub(before) as f64 / span.as_secs_f64();
                    (rate * 10.0).round() / 10.0
                };
                rates.taken_in = rate(taken_in, taken_before);
                rates.acknowledged = rate(acknowledged, acknowledged_before);
            }
            rates.at = Some((now, taken_in, acknowledged));
        });
    }

    /// The status now.
    pub(crate) fn snapshot(&self, stream: StreamId, depth: Depth, now_us: i64) -> Snapshot {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let oldest_us = depth.oldest_us.map_or(0, |oldest| now_us.saturating_sub(oldest).max(0));
        Snapshot {
            state: told.state,
            since_ms: told.since_us / 1000,
            last_error: told.last_error,
            warning: told.warning,
            stream,
            taken_in_rate: told.rates.taken_in,
            acknowledged_rate: told.rates.acknowledged,
            last_gap: told.last_gap,
            queued: depth.messages,
            queued_bytes: depth.bytes,
            oldest_s: oldest_us.unsigned_abs() / 1_000_000,
            taken_in: self.taken_in.get(),
            left_out: self.left_out.get(),
            acknowledged: self.acknowledged.get(),
            acknowledged_bytes: self.acknowledged_bytes.get(),
            resent: self.resent.get(),
            gaps: self.gaps.get(),
            missing: self.missing.get(),
            dead_letters: self.dead_letters.get(),
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            connections: self.connections.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (status, start) = (Status::default(), Instant::now());
        let rates = |status: &Status| {
            let shown = status.snapshot(StreamId(1), Depth::default(), 0);
            (shown.taken_in_rate, shown.acknowledged_rate)
        };
        status.taken_in.add(1000);
        status.measure(start);
        assert_eq!(rates(&status), (0.0, 0.0), "what was before is no rate");
        status.taken_in.add(30);
        status.acknowledged.add(5);
        status.measure(start + RATE_SPAN / 2);
        status.measure(start + RATE_SPAN * 2);
        assert_eq!(rates(&status), (7.5, 1.3));
        status.measure(start + RATE_SPAN * 4);
        assert_eq!(rates(&status), (0.0, 0.0));
    }

    #[test]
    fn errors_are_new_once_and_gone_with_the_connection() {
        let status = Status::default();
        assert!(status.failed("refused".into()) && !status.failed("refused".into()));
        status.enter(State::Waiting, 5_000);
        status.enter(State::Waiting, 9_000);
        let depth = Depth { messages: 2, bytes: 10, oldest_us: Some(1_000_000) };
        let shown = status.snapshot(StreamId(1), depth, 4_000_000);
        assert_eq!((shown.state, shown.since_ms, shown.oldest_s), (State::Waiting, 5, 3));
        assert_eq!(shown.last_error.as_deref(), Some("refused"));
        status.enter(State::Connected, 10_000);
        assert_eq!(status.snapshot(StreamId(1), depth, 0).last_error, None);
    }
}
