//! What an agent does with a SET (RFC 1157, section 4.1.5; RFC 3416, section 4.2.5).
//!
//! Pure. All of a request is done or nothing. Invariant: only what the plan writes can be set, and of a device with a
//! write session only after the session's values have come, for one write.

use super::agent::Binding;
use super::ber::{self, INTEGER, OBJECT, OCTETS};
use crate::driver::snmp::{Plan, Syntax, Unlock, Wiring};
use crate::driver::text::Form;
use crate::model::{PointId, Value};
use crate::simulate::text::{Cell, State, raw_of};

/// Gauge32, TimeTicks and IpAddress (RFC 2578).
const GAUGE32: u8 = 0x42;
const TIME_TICKS: u8 = 0x43;
const IP_ADDRESS: u8 = 0x40;

/// Why something is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NoAccess,
    WrongType,
    WrongValue,
    NotWritable,
}

impl Refusal {
    /// Its status; version 1 knows fewer (RFC 3584, section 4.4).
    pub(super) const fn status(self, old: bool) -> i64 {
        match (self, old) {
            (Self::NoAccess | Self::NotWritable, true) => 2,
            (Self::WrongType | Self::WrongValue, true) => 3,
            (Self::NoAccess, false) => 6,
            (Self::WrongType, false) => 7,
            (Self::WrongValue, false) => 10,
            (Self::NotWritable, false) => 17,
        }
    }
}

/// How many values of its session each device has got.
#[derive(Debug)]
pub(super) struct Sessions {
    devices: Vec<(Vec<Unlock>, Vec<Unlock>, Vec<PointId>)>,
    got: Vec<usize>,
}

impl Sessions {
    /// Those of a plan: nothing has come yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let device = |device: &crate::driver::snmp::Device| {
            let points = device.points.iter().map(|point| point.id).collect();
            (device.session.open.clone(), device.session.close.clone(), points)
        };
        let devices: Vec<_> = plan.devices.iter().map(device).collect();
        Self { got: vec![0; devices.len()], devices }
    }

    /// Does all that is asked, or nothing.
    ///
    /// # Errors
    /// The place of the first that is refused, from 1, and why.
    pub(super) fn set(
        &mut self,
        state: &mut State<Wiring>,
        bindings: &[Binding],
    ) -> Result<(), (i64, Refusal)> {
        let mut writes: Vec<(usize, Value)> = Vec::new();
        for (binding, place) in bindings.iter().zip(1..) {
            if self.unlocks(binding).map_err(|refusal| (place, refusal))? {
                continue;
            }
            writes.push(self.write(state, binding).map_err(|refusal| (place, refusal))?);
        }
        for (cell, raw) in writes {
            let id = state.cells[cell].id;
            state.cells[cell].write(&raw);
            state.written();
            if let Some(device) = self.devices.iter().position(|(_, _, points)| points.contains(&id)) {
                self.got[device] = 0;
            }
        }
        Ok(())
    }

    /// Whether this is part of a session, which it then moves on.
    fn unlocks(&mut self, (object, (tag, content)): &Binding) -> Result<bool, Refusal> {
        for ((open, close, _), got) in self.devices.iter().zip(&mut self.got) {
            let is = |unlock: &&Unlock| unlock.oid.arcs() == object.as_slice();
            let right = |unlock: &Unlock| {
                let text = text(unlock.syntax, *tag, content)?;
                if text == unlock.value.reveal() { Ok(()) } else { Err(Refusal::WrongValue) }
            };
            if let Some(place) = open.iter().position(|unlock| is(&unlock)) {
                right(&open[place])?;
                // One after the other.
                *got = if place <= *got { place + 1 } else { *got };
                return Ok(true);
            }
            if let Some(unlock) = close.iter().find(is) {
                right(unlock)?;
                *got = 0;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The cell that is written, and its raw value.
    fn write(
        &self,
        state: &State<Wiring>,
        (object, (tag, content)): &Binding,
    ) -> Result<(usize, Value), Refusal> {
        let is = |wiring: &Wiring| {
            wiring.writing.as_ref().is_some_and(|writing| writing.oid.arcs() == object.as_slice())
        };
        let mut found = state.cells.iter().enumerate().filter(|(_, cell)| is(&cell.wiring));
        let (place, cell) = found.next().ok_or(Refusal::NotWritable)?;
        let own = self.devices.iter().zip(&self.got).find(|((_, _, points), _)| points.contains(&cell.id));
        if own.is_some_and(|((open, _, _), got)| *got < open.len()) {
            return Err(Refusal::NoAccess);
        }
        let text = text(syntax(cell), *tag, content)?;
        let (on, off) = match &cell.extract.form {
            Form::State { on: Some(on), off: Some(off) } => (on.as_str(), off.as_str()),
            _ => ("1", "0"),
        };
        let raw = raw_of(&cell.extract.form, on, off, &text).ok_or(Refusal::WrongValue)?;
        Ok((place, raw))
    }
}

/// The type of the object that a point is written to.
fn syntax(cell: &Cell<Wiring>) -> Syntax {
    let declared = cell.wiring.writing.as_ref().and_then(|writing| writing.syntax);
    let state = matches!(cell.extract.form, Form::State { on: None, .. });
    let number = state || cell.text().parse::<i32>().is_ok();
    declared.unwrap_or(if number { Syntax::Integer } else { Syntax::Text })
}

/// Tag and content of an output that is read where it is written, where its type is not the one that its text has.
pub(super) fn value(cell: &Cell<Wiring>) -> Option<(u8, Vec<u8>)> {
    cell.wiring.writing.as_ref().filter(|writing| writing.oid == cell.wiring.oid)?;
    let number = match cell.raw()? {
        Value::Bool(state) if matches!(cell.extract.form, Form::State { on: None, .. }) => i64::from(state),
        _ => cell.text().parse().ok()?,
    };
    let tag = match syntax(cell) {
        Syntax::Integer => INTEGER,
        Syntax::Unsigned => GAUGE32,
        Syntax::TimeTicks => TIME_TICKS,
        _ => return None,
    };
    Some((tag, ber::number(number)))
}

/// A value as a text, of an object of this type.
fn text(syntax: Syntax, tag: u8, content: &[u8]) -> Result<String, Refusal> {
    let wanted = match syntax {
        Syntax::Integer => INTEGER,
        Syntax::Unsigned => GAUGE32,
        Syntax::TimeTicks => TIME_TICKS,
        Syntax::Text => OCTETS,
        Syntax::IpAddress => IP_ADDRESS,
        Syntax::ObjectId => OBJECT,
        Syntax::Float | Syntax::Double => return Err(Refusal::WrongType),
    };
    if tag != wanted {
        return Err(Refusal::WrongType);
    }
    let joined = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let text = match syntax {
        Syntax::Text => String::from_utf8(content.to_vec()).ok(),
        Syntax::IpAddress => Some(joined(&content.iter().map(|byte| u32::from(*byte)).collect::<Vec<_>>())),
        Syntax::ObjectId => ber::object(content).map(|numbers| joined(&numbers)),
        _ => ber::integer(content).map(|number| number.to_string()),
    };
    text.ok_or(Refusal::WrongValue)
}
