//! The owner task of one SNMP agent: the only one that speaks to it.
//!
//! Its turns: a write that waits, or the request whose turn it is, one at a time. While the agent is silent, one
//! request goes out after each growing pause, without repetitions, and everything else rests. `poll` asks and publishes,
//! `write` sets and reads back. Invariant: no failure of an agent ends the task, and another agent's task never waits
//! for it.

mod poll;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_snmp::Value as Snmp;

use super::counter::Follower;
use super::planner::{Job, jobs};
use super::wire::{Answer, Failure, Link, Unset};
use super::{Oid, Plan, SnmpConfig, Syntax, config};
use crate::driver::precedence::Precedence;
use crate::driver::schedule::{EntryId, Schedule, Turn};
use crate::driver::totals::Totals;
use crate::driver::{ChannelContext, Outage, Reach};
use crate::model::{PointId, Reading, Reason};

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
    /// For writes, where they have a community of their own.
    write_link: Option<Link>,
    /// Each point's device and its place there.
    places: HashMap<PointId, (usize, usize)>,
    /// The types of the objects that are written, as they were read.
    syntaxes: HashMap<PointId, Syntax>,
    precedence: Precedence,
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
    reach: Reach,
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
        let places = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            let points = this.points.iter().enumerate();
            points.map(move |(place, point)| (point.id, (device, place)))
        });
        Self {
            link: Link::new(plan.config.clone()),
            write_link: writer(&plan.config).map(Link::new),
            places: places.collect(),
            syntaxes: HashMap::new(),
            precedence: Precedence::default(),
            tasks: jobs.into_iter().map(|job| Task { job, fault: None }).collect(),
            schedule,
            most: usize::from(plan.config.max_objects).max(1),
            has_uptime: true,
            absent: HashMap::new(),
            followers: HashMap::new(),
            totals,
            save_at: now + SAVE,
            save_failed: false,
            reach: Reach::default(),
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
        if now >= self.save_at {
            self.save_at = now + SAVE;
            self.save().await;
        }
        let turn = self.reach.next_turn(&mut self.schedule, now);
        let due = matches!(turn, Turn::Run(_));
        if let Some(job) = self.precedence.next_write(&self.context.writes, now, due) {
            return self.write(job).await;
        }
        let until = match turn {
            Turn::Run(id) => return self.run_task(id).await,
            Turn::Wait(due) => Some(due.min(self.save_at)),
            Turn::Idle => None,
        };
        self.context.rest(until).await;
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
        if !self.reach.is_down() {
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
        let tries = if self.reach.is_down() { 1 } else { 1 + u32::from(self.plan.config.retries) };
        let mut result = Err(Failure::Timeout);
        for _ in 0..tries {
            let begun = self.context.clock.mono();
            result = self.link.ask(oids).await;
            self.count(device, result.as_ref().err(), begun);
            if !matches!(result, Err(Failure::Timeout)) {
                break;
            }
        }
        self.learn(result.as_ref().err());
        result
    }

    /// One SET with everything that it teaches. It is never sent again.
    async fn set(
        &mut self,
        device: usize,
        oid: &Oid,
        value: Snmp,
        before: Option<Instant>,
    ) -> Result<(), Unset> {
        let begun = self.context.clock.mono();
        let link = self.write_link.as_mut().unwrap_or(&mut self.link);
        let result = link.set(oid, value, before).await;
        let failure = match &result {
            Err(Unset::Expired) => return result,
            Err(Unset::Unsent(failure) | Unset::Sent(failure)) => Some(failure),
            Ok(()) => None,
        };
        self.count(device, failure, begun);
        self.learn(failure);
        result
    }

    /// What an exchange says about the agent.
    fn learn(&mut self, failure: Option<&Failure>) {
        match failure {
            Some(failure) if !failure.is_answer() || matches!(failure, Failure::Refused(_)) => {
                self.agent_fails(failure);
            }
            Some(_) | None => {
                self.reach.answered(&self.context);
            }
        }
    }

    fn count(&self, device: usize, failure: Option<&Failure>, begun: Instant) {
        let took = self.context.clock.mono().saturating_duration_since(begun);
        self.context.stats.add_busy(took);
        let stats = &self.context.stats.devices[device];
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        add(&stats.requests);
        match failure {
            Some(Failure::Timeout) => add(&stats.timeouts),
            Some(Failure::Malformed(_)) => add(&stats.malformed),
            Some(failure) if failure.is_answer() => add(&stats.exceptions),
            Some(_) | None => 0,
        };
        if failure.is_none_or(Failure::is_answer) {
            stats.record_round_trip(took);
            stats.answered(self.context.clock.stamp());
        }
    }

    fn agent_fails(&mut self, failure: &Failure) {
        let outage = self.reach.failed(&self.context, *failure != Failure::Timeout);
        if outage == Outage::None {
            return;
        }
        // Its address may have changed, and another engine may have taken it.
        self.link.close();
        if let Some(link) = &mut self.write_link {
            link.close();
        }
        self.syntaxes.clear();
        if outage == Outage::Begins {
            tracing::warn!(channel = %self.plan.name, address = %self.plan.config.address, reason = %failure, "agent down");
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

/// The section of an agent as it is spoken to for writes, where that is another one.
fn writer(config: &SnmpConfig) -> Option<SnmpConfig> {
    let community = config.write_community.clone()?;
    Some(SnmpConfig { community: Some(community), ..config.clone() })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
