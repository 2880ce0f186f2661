//! Writes: sent once before their deadline, read back where that can be done, judged.
//!
//! Invariants: a write is never repeated; what reads back goes to the bus as an ordinary reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Owner;
use super::exchange::{Failure, Question};
use super::poll::reading;
use crate::driver::WriteJob;
use crate::driver::ascii::{Command, Point, Source};
use crate::driver::text::agrees;
use crate::model::{Outcome, Reading, Value};

/// How long an output that reads otherwise gets before it is read once more, and how often it is read.
const SETTLE: Duration = Duration::from_millis(150);
const READ_BACKS: u32 = 4;

impl Owner {
    /// Serves one command to its end.
    pub(super) async fn write(&mut self, job: WriteJob) {
        let outcome = self.perform(&job).await;
        job.finish(outcome);
    }

    async fn perform(&mut self, job: &WriteJob) -> Outcome {
        let Some((device, place)) = self.places.get(&job.point).copied() else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        let plan = Arc::clone(&self.plan);
        let point = &plan.devices[device].points[place];
        let (command, text) = match prepare(point, &job.setpoint) {
            Ok(prepared) => prepared,
            Err(reason) => return Outcome::Rejected(reason),
        };
        let answered = command.answer.is_some();
        let question = Question { device, text: &text, answered, before: Some(job.deadline) };
        let result = self.ask(question).await;
        if !matches!(result, Err(Failure::Expired | Failure::Unsendable)) {
            self.context.stats.devices[device].writes.fetch_add(1, Ordering::Relaxed);
        }
        let wrote = match &result {
            Err(Failure::Expired) => return Outcome::Expired,
            Err(failure @ (Failure::Unsendable | Failure::Error(_) | Failure::Busy | Failure::Lost(_))) => {
                return Outcome::Failed(failure.to_string());
            }
            Ok(reply) => {
                let wanted = command.answer.as_deref().unwrap_or_default();
                if !reply.text().starts_with(wanted) {
                    return Outcome::Failed(format!("the instrument answers `{}`", reply.text()));
                }
                "written".to_owned()
            }
            Err(failure) => format!("write: {failure}"),
        };
        let Source::Ask(ask) = &point.wiring.source else {
            return match result {
                Ok(_) => Outcome::Confirmed,
                Err(_) => Outcome::Failed(format!("{wrote}; whether the output has changed is not known")),
            };
        };
        self.verify(device, point, ask, &job.setpoint, &wrote).await
    }

    /// Reads back and compares; `wrote` is what became of the write itself.
    async fn verify(
        &mut self,
        device: usize,
        point: &Point,
        ask: &str,
        setpoint: &Value,
        wrote: &str,
    ) -> Outcome {
        let mut last = None;
        for attempt in 0..READ_BACKS {
            if attempt > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            let result = self.ask(Question { device, text: ask, answered: true, before: None }).await;
            let at = self.context.clock.stamp();
            let found = match &result {
                Ok(reply) => reading(point, reply, at),
                Err(failure) => Reading::bad(point.id, failure.reason(), at),
            };
            let (value, quality) = (found.value.clone(), found.quality);
            self.readings.push(found);
            self.flush();
            match (result, value.filter(|_| quality.is_usable())) {
                (Err(Failure::Busy), _) => last = Some(Err(Failure::Busy.to_string())),
                (Err(failure), _) => return Outcome::Failed(format!("{wrote}; reading back: {failure}")),
                (Ok(_), Some(read_back)) => {
                    let whole = point.wiring.is_whole();
                    if agrees(whole, &point.conversion, point.tolerance, setpoint, &read_back) {
                        return Outcome::Verified { read_back };
                    }
                    last = Some(Ok(read_back));
                }
                (Ok(_), None) => last = Some(Err(format!("it reads back {quality}"))),
            }
        }
        match last {
            Some(Ok(read_back)) => Outcome::Mismatch { read_back },
            Some(Err(reason)) => Outcome::Failed(format!("{wrote}; {reason}")),
            None => Outcome::Failed(format!("{wrote}; it could not be read back")),
        }
    }
}

fn prepare<'a>(point: &'a Point, setpoint: &Value) -> Result<(&'a Command, String), String> {
    let command = point.wiring.command.as_ref().ok_or("the point cannot be written")?;
    let raw =
        point.conversion.invert(setpoint, point.wiring.is_whole()).map_err(|error| error.to_string())?;
    point.wiring.encodable(&raw)?;
    Ok((command, command.fill(&raw)))
}
