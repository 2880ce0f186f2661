//! Writes: a session where the device wants one, the SET, sent once before its deadline, the read-back, the judgement.
//!
//! Invariants: a SET is never repeated, not even when its answer was lost: the object is read back and what it says
//! decides. Nothing of a session's values is ever in a message. What reads back goes to the bus as an ordinary reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_snmp::Value as Snmp;

use super::Owner;
use crate::driver::WriteJob;
use crate::driver::snmp::wire::{Failure, Unset};
use crate::driver::snmp::{Plan, Point, Syntax, Unlock};
use crate::driver::text::agrees;
use crate::model::{Outcome, Quality, Reading, Value};

/// How long an output that reads otherwise gets before it is read once more, and how often it is read.
const SETTLE: Duration = Duration::from_millis(150);
const READ_BACKS: u32 = 4;

impl Owner {
    /// Serves one command to its end.
    pub(super) async fn write(&mut self, job: WriteJob) {
        let outcome = self.perform(&job).await.unwrap_or_else(|outcome| outcome);
        job.finish(outcome);
    }

    /// What becomes of a command; an error is only another end.
    async fn perform(&mut self, job: &WriteJob) -> Result<Outcome, Outcome> {
        let place = self.places.get(&job.point).copied();
        let (device, place) =
            place.ok_or_else(|| Outcome::Failed("the point is not on this channel".into()))?;
        let plan = Arc::clone(&self.plan);
        let point = &plan.devices[device].points[place];
        let writing = point.wiring.writing.as_ref();
        let writing = writing.ok_or_else(|| Outcome::Rejected("the point cannot be written".into()))?;
        if self.reach.is_down() {
            return Err(Outcome::Failed(format!("{} does not answer", plan.config.address)));
        }
        let syntax = match writing.syntax {
            Some(syntax) => syntax,
            None => self.syntax(device, point).await?,
        };
        let value = prepare(point, &job.setpoint, syntax).map_err(Outcome::Rejected)?;
        let result = match self.open(&plan, device, job.deadline).await {
            Ok(()) => Ok(self.set(device, &writing.oid, value, Some(job.deadline)).await),
            Err(outcome) => Err(outcome),
        };
        self.close(&plan, device).await;
        let result = result?;
        if !matches!(result, Err(Unset::Expired | Unset::Unsent(_))) {
            self.context.stats.devices[device].writes.fetch_add(1, Ordering::Relaxed);
        }
        let readable = point.access.readable();
        match result {
            Err(Unset::Expired) => Err(Outcome::Expired),
            Err(Unset::Unsent(failure)) => Err(Outcome::Failed(format!("nothing was written: {failure}"))),
            Err(Unset::Sent(Failure::Object { status, .. } | Failure::Status(status))) => {
                Err(Outcome::Failed(refusal("the write", &status)))
            }
            Ok(()) if !readable => Ok(Outcome::Confirmed),
            Err(Unset::Sent(failure)) if !readable => {
                Err(Outcome::Failed(format!("{failure}; whether the output has changed is not known")))
            }
            Ok(()) => {
                job.confirmed();
                Ok(self.verify(device, point, (&job.setpoint, syntax), "written").await)
            }
            Err(Unset::Sent(failure)) => {
                Ok(self.verify(device, point, (&job.setpoint, syntax), &format!("write: {failure}")).await)
            }
        }
    }

    /// The type of a point's object as it was read, or is now.
    async fn syntax(&mut self, device: usize, point: &Point) -> Result<Syntax, Outcome> {
        if !self.syntaxes.contains_key(&point.id) {
            let read = self.read(device, point).await;
            read.map_err(|failure| Outcome::Failed(format!("nothing was written: reading: {failure}")))?;
        }
        let help =
            "nothing was written: the agent has no object there whose type can be written; say snmp-type";
        self.syntaxes.get(&point.id).copied().ok_or_else(|| Outcome::Failed(help.into()))
    }

    /// Sets what the device wants to be set before a write.
    async fn open(&mut self, plan: &Plan, device: usize, deadline: Instant) -> Result<(), Outcome> {
        for unlock in &plan.devices[device].session.open {
            self.unlock(device, unlock, Some(deadline)).await.map_err(|error| match error {
                Unset::Expired => Outcome::Expired,
                Unset::Unsent(failure) | Unset::Sent(failure) => {
                    Outcome::Failed(format!("nothing was written: {}", session_failure(unlock, &failure)))
                }
            })?;
        }
        Ok(())
    }

