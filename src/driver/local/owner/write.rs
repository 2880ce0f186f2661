//! Writes: once, before their deadline, and judged by what reads back.
//!
//! Invariant: a write is never repeated here; what is read back goes to the bus as an ordinary reading.

use std::sync::atomic::Ordering;

use super::{Owner, Place};
use crate::driver::WriteJob;
use crate::driver::local::bench::Fault;
use crate::driver::local::thread::{Answer, Ask};
use crate::driver::local::{Point, encodable};
use crate::model::{Outcome, Value, ValueKind};

impl Owner {
    /// Serves one command to its end.
    pub(super) async fn write(&mut self, job: WriteJob) {
        let outcome = self.perform(&job).await;
        job.finish(outcome);
    }

    async fn perform(&mut self, job: &WriteJob) -> Outcome {
        let Some(place) = self.places.get(&job.point).copied() else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        let raw = match prepare(self.point(place), &job.setpoint) {
            Ok(raw) => raw,
            Err(reason) => return Outcome::Rejected(reason),
        };
        let begun = self.context.clock.mono();
        let Place { device, point } = place;
        let ask = Ask::Write { device, point, raw, deadline: job.deadline };
        let Some(Answer::Write(result)) = self.access(ask).await else {
            return Outcome::Failed("the bus hangs; whether the output has changed is not known".into());
        };
        if result != Err(Fault::Expired) {
            self.context.stats.devices[device].writes.fetch_add(1, Ordering::Relaxed);
            self.count(device, result.as_ref().err(), begun);
        }
        let readable = self.point(place).access.readable();
        match result {
            Err(Fault::Expired) => Outcome::Expired,
            Ok(()) if !readable => Outcome::Confirmed,
            Err(fault) => {
                self.judge(device, Some(&fault), false);
                Outcome::Failed(fault.to_string())
            }
            Ok(()) => {
                job.confirmed();
                self.verify(place, &job.setpoint).await
            }
        }
    }

    async fn verify(&mut self, place: Place, setpoint: &Value) -> Outcome {
        let Place { device, point } = place;
        let mut results = self.read_now(device, &[point]).await;
        let result = results.pop().unwrap_or_else(|| Err(Fault::Late("nothing read back".into())));
        let judged = result.as_ref().err().cloned();
        let read_back = result.as_ref().ok().map(|raw| self.point(place).conversion.apply(raw));
        self.publish(device, &[point], vec![result]);
        self.judge(device, judged.as_ref().filter(|fault| fault.is_of_device()), judged.is_none());
        match (read_back, judged) {
            (_, Some(fault)) => Outcome::Failed(format!("written; reading back: {fault}")),
            (Some((Some(read_back), quality)), None) if quality.is_usable() => {
                if agrees(self.point(place), setpoint, &read_back) {
                    Outcome::Verified { read_back }
                } else {
                    Outcome::Mismatch { read_back }
                }
            }
            (Some((_, quality)), None) => Outcome::Failed(format!("written; it reads back {quality}")),
            (None, None) => Outcome::Failed("written; it could not be read back".into()),
        }
    }
}

fn prepare(point: &Point, setpoint: &Value) -> Result<Value, String> {
    let whole = point.form.kind != ValueKind::Float;
    let raw = point.conversion.invert(setpoint, whole).map_err(|error| error.to_string())?;
    encodable(&raw)?;
    Ok(raw)
}

/// Whether what was read back is what was asked for.
fn agrees(point: &Point, setpoint: &Value, read_back: &Value) -> bool {
    match (setpoint, read_back) {
        (Value::Text(wanted), Value::Text(got)) => wanted.eq_ignore_ascii_case(got),
        _ => match (setpoint.as_f64(), read_back.as_f64()) {
            (Some(wanted), Some(got)) => (wanted - got).abs() <= point.tolerance,
            _ => setpoint == read_back,
        },
    }
}
