//! Writes: encoded, sent once before their deadline, read back, judged.
//!
//! Invariants: a write is never repeated, not even when its answer was lost: the output is read back and
//! what it says decides. What is read back goes to the bus as an ordinary reading; the setpoint never does.

use std::time::Duration;

use super::{Opener, Owner, Place, poll};
use crate::driver::WriteJob;
use crate::driver::modbus::codec::MaskedWord;
use crate::driver::modbus::codes::Codes;
use crate::driver::modbus::quirks::is_coil_word;
use crate::driver::modbus::register::WriteMethod;
use crate::driver::modbus::wire::link::Terms;
use crate::driver::modbus::wire::{Answer, Ask, ExchangeError};
use crate::driver::modbus::{Device, Point};
use crate::model::{Conversion, Outcome, Quality, Reading, Reason, Value};

/// How long an output that reads otherwise gets before it is read once more: relays and gateways that
/// acknowledge before they act.
const SETTLE: Duration = Duration::from_millis(100);

/// What is to be sent for a setpoint.
#[derive(Debug, Clone, PartialEq)]
enum Write {
    /// This request.
    Whole(Ask),
    /// This part of a register, whose other bits must be read first.
    Part(MaskedWord),
}

/// What an output reads after a write.
struct ReadBack {
    value: Option<Value>,
    quality: Quality,
}

impl<O: Opener> Owner<O> {
    /// Serves one command to its end.
    pub(super) async fn write(&mut self, job: WriteJob) {
        let outcome = self.perform(&job).await;
        job.finish(outcome);
    }

