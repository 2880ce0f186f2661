//! The owner task of one SNMP agent: the only one that speaks to it.
//!
//! Its turns: the request whose turn it is, one at a time. While the agent is silent, one request goes out after
//! each growing pause, without repetitions, and everything else rests. `poll` asks and publishes. Invariant: no
//! failure of an agent ends the task, and another agent's task never waits for it.

mod poll;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::counter::Follower;
use super::planner::{Job, jobs};
use super::wire::{Answer, Failure, Link};
use super::{Oid, Plan, config};
use crate::backoff::Backoff;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::totals::Totals;
use crate::driver::{ChannelContext, LinkState};
use crate::model::{Outcome, PointId, Reading, Reason};

/// Pauses between tries while the agent is silent: with a timeout of a second, what comes back is seen within two.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// So many requests in a row without an answer take the agent offline.
const FAILURES: u32 = 2;

/// An object that the agent does not have is asked for again after this time.
const ABSENT: Duration = Duration::from_secs(60);

/// How often totals are written.
const SAVE: Duration = Duration::from_secs(60);

/// A request of the poll set.
struct Task {
    job: Job,
    /// What has been reported of it and still stands.
    fault: Option<Failure>,
}

/// The owner and all it knows.
pub(super) struct Owner {
    plan: Arc<Plan>,
    context: ChannelContext,
    link: Link,
    tasks: Vec<Task>,
    schedule: Schedule,
    /// How many objects the agent can answer at once.
    most: usize,
    /// Whether the agent says how long it has run.
    has_uptime: bool,
    /// Objects that the agent does not have, and when they are asked for again.
    absent: HashMap<PointId, Instant>,
    followers: HashMap<PointId, Follower>,
    totals: Totals,
    save_at: Instant,
    save_failed: bool,
    backoff: Backoff,
    /// Requests in a row without an answer.
    failures: u32,
    /// While the agent is silent, when it is tried again.
    silent_until: Option<Instant>,
    readings: Vec<Reading>,
}

impl Owner {
    pub(super) fn new(plan: Arc<Plan>, context: ChannelContext) -> Self {
        let now = context.clock.mono();
        let jobs = jobs(&plan);
        let mut schedule = Schedule::default();
        schedule.add_spread(&jobs.iter().map(|job| job.period).collect::<Vec<_>>(), now);
        let table = context.bus.points();
        let wanted = plan.devices.iter().flat_map(|device| &device.points);
        let wanted = wanted.filter(|point| point.wiring.counter == Some(config::Counter::Total));
        let names: Vec<&str> = wanted.map(|point| &*table.get(point.id).name).collect();
        let state = context.services.state.as_deref().filter(|_| !names.is_empty());
        let totals = Totals::open(state, &plan.name, names);
        Self {
            link: Link::new(plan.config.clone()),
            tasks: jobs.into_iter().map(|job| Task { job, fault: None }).collect(),
            schedule,
            most: usize::from(plan.config.max_objects).max(1),
            has_uptime: true,
            absent: HashMap::new(),
            followers: HashMap::new(),
            totals,
            save_at: now + SAVE,
            save_failed: false,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failures: 0,
            silent_until: None,
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
        self.save().await;
    }

    async fn turn(&mut self) {
        let now = self.context.clock.mono();
        while let Some(job) = self.context.writes.pop(now) {
            job.finish(Outcome::Rejected("SNMP points are only read".into()));
        }
        if now >= self.save_at {
            self.save_at = now + SAVE;
            self.save().await;
        }
        let until = match self.next_turn(now) {
            Turn::Run(id) => return self.run_task(id).await,
            Turn::Wait(due) => Some(due.min(self.save_at)),
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

    /// While the agent is silent, nothing runs before its pause is over; then whatever waits longest.
    fn next_turn(&mut self, now: Instant) -> Turn {
        match self.silent_until {
            Some(until) if until > now => Turn::Wait(until),
            _ => self.schedule.next(now),
        }
    }

    async fn run_task(&mut self, id: EntryId) {
        let begun = self.context.clock.mono();
        // What is under way is given up at once when the channel stops; a read changes nothing.
        let shutdown = self.context.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = self.poll(id.index()) => {}
        }
        let now = self.context.clock.mono();
        if self.silent_until.is_none() {
            let missed = self.schedule.done(id, begun, now);
            self.context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
        } else {
            // The others get their turns, too: one object may take the agent too long while it has the rest.
            let period = self.tasks[id.index()].job.period;
            self.schedule.defer(id, now, period);
        }
    }

    /// One exchange, sent again where UDP may have lost it, with everything that it teaches.
    async fn exchange(&mut self, device: usize, oids: &[Oid]) -> Result<Answer, Failure> {
        let tries = if self.is_down() { 1 } else { 1 + u32::from(self.plan.config.retries) };
        let mut result = Err(Failure::Timeout);
        for _ in 0..tries {
            let begun = self.context.clock.mono();
            result = self.link.ask(oids).await;
            let took = self.context.clock.mono().saturating_duration_since(begun);
            let busy = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.context.stats.busy_us.fetch_add(busy, Ordering::Relaxed);
            self.count(device, &result, took);
            if !matches!(result, Err(Failure::Timeout)) {
                break;
            }
        }
        match &result {
            Ok(_) => self.agent_answers(),
            Err(failure) if failure.is_answer() && !matches!(failure, Failure::Refused(_)) => {
                self.agent_answers();
            }
            Err(failure) => self.agent_fails(failure),
        }
        result
    }

    fn count(&self, device: usize, result: &Result<Answer, Failure>, took: Duration) {
        let stats = &self.context.stats.devices[device];
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        add(&stats.requests);
        match result {
            Err(Failure::Timeout) => add(&stats.timeouts),
            Err(Failure::Malformed(_)) => add(&stats.malformed),
            Err(failure) if failure.is_answer() => add(&stats.exceptions),
            Ok(_) | Err(_) => 0,
        };
        if result.as_ref().map_or_else(Failure::is_answer, |_| true) {
            stats.record_round_trip(took);
            let at = self.context.clock.stamp().unix_us;
            stats.last_answer_unix_us.store(u64::try_from(at).unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn agent_answers(&mut self) {
        let lost = std::mem::take(&mut self.failures) > 0;
        self.context.stats.reconnects.fetch_add(u64::from(lost), Ordering::Relaxed);
        self.silent_until = None;
        self.backoff.reset();
        self.context.stats.link.set(LinkState::Online);
        for (device, stats) in self.plan.devices.iter().zip(&self.context.stats.devices) {
            if stats.link.set(LinkState::Online) != LinkState::Online {
                tracing::info!(channel = %self.plan.name, device = %device.name, "device online");
            }
        }
    }

    fn agent_fails(&mut self, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES && *failure == Failure::Timeout {
            return;
        }
        // Its address may have changed, and another engine may have taken it.
        self.link.close();
        let now = self.context.clock.mono();
        self.silent_until = Some(now + self.backoff.pause(fastrand::f64()));
        if self.context.stats.link.set(LinkState::Offline) == LinkState::Offline {
            return;
        }
        tracing::warn!(channel = %self.plan.name, address = %self.plan.config.address, reason = %failure, "agent down");
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
        self.readings.extend(points.map(|point| Reading::bad(point.id, reason, at)));
        self.flush();
    }

    fn flush(&mut self) {
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }

    async fn save(&mut self) {
        match self.totals.save().await {
            Ok(()) => self.save_failed = false,
            Err(error) if !self.save_failed => {
                self.save_failed = true;
                tracing::error!(channel = %self.plan.name, %error, "totals cannot be written");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
