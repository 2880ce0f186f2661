//! One simulated device: its registers, how its values move, and its answers.
//!
//! Pure: a PDU and the time go in, an answer comes out; framing and waiting are `serial`'s and `tcp`'s.
//! Invariant: registers that no point names are not there. A value that the register cannot hold leaves
//! the register as it is and is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::fault::{Effects, Faults, Span};
use super::image::Image;
use super::pdu::{Exception, Request};
use super::reply::{contents, spoil, store};
use crate::driver::modbus::Device;
use crate::driver::modbus::quirks::is_coil_word;
use crate::driver::modbus::register::Table;
use crate::model::{PointId, Value};

/// What a unit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitCounts {
    /// Requests to it.
    pub requests: u64,
    /// Answers, exceptions among them.
    pub answers: u64,
    /// Exceptions.
    pub exceptions: u64,
    /// Writes that it carried out.
    pub writes: u64,
    /// Values that their register could not hold.
    pub unrepresentable: u64,
}

/// An answer on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The unit number that it bears.
    pub(super) unit: u8,
    /// The PDU.
    pub(super) pdu: Vec<u8>,
    /// What else is wrong with it.
    pub(super) effects: Effects,
}

/// One simulated device.
#[derive(Debug)]
pub(super) struct Unit {
    /// The device's name.
    pub(super) name: Arc<str>,
    /// Its unit number.
    pub(super) number: u8,
    /// What is wrong with it.
    pub(super) faults: Faults,
    /// What it counts.
    pub(super) counts: UnitCounts,
    timeout: Duration,
    max_registers: u16,
    max_bits: u16,
    image: Image,
    /// What the device says of itself besides its points, by the numbers of the objects.
    pub(super) objects: Vec<(u8, String)>,
    /// Sorted by table and address.
    pub(super) cells: Vec<Cell>,
    /// The widest point: how far before an address a point that covers it can begin.
    widest: u16,
}

impl Unit {
    /// The device that `device` describes with its points. `strict` makes the holes between them errors even
    /// where the configuration says that they may be read along.
    #[must_use]
    pub(super) fn new(device: &Device, mut cells: Vec<Cell>, strict: bool) -> Self {
        cells.sort_by_key(|cell| (cell.register.table, cell.register.address));
        let spans = cells.iter().flat_map(|cell| {
            let (register, width) = (&cell.register, usize::from(cell.register.width()));
            let span = |table, start: u16| (table, usize::from(start)..usize::from(start) + width);
            let lead = (
                register.write_table(),
                usize::from(register.write_address).saturating_sub(cell.lead)
                    ..usize::from(register.write_address),
            );
            [
                span(register.table, register.address),
                span(register.write_table(), register.write_address),
                lead,
            ]
        });
        let presets = device.presets();
        let beside = presets.iter().map(|(table, address, words)| {
            let start = usize::from(*address);
            (*table, start..start + words.len())
        });
        let fixed = device.fixed_writes().map(|(table, address, count)| {
            (table, usize::from(address)..usize::from(address) + usize::from(count))
        });
        let gap = if strict { 0 } else { usize::from(device.max_gap) };
        let image = Image::new(spans.chain(beside).chain(fixed), gap);
        let widest = cells.iter().map(|cell| cell.register.width()).max().unwrap_or(1);
        let mut unit = Self {
            name: Arc::clone(&device.name),
            number: device.unit,
            faults: Faults::default(),
            counts: UnitCounts::default(),
            timeout: device.timeout,
            max_registers: device.max_registers,
            max_bits: device.max_bits,
            image,
            objects: device.objects(),
            cells,
            widest,
        };
        for index in 0..unit.cells.len() {
            unit.move_cell(index, Duration::ZERO);
        }
        for (table, address, words) in presets {
            unit.preset(table, address, &words);
        }
        unit
    }

    /// Registers that other points or the device's identity depend on hold what they must, and stay so.
    fn preset(&mut self, table: Table, address: u16, words: &[u16]) {
        let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
        if let Some(place) = self.image.get_mut(table, address, count) {
            place.copy_from_slice(words);
        }
        let preset = Span { table, address, count };
        for cell in &mut self.cells {
            let own = Span {
                table: cell.register.table,
                address: cell.register.address,
                count: cell.register.width(),
            };
            cell.held |= own.touches(&preset);
        }
    }

