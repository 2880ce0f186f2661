//! The owner task of one line: the only one that speaks on it.
//!
//! Its turns: writes first, then the question whose turn it is; in between it listens. While the port is gone,
//! it is opened again after growing pauses; an instrument that is silent is asked ever more seldom, so that it
//! costs the others little. `exchange` is one question, `poll` and `write` what becomes of it. Invariant: no
//! failure of an instrument ends the task.

mod exchange;
mod poll;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::config::Terminator;
use super::link::Link;
use super::wire::Lines;
use super::{Plan, Source};
use crate::backoff::Backoff;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::{ChannelContext, LinkState, Precedence};
use crate::model::{Outcome, PointId, Reading, Reason};
use exchange::Failure;

/// Pauses between tries: short, so that what comes back is seen within two seconds.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A silent instrument among others may take this share of the line's time: one part in so many.
const SILENT_SHARE: u32 = 10;

/// So many questions in a row without an answer take an instrument offline.
const FAILURES: u32 = 2;

/// How long nothing comes at the end of a line, where that is not said.
const SILENCE: Duration = Duration::from_millis(50);

/// One question with all points that its answer holds.
struct Job {
    device: usize,
    ask: String,
    period: Duration,
    points: Vec<usize>,
    /// What has been told of it and still stands.
    fault: Option<Failure>,
}

/// What is known of an instrument.
struct Health {
    failures: u32,
    backoff: Backoff,
}

/// The owner and all it knows.
pub(super) struct Owner {
    plan: Arc<Plan>,
    context: ChannelContext,
    link: Option<Link>,
    lines: Lines,
    jobs: Vec<Job>,
    schedule: Schedule,
    /// By point, its device and its place there.
    places: HashMap<PointId, (usize, usize)>,
    health: Vec<Health>,
    /// How lines end that come unasked; `None` when nobody listens.
    listens: Option<(Terminator, Duration)>,
    backoff: Backoff,
    /// The port could not be opened before this moment's try.
    closed_until: Option<Instant>,
    /// Until then, what comes is late.
    late_until: Option<Instant>,
    precedence: Precedence,
    readings: Vec<Reading>,
}

