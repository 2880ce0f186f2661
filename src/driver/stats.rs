//! What channels and devices count: requests, failures, round trips, how busy the line is.
//!
//! Counters only ever grow while the program runs; readers take differences. Everything is atomic, so the
//! page may look while a channel works.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use crate::model::Stamp;

/// Upper edges of the round-trip histogram in microseconds; the last class is open.
pub const ROUND_TRIP_EDGES_US: [u64; 12] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000];

/// Whether a device or channel can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Not tried yet.
    Unknown,
    /// Answers.
    Online,
    /// Does not answer.
    Offline,
}

/// An atomic [`LinkState`], whose changes somebody may wait for.
#[derive(Debug, Default)]
pub struct Link {
    state: AtomicU8,
    losses: AtomicU64,
    told: OnceLock<Arc<Notify>>,
}

impl Link {
    /// The state now.
    #[must_use]
    pub fn get(&self) -> LinkState {
        match self.state.load(Ordering::Acquire) {
            1 => LinkState::Online,
            2 => LinkState::Offline,
            _ => LinkState::Unknown,
        }
    }

    /// Changes the state and returns the former one.
    pub fn set(&self, state: LinkState) -> LinkState {
        let before = self.get();
        let code = match state {
            LinkState::Unknown => 0,
            LinkState::Online => 1,
            LinkState::Offline => 2,
        };
        if state == LinkState::Offline && before != state {
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
        self.state.store(code, Ordering::Release);
        if let Some(told) = self.told.get().filter(|_| before != state) {
            told.notify_one();
        }
        before
    }

    /// It was away and is back already: counts as a loss without a change of the state.
    pub fn lapse(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        if let Some(told) = self.told.get() {
            told.notify_one();
        }
    }

    /// How often it went offline: one that is online again may have been away for a moment.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Wakes `told` at every change from now on. There is one who is told; `false` says that there is one already.
    pub fn tell(&self, told: Arc<Notify>) -> bool {
        self.told.set(told).is_ok()
    }
}

/// The counters of one channel.
#[derive(Debug)]
pub struct ChannelStats {
    /// The channel's name.
    pub name: Arc<str>,
    /// Whether the port is open or the connection stands.
    pub link: Link,
    /// How often it was opened again after a loss.
    pub reconnects: AtomicU64,
    /// Time in which the line was in use or had to be kept silent.
    pub busy_us: AtomicU64,
    /// Polls that were due but had to be left out because the line was busy.
    pub missed_polls: AtomicU64,
    /// Its devices, in the order of the configuration.
    pub devices: Vec<DeviceStats>,
}

/// The counters of one device.
#[derive(Debug)]
pub struct DeviceStats {
    /// The device's name.
    pub name: Arc<str>,
    /// Whether it answers.
    pub link: Link,
    /// Requests sent, polls and writes.
    pub requests: AtomicU64,
    /// Requests without an answer in time.
    pub timeouts: AtomicU64,
    /// Requests refused by the device with an exception.
    pub exceptions: AtomicU64,
    /// Replies that did not fit their request and were thrown away.
    pub malformed: AtomicU64,
    /// Writes that reached the wire.
    pub writes: AtomicU64,
    /// Wall-clock microseconds of the last good answer, 0 before the first.
    pub last_answer_unix_us: AtomicU64,
    /// What is odd about the device: it is another one than its profile's, or lacks what is read of it.
    notice: Mutex<Option<Arc<str>>>,
    round_trips: [AtomicU64; ROUND_TRIP_EDGES_US.len() + 1],
    round_trip_sum_us: AtomicU64,
}

impl ChannelStats {
    /// Fresh counters for a channel and its devices.
    #[must_use]
    pub fn new(name: Arc<str>, devices: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            name,
            link: Link::default(),
            reconnects: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            missed_polls: AtomicU64::new(0),
            devices: devices.into_iter().map(DeviceStats::new).collect(),
        }
    }

    /// Counts time in which the line was in use.
    pub fn add_busy(&self, time: Duration) {
        self.busy_us.fetch_add(micros(time), Ordering::Relaxed);
    }
}

impl DeviceStats {
    /// Fresh counters.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            link: Link::default(),
            requests: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            exceptions: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            last_answer_unix_us: AtomicU64::new(0),
            notice: Mutex::default(),
            round_trips: Default::default(),
            round_trip_sum_us: AtomicU64::new(0),
        }
    }

    /// What is odd about the device, as a sentence; `None` where nothing is.
    #[must_use]
    pub fn notice(&self) -> Option<Arc<str>> {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what is odd about the device; returns whether that is news.
    pub fn set_notice(&self, notice: Option<&str>) -> bool {
        let mut known = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        let news = known.as_deref() != notice;
        if news {
            *known = notice.map(Into::into);
        }
        news
    }

    /// Notes a good answer of this moment.
    pub fn answered(&self, at: Stamp) {
        let at = u64::try_from(at.unix_us).unwrap_or(0);
        self.last_answer_unix_us.store(at, Ordering::Relaxed);
    }

    /// Counts one answered request by its round trip.
    pub fn record_round_trip(&self, took: Duration) {
        let us = micros(took);
        let class = ROUND_TRIP_EDGES_US.partition_point(|edge| *edge < us);
        self.round_trips[class].fetch_add(1, Ordering::Relaxed);
        self.round_trip_sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The histogram: how many round trips were at most [`ROUND_TRIP_EDGES_US`]`[i]` and more than the edge before; the last is open.
    #[must_use]
    pub fn round_trips(&self) -> Vec<u64> {
        self.round_trips.iter().map(|n| n.load(Ordering::Relaxed)).collect()
    }

    /// The mean round trip of answered requests; `None` before the first.
    #[must_use]
    pub fn mean_round_trip(&self) -> Option<Duration> {
        let answered: u64 = self.round_trips().iter().sum();
        let mean = self.round_trip_sum_us.load(Ordering::Relaxed).checked_div(answered)?;
        Some(Duration::from_micros(mean))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_fall_into_their_classes() {
        let stats = DeviceStats::new("d".into());
        assert_eq!(stats.mean_round_trip(), None);
        for us in [1, 500, 501, 3_000_000] {
            stats.record_round_trip(Duration::from_micros(us));
        }
        let classes = stats.round_trips();
        assert_eq!((classes[0], classes[1], classes[12]), (2, 1, 1));
        assert_eq!(stats.mean_round_trip(), Some(Duration::from_micros(3_001_002 / 4)));
    }
}
