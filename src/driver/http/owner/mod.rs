//! The owner task of one HTTP channel: the only one that speaks to its host.
//!
//! Its turns: writes first, then the poll or identification whose turn it is. While the host is silent, one
//! request goes out after each growing pause, and everything else rests. `poll` reads and publishes,
//! `identify` compares the device with what it should be, `write` serves commands. Invariant: no failure of
//! a device ends the task.

mod identify;
mod poll;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::planner::{Job, jobs};
use super::wire::{Client, Failure, Terms};
use super::wut::{PortInfo, REFRESH};
use super::{Plan, Request};
use crate::driver::http::extract::Reply;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::{ChannelContext, Outage, Precedence, Reach};
use crate::model::{Outcome, PointId, Reading, Reason};

/// What has its turns.
enum Task {
    /// A request of the poll set; `fault` is what has been reported of it and still stands.
    Poll { job: Job, fault: Option<Failure> },
    /// The identification of a device.
    Identify(usize),
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
    client: Client,
    tasks: Vec<Task>,
    schedule: Schedule,
    places: HashMap<PointId, Place>,
    /// By device, its terminals; `None` while they are not known.
    terminals: Vec<Option<PortInfo>>,
    /// By device, the complaints that the log has.
    complaints: Vec<HashSet<String>>,
    reach: Reach,
    precedence: Precedence,
    readings: Vec<Reading>,
}