    /// Answers one PDU; `None` stays silent. `time` is since the start.
    pub(super) fn serve(&mut self, pdu: &[u8], time: Duration, now: Instant) -> Option<Answer> {
        self.counts.requests += 1;
        let request = Request::parse(pdu);
        let spans = request.map_or([None, None], |request| [span(request.read()), span(request.written())]);
        let effects = self.faults.effects(&spans, self.timeout, now);
        if effects.dead {
            return None;
        }
        let function = pdu.first().copied().unwrap_or(0);
        let refused = effects.exception.map(|code| Err(Exception(code)));
        let done = refused.unwrap_or_else(|| match self.call(pdu, time, now) {
            Some(done) => done,
            None => request.and_then(|request| self.carry_out(&request, pdu, time, now)),
        });
        let mut answer = match done {
            Ok(answer) => answer,
            Err(Exception(code)) => {
                self.counts.exceptions += 1;
                vec![function | 0x80, code]
            }
        };
        self.counts.answers += 1;
        spoil(&mut answer, &effects);
        let unit = if effects.wrong_unit { self.number.wrapping_add(1) } else { self.number };
        Some(Answer { unit, pdu: answer, effects })
    }

    /// Carries out a write that nobody answers.
    pub(super) fn broadcast(&mut self, pdu: &[u8], time: Duration, now: Instant) {
        let Ok(request) = Request::parse(pdu) else { return };
        let effects = self.faults.effects(&[span(request.written())], self.timeout, now);
        if !effects.dead && request.read().is_none() {
            // A broadcast is not answered, not even with an exception (Serial Line 1.02, section 2.1).
            let _ = self.carry_out(&request, pdu, time, now);
        }
    }

    fn carry_out(
        &mut self,
        request: &Request<'_>,
        pdu: &[u8],
        time: Duration,
        now: Instant,
    ) -> Result<Vec<u8>, Exception> {
        if let Some((table, _, count)) = request.read() {
            let most = if table.is_bits() { self.max_bits } else { self.max_registers };
            if count > most {
                return Err(Exception::VALUE);
            }
        }
        if let Request::WriteCoilWord { address, .. } = request
            && !self
                .cells
                .iter()
                .any(|cell| is_coil_word(&cell.register) && cell.register.address == *address)
        {
            return Err(Exception::VALUE);
        }
        for (table, address, count) in [request.written(), request.read()].into_iter().flatten() {
            self.image.get(table, address, count).ok_or(Exception::ADDRESS)?;
        }
        if let Some((table, address, count)) = request.written() {
            let words = self.image.get_mut(table, address, count).ok_or(Exception::ADDRESS)?;
            store(request, words);
            self.counts.writes += 1;
            self.written(table, address, count);
        }
        let Some((table, address, count)) = request.read() else {
            // Functions 15 and 16 echo address and quantity, the others the whole request.
            let echo = if matches!(pdu.first(), Some(15 | 16)) { pdu.get(..5) } else { Some(pdu) };
            return Ok(echo.unwrap_or(pdu).to_vec());
        };
        self.refresh(table, address, count, time, now);
        let words = self.image.get(table, address, count).ok_or(Exception::ADDRESS)?;
        Ok(contents(pdu.first().copied().unwrap_or(0), table, words))
    }

    /// The points that cover an address of the span.
    fn covering(&self, table: Table, address: u16, count: u16) -> std::ops::Range<usize> {
        let first = address.saturating_sub(self.widest - 1);
        let end = u32::from(address) + u32::from(count);
        let place = |cell: &Cell| (cell.register.table, u32::from(cell.register.address));
        let from = self.cells.partition_point(|cell| place(cell) < (table, u32::from(first)));
        let to = self.cells.partition_point(|cell| place(cell) < (table, end));
        from..to.max(from)
    }

    /// Brings the values of a span up to date.
    pub(super) fn refresh(&mut self, table: Table, address: u16, count: u16, time: Duration, now: Instant) {
        if self.faults.frozen(now) {
            return;
        }
        for index in self.covering(table, address, count) {
            let cell = &self.cells[index];
            if !cell.held && !cell.motion.is_constant() {
                self.move_cell(index, time);
            }
        }
    }

    /// Lets a point that depends on an output arrive at `time` under the output's present state.
    pub(super) fn advance(&mut self, point: PointId, time: Duration) {
        if let Some(cell) = self.cells.iter_mut().find(|cell| cell.id == point) {
            let _ = cell.move_to(time);
        }
    }

    fn move_cell(&mut self, index: usize, time: Duration) {
        let cell = &mut self.cells[index];
        let value = cell.move_to(time);
        let stored = cell.to_raw(&value).and_then(|raw| self.put(index, &raw));
        if stored.is_err() {
            self.counts.unrepresentable += 1;
        }
        self.tell(index);
    }

    /// Writes a raw number into the registers of a point.
    pub(super) fn put(&mut self, index: usize, raw: &Value) -> Result<(), String> {
        let register = self.cells[index].register;
        if register.is_function() {
            self.cells[index].apart = Some(raw.clone());
            return Ok(());
        }
        let width = register.width();
        let gone = || "the register is not there".to_string();
        let words = self.image.get_mut(register.table, register.address, width).ok_or_else(gone)?;
        if register.table.is_bits() {
            words[0] = u16::from(register.encode_coil(raw)?);
        } else if register.bits.is_some() {
            words[0] = register.encode_bits(raw)?.apply(words[0]);
        } else {
            words.copy_from_slice(&register.encode(raw)?);
        }
        Ok(())
    }

