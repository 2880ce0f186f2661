//! The owner task of one bus: decides what its thread does next and makes readings of what comes back.
//!
//! Writes go first, then what a device has been working on, then the poll whose turn it is. A device that
//! fails is asked again within a second, unless its failures take the bus long; then it pays with a rest.
//! Invariant: nothing here blocks, and no failure of a device or bus ends the task.

mod poll;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bench::{Bench, Fault};
use super::thread::{Answer, Ask, Worker};
use super::{Plan, Point};
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::{ChannelContext, LinkState, Precedence};
use crate::model::{PointId, Reading, Reason};

/// How long an access may take before the bus counts as stuck. The longest regular one is a 1-Wire
/// conversion that the kernel tries five times because of checksums: 5 × 750 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// A device that fails is asked again after this time at the latest, so that what comes back is seen soon.
const RETRY: Duration = Duration::from_secs(1);

/// While others work, a device that fails rests so many times as long as its failure took.
const REST: u32 = 10;

/// The longest of such rests.
const MAX_REST: Duration = Duration::from_secs(60);

/// Points of one device that are read together.
#[derive(Debug)]
struct Job {
    device: usize,
    points: Vec<usize>,
    period: Duration,
    /// When its reading began, while the device works on it.
    begun: Option<Instant>,
}

/// Where a point is.
#[derive(Clone, Copy)]
struct Place {
    device: usize,
    point: usize,
}

/// The owner and all it knows.
pub(super) struct Owner {
    plan: Arc<Plan>,
    context: ChannelContext,
    /// `None` when the system gave no thread.
    worker: Option<Worker>,
    jobs: Vec<Job>,
    schedule: Schedule,
    /// Jobs whose devices are at work, and when to ask them again.
    later: Vec<(Instant, usize)>,
    /// By device, the job that it works on: others of the same device wait for it.
    at_work: Vec<Option<usize>>,
    places: HashMap<PointId, Place>,
    /// By device, what is wrong with it and has been logged.
    faults: Vec<Option<Fault>>,
    /// When the access began that has not come back.
    stuck: Option<Instant>,
    precedence: Precedence,
    readings: Vec<Reading>,
}

impl Owner {
    pub(super) fn new(plan: Arc<Plan>, bench: Box<dyn Bench>, context: ChannelContext) -> Self {
        let now = context.clock.mono();
        let jobs = jobs(&plan);
        let mut schedule = Schedule::default();
        let periods: Vec<Duration> = jobs.iter().map(|job| job.period).collect();
        schedule.add_spread(&periods, now);
        let places = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            let points = this.points.iter().enumerate();
            points.map(move |(point, wired)| (wired.id, Place { device, point }))
        });
        let worker = Worker::start(&plan.name, bench)
            .map_err(|error| tracing::error!(channel = %plan.name, %error, "no thread for the bus"));
        Self {
            worker: worker.ok(),
            jobs,
            schedule,
            later: Vec::new(),
            at_work: vec![None; plan.devices.len()],
            places: places.collect(),
            faults: vec![None; plan.devices.len()],
            stuck: None,
            precedence: Precedence::default(),
            readings: Vec::new(),
            plan,
            context,
        }
    }

    /// Runs until the channel is told to stop, or the bus's thread has failed.
    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() && self.worker.is_some() {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        if self.stuck.is_some() {
            return self.wait_for_release().await;
        }
        let now = self.context.clock.mono();
        let turn = self.next_turn(now);
        let due = !matches!(turn, Next::Wait(_));
        if let Some(job) = self.precedence.next_write(&self.context.writes, now, due) {
            return self.write(job).await;
        }
        match turn {
            Next::Continue(job) => self.poll(job).await,
            Next::Run(id) => self.begin(id).await,
            Next::Wait(until) => self.context.rest(until).await,
        }
    }

    fn next_turn(&mut self, now: Instant) -> Next {
        if let Some(at) = self.later.iter().position(|(due, _)| *due <= now) {
            return Next::Continue(self.later.swap_remove(at).1);
        }
        let soonest = self.later.iter().map(|(due, _)| *due).min();
        match self.schedule.next(now) {
            Turn::Run(id) => Next::Run(id),
            Turn::Wait(due) => Next::Wait(Some(soonest.map_or(due, |soonest| soonest.min(due)))),
            Turn::Idle => Next::Wait(soonest),
        }
    }

    /// One access. `None` when there is no answer yet or the channel stops; the bus is stuck then.
    async fn access(&mut self, ask: Ask) -> Option<Answer> {
        let begun = self.context.clock.mono();
        let worker = self.worker.as_mut()?;
        worker.ask(ask);
        let shutdown = self.context.shutdown.clone();
        let answer = tokio::select! {
            answer = worker.answer() => answer,
            () = tokio::time::sleep(PATIENCE) => {
                self.stuck = Some(begun);
                None
            }
            () = shutdown.cancelled() => return None,
        };
        let took = self.context.clock.mono().saturating_duration_since(begun);
        self.context.stats.add_busy(took);
        if answer.is_none() && self.stuck.is_none() {
            // The thread has ended: a defect. The channel ends, is marked bad and started again.
            self.worker = None;
        }
        if self.stuck.is_some() {
            self.bus_hangs();
        }
        answer
    }

    /// Every point of the bus is unknown while an access does not come back.
    fn bus_hangs(&mut self) {
        tracing::error!(channel = %self.plan.name, bus = %self.plan.place, "the bus hangs: an access does not come back");
        self.context.stats.link.set(LinkState::Offline);
        let fault = Fault::Late("the bus hangs".into());
        for device in 0..self.plan.devices.len() {
            self.context.stats.devices[device].link.set(LinkState::Offline);
            self.faults[device] = Some(fault.clone());
        }
        let at = self.context.clock.stamp();
        let points = self.plan.devices.iter().flat_map(|device| &device.points);
        let readable = points.filter(|point| point.access.readable());
        self.readings.extend(readable.map(|point| Reading::bad(point.id, Reason::Timeout, at)));
        self.flush();
    }

    /// Until the access that hangs comes back, commands are refused and nothing else is tried.
    async fn wait_for_release(&mut self) {
        self.context.writes.refuse_all("the bus hangs");
        let Some(worker) = self.worker.as_mut() else { return };
        tokio::select! {
            answer = worker.answer() => {
                let begun = self.stuck.take();
                let took = begun.map(|begun| self.context.clock.mono().saturating_duration_since(begun));
                tracing::warn!(channel = %self.plan.name, after = ?took, "the bus answers again");
                self.context.stats.reconnects.fetch_add(1, Ordering::Relaxed);
                for job in &mut self.jobs {
                    job.begun = None;
                }
                self.later.clear();
                self.at_work.fill(None);
                if answer.is_none() {
                    self.worker = None;
                }
            }
            () = self.context.rest(None) => {}
        }
    }

    fn point(&self, place: Place) -> &Point {
        &self.plan.devices[place.device].points[place.point]
    }

    fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }
}

/// What to do now.
enum Next {
    /// Ask a device again that works on this job.
    Continue(usize),
    /// Begin the job of this entry.
    Run(EntryId),
    /// Nothing before this moment.
    Wait(Option<Instant>),
}

/// What is read together: a device's points of one period.
fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (device, this) in plan.devices.iter().enumerate() {
        let mut groups: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
        for (place, point) in this.points.iter().enumerate().filter(|(_, point)| point.access.readable()) {
            groups.entry(point.poll).or_default().push(place);
        }
        let own = groups.into_iter().map(|(period, points)| Job { device, points, period, begun: None });
        jobs.extend(own);
    }
    jobs
}

#[cfg(test)]
mod tests;
