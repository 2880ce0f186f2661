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
use std::time::{Duration, Instant};

use super::planner::{Job, jobs};
use super::wire::{Client, Failure, Terms};
use super::wut::{PortInfo, REFRESH};
use super::{Plan, Request};
use crate::backoff::Backoff;
use crate::driver::http::extract::Reply;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::{ChannelContext, LinkState};
use crate::model::{Outcome, PointId, Reading, Reason};

/// Pauses between tries while the host is silent: short, so that what comes back is seen within two seconds.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// So many requests in a row without an answer take the host offline; one that cannot be connected to is at once.
const FAILURES: u32 = 2;

/// After so many writes one poll that is due goes first, so that a flood of commands blinds nobody.
const MAX_WRITES_IN_ROW: u32 = 16;

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
    backoff: Backoff,
    /// Requests in a row without an answer.
    failures: u32,
    /// While the host is silent, when it is tried again.
    silent_until: Option<Instant>,
    readings: Vec<Reading>,
    writes_in_row: u32,
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
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failures: 0,
            silent_until: None,
            readings: Vec::new(),
            writes_in_row: 0,
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
        let turn = self.next_turn(now);
        let crowded = self.writes_in_row >= MAX_WRITES_IN_ROW && matches!(turn, Turn::Run(_));
        if !crowded && let Some(job) = self.context.writes.pop(now) {
            self.writes_in_row = self.writes_in_row.saturating_add(1);
            self.write(job).await;
            return;
        }
        self.writes_in_row = 0;
        let until = match turn {
            Turn::Run(id) => return self.run_task(id).await,
            Turn::Wait(due) => Some(due),
            Turn::Idle => None,
        };
        let sleep = async {
            match until {
                Some(moment) => tokio::time::sleep_until(moment.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = self.context.writes.pushed() => {}
            () = self.context.shutdown.cancelled() => {}
        }
    }

    /// While the host is silent, nothing runs before its pause is over; then whatever waits longest.
    fn next_turn(&mut self, now: Instant) -> Turn {
        match self.silent_until {
            Some(until) if until > now => Turn::Wait(until),
            _ => self.schedule.next(now),
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
        if self.silent_until.is_none() {
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
        let stats = &self.context.stats;
        let busy = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        stats.busy_us.fetch_add(busy, Ordering::Relaxed);
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
            let at = self.context.clock.stamp().unix_us;
            stats.last_answer_unix_us.store(u64::try_from(at).unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn host_answers(&mut self) {
        let lost = std::mem::take(&mut self.failures) > 0;
        self.context.stats.reconnects.fetch_add(u64::from(lost), Ordering::Relaxed);
        self.silent_until = None;
        self.backoff.reset();
        let before = self.context.stats.link.set(LinkState::Online);
        for (device, stats) in self.plan.devices.iter().zip(&self.context.stats.devices) {
            if stats.link.set(LinkState::Online) != LinkState::Online {
                tracing::info!(channel = %self.plan.name, device = %device.name, "device online");
            }
        }
        if before == LinkState::Offline {
            // It may be another device that has taken the address.
            self.identify_again();
        }
    }

    fn host_fails(&mut self, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES && !matches!(failure, Failure::Connect(_)) {
            return;
        }
        let now = self.context.clock.mono();
        self.silent_until = Some(now + self.backoff.pause(fastrand::f64()));
        if self.context.stats.link.set(LinkState::Offline) == LinkState::Offline {
            return;
        }
        tracing::warn!(channel = %self.plan.name, address = %self.plan.config.address, reason = %failure, "host down");
        self.context.stats.devices.iter().for_each(|stats| {
            stats.link.set(LinkState::Offline);
        });
        self.publish_all_bad(failure.reason());
    }

    fn is_down(&self) -> bool {
        self.silent_until.is_some()
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
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::driver::http::{Device, DeviceConfig, HttpConfig, Point, PointConfig};
    use crate::driver::{ChannelStats, Services, WriteQueue};
    use crate::model::{Access, Conversion, PointTable, Quality};

    /// An owner of one thermometer that is polled each hour.
    fn owner() -> Owner {
        let config: HttpConfig = serde_yaml::from_str("{ address: 192.0.2.1 }").unwrap();
        let written: PointConfig = serde_yaml::from_str("{ get: /t }").unwrap();
        let point = Point {
            id: PointId(0),
            wiring: written.wiring(&DeviceConfig::default(), true, false).unwrap(),
            conversion: Conversion::default(),
            poll: Duration::from_secs(3600),
            access: Access::R,
            tolerance: 0.0,
        };
        let (name, config_of) = ("d".into(), DeviceConfig::default());
        let device = Device { name, model: "d".into(), config: config_of, points: vec![point] };
        let plan = Arc::new(Plan { name: "c".into(), config, devices: vec![device] });
        let table = PointTable::new(vec![crate::model::point::tests::point("t")]);
        let context = ChannelContext {
            bus: Bus::new(Arc::new(table), Vec::new()),
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("c".into(), ["d".into()])),
            clock: Clock::system(),
            services: Services::default(),
            shutdown: CancellationToken::new(),
        };
        Owner::new(plan, context)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_host_is_tried_again_within_a_second_however_long_it_was_away() {
        let mut owner = owner();
        owner.host_fails(&Failure::Timeout);
        assert!(!owner.is_down(), "one lost answer is no outage");
        for _ in 0..50 {
            owner.host_fails(&Failure::Timeout);
            let now = owner.context.clock.mono();
            let Turn::Wait(until) = owner.next_turn(now) else { panic!("there is a pause") };
            assert!(until - now <= RETRY.1);
            tokio::time::advance(until - now).await;
            assert!(matches!(owner.next_turn(until), Turn::Run(_)), "its hour does not count");
        }
        let bad = owner.context.bus.latest(PointId(0)).quality;
        assert_eq!(bad, Quality::Bad(Reason::Timeout));
        owner.host_answers();
        assert!(!owner.is_down());
        assert_eq!(owner.context.stats.reconnects.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_cannot_be_reached_is_down_at_once() {
        let mut owner = owner();
        owner.host_fails(&Failure::Connect("refused".into()));
        assert!(owner.is_down());
        assert_eq!(owner.context.stats.link.get(), LinkState::Offline);
        assert_eq!(owner.context.bus.latest(PointId(0)).quality, Quality::Bad(Reason::NoConnection));
    }
}
