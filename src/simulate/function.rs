//! What a simulated device answers to functions that know no table: its identification, and those that its points
//! name.
//!
//! Invariant: a function that no point and no probe names is left to the other requests, which refuse it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pdu::Exception;
use super::unit::Unit;
use crate::driver::modbus::function::{Call, IDENTIFICATION, MEI_TYPE, objects_answer};
use crate::driver::modbus::register::{RawType, Table};
use crate::model::Value;

impl Unit {
    /// The answer to such a function; `None` where the request is another one.
    pub(super) fn call(
        &mut self,
        pdu: &[u8],
        time: Duration,
        now: Instant,
    ) -> Option<Result<Vec<u8>, Exception>> {
        let (function, data) = pdu.split_first()?;
        if *function == IDENTIFICATION {
            let objects = self.identification(time, now);
            return (!objects.is_empty()).then(|| identify(&objects, data));
        }
        let call = self.cells.iter().find_map(|cell| match cell.register.table {
            Table::Call(call) if call.function == *function && data.starts_with(call.sent()) => Some(call),
            _ => None,
        })?;
        Some(self.called(call, &data[call.sent().len()..], time, now))
    }

    /// The objects that the device has: its points, and what its probes want to see.
    fn identification(&mut self, time: Duration, now: Instant) -> BTreeMap<u8, Vec<u8>> {
        let mut objects: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for index in 0..self.cells.len() {
            let register = self.cells[index].register;
            if register.table == Table::Identity {
                self.refresh(register.table, register.address, 1, time, now);
                let text = self.raw(index).map(|raw| raw.to_string()).unwrap_or_default();
                objects.insert(register.address as u8, text.into_bytes());
            }
        }
        objects.extend(self.objects.iter().map(|(number, text)| (*number, text.clone().into_bytes())));
        objects
    }

    fn called(
        &mut self,
        call: Call,
        value: &[u8],
        time: Duration,
        now: Instant,
    ) -> Result<Vec<u8>, Exception> {
        let mut reply = vec![0; usize::from(call.reply)];
        let here: Vec<usize> = (0..self.cells.len())
            .filter(|index| self.cells[*index].register.table == Table::Call(call))
            .collect();
        for index in here {
            let register = self.cells[index].register;
            if self.cells[index].writable {
                let raw = match register.raw {
                    RawType::Bool if value.is_empty() => Some(Value::Bool(true)),
                    RawType::Bool => None,
                    _ => register.given(value),
                };
                let raw = raw.ok_or(Exception::VALUE)?;
                self.put(index, &raw).map_err(|_| Exception::VALUE)?;
                self.counts.writes += 1;
                self.cells[index].held = true;
                self.tell(index);
                continue;
            }
            self.refresh(register.table, register.address, 1, time, now);
            if let Some(raw) = self.raw(index) {
                register.put_in_reply(&raw, &mut reply);
            }
        }
        Ok([&[call.function], &reply[..]].concat())
    }
}

/// The answer to a request for identification: from the object on that is asked for, else from the first.
fn identify(objects: &BTreeMap<u8, Vec<u8>>, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [MEI_TYPE, category, first] = data else { return Err(Exception::VALUE) };
    let last = match category {
        1 => 2,
        2 => 0x7F,
        3 => 0xFF,
        _ => return Err(Exception::VALUE),
    };
    let within =
        |from: u8| objects.range(from..=last).map(|(id, text)| (*id, text.clone())).collect::<Vec<_>>();
    let found = if *first <= last && objects.contains_key(first) { within(*first) } else { within(0) };
    Ok(objects_answer(*category, &found))
}
