//! The stand-in for a channel: reads what the case gives, takes writes and confirms them by reading back.
//!
//! A value is read when the case gives it and then again every `poll`, as a driver would. A write to a device
//! that is online is taken at once and read back; to one that is offline it fails. Absent: wires, so that
//! nothing takes time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Happened, MAX_EVENTS, WriteSeen};
use crate::alarm::Engine;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::cases::{Case, Signal};
use crate::driver::{WriteJob, WriteQueue};
use crate::model::{Outcome, Point, PointId, Quality, Reading, Reason, Stamp, Value};

/// How often a point with `poll: 0s`, as fast as the line allows, is read here.
pub(super) const LEAST_POLL: Duration = Duration::from_millis(100);

/// What all stand-ins share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) bus: Arc<Bus>,
    pub(super) alarms: Arc<Engine>,
    pub(super) commander: Commander,
    pub(super) clock: Clock,
    pub(super) begun: Instant,
    pub(super) happened: Arc<Mutex<Happened>>,
    /// Before this, outputs take their safe states and nothing else happens.
    pub(super) started: CancellationToken,
    pub(super) shutdown: CancellationToken,
}

/// What happens to the channel, by time.
enum Step {
    Reads(PointId, Signal),
    Link(Arc<str>, bool),
}

struct Own {
    id: PointId,
    device: Arc<str>,
    poll: Duration,
    readable: bool,
    online: bool,
    signal: Signal,
    /// When it is read next; `None` while nothing is to be read.
    due: Option<Instant>,
}

pub(super) struct StandIn {
    around: Surroundings,
    writes: Arc<WriteQueue>,
    points: Vec<Own>,
    steps: VecDeque<(Instant, Step)>,
}

impl StandIn {
    /// The stand-in for the channel of these points.
    pub(super) fn new<'a>(
        around: Surroundings,
        writes: Arc<WriteQueue>,
        points: impl Iterator<Item = &'a Point>,
        case: &Case,
    ) -> Self {
        let own = |point: &Point| Own {
            id: point.id,
            device: Arc::clone(&point.device),
            poll: point.poll.max(LEAST_POLL),
            readable: point.access.readable(),
            online: true,
            signal: Signal::Silent,
            due: None,
        };
        let points: Vec<Own> = points.map(own).collect();
        let begun = around.begun;
        let links = case.links.iter().filter(|link| points.iter().any(|own| own.device == link.device));
        let links = links.map(|link| (begun + link.at, Step::Link(Arc::clone(&link.device), link.online)));
        let given = case.given.iter().filter(|given| points.iter().any(|own| own.id == given.point));
        let given = given.map(|given| (begun + given.at, Step::Reads(given.point, given.signal.clone())));
        let mut steps: Vec<_> = links.chain(given).collect();
        steps.sort_by_key(|(at, _)| *at);
        Self { around, writes, points, steps: steps.into() }
    }

    /// Runs until the end of the case.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::new();
        let started = self.around.started.clone();
        loop {
            let now = self.around.clock.stamp();
            let running = started.is_cancelled();
            if running {
                self.take_steps(now, &mut batch);
            }
            self.serve(now, &mut batch);
            self.read(now, &mut batch);
            self.publish(&mut batch);
            let due = self.points.iter().filter_map(|own| own.due);
            let step = self.steps.front().filter(|_| running).map(|(at, _)| *at);
            let next = due.chain(step).min();
            let rest = async {
                match next {
                    Some(moment) => tokio::time::sleep_until(moment.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = rest => {}
                () = self.writes.pushed() => {}
                () = started.cancelled(), if !running => {}
                () = self.around.shutdown.cancelled() => return,
            }
        }
    }

    fn take_steps(&mut self, now: Stamp, batch: &mut Vec<Reading>) {
        while self.steps.front().is_some_and(|(at, _)| *at <= now.mono) {
            let Some((_, step)) = self.steps.pop_front() else { return };
            match step {
                Step::Reads(point, signal) => {
                    let Some(own) = self.points.iter_mut().find(|own| own.id == point) else { continue };
                    own.due = (signal != Signal::Silent).then_some(now.mono);
                    own.signal = signal;
                    // Two readings of one moment are two readings.
                    if let Some(reading) = own.reading(now) {
                        batch.push(reading);
                        self.publish(batch);
                    }
                }
                Step::Link(device, online) => {
                    for own in self.points.iter_mut().filter(|own| own.device == device) {
                        own.online = online;
                        if own.signal != Signal::Silent {
                            own.due = Some(now.mono);
                        }
                    }
                    self.read(now, batch);
                    self.publish(batch);
                    self.around.alarms.link(&device, online);
                    self.around.commander.link(&device, online);
                }
            }
        }
    }

    /// Adds the readings that are due.
    fn read(&mut self, now: Stamp, batch: &mut Vec<Reading>) {
        for own in self.points.iter_mut().filter(|own| own.due.is_some_and(|due| due <= now.mono)) {
            batch.extend(own.reading(now));
        }
    }

    fn publish(&self, batch: &mut Vec<Reading>) {
        if !batch.is_empty() {
            self.happened().readings += batch.len() as u64;
            self.around.bus.publish(batch);
            batch.clear();
        }
    }

    fn happened(&self) -> std::sync::MutexGuard<'_, Happened> {
        self.around.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&mut self, now: Stamp, batch: &mut Vec<Reading>) {
        while let Some(job) = self.writes.pop(now.mono) {
            let outcome = self.write(&job, now, batch);
            // The read-back is an ordinary reading, and comes before the outcome.
            self.publish(batch);
            job.finish(outcome);
        }
    }

    fn write(&mut self, job: &WriteJob, now: Stamp, batch: &mut Vec<Reading>) -> Outcome {
        let Some(own) = self.points.iter_mut().find(|own| own.id == job.point) else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        if !own.online {
            return Outcome::Failed("the device is offline".into());
        }
        let seen = WriteSeen {
            at: now.mono.saturating_duration_since(self.around.begun),
            point: job.point,
            value: job.setpoint.clone(),
        };
        own.take(job.setpoint.clone(), now);
        let readable = own.readable;
        batch.extend(own.reading(now));
        let mut happened = self.happened();
        match happened.writes.len() {
            MAX_EVENTS => happened.overflowed = true,
            _ => happened.writes.push(seen),
        }
        match readable {
            true => Outcome::Verified { read_back: job.setpoint.clone() },
            false => Outcome::Confirmed,
        }
    }
}

impl Own {
    fn take(&mut self, value: Value, now: Stamp) {
        self.signal = Signal::Reads(Some(value), Quality::Good);
        self.due = Some(now.mono);
    }

    /// The reading of now, after which the next is due.
    fn reading(&mut self, now: Stamp) -> Option<Reading> {
        let Signal::Reads(value, quality) = &self.signal else {
            self.due = None;
            return None;
        };
        self.due = self.readable.then_some(now.mono + self.poll);
        if !self.readable {
            return None;
        }
        match self.online {
            true => Some(Reading { point: self.id, value: value.clone(), quality: *quality, at: now }),
            false => Some(Reading::bad(self.id, Reason::NoConnection, now)),
        }
    }
}