    /// Sets what is set after a write, whatever became of it.
    async fn close(&mut self, plan: &Plan, device: usize) {
        for unlock in &plan.devices[device].session.close {
            if let Err(Unset::Unsent(failure) | Unset::Sent(failure)) =
                self.unlock(device, unlock, None).await
            {
                let device = &plan.devices[device].name;
                let reason = session_failure(unlock, &failure);
                tracing::warn!(channel = %plan.name, device = %device, %reason, "write session not ended");
            }
        }
    }

    async fn unlock(&mut self, device: usize, unlock: &Unlock, before: Option<Instant>) -> Result<(), Unset> {
        let value = unlock.syntax.encode(unlock.value.reveal());
        let unfit = |_| Unset::Unsent(Failure::Malformed("the value does not fit its type".into()));
        self.set(device, &unlock.oid, value.map_err(unfit)?, before).await
    }

    /// Reads a point now.
    async fn read(&mut self, device: usize, point: &Point) -> Result<(Option<Value>, Quality), Failure> {
        let oid = &point.wiring.oid;
        let result = self.exchange(device, std::slice::from_ref(oid)).await;
        let at = self.context.clock.stamp();
        let reading = match &result {
            Ok(answer) => {
                let found = answer.values.iter().find(|(found, _)| found == oid);
                self.reading(point, found.map(|(_, value)| value), None, at)
            }
            Err(failure) => Reading::bad(point.id, failure.reason(), at),
        };
        let read = (reading.value.clone(), reading.quality);
        self.readings.push(reading);
        self.flush();
        result.map(|_| read)
    }

    /// Reads back and compares; `wrote` is what became of the write itself.
    async fn verify(
        &mut self,
        device: usize,
        point: &Point,
        (setpoint, syntax): (&Value, Syntax),
        wrote: &str,
    ) -> Outcome {
        let whole = point.wiring.is_whole(Some(syntax));
        let mut last = Outcome::Failed(format!("{wrote}; it could not be read back"));
        for attempt in 0..READ_BACKS {
            if attempt > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            last = match self.read(device, point).await {
                Err(failure) => return Outcome::Failed(format!("{wrote}; reading back: {failure}")),
                Ok((Some(read_back), quality)) if quality.is_usable() => {
                    if agrees(whole, &point.conversion, point.tolerance, setpoint, &read_back) {
                        return Outcome::Verified { read_back };
                    }
                    Outcome::Mismatch { read_back }
                }
                Ok((_, quality)) => Outcome::Failed(format!("{wrote}; it reads back {quality}")),
            };
        }
        last
    }
}

/// A setpoint as an object of this type holds it.
fn prepare(point: &Point, setpoint: &Value, syntax: Syntax) -> Result<Snmp, String> {
    let whole = point.wiring.is_whole(Some(syntax));
    let raw = point.conversion.invert(setpoint, whole).map_err(|error| error.to_string())?;
    syntax.encode(&point.wiring.written(&raw, syntax)?)
}

/// What an agent says to a SET, and what it wants to be told.
fn refusal(what: &str, status: &str) -> String {
    let help = match status {
        "noAccess" | "authorizationError" => "; may this community or user write, is a session needed?",
        // Version 1 has no other word for an object that cannot be written.
        "noSuchName" | "readOnly" | "notWritable" => "; is it the right object, and may it be written?",
        "wrongType" | "badValue" | "wrongEncoding" => "; snmp-type says which type it is written as",
        "commitFailed" | "undoFailed" | "genErr" => "; whether the output has changed is not known",
        _ => "",
    };
    format!("the agent refuses {what}: {status}{help}")
}

fn session_failure(unlock: &Unlock, failure: &Failure) -> String {
    match failure {
        Failure::Object { status, .. } | Failure::Status(status) => {
            format!("the agent refuses {} of the write session: {status}", unlock.oid)
        }
        other => format!("{} of the write session: {other}", unlock.oid),
    }
}