    async fn perform(&mut self, job: &WriteJob) -> Outcome {
        let Some(place) = self.places.get(&job.point).copied() else {
            return Outcome::Failed("the point is not on this channel".into());
        };
        let plan = self.plan();
        let device = &plan.devices[place.device];
        let point = &device.points[place.point];
        let broadcast = plan.transport.is_broadcast(device.unit);
        if let Some(reason) = self.unbound(place.device, place.point) {
            return Outcome::Failed(format!("the point's place on the device is not known: {reason}"));
        }
        let conversion = match self.conversion(place, point) {
            Ok(conversion) => conversion,
            Err(reason) => return Outcome::Failed(reason),
        };
        let write = match prepare(point, &conversion, &job.setpoint) {
            Ok(Write::Part(_)) if broadcast => {
                return Outcome::Rejected("bits cannot be broadcast: the other bits cannot be read".into());
            }
            Ok(write) => write,
            Err(reason) => return Outcome::Rejected(reason),
        };
        if !self.health.may_write(place.device, self.context.clock.mono()) {
            return Outcome::Failed(format!("device {} is offline", device.name));
        }
        if let Err(reason) = self.ensure_open().await {
            return Outcome::Failed(reason);
        }
        let ask = match self.complete(place, point, write).await {
            Ok(ask) => ask,
            Err(error) => return Outcome::Failed(format!("the register could not be read first: {error}")),
        };
        let terms = Terms { not_after: Some(job.deadline), ..self.terms(place.device) };
        for (step, first) in (1..).zip(&point.rules.before) {
            match self.exchange(place.device, first, terms).await {
                Ok(_) => {}
                Err(ExchangeError::Expired) => return Outcome::Expired,
                Err(error) => {
                    return Outcome::Failed(format!(
                        "write {step} before it: {error}; nothing else was written"
                    ));
                }
            }
        }
        let result = self.exchange(place.device, &ask, terms).await;
        if !matches!(result, Err(ExchangeError::Expired)) {
            let writes = &self.context.stats.devices[place.device].writes;
            writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        match result {
            Ok(_) if broadcast || !can_read_back(point) => Outcome::Confirmed,
            Ok(_) => {
                job.confirmed();
                self.verify(place, device, &job.setpoint, None).await
            }
            Err(ExchangeError::Expired) => Outcome::Expired,
            Err(error @ ExchangeError::Exception(_)) => {
                Outcome::Failed(format!("the device refuses: {error}"))
            }
            Err(error) if broadcast || !can_read_back(point) => {
                Outcome::Failed(format!("{error}; whether the output has changed is not known"))
            }
            Err(error) => self.verify(place, device, &job.setpoint, Some(error)).await,
        }
    }

    /// The request itself; for bits of a register, around what the other bits are now.
    async fn complete(&mut self, place: Place, point: &Point, write: Write) -> Result<Ask, ExchangeError> {
        let part = match write {
            Write::Whole(ask) => return Ok(ask),
            Write::Part(part) => part,
        };
        match self.ask(place.device, &Ask::read(&point.register)).await? {
            Answer::Words(words) if words.len() == 1 => Ok(write_words(point, vec![part.apply(words[0])])),
            _ => Err(ExchangeError::Malformed("no register came".into())),
        }
    }

    /// Reads back and compares; `error` is what became of the write itself when its answer was lost.
    async fn verify(
        &mut self,
        place: Place,
        device: &Device,
        setpoint: &Value,
        error: Option<ExchangeError>,
    ) -> Outcome {
        let point = &device.points[place.point];
        for attempt in 0..2 {
            if attempt > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            let back = match self.read_back(place, point).await {
                Ok(back) => back,
                Err(reading) => {
                    let wrote = error.map_or_else(|| "written".to_owned(), |error| format!("write: {error}"));
                    return Outcome::Failed(format!("{wrote}; reading back: {reading}"));
                }
            };
            match back.value {
                Some(read_back) if back.quality.is_usable() => {
                    let step =
                        self.conversion(place, point).unwrap_or_else(|_| point.conversion.clone()).step();
                    if agrees(point, step, setpoint, &read_back) {
                        return Outcome::Verified { read_back };
                    }
                    if attempt > 0 {
                        return Outcome::Mismatch { read_back };
                    }
                }
                _ if attempt > 0 => {
                    return Outcome::Failed(format!("written; it reads back {}", back.quality));
                }
                _ => {}
            }
        }
        Outcome::Failed("written; it could not be read back".into())
    }

    /// The conversion that counts now.
    fn conversion(&self, place: Place, point: &Point) -> Result<Conversion, String> {
        poll::now_of(point, &self.beside[place.device]).conversion(&point.conversion)
    }

    async fn read_back(&mut self, place: Place, point: &Point) -> Result<ReadBack, String> {
        self.ensure_open().await?;
        let result = self.ask(place.device, &Ask::read(&point.register)).await;
        let at = self.context.clock.stamp();
        let raw = match &result {
            Ok(Answer::Done) => Err(Reason::MalformedReply),
            Ok(answer) => answer.raw(&point.register, 0).ok_or(Reason::Undecodable),
            Err(error) => Err(poll::reason_of(error)),
        };
        let (value, quality) = match raw {
            Ok(raw) => poll::now_of(point, &self.beside[place.device])
                .apply(&raw, &point.conversion)
                .unwrap_or((None, Quality::Bad(Reason::NotYetRead))),
            Err(reason) => (None, Quality::Bad(reason)),
        };
        self.readings.push(Reading { point: point.id, value: value.clone(), quality, at });
        self.flush();
        result.map(|_| ReadBack { value, quality }).map_err(|error| error.to_string())
    }

    /// Opens the line again if it was given up: once, since a write waits.
    async fn ensure_open(&mut self) -> Result<(), String> {
        if let Some(link) = &mut self.link
            && link.check().await.is_ok()
        {
            return Ok(());
        }
        self.open().await;
        if self.is_open() { Ok(()) } else { Err("the line is down".into()) }
    }
}

/// Whether reading the output tells what it is without changing it.
fn can_read_back(point: &Point) -> bool {
    point.access.readable() && !point.register.read_to_clear && !is_coil_word(&point.register)
}

fn prepare(point: &Point, conversion: &Conversion, setpoint: &Value) -> Result<Write, String> {
    let register = &point.register;
    let raw = conversion.invert(setpoint, register.raw.is_whole()).map_err(|error| error.to_string())?;
    accepted(point, &raw)?;
    let address = register.write_address;
    if is_coil_word(register) {
        let word = register.encode_coil_word(&raw)?;
        return Ok(Write::Whole(Ask::WriteCoilWord { address, word }));
    }
    if register.table.is_bits() {
        let on = register.encode_coil(&raw)?;
        return Ok(Write::Whole(match point.write {
            WriteMethod::Multiple => Ask::WriteCoils { address, states: vec![on] },
            WriteMethod::Auto | WriteMethod::Mask => Ask::WriteCoil { address, on },
        }));
    }
    if register.bits.is_none() {
        return Ok(Write::Whole(write_words(point, register.encode(&raw)?)));
    }
    let part = register.encode_bits(&raw)?;
    Ok(match point.write {
        WriteMethod::Mask => Write::Whole(Ask::MaskWrite { address, and: !part.mask, or: part.bits }),
        WriteMethod::Auto | WriteMethod::Multiple => Write::Part(part),
    })
}

/// Refuses what the device does not take.
fn accepted(point: &Point, raw: &Value) -> Result<(), String> {
    let accepts = &point.rules.accepts;
    let number = raw.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    if accepts.is_empty() || number.is_some_and(|number| Codes::any_holds(accepts, number)) {
        return Ok(());
    }
    let words: Vec<String> = accepts.iter().map(ToString::to_string).collect();
    Err(format!("the device takes {} only, not {raw}", words.join(", ")))
}

fn write_words(point: &Point, words: Vec<u16>) -> Ask {
    let address = point.register.write_address;
    match (&words[..], point.write) {
        ([word], WriteMethod::Auto | WriteMethod::Mask) => Ask::WriteRegister { address, word: *word },
        _ => Ask::WriteRegisters { address, words },
    }
}

/// Whether what was read back is what was asked for, as exactly as the register can show it.
fn agrees(point: &Point, step: f64, setpoint: &Value, read_back: &Value) -> bool {
    if let (Value::Text(wanted), Value::Text(got)) = (setpoint, read_back) {
        return wanted.eq_ignore_ascii_case(got);
    }
    let (Some(wanted), Some(got)) = (setpoint.as_f64(), read_back.as_f64()) else {
        return setpoint == read_back;
    };
    // Half a step lies between a setpoint and the nearest register contents; a 32-bit real has 24 bits.
    let half = if point.register.raw.is_whole() { step / 2.0 } else { wanted.abs() / 8_388_608.0 };
    (wanted - got).abs() <= point.tolerance.max(half * 1.000_001)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
