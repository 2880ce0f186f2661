//! Polls: one question, and every point that its answer holds.

use std::sync::Arc;

use super::Owner;
use super::exchange::{Failure, Question};
use crate::driver::ascii::Point;
use crate::driver::text::Reply;
use crate::model::{Quality, Reading, Stamp};

impl Owner {
    /// Asks the question at this place; true when there was no answer.
    pub(super) async fn poll(&mut self, place: usize) -> bool {
        let plan = Arc::clone(&self.plan);
        let (device, ask) = (self.jobs[place].device, self.jobs[place].ask.clone());
        let result = self.ask(Question { device, text: &ask, answered: true, before: None }).await;
        let at = self.context.clock.stamp();
        let points = self.jobs[place].points.iter().map(|point| &plan.devices[device].points[*point]);
        self.readings.extend(points.map(|point| match &result {
            Ok(reply) => reading(point, reply, at),
            Err(failure) => Reading::bad(point.id, failure.reason(), at),
        }));
        self.flush();
        let failed = result.is_err();
        self.tell(place, result.err());
        failed
    }

    /// Logs what is wrong with an answer once, until it changes or ends. Silence is told elsewhere.
    fn tell(&mut self, place: usize, failure: Option<Failure>) {
        let told = |failure: &Failure| matches!(failure, Failure::Error(_) | Failure::Noise(_));
        let failure = failure.filter(told);
        let job = &mut self.jobs[place];
        let (channel, device) = (&self.plan.name, &self.plan.devices[job.device].name);
        let before = std::mem::replace(&mut job.fault, failure.clone());
        match (before, failure) {
            (before, Some(failure)) if before.as_ref() != Some(&failure) => {
                tracing::warn!(%channel, %device, question = %job.ask, reason = %failure, "question not answered");
            }
            (Some(_), None) => {
                tracing::info!(%channel, %device, question = %job.ask, "question answered again");
            }
            _ => {}
        }
    }
}

/// A point's reading out of an answer.
pub(super) fn reading(point: &Point, reply: &Reply, at: Stamp) -> Reading {
    let (value, quality) = match point.wiring.extract.value(reply) {
        Ok(raw) => point.conversion.apply(&raw),
        Err(reason) => (None, Quality::Bad(reason)),
    };
    Reading { point: point.id, value, quality, at }
}
