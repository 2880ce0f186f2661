//! The live stream's source: one task that prepares every event once, for all open pages.
//!
//! While no page is open it waits and has no queue at the bus, so readings cost it nothing. Otherwise it
//! gathers what changed for [`PERIOD`] and sends each point at most once, with its latest value.
//! Invariant: a page has joined before it takes its snapshot, so it misses nothing in between; should an
//! event that was being prepared meanwhile tell it something older, the next one sets that right.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::view;
use crate::bus::Subscription;
use crate::model::{PointId, Reading};

/// Readings go out at most this often.
pub(super) const PERIOD: Duration = Duration::from_millis(200);

/// How often devices and status go out; also the sign of life of the stream.
pub(super) const STATISTICS_PERIOD: Duration = Duration::from_secs(2);

/// How many events a page may fall behind before it is given a new snapshot.
pub(super) const MAX_BEHIND: usize = 16;

/// Bounds of the queue at the bus, in readings; between them four for each point.
const BUS_QUEUE: (usize, usize) = (1 << 10, 1 << 16);

/// How many pages may wait to join at one moment.
const MAX_JOINING: usize = 64;

type Join = oneshot::Sender<broadcast::Receiver<Bytes>>;

/// How streams reach the task.
#[derive(Debug, Clone)]
pub(super) struct Hub {
    joins: mpsc::Sender<Join>,
}

/// The task's end of the handle.
pub(super) struct Task {
    joins: mpsc::Receiver<Join>,
    events: broadcast::Sender<Bytes>,
}

impl Hub {
    /// A handle and the task that serves it.
    #[must_use]
    pub(super) fn new() -> (Self, Task) {
        let (sender, joins) = mpsc::channel(MAX_JOINING);
        (Self { joins: sender }, Task { joins, events: broadcast::Sender::new(MAX_BEHIND) })
    }

    /// Joins the live events. `None` when the page is being shut down.
    pub(super) async fn join(&self) -> Option<broadcast::Receiver<Bytes>> {
        let (reply, joined) = oneshot::channel();
        self.joins.send(reply).await.ok()?;
        joined.await.ok()
    }
}

impl Task {
    /// Runs until `shutdown`.
    pub(super) async fn run(mut self, app: Arc<App>, shutdown: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = shutdown.cancelled() => return,
                join = self.joins.recv() => join,
            };
            let Some(first) = first else { return };
            let live = Live::new(&app);
            let _ = first.send(self.events.subscribe());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.fan_out(&app, live) => {}
            }
        }
    }

    /// Sends events until no page is open.
    async fn fan_out(&mut self, app: &App, mut live: Live) {
        let mut readings = ticker(PERIOD);
        let mut statistics = ticker(STATISTICS_PERIOD);
        let mut alarms = app.context.alarm_changes.clone();
        let mut alarms_open = true;
        while self.events.receiver_count() > 0 {
            tokio::select! {
                Some(join) = self.joins.recv() => {
                    let _ = join.send(self.events.subscribe());
                }
                changed = alarms.changed(), if alarms_open => {
                    alarms_open = changed.is_ok();
                    self.send(event("alarms", &app.alarm_views(&app.alarms())));
                }
                _ = readings.tick() => {
                    if let Some(event) = live.readings(app) {
                        self.send(event);
                    }
                }
                _ = statistics.tick() => {
                    let state = app.state();
                    self.send(event("devices", &state.devices(app)));
                    self.send(event("status", &state.status(app)));
                }
            }
        }
    }

    /// Hands an event to every page. That none is left is noticed by the caller.
    fn send(&self, event: Bytes) {
        let _ = self.events.send(event);
    }
}

fn ticker(period: Duration) -> Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// What changed since the last event.
struct Live {
    subscription: Subscription,
    gathered: Vec<Reading>,
    changed: Vec<bool>,
    lost: u64,
}

impl Live {
    fn new(app: &App) -> Self {
        let points = app.context.bus.points().len();
        let capacity = points.saturating_mul(4).clamp(BUS_QUEUE.0, BUS_QUEUE.1);
        let subscription = app.context.bus.subscribe(capacity);
        Self { subscription, gathered: Vec::new(), changed: vec![false; points], lost: 0 }
    }

    /// The event for everything that changed, if anything did. Values come from the bus's table, where
    /// they may already be newer than the reading that announced them.
    fn readings(&mut self, app: &App) -> Option<Bytes> {
        self.gathered.clear();
        self.subscription.recv(&mut self.gathered).now_or_never();
        self.note_losses();
        let now = app.context.clock.mono();
        let mut data = Vec::new();
        for reading in &self.gathered {
            if let Some(flag) = self.changed.get_mut(reading.point.index()) {
                *flag = true;
            }
        }
        for (index, flag) in self.changed.iter_mut().enumerate().filter(|(_, flag)| **flag) {
            *flag = false;
            let id = u32::try_from(index).unwrap_or(u32::MAX);
            data.push(if data.is_empty() { b'[' } else { b',' });
            view::write_reading(id, &app.context.bus.latest(PointId(id)), now, &mut data);
        }
        if data.is_empty() {
            return None;
        }
        data.push(b']');
        Some(frame("readings", &data))
    }

    /// After the queue overflowed, nobody knows which points changed: all of them are sent.
    fn note_losses(&mut self) {
        let lost = self.subscription.dropped();
        if lost > self.lost {
            self.lost = lost;
            self.changed.fill(true);
        }
    }
}

/// One event of the stream, with `data` as JSON.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    match serde_json::to_vec(data) {
        Ok(json) => frame(name, &json),
        Err(error) => {
            tracing::error!(event = name, error = %error, "a live event could not be written");
            Bytes::new()
        }
    }
}

/// JSON never holds a line break outside escapes, so one `data:` line is always enough.
fn frame(name: &str, json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(name.len() + json.len() + 16);
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_whatever_the_text_holds() {
        let event = event("alarms", &"a\nb\r\n\u{2028}c");
        let text = std::str::from_utf8(&event).unwrap();
        assert!(text.starts_with("event: alarms\ndata: \"a\\nb\\r\\n"));
        assert_eq!(text.matches(['\n', '\r']).count(), 3);
    }
}
