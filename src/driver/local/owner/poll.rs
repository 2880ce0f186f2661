//! Polls: a device's points, and what their success or failure says about the device.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{MAX_REST, Owner, REST, RETRY};
use crate::driver::LinkState;
use crate::driver::local::bench::{Fault, Raw, Step};
use crate::driver::local::thread::{Answer, Ask};
use crate::driver::schedule::EntryId;
use crate::model::Reading;

impl Owner {
    /// Begins the job of a schedule entry; entries and jobs have the same places.
    pub(super) async fn begin(&mut self, id: EntryId) {
        let now = self.context.clock.mono();
        let job = id.index();
        let missed = self.schedule.done(id, now, now);
        if self.jobs[job].begun.is_some() {
            // The device still works on its last reading.
            self.context.stats.missed_polls.fetch_add(missed + 1, Ordering::Relaxed);
            return;
        }
        self.context.stats.missed_polls.fetch_add(missed, Ordering::Relaxed);
        self.jobs[job].begun = Some(now);
        self.poll(job).await;
    }

    /// Begins or goes on with a job.
    pub(super) async fn poll(&mut self, job: usize) {
        let Some(begun) = self.jobs[job].begun else { return };
        let (device, points) = (self.jobs[job].device, self.jobs[job].points.clone());
        let asked = self.context.clock.mono();
        if self.at_work[device].is_some_and(|other| other != job) {
            self.later.push((asked + TURN, job));
            return;
        }
        let Some(Answer::Read(step)) = self.access(Ask::Read { device, points }).await else { return };
        let now = self.context.clock.mono();
        match step {
            Step::Later(wait) => {
                self.at_work[device] = Some(job);
                self.later.push((now + wait, job));
            }
            Step::Done(results) => {
                self.jobs[job].begun = None;
                self.at_work[device] = None;
                self.conclude(job, results, now.saturating_duration_since(asked), begun);
            }
        }
    }

    fn conclude(&mut self, job: usize, results: Vec<Raw>, held: Duration, begun: Instant) {
        let (device, points) = (self.jobs[job].device, self.jobs[job].points.clone());
        let fault =
            results.iter().find_map(|result| result.as_ref().err()).filter(|fault| fault.is_of_device());
        let fault = fault.cloned();
        let alive = results.iter().any(|result| !matches!(result, Err(fault) if fault.is_of_device()));
        self.publish(device, &points, results);
        self.count(device, fault.as_ref(), begun);
        self.judge(device, fault.as_ref(), alive);
        if fault.is_some() && !alive {
            let rest = if self.others_work(device) { (held * REST).min(MAX_REST) } else { Duration::ZERO };
            let period = self.jobs[job].period;
            let due = self.context.clock.mono() + period.min(RETRY).max(rest);
            self.schedule.defer(EntryId::of(job), due, period);
        }
    }

    /// Turns results into readings.
    pub(super) fn publish(&mut self, device: usize, points: &[usize], results: Vec<Raw>) {
        let at = self.context.clock.stamp();
        let plan = Arc::clone(&self.plan);
        for (place, result) in points.iter().zip(results) {
            let point = &plan.devices[device].points[*place];
            self.readings.push(match result {
                Ok(raw) => {
                    let (value, quality) = point.conversion.apply(&raw);
                    Reading { point: point.id, value, quality, at }
                }
                Err(fault) => Reading::bad(point.id, fault.reason(), at),
            });
        }
        self.flush();
    }

    /// Counts one read or write of a device.
    pub(super) fn count(&self, device: usize, fault: Option<&Fault>, begun: Instant) {
        let stats = &self.context.stats.devices[device];
        stats.requests.fetch_add(1, Ordering::Relaxed);
        match fault {
            None => {
                let now = self.context.clock.stamp();
                stats.record_round_trip(now.mono.saturating_duration_since(begun));
                stats.answered(now);
            }
            Some(Fault::Malformed(_)) => drop(stats.malformed.fetch_add(1, Ordering::Relaxed)),
            Some(Fault::Late(_)) => drop(stats.timeouts.fetch_add(1, Ordering::Relaxed)),
            Some(_) => drop(stats.exceptions.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Keeps the state of a device and of the bus, and logs what changes. `alive`: some of its points answered.
    pub(super) fn judge(&mut self, device: usize, fault: Option<&Fault>, alive: bool) {
        let (name, stats) = (Arc::clone(&self.plan.devices[device].name), &self.context.stats);
        let before = std::mem::replace(&mut self.faults[device], fault.cloned());
        let kind = |fault: Option<&Fault>| fault.map(std::mem::discriminant);
        let state = if alive { LinkState::Online } else { LinkState::Offline };
        let was = stats.devices[device].link.set(state);
        let channel = &self.plan.name;
        match fault {
            Some(fault) if kind(before.as_ref()) != kind(Some(fault)) || was != state => {
                tracing::warn!(%channel, device = %name, reason = %fault, "device fails");
            }
            None if was != LinkState::Online => tracing::info!(%channel, device = %name, "device online"),
            None if before.is_some() => tracing::info!(%channel, device = %name, "device is sound again"),
            _ => {}
        }
        let bus_down = !alive && !self.others_work(device) && matches!(fault, Some(Fault::Bus(_)));
        if alive {
            self.context.stats.link.set(LinkState::Online);
        } else if bus_down {
            self.context.stats.link.set(LinkState::Offline);
        }
    }

    fn others_work(&self, device: usize) -> bool {
        let others = self.context.stats.devices.iter().enumerate().filter(|(other, _)| *other != device);
        others.into_iter().any(|(_, stats)| stats.link.get() == LinkState::Online)
    }

    /// Reads points and waits until the device has done its work; for read-backs.
    pub(super) async fn read_now(&mut self, device: usize, points: &[usize]) -> Vec<Raw> {
        let begun = self.context.clock.mono();
        for _ in 0..MAX_STEPS {
            match self.access(Ask::Read { device, points: points.to_vec() }).await {
                Some(Answer::Read(Step::Done(results))) => return results,
                Some(Answer::Read(Step::Later(wait))) => tokio::time::sleep(wait).await,
                Some(Answer::Write(_)) | None => break,
            }
        }
        let took = self.context.clock.mono().saturating_duration_since(begun).as_micros();
        let fault = Fault::Late(format!("no result after {took} µs"));
        points.iter().map(|_| Err(fault.clone())).collect()
    }
}

/// How long a job waits for another one of the same device.
const TURN: Duration = Duration::from_millis(2);

/// The most steps of a read-back.
const MAX_STEPS: u32 = 16;
