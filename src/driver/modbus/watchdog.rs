//! A watchdog of the device itself: what arms it, feeds it and disarms it, and when.
//!
//! Pure: from the configuration to requests, and a schedule whose caller says what time it is. Absent: the requests'
//! way to the device (`owner/guard`). Invariants: nothing is fed that was not armed, nor while the arbiter is
//! silent; a feed that comes later than twice its period has come too late, whatever the device says.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transport;
use super::config::DeviceConfig;
use super::quirks::WriteConfig;
use super::wire::Ask;
use crate::driver::heartbeat::BEAT;
use crate::model::units::Period;

/// The longest period of feeding: a watchdog that waits longer guards nothing.
const LONGEST: Duration = Duration::from_secs(60);

/// A watchdog of the device: `{ arm: [{ holding: 0x1000, words: [30] }], feed: [{ holding: 0x1003, words: [1] }], every: 1s }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WatchdogConfig {
    /// What arms it, one after the other: whenever the device comes online or is connected to anew, and after a feed that came too late. It must do so also while the watchdog runs.
    pub arm: Vec<WriteConfig>,
    /// What feeds it. Of several writes one each time, in turn: for devices that want another value each time.
    pub feed: Vec<WriteConfig>,
    /// How often it is fed: at most half of the time that the device waits.
    pub every: Option<Period>,
    /// What disarms it when the gateway stops and every output has taken its safe state. Without it the device falls to its own safe state.
    pub disarm: Vec<WriteConfig>,
}

/// The same, to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// What arms it.
    pub arm: Vec<Ask>,
    /// What feeds it, in turn; empty where any request does.
    pub feed: Vec<Ask>,
    /// How often it is fed.
    pub every: Duration,
    /// What disarms it.
    pub disarm: Vec<Ask>,
}

impl DeviceConfig {
    /// The device's watchdog; `None` where none is described.
    ///
    /// # Errors
    /// Says which write does not fit and how to mend it.
    pub fn guard(&self) -> Result<Option<Watchdog>, String> {
        let Some(watchdog) = &self.watchdog else { return Ok(None) };
        Ok(Some(Watchdog {
            arm: self.writes(&watchdog.arm, "watchdog arm")?,
            feed: self.writes(&watchdog.feed, "watchdog feed")?,
            every: watchdog.every.map_or(Duration::ZERO, |every| every.0),
            disarm: self.writes(&watchdog.disarm, "watchdog disarm")?,
        }))
    }

    /// What is wrong with the watchdog's section, with a remedy each.
    pub(super) fn watchdog_problems(&self, channel: Option<&Transport>) -> Vec<(String, &'static str)> {
        let Some(watchdog) = &self.watchdog else { return Vec::new() };
        let mut problems: Vec<(String, &'static str)> = Vec::new();
        if let Err(message) = self.guard() {
            problems.push((message, "write it like `setup`: { holding: 0x1000, words: [30] }"));
        }
        if watchdog.arm.is_empty() {
            let help = "name the writes that start it; where it starts with the first feed, that write";
            problems.push(("watchdog without `arm`".into(), help));
        }
        match (watchdog.feed.is_empty(), watchdog.every) {
            (false, None) => {
                let help = "add every: 1s, at most half of the time that the device waits";
                problems.push(("watchdog: `feed` without `every`".into(), help));
            }
            (true, Some(_)) => {
                let help = "add what is written so often, or remove `every` where any request feeds it";
                problems.push(("watchdog: `every` without `feed`".into(), help));
            }
            (false, Some(every)) => problems.extend(self.period_problem(every, channel)),
            (true, None) => {}
        }
        if channel.is_some_and(|channel| channel.is_broadcast(self.unit)) {
            let help = "name the device's own unit";
            problems.push((
                "watchdog: a broadcast is never answered, so nobody knows whether it is fed".into(),
                help,
            ));
        }
        problems
    }

    /// A request that is not answered keeps the line from feeding for its timeout.
    fn period_problem(&self, every: Period, channel: Option<&Transport>) -> Option<(String, &'static str)> {
        if every.0.is_zero() || every.0 > LONGEST {
            let message = format!("watchdog every {every}: use more than nothing and at most 60s");
            return Some((message, "at most half of the time that the device waits, such as every: 1s"));
        }
        let timeout = self.timeout.max(channel.map(Transport::timeout))?;
        (every.0 < timeout.0).then(|| {
            let message =
                format!("watchdog every {every} is too short for the line: an answer that is missing takes it for {timeout}");
            (message, "use a longer time, or shorten `timeout` of the channel and the device")
        })
    }
}

/// What to do about a watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is to be fed now.
    Feed,
    /// Not before this moment.
    At(Instant),
    /// It should be fed, but the arbiter is silent: to be looked at again then.
    Held(Instant),
    /// It was not fed in time: the device may have dropped its outputs.
    Late,
    /// Nothing; it is not armed, or needs no feeding.
    None,
}

/// When the watchdog of one device is fed.
#[derive(Debug, Clone)]
pub struct Guard {
    every: Duration,
    feeds: usize,
    next: usize,
    /// Since it was armed: when it was fed last, and is to be next.
    armed: Option<Fed>,
}

#[derive(Debug, Clone, Copy)]
struct Fed {
    last: Instant,
    due: Instant,
}

impl Guard {
    /// A watchdog that is not armed.
    #[must_use]
    pub fn new(watchdog: &Watchdog) -> Self {
        Self { every: watchdog.every, feeds: watchdog.feed.len(), next: 0, armed: None }
    }

    /// Whether it is armed, as far as the gateway knows.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// It has been armed; returns whether it was not before. The first feed is due at once.
    pub fn arm(&mut self, now: Instant) -> bool {
        self.armed.replace(Fed { last: now, due: now }).is_none()
    }

    /// It is not armed any more, or nobody knows.
    pub fn lose(&mut self) {
        self.armed = None;
    }

    /// What is to be done; `alive` says whether the arbiter is.
    #[must_use]
    pub fn turn(&self, now: Instant, alive: bool) -> Turn {
        match self.armed.filter(|_| self.feeds > 0) {
            None => Turn::None,
            Some(fed) if now < fed.due => Turn::At(fed.due),
            Some(_) if !alive => Turn::Held(now + BEAT),
            Some(fed) if self.is_late(fed, now) => Turn::Late,
            Some(_) => Turn::Feed,
        }
    }

    /// Which of the writes that feed it is next.
    #[must_use]
    pub const fn next(&self) -> usize {
        self.next
    }

    /// It was fed by a write that took from `begun` until `now`; returns whether that was in time.
    pub fn fed(&mut self, begun: Instant, now: Instant) -> bool {
        self.next = (self.next + 1) % self.feeds.max(1);
        let Some(before) = self.armed.replace(Fed { last: begun, due: begun + self.every }) else {
            // It was lost meanwhile.
            self.armed = None;
            return true;
        };
        !self.is_late(before, now)
    }

    /// The device did not take the feed: it is tried again soon.
    pub fn missed(&mut self, now: Instant) {
        if let Some(fed) = &mut self.armed {
            fed.due = now + self.every / 4;
        }
    }

    fn is_late(&self, fed: Fed, now: Instant) -> bool {
        now.saturating_duration_since(fed.last) > self.every * 2
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
