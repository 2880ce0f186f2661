//! The task of a channel of MQTT devices: messages in, readings out, setpoints to the devices.
//!
//! A setpoint is published once, before its deadline, and only while its device is not known to be gone; the
//! broker forgets it at the deadline where the device has not taken it. What the device reports afterwards
//! decides, and goes to the bus as an ordinary reading. Invariants: nothing is polled; every command is answered.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::engine::{Change, Engine};
use super::{Command, Plan, Wiring};
use crate::driver::entry::{Wired, Wiring as _};
use crate::driver::messages::{Messages, Publication};
use crate::driver::text::agrees;
use crate::driver::{ChannelContext, LinkState, WriteJob};
use crate::model::{Outcome, PointId, Quality, Reading, Reason, Value};

struct Owner {
    plan: Arc<Plan>,
    context: ChannelContext,
    engine: Engine,
    /// By point: its device and its place there.
    places: HashMap<PointId, (usize, usize)>,
    waiting: Vec<Waiting>,
    readings: Vec<Reading>,
    changes: Vec<Change>,
    /// By device, what nonsense was told of it.
    nonsense: Vec<Option<Reason>>,
}

/// A command whose device has not reported yet.
struct Waiting {
    job: WriteJob,
    device: usize,
    until: Instant,
    /// What it has reported since, if not the setpoint.
    reported: Option<(Option<Value>, Quality)>,
}

/// Listens until the channel is told to stop.
pub(super) async fn run(plan: Arc<Plan>, context: ChannelContext) {
    let messages = context.services.messages.clone();
    let mut owner = Owner::new(plan, context);
    let Some(messages) = messages else { return owner.without_broker().await };
    owner.context.stats.link.set(LinkState::Online);
    let (writes, shutdown) = (Arc::clone(&owner.context.writes), owner.context.shutdown.clone());
    while !shutdown.is_cancelled() {
        let due = owner.due();
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = writes.pushed() => owner.serve(&*messages),
            () = owner.receive(&*messages) => {}
            () = sleep => owner.tick(),
        }
        owner.flush();
    }
    for waiting in std::mem::take(&mut owner.waiting) {
        waiting.job.finish(Outcome::Failed("the channel has stopped".into()));
    }
}

impl Owner {
    fn new(plan: Arc<Plan>, context: ChannelContext) -> Self {
        let now = context.clock.mono();
        let points = plan.devices.iter().enumerate().flat_map(|(device, this)| {
            this.points.iter().enumerate().map(move |(place, point)| (point.id, (device, place)))
        });
        Self {
            engine: Engine::new(&plan, now),
            places: points.collect(),
            waiting: Vec::new(),
            readings: Vec::new(),
            changes: Vec::new(),
            nonsense: vec![None; plan.devices.len()],
            plan,
            context,
        }
    }

    /// Where no broker runs, no device can be heard.
    async fn without_broker(mut self) {
        let at = self.context.clock.stamp();
        self.readings.extend(self.engine.ids().map(|id| Reading::bad(id, Reason::NoConnection, at)));
        self.flush();
        while !self.context.shutdown.is_cancelled() {
            self.context.writes.refuse_all("no broker runs");
            self.context.rest(None).await;
        }
    }

