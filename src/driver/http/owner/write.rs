//! Writes: filled in, sent once before their deadline, read back, judged.
//!
//! Invariants: a write is never repeated, not even when its answer was lost: the output is read back and
//! what it says decides. What a device echoes counts for nothing; what is read back goes to the bus as an
//! ordinary reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Owner, Place};
use crate::driver::WriteJob;
use crate::driver::http::wire::{Failure, Terms};
use crate::driver::http::{Point, Request};
use crate::driver::text::agrees;
use crate::model::{Outcome, Reading, Value};

/// How long an output that reads otherwise gets before it is read once more, and how often: what is read of
/// an analog output is its actual value, which takes its time.
const SETTLE: Duration = Duration::from_millis(150);
const READ_BACKS: u32 = 4;

impl Owner {
    /// Serves one command to its end.
    pub(super) async fn write(&mut self, job: WriteJob) {
        let outcome = self.perform(&job).await;
        job.finish(outcome);
    }

    async fn perform(&mut self, job: &WriteJob) -> Outcome {
        let Some(place) = self.places.get(&job.point).copied() else { return Self::unknown_point() };
        let plan = Arc::clone(&self.plan);
        let point = &plan.devices[place.device].points[place.point];
        let request = match prepare(point, &job.setpoint) {
            Ok(request) => request,
            Err(reason) => return Outcome::Rejected(reason),
        };
        if self.lacks(place.device, point) {
            return Outcome::Failed("the device does not list this terminal in /portinfo".into());
        }
        if self.reach.is_down() {
            return Outcome::Failed(format!("{} does not answer", plan.config.address));
        }
        let terms = Terms { write_before: Some(job.deadline) };
        let result = self.exchange(place.device, &request, terms).await;
        if !matches!(result, Err(Failure::Expired | Failure::Connect(_))) {
            self.context.stats.devices[place.device].writes.fetch_add(1, Ordering::Relaxed);
        }
        let readable = point.access.readable();
        match result {
            Err(Failure::Expired) => Outcome::Expired,
            Err(failure @ Failure::Connect(_)) => Outcome::Failed(failure.to_string()),
            Err(failure @ Failure::Status(_)) => Outcome::Failed(format!("the device refuses: {failure}")),
            Ok(_) if !readable => Outcome::Confirmed,
            Err(failure) if !readable => {
                Outcome::Failed(format!("{failure}; whether the output has changed is not known"))
            }
            Ok(_) => {
                job.confirmed();
                self.verify(place, point, &job.setpoint, "written".to_owned()).await
            }
            Err(failure) => self.verify(place, point, &job.setpoint, format!("write: {failure}")).await,
        }
    }

    /// Reads back and compares; `wrote` is what became of the write itself.
    async fn verify(&mut self, place: Place, point: &Point, setpoint: &Value, wrote: String) -> Outcome {
        let Some(request) = &point.wiring.request else { return Outcome::Confirmed };
        let mut last = None;
        for attempt in 0..READ_BACKS {
            if attempt > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            let reply = match self.exchange(place.device, request, Terms::default()).await {
                Ok(reply) => reply,
                Err(failure) => {
                    let at = self.context.clock.stamp();
                    self.readings.push(Reading::bad(point.id, failure.reason(), at));
                    self.flush();
                    return Outcome::Failed(format!("{wrote}; reading back: {failure}"));
                }
            };
            let reading = self.reading(place.device, point, &reply, self.context.clock.stamp());
            let (value, quality) = (reading.value.clone(), reading.quality);
            self.readings.push(reading);
            self.flush();
            match value.filter(|_| quality.is_usable()) {
                Some(read_back)
                    if agrees(
                        point.wiring.is_whole(),
                        &point.conversion,
                        point.tolerance,
                        setpoint,
                        &read_back,
                    ) =>
                {
                    return Outcome::Verified { read_back };
                }
                value => last = Some((value, quality)),
            }
        }
        match last {
            Some((Some(read_back), _)) => Outcome::Mismatch { read_back },
            Some((None, quality)) => Outcome::Failed(format!("{wrote}; it reads back {quality}")),
            None => Outcome::Failed(format!("{wrote}; it could not be read back")),
        }
    }
}

fn prepare(point: &Point, setpoint: &Value) -> Result<Request, String> {
    let template = point.wiring.template.as_ref().ok_or("the point cannot be written")?;
    let raw =
        point.conversion.invert(setpoint, point.wiring.is_whole()).map_err(|error| error.to_string())?;
    point.wiring.encodable(&raw)?;
    Ok(template.fill(&raw))
}