    /// After a write: what was written stays, appears where it is read, and is seen by what depends on it.
    fn written(&mut self, table: Table, address: u16, count: u16) {
        let written = Span { table, address, count };
        for index in 0..self.cells.len() {
            let register = self.cells[index].register;
            let width = register.width();
            let target =
                Span { table: register.write_table(), address: register.write_address, count: width };
            if !target.touches(&written) || register.is_function() {
                continue;
            }
            if (register.write_address, target.table) != (register.address, register.table)
                && let Some(words) = self.image.get(table, register.write_address, width).map(<[u16]>::to_vec)
                && let Some(shown) = self.image.get_mut(register.table, register.address, width)
            {
                shown.copy_from_slice(&words);
            }
            let cell = &mut self.cells[index];
            cell.held |= cell.writable;
            self.tell(index);
        }
    }

    /// Lets the points that depend on this one see its state.
    pub(super) fn tell(&self, index: usize) {
        let cell = &self.cells[index];
        if let Some(drive) = &cell.drive
            && let Some(value) = self.value(index)
        {
            drive.set(cell.share(&value));
        }
    }

    pub(super) fn raw(&self, index: usize) -> Option<Value> {
        let register = &self.cells[index].register;
        if register.is_function() {
            return self.cells[index].apart.clone();
        }
        let words = self.image.get(register.table, register.address, register.width())?;
        if register.table.is_bits() { Some(Value::Bool(words[0] != 0)) } else { register.decode(words).ok() }
    }

    fn value(&self, index: usize) -> Option<Value> {
        self.cells[index].conversion.apply(&self.raw(index)?).0
    }

    fn find(&self, point: PointId) -> Result<usize, String> {
        let found = self.cells.iter().position(|cell| cell.id == point);
        found.ok_or_else(|| format!("{} has no such point", self.name))
    }

    /// The place of a point on the wire.
    #[must_use]
    pub(super) fn span_of(&self, point: PointId) -> Option<Span> {
        let register = &self.cells[self.find(point).ok()?].register;
        Some(Span { table: register.table, address: register.address, count: register.width() })
    }

    /// The value of a point and the raw number behind it, as a master would read them at `time`.
    #[must_use]
    pub(super) fn look(
        &mut self,
        point: PointId,
        time: Duration,
        now: Instant,
    ) -> Option<(Option<Value>, Option<Value>)> {
        let index = self.find(point).ok()?;
        let register = self.cells[index].register;
        self.refresh(register.table, register.address, register.width(), time, now);
        Some((self.value(index), self.raw(index)))
    }

    /// Sets a point to a value; it stays so until it is released.
    ///
    /// # Errors
    /// When the text is no value of the point's kind or its register cannot hold it.
    pub(super) fn set(&mut self, point: PointId, text: &str) -> Result<(), String> {
        let index = self.find(point)?;
        let value = Value::parse(text, self.cells[index].kind)?;
        let raw = self.cells[index].to_raw(&value)?;
        self.put(index, &raw)?;
        self.cells[index].held = true;
        self.tell(index);
        Ok(())
    }

    /// Sets the registers of a point as they are on the wire: for sentinels and values out of range.
    ///
    /// # Errors
    /// When the point takes another number of registers, or a coil something else than 0 or 1.
    pub(super) fn set_words(&mut self, point: PointId, contents: &[u16]) -> Result<(), String> {
        let index = self.find(point)?;
        let register = self.cells[index].register;
        if register.is_function() {
            return Err("the point is in no register; set its value".into());
        }
        if contents.len() != usize::from(register.width()) {
            return Err(format!("the point takes {} registers, not {}", register.width(), contents.len()));
        }
        if register.table.is_bits() && contents.iter().any(|bit| *bit > 1) {
            return Err("a coil or discrete input is 0 or 1".into());
        }
        if let Some(words) = self.image.get_mut(register.table, register.address, register.width()) {
            words.copy_from_slice(contents);
        }
        self.cells[index].held = true;
        self.tell(index);
        Ok(())
    }

    /// Lets a point move by itself again.
    ///
    /// # Errors
    /// When the device has no such point.
    pub(super) fn release(&mut self, point: PointId, time: Duration) -> Result<(), String> {
        let index = self.find(point)?;
        self.cells[index].held = false;
        self.move_cell(index, time);
        Ok(())
    }
}

fn span(place: Option<(Table, u16, u16)>) -> Option<Span> {
    place.map(|(table, address, count)| Span { table, address, count })
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