    /// Takes in what waits; cancel safe, since whatever is handed over is taken in at once. What was lost came before
    /// all that waits.
    async fn receive(&mut self, messages: &dyn Messages) {
        let Self { engine, readings, changes, context, plan, .. } = self;
        poll_fn(|cx| {
            let now = context.clock.stamp();
            let missed = messages.take_missed();
            if missed > 0 {
                context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
                tracing::warn!(channel = %plan.name, messages = missed, "messages of devices were lost: they came too fast");
                engine.lost(now, readings);
            }
            messages.poll_take(cx, &mut |message| engine.take(message, now, readings, changes))
        })
        .await;
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).chain(self.engine.due()).min()
    }

    fn tick(&mut self) {
        let now = self.context.clock.stamp();
        if self.engine.due().is_some_and(|due| due <= now.mono) {
            self.engine.age(now, &mut self.readings, &mut self.changes);
        }
        let late = self.waiting.extract_if(.., |waiting| waiting.until <= now.mono).collect::<Vec<_>>();
        for Waiting { job, reported, .. } in late {
            job.finish(match reported {
                Some((Some(read_back), quality)) if quality.is_usable() => Outcome::Mismatch { read_back },
                Some((_, quality)) => Outcome::Failed(format!("published; the device reports {quality}")),
                None => Outcome::Failed(
                    "published, but the device has not reported it; whether the output has changed is not known"
                        .into(),
                ),
            });
        }
    }

    /// Publishes the setpoints that wait.
    fn serve(&mut self, messages: &dyn Messages) {
        while let Some(job) = self.context.writes.pop(self.context.clock.mono()) {
            match self.publish(&job, messages) {
                Ok(Some((device, until))) => {
                    let older = self.waiting.extract_if(.., |waiting| waiting.job.point == job.point);
                    older.for_each(|older| older.job.finish(Outcome::Superseded));
                    self.waiting.push(Waiting { job, device, until, reported: None });
                }
                Ok(None) => job.finish(Outcome::Confirmed),
                Err(outcome) => job.finish(outcome),
            }
        }
    }

    /// Publishes one; says until when a report is waited for, and from which device.
    fn publish(&self, job: &WriteJob, messages: &dyn Messages) -> Result<Option<(usize, Instant)>, Outcome> {
        let unknown = || Outcome::Failed("the point is not on this channel".into());
        let (device, place) = self.places.get(&job.point).copied().ok_or_else(unknown)?;
        let point = &self.plan.devices[device].points[place];
        let (command, payload) = prepare(point, &job.setpoint).map_err(Outcome::Rejected)?;
        if self.engine.is_gone(device) {
            return Err(Outcome::Failed("the device is offline".into()));
        }
        let now = self.context.clock.mono();
        let expiry = job.deadline.saturating_duration_since(now);
        let (topic, qos) = (&*command.topic, command.qos);
        let message = Publication { topic, payload: payload.as_bytes(), qos, retain: false, expiry };
        let given = messages.publish(&message).map_err(Outcome::Failed)?;
        self.context.stats.devices[device].writes.fetch_add(1, Ordering::Relaxed);
        if given == 0 {
            return Err(Outcome::Failed(format!(
                "no client listens to {topic}: the device is not connected"
            )));
        }
        Ok(point.access.readable().then(|| (device, now + command.within)))
    }

    /// Hands readings on, and what they mean for commands, links and the log.
    fn flush(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        for change in &changes {
            self.note(*change);
        }
        self.changes = changes;
        self.changes.clear();
        for place in 0..self.readings.len() {
            self.compare(place);
        }
        self.context.bus.publish(&mut self.readings);
        self.readings.clear();
    }

    /// Whether a report answers a command that waits for one.
    fn compare(&mut self, place: usize) {
        let reading = &self.readings[place];
        let Some(at) = self.waiting.iter().position(|waiting| waiting.job.point == reading.point) else {
            return;
        };
        let (device, point) = self.places[&reading.point];
        let point = &self.plan.devices[device].points[point];
        let (whole, setpoint) = (point.wiring.is_whole(), &self.waiting[at].job.setpoint);
        match reading.value.as_ref().filter(|_| reading.quality.is_good()) {
            Some(value) if agrees(whole, &point.conversion, point.tolerance, setpoint, value) => {
                let read_back = value.clone();
                self.waiting.swap_remove(at).job.finish(Outcome::Verified { read_back });
            }
            _ => self.waiting[at].reported = Some((reading.value.clone(), reading.quality)),
        }
    }

    fn note(&mut self, change: Change) {
        let (stats, channel) = (&self.context.stats.devices, &self.plan.name);
        let name = |device: usize| &*self.plan.devices[device].name;
        match change {
            Change::Here(at) => {
                stats[at].link.set(LinkState::Online);
                tracing::info!(%channel, device = name(at), "device online");
            }
            Change::Gone(at) => {
                stats[at].link.set(LinkState::Offline);
                tracing::warn!(%channel, device = name(at), "device offline");
                let gone = self.waiting.extract_if(.., |waiting| waiting.device == at);
                gone.for_each(|own| own.job.finish(Outcome::Failed("the device went offline".into())));
            }
            Change::Said(at) => {
                stats[at].requests.fetch_add(1, Ordering::Relaxed);
                stats[at].answered(self.context.clock.stamp());
                self.nonsense[at] = None;
            }
            Change::Nonsense(at, reason) => {
                stats[at].requests.fetch_add(1, Ordering::Relaxed);
                stats[at].malformed.fetch_add(1, Ordering::Relaxed);
                if self.nonsense[at].replace(reason).is_none() {
                    tracing::warn!(%channel, device = name(at), %reason, "a message is no value of its point");
                }
            }
        }
    }
}

fn prepare<'a>(point: &'a Wired<Wiring>, setpoint: &Value) -> Result<(&'a Command, String), String> {
    let command = point.wiring.command.as_ref().ok_or("the point cannot be written")?;
    let raw =
        point.conversion.invert(setpoint, point.wiring.is_whole()).map_err(|error| error.to_string())?;
    point.wiring.encodable(&raw)?;
    Ok((command, command.fill(&raw)))
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