impl Owner {
    pub(super) fn new(plan: Arc<Plan>, context: ChannelContext) -> Self {
        let jobs = jobs(&plan);
        let mut schedule = Schedule::default();
        let periods: Vec<Duration> = jobs.iter().map(|job| job.period).collect();
        schedule.add_spread(&periods, context.clock.mono());
        let places = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            this.points.iter().enumerate().map(move |(place, point)| (point.id, (device, place)))
        });
        let longest = match plan.devices.len() {
            0 | 1 => RETRY.1,
            _ => RETRY.1.max(plan.transport.timeout().0 * SILENT_SHARE),
        };
        let health =
            plan.devices.iter().map(|_| Health { failures: 0, backoff: Backoff::new(RETRY.0, longest) });
        let mut listeners = plan.devices.iter().filter(|device| {
            device.points.iter().any(|point| matches!(point.wiring.source, Source::Listen(_)))
        });
        let listens = listeners.next().map(|device| (device.config.terminator, device.config.silence()));
        Self {
            link: None,
            lines: Lines::default(),
            schedule,
            places: places.collect(),
            health: health.collect(),
            listens,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            closed_until: None,
            late_until: None,
            precedence: Precedence::default(),
            readings: Vec::new(),
            jobs,
            plan,
            context,
        }
    }

    /// Runs until the channel is told to stop.
    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            match self.link {
                Some(_) => self.turn().await,
                None => self.open().await,
            }
        }
    }

    /// Opens the port, or waits for the next try; commands are answered meanwhile.
    async fn open(&mut self) {
        let now = self.context.clock.mono();
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            while let Some(job) = self.context.writes.pop(now) {
                job.finish(Outcome::Failed(format!("{} is not open", self.plan.transport.endpoint())));
            }
            return self.context.rest(Some(until)).await;
        }
        let opened = tokio::select! {
            opened = Link::open(&self.plan.transport) => opened,
            () = self.context.shutdown.cancelled() => return,
        };
        match opened {
            Ok(link) => {
                let before = self.context.stats.link.set(LinkState::Online);
                self.context
                    .stats
                    .reconnects
                    .fetch_add(u64::from(before == LinkState::Offline), Ordering::Relaxed);
                if before != LinkState::Online {
                    tracing::info!(channel = %self.plan.name, port = self.plan.transport.endpoint(), "port open");
                }
                self.link = Some(link);
                self.lines.clear();
                (self.closed_until, self.late_until) = (None, None);
                (0..self.plan.devices.len()).for_each(|device| self.ask_again(device));
            }
            Err(error) => self.closed(&error.to_string()),
        }
    }

    /// The port is gone or cannot be opened.
    fn closed(&mut self, reason: &str) {
        self.link = None;
        let now = self.context.clock.mono();
        self.closed_until = Some(now + self.backoff.pause(fastrand::f64()));
        if self.context.stats.link.set(LinkState::Offline) == LinkState::Offline {
            return;
        }
        tracing::warn!(channel = %self.plan.name, reason, "port closed");
        for device in 0..self.plan.devices.len() {
            self.context.stats.devices[device].link.set(LinkState::Offline);
            self.publish_bad(device, Reason::NoConnection);
        }
    }

    async fn turn(&mut self) {
        let now = self.context.clock.mono();
        let turn = self.schedule.next(now);
        let due = matches!(turn, Turn::Run(_));
        if let Some(job) = self.precedence.next_write(&self.context.writes, now, due) {
            return self.write(job).await;
        }
        let until = match turn {
            Turn::Run(id) => return self.run_job(id).await,
            Turn::Wait(due) => Some(due),
            Turn::Idle => None,
        };
        let Some(link) = &mut self.link else { return };
        let came = tokio::select! {
            came = link.receive() => Some(came),
            () = self.context.rest(until) => None,
        };
        match came {
            Some(Ok(bytes)) => self.heard(&bytes).await,
            Some(Err(error)) => self.closed(&error.to_string()),
            None => {}
        }
    }

    async fn run_job(&mut self, id: EntryId) {
        let begun = self.context.clock.mono();
        // What is under way is given up at once when the channel stops; a question changes nothing.
        let shutdown = self.context.shutdown.clone();
        let failed = tokio::select! {
            () = shutdown.cancelled() => return,
            failed = self.poll(id.index()) => failed,
        };
        let device = self.jobs[id.index()].device;
        if !failed || self.health[device].failures < FAILURES {
            let missed = self.schedule.done(id, begun, self.context.clock.mono());
            self.context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
        }
    }

    /// The instrument has said something.
    fn answered(&mut self, device: usize) {
        let silent = self.health[device].failures >= FAILURES;
        self.health[device].failures = 0;
        self.health[device].backoff.reset();
        self.backoff.reset();
        let stats = &self.context.stats.devices[device];
        stats.answered(self.context.clock.stamp());
        if stats.link.set(LinkState::Online) != LinkState::Online {
            tracing::info!(channel = %self.plan.name, device = %self.plan.devices[device].name, "device online");
        }
        if silent {
            self.ask_again(device);
        }
    }

    /// The instrument has not answered.
    fn silent(&mut self, device: usize) {
        let health = &mut self.health[device];
        health.failures = health.failures.saturating_add(1);
        if health.failures < FAILURES {
            return;
        }
        let until = self.context.clock.mono() + health.backoff.pause(fastrand::f64());
        self.defer(device, until);
        if self.context.stats.devices[device].link.set(LinkState::Offline) == LinkState::Offline {
            return;
        }
        tracing::warn!(channel = %self.plan.name, device = %self.plan.devices[device].name, "device silent");
        self.publish_bad(device, Reason::Timeout);
    }

    /// All questions to the instrument are due at once.
    fn ask_again(&mut self, device: usize) {
        self.health[device].failures = 0;
        self.defer(device, self.context.clock.mono());
    }

    fn defer(&mut self, device: usize, until: Instant) {
        for (place, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.device == device) {
            self.schedule.defer(EntryId::of(place), until, job.period);
        }
    }

    fn publish_bad(&mut self, device: usize, reason: Reason) {
        let at = self.context.clock.stamp();
        let readable = self.plan.devices[device].points.iter().filter(|point| point.access.readable());
        self.readings.extend(readable.map(|point| Reading::bad(point.id, reason, at)));
        self.flush();
    }

    fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }
}

impl super::DeviceConfig {
    /// How long nothing comes at the end of a line.
    fn silence(&self) -> Duration {
        self.silence.map_or(SILENCE, |silence| silence.0)
    }
}

/// The questions of a plan: points of a device with one question and period share it.
fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (device, this) in plan.devices.iter().enumerate() {
        for (place, point) in this.points.iter().enumerate() {
            let Source::Ask(ask) = &point.wiring.source else { continue };
            let like = |job: &&mut Job| job.device == device && job.ask == *ask && job.period == point.poll;
            match jobs.iter_mut().find(like) {
                Some(job) => job.points.push(place),
                None => jobs.push(Job {
                    device,
                    ask: ask.clone(),
                    period: point.poll,
                    points: vec![place],
                    fault: None,
                }),
            }
        }
    }
    jobs
}
