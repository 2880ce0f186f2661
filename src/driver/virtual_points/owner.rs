//! The task of a channel of computed points: readings in from the bus, computed ones out, totals to the disk.
//!
//! Invariant: a reading that is lost because the task was too slow is counted and told, never passed over in
//! silence.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Plan;
use super::engine::Engine;
use crate::bus::Subscription;
use crate::driver::totals::Totals;
use crate::driver::{ChannelContext, LinkState, WriteJob};
use crate::model::{Outcome, PointId, Reading, Stamp};

/// How many readings may wait to be computed with.
const QUEUE: usize = 16_384;

struct Owner {
    plan: Arc<Plan>,
    context: ChannelContext,
    engine: Engine,
    totals: Totals,
    /// By point, its device's place.
    device_of: HashMap<PointId, usize>,
    /// Whether the last try to save failed.
    unsaved: bool,
    /// Readings that had been lost when they were told last.
    lost: u64,
    computed: Vec<Reading>,
}

/// Computes until the channel is told to stop.
pub(super) async fn run(plan: Arc<Plan>, context: ChannelContext) {
    let mut owner = Owner::new(plan, context);
    // Whatever is read from here on is seen; the snapshot has what was read before.
    let news = owner.context.bus.subscribe_to(owner.engine.sources(), QUEUE);
    owner.begin();
    let shutdown = owner.context.shutdown.clone();
    let mut saves = tokio::time::interval(owner.plan.config.save_every.0);
    saves.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut readings = Vec::new();
    while !shutdown.is_cancelled() {
        let writes = Arc::clone(&owner.context.writes);
        tokio::select! {
            () = news.recv(&mut readings) => owner.take(&mut readings, &news),
            () = writes.pushed() => owner.serve(),
            _ = saves.tick() => owner.save().await,
            () = shutdown.cancelled() => {}
        }
    }
    owner.save().await;
}

impl Owner {
    fn new(plan: Arc<Plan>, context: ChannelContext) -> Self {
        let engine = Engine::new(&plan);
        let state = context.services.state.as_deref();
        let totals = Totals::open(state, &plan.name, engine.totals().map(|(name, _)| name));
        let devices = plan.devices.iter().enumerate();
        let device_of =
            devices.flat_map(|(at, device)| device.points.iter().map(move |point| (point.id, at)));
        let device_of = device_of.collect();
        Self { plan, context, engine, totals, device_of, unsaved: false, lost: 0, computed: Vec::new() }
    }

    /// Totals as they were, and everything that can be computed from what is known.
    fn begin(&mut self) {
        let stats = &self.context.stats;
        stats.link.set(LinkState::Online);
        for device in &stats.devices {
            device.link.set(LinkState::Online);
        }
        let at = self.context.clock.stamp();
        let plan = Arc::clone(&self.plan);
        for point in plan.devices.iter().flat_map(|device| &device.points) {
            let saved = self.totals.get(&point.name).unwrap_or_default();
            self.computed.extend(self.engine.set_total(point.id, saved, at));
        }
        let latest = self.context.bus.snapshot();
        let known = self.engine.sources().into_iter().filter_map(|point| {
            let latest = latest.get(point.index())?;
            Some(Reading { point, value: latest.value.clone(), quality: latest.quality, at: latest.at? })
        });
        let known: Vec<Reading> = known.collect();
        self.engine.take(&known, &mut self.computed);
        self.publish(at);
    }

    fn take(&mut self, readings: &mut Vec<Reading>, news: &Subscription) {
        let lost = news.dropped();
        if lost > self.lost {
            let more = lost - self.lost;
            tracing::warn!(
                channel = %self.plan.name, readings = more,
                "readings came faster than they could be computed with; totals may lack something"
            );
            self.context.stats.missed_polls.fetch_add(more, Ordering::Relaxed);
            self.lost = lost;
        }
        self.engine.take(readings, &mut self.computed);
        readings.clear();
        self.publish(self.context.clock.stamp());
    }

    fn publish(&mut self, now: Stamp) {
        let places = self.computed.iter().filter_map(|reading| self.device_of.get(&reading.point));
        for stats in places.filter_map(|place| self.context.stats.devices.get(*place)) {
            stats.requests.fetch_add(1, Ordering::Relaxed);
            stats.answered(now);
        }
        self.context.bus.publish(&mut self.computed);
        self.computed.clear();
    }

    /// Sets totals as commands ask for.
    fn serve(&mut self) {
        while let Some(job) = self.context.writes.pop(self.context.clock.mono()) {
            let outcome = self.set(&job);
            job.finish(outcome);
        }
    }

    fn set(&mut self, job: &WriteJob) -> Outcome {
        let points = self.plan.devices.iter().flat_map(|device| &device.points);
        let Some(point) = points.into_iter().find(|point| point.id == job.point) else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        let whole = point.form.is_whole();
        let sum = match point.conversion.invert(&job.setpoint, whole) {
            Ok(raw) => raw.as_f64(),
            Err(error) => return Outcome::Rejected(error.to_string()),
        };
        let at = self.context.clock.stamp();
        let Some(reading) = sum.and_then(|sum| self.engine.set_total(job.point, sum, at)) else {
            return Outcome::Rejected("only totals can be set".into());
        };
        let read_back = reading.value.clone().unwrap_or_else(|| job.setpoint.clone());
        self.computed.push(reading);
        self.publish(at);
        Outcome::Verified { read_back }
    }

    async fn save(&mut self) {
        for (name, sum) in self.engine.totals() {
            self.totals.set(name, sum);
        }
        let failure = self.totals.save().await.err();
        if let (Some(error), false) = (&failure, self.unsaved) {
            tracing::error!(channel = %self.plan.name, %error, "the totals cannot be saved; they are tried again");
        }
        self.unsaved = failure.is_some();
    }
}
