//! Polls: one request, and every point that its answer holds.

use std::sync::Arc;

use super::{Owner, Task};
use crate::driver::http::extract::Reply;
use crate::driver::http::planner::Job;
use crate::driver::http::wire::{Failure, Terms};
use crate::driver::http::{Device, Point};
use crate::model::{Reading, Reason, Stamp};

impl Owner {
    /// Runs the poll at this place.
    pub(super) async fn poll(&mut self, place: usize) {
        let Task::Poll { job, .. } = &self.tasks[place] else { return };
        let job = job.clone();
        let result = self.exchange(job.device, &job.request, Terms::default()).await;
        let at = self.context.clock.stamp();
        let plan = Arc::clone(&self.plan);
        let device = &plan.devices[job.device];
        for point in job.points.iter().map(|point| &device.points[*point]) {
            let reading = match &result {
                Ok(reply) => self.reading(job.device, point, reply, at),
                Err(failure) => Reading::bad(point.id, failure.reason(), at),
            };
            self.readings.push(reading);
        }
        self.flush();
        self.report(place, device, &job, result.err());
    }

    /// A point's reading out of an answer.
    pub(super) fn reading(&self, device: usize, point: &Point, reply: &Reply, at: Stamp) -> Reading {
        if self.lacks(device, point) {
            return Reading::bad(point.id, Reason::NotAvailable, at);
        }
        match point.wiring.extract.value(reply) {
            Ok(raw) => {
                let (value, quality) = point.conversion.apply(&raw);
                Reading { point: point.id, value, quality, at }
            }
            Err(reason) => Reading::bad(point.id, reason, at),
        }
    }

    /// Whether the device has told its terminals, and this one is not among them.
    pub(super) fn lacks(&self, device: usize, point: &Point) -> bool {
        let (slot, known) = (point.wiring.slot.as_ref(), self.terminals[device].as_ref());
        slot.zip(known).is_some_and(|(slot, known)| !known.has(slot.kind, slot.number))
    }

    /// Logs what is wrong with a request once, until it changes or ends. A silent host is reported elsewhere.
    fn report(&mut self, place: usize, device: &Device, job: &Job, failure: Option<Failure>) {
        let failure = failure.filter(|failure| matches!(failure, Failure::Status(_) | Failure::Malformed(_)));
        let Some(Task::Poll { fault, .. }) = self.tasks.get_mut(place) else { return };
        let before = std::mem::replace(fault, failure.clone());
        match (before, failure) {
            (before, Some(failure)) if before.as_ref() != Some(&failure) => tracing::warn!(
                channel = %self.plan.name, device = %device.name, request = %job.request, reason = %failure, "request refused"
            ),
            (Some(_), None) if !self.reach.is_down() => tracing::info!(
                channel = %self.plan.name, device = %device.name, request = %job.request, "request answered again"
            ),
            _ => {}
        }
    }
}