impl Owner {
    pub(super) fn new(plan: Arc<Plan>, context: ChannelContext) -> Self {
        let now = context.clock.mono();
        let mut schedule = Schedule::default();
        let mut tasks = Vec::new();
        let known = plan.devices.iter().enumerate();
        for (device, _) in known.filter(|(_, this)| this.is_web_io() || this.config.identify.is_some()) {
            schedule.add(REFRESH, now, now);
            tasks.push(Task::Identify(device));
        }
        let jobs = jobs(&plan);
        let periods: Vec<Duration> = jobs.iter().map(|job| job.period).collect();
        schedule.add_spread(&periods, now);
        tasks.extend(jobs.into_iter().map(|job| Task::Poll { job, fault: None }));
        let places = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            let points = this.points.iter().enumerate();
            points.map(move |(point, wired)| (wired.id, Place { device, point }))
        });
        Self {
            client: Client::new(plan.config.clone()),
            tasks,
            schedule,
            places: places.collect(),
            terminals: vec![None; plan.devices.len()],
            complaints: vec![HashSet::new(); plan.devices.len()],
            reach: Reach::default(),
            precedence: Precedence::default(),
            readings: Vec::new(),
            plan,
            context,
        }
    }

    /// Runs until the channel is told to stop.
    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let now = self.context.clock.mono();
        let turn = self.reach.next_turn(&mut self.schedule, now);
        let due = matches!(turn, Turn::Run(_));
        if let Some(job) = self.precedence.next_write(&self.context.writes, now, due) {
            return self.write(job).await;
        }
        match turn {
            Turn::Run(id) => self.run_task(id).await,
            Turn::Wait(until) => self.context.rest(Some(until)).await,
            Turn::Idle => self.context.rest(None).await,
        }
    }

    async fn run_task(&mut self, id: EntryId) {
        let begun = self.context.clock.mono();
        // What is under way is given up at once when the channel stops; a poll changes nothing.
        let shutdown = self.context.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = async {
                match &self.tasks[id.index()] {
                    Task::Poll { .. } => self.poll(id.index()).await,
                    Task::Identify(device) => self.identify(id, *device).await,
                }
            } => {}
        }
        let now = self.context.clock.mono();
        if !self.reach.is_down() {
            let missed = self.schedule.done(id, begun, now);
            self.context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
        } else if let Task::Poll { job, .. } = &self.tasks[id.index()] {
            // The others get their turns, too: one page may hang while the rest answers.
            self.schedule.defer(id, now, job.period);
        }
    }

    /// One exchange with everything that it teaches: counters, and whether the host answers.
    async fn exchange(&mut self, device: usize, request: &Request, terms: Terms) -> Result<Reply, Failure> {
        let plan = Arc::clone(&self.plan);
        let begun = self.context.clock.mono();
        let result = self.client.exchange(&plan.devices[device], request, terms).await;
        let took = self.context.clock.mono().saturating_duration_since(begun);
        self.context.stats.add_busy(took);
        self.count(device, &result, took);
        match &result {
            Ok(_) | Err(Failure::Status(_)) => self.host_answers(),
            Err(Failure::Expired) => {}
            Err(failure) => self.host_fails(failure),
        }
        result
    }

    fn count(&self, device: usize, result: &Result<Reply, Failure>, took: Duration) {
        let stats = &self.context.stats.devices[device];
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match result {
            Err(Failure::Expired) => return,
            Err(Failure::Timeout) => add(&stats.timeouts),
            Err(Failure::Malformed(_)) => add(&stats.malformed),
            Err(Failure::Status(_)) => add(&stats.exceptions),
            Ok(_) | Err(Failure::Connect(_) | Failure::Lost(_)) => 0,
        };
        add(&stats.requests);
        if matches!(result, Ok(_) | Err(Failure::Status(_))) {
            stats.record_round_trip(took);
            stats.answered(self.context.clock.stamp());
        }
    }

    fn host_answers(&mut self) {
        if self.reach.answered(&self.context) {
            // It may be another device that has taken the address.
            self.identify_again();
        }
    }

    /// A host that cannot be connected to is down at once.
    fn host_fails(&mut self, failure: &Failure) {
        if self.reach.failed(&self.context, matches!(failure, Failure::Connect(_))) == Outage::Begins {
            tracing::warn!(channel = %self.plan.name, address = %self.plan.config.address, reason = %failure, "host down");
            self.publish_all_bad(failure.reason());
        }
    }

    fn publish_all_bad(&mut self, reason: Reason) {
        let at = self.context.clock.stamp();
        let points = self.plan.devices.iter().flat_map(|device| &device.points);
        let readable = points.filter(|point| point.access.readable());
        self.readings.extend(readable.map(|point| Reading::bad(point.id, reason, at)));
        self.flush();
    }

    fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }

    /// Ends a command whose point is not here.
    fn unknown_point() -> Outcome {
        Outcome::Failed("the point is not on this channel".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bus;
    use crate::driver::LinkState;
    use crate::driver::http::{Device, DeviceConfig, ExtractConfig, HttpConfig, Point, PointConfig};
    use crate::driver::reach::RETRY;
    use crate::model::{Access, Conversion, PointTable, Quality};

    /// An owner of one thermometer that is polled each hour.
    fn owner() -> Owner {
        let config: HttpConfig = serde_yaml::from_str("{ address: 192.0.2.1 }").unwrap();
        let written: PointConfig = serde_yaml::from_str("{ get: /t }").unwrap();
        let point = Point {
            id: PointId(0),
            wiring: written.wiring(&ExtractConfig::default(), &DeviceConfig::default(), true, false).unwrap(),
            conversion: Conversion::default(),
            poll: Duration::from_secs(3600),
            access: Access::R,
            tolerance: 0.0,
        };
        let (name, config_of) = ("d".into(), DeviceConfig::default());
        let device = Device { name, model: "d".into(), config: config_of, points: vec![point] };
        let plan = Arc::new(Plan { name: "c".into(), config, devices: vec![device] });
        let table = PointTable::new(vec![crate::model::point::tests::point("t")]);
        let bus = Bus::new(Arc::new(table), Vec::new());
        Owner::new(plan, ChannelContext::plain(bus, "c", ["d".into()]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_host_is_tried_again_within_a_second_however_long_it_was_away() {
        let mut owner = owner();
        owner.host_fails(&Failure::Timeout);
        assert!(!owner.reach.is_down(), "one lost answer is no outage");
        for _ in 0..50 {
            owner.host_fails(&Failure::Timeout);
            let now = owner.context.clock.mono();
            let Turn::Wait(until) = owner.reach.next_turn(&mut owner.schedule, now) else {
                panic!("there is a pause")
            };
            assert!(until - now <= RETRY.1);
            tokio::time::advance(until - now).await;
            assert!(
                matches!(owner.reach.next_turn(&mut owner.schedule, until), Turn::Run(_)),
                "its hour does not count"
            );
        }
        let bad = owner.context.bus.latest(PointId(0)).quality;
        assert_eq!(bad, Quality::Bad(Reason::Timeout));
        owner.host_answers();
        assert!(!owner.reach.is_down());
        assert_eq!(owner.context.stats.reconnects.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_cannot_be_reached_is_down_at_once() {
        let mut owner = owner();
        owner.host_fails(&Failure::Connect("refused".into()));
        assert!(owner.reach.is_down());
        assert_eq!(owner.context.stats.link.get(), LinkState::Offline);
        assert_eq!(owner.context.bus.latest(PointId(0)).quality, Quality::Bad(Reason::NoConnection));
    }
}
