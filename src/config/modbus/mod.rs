//! The Modbus sections of a configuration: channels, devices and points become parts of a plan.
//!
//! The driver owns the types and says what fits; this file finds the place of what it says. Absent: checks
//! across points (`conflicts`).

pub(super) mod oneline;

use super::context::Context;
use super::conversion::RawForm;
use super::node::Node;
use super::repeat::Shift;
use super::source::Span;
use crate::driver::modbus::config::{LineConfig, Parity};
use crate::driver::modbus::quirks::is_coil_word;
use crate::driver::modbus::register::RawType;
use crate::driver::modbus::{DeviceConfig, PointConfig, Register, Rules, Transport, WriteMethod};
use crate::model::{Access, Value, ValueKind};

/// The last address of a table, as it is counted from 1.
const MAX_ADDRESS: u32 = 65_536;

/// Records what the driver says about a section, each at the key that it names.
pub(super) fn blame(cx: &Context<'_>, node: &Node, fallback: &[&str], message: &str) {
    let words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let named = words.into_iter().find_map(|word| node.get(word)).map(|value| value.span);
    let span = named.or_else(|| node.span_of(fallback)).unwrap_or(node.span);
    let (message, help) =
        match message.split_once(": ").filter(|(head, _)| head.len() < message.len() / 2 + 12) {
            Some((head, tail)) if head.split(' ').count() > 3 => (head.to_owned(), Some(tail.to_owned())),
            _ => (message.to_owned(), None),
        };
    cx.error(span, message, help);
}

/// Checks a channel's section.
pub(super) fn check_transport(cx: &Context<'_>, node: &Node, transport: &Transport) {
    for message in transport.validate() {
        blame(cx, node, &["address", "port"], &message);
    }
}

/// `9600 8N1`.
pub(super) fn serial_form(line: &LineConfig) -> String {
    let parity = match line.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    format!("{} {}{parity}{}", line.baud, line.data_bits, line.stop_bits)
}

/// Checks a device's section and moves its unit to that of its copy.
pub(super) fn device(cx: &Context<'_>, node: &Node, mut config: DeviceConfig, shift: Shift) -> DeviceConfig {
    for message in config.validate() {
        blame(cx, node, &[], &message);
    }
    let unit = i64::from(config.unit) + i64::from(shift.index) * shift.step.unwrap_or(1);
    match u8::try_from(unit) {
        Ok(unit) => config.unit = unit,
        Err(_) => {
            let place = node.span_of(&["unit"]).unwrap_or(node.span);
            let help = "use fewer copies, another `unit` for the first, or another `step`".to_owned();
            cx.error(place, "the units of the copies run past 0 … 255", help);
        }
    }
    config
}

/// A point's place on the wire.
pub(super) fn register(
    cx: &Context<'_>,
    node: &Node,
    mut config: PointConfig,
    device: &DeviceConfig,
    access: Access,
    shift: Shift,
) -> Option<(Register, WriteMethod, Rules)> {
    let rules = match rules(&config, device, access, shift) {
        Ok(rules) => rules,
        Err(message) => {
            blame(cx, node, &oneline::TABLES, &message);
            return None;
        }
    };
    if shift.index > 0
        && let Err(message) = move_to_copy(&mut config, device, access, shift)
    {
        cx.error(node.span_of(&oneline::TABLES).unwrap_or(node.span), message, None);
        return None;
    }
    match config.register(device, access.writable()) {
        Ok((register, _)) if is_coil_word(&register) && access.readable() => {
            let place = node.span_of(&["type"]).unwrap_or(node.span);
            let help = "add access: w: the number is only ever written, and the coil reads on or off".to_owned();
            cx.error(place, "a coil that takes numbers cannot be read as one", help);
            None
        }
        Ok((register, write)) => Some((register, write, rules)),
        Err(message) => {
            blame(cx, node, &oneline::TABLES, &message);
            None
        }
    }
}

/// What counts for a point besides its register; the registers beside it moved to its copy.
fn rules(config: &PointConfig, device: &DeviceConfig, access: Access, shift: Shift) -> Result<Rules, String> {
    let mut rules = config.rules(device, access.writable())?;
    for (mut companion, step) in config.companions(device)? {
        move_companion(&mut companion.register, step, shift)?;
        rules.companions.push(companion);
    }
    Ok(rules)
}

/// Moves a register beside a point as the point's copy is moved.
fn move_companion(register: &mut Register, step: Option<i64>, shift: Shift) -> Result<(), String> {
    let copies = i64::from(shift.index);
    let mut distance = copies * step.unwrap_or_else(|| i64::from(register.width()));
    if let Some(bits) = &mut register.bits {
        let bit = i64::from(bits.shift) + copies * step.unwrap_or_else(|| i64::from(bits.width));
        distance = bit.div_euclid(16);
        bits.shift = bit.rem_euclid(16) as u8;
    }
    let moved = i64::from(register.address) + distance;
    let moved = u16::try_from(moved).map_err(|_| "the registers beside the copies run past 0 … 65535")?;
    (register.address, register.write_address) = (moved, moved);
    Ok(())
}

/// Moves the addresses, or the bits where the point is made of bits, by `step` times the number of the copy.
fn move_to_copy(
    config: &mut PointConfig,
    device: &DeviceConfig,
    access: Access,
    shift: Shift,
) -> Result<(), String> {
    let (first, _) = config.register(device, access.writable())?;
    let copies = i64::from(shift.index);
    let mut distance = copies * shift.step.unwrap_or_else(|| i64::from(first.width()));
    if let Some(bits) = first.bits {
        let bit = i64::from(bits.shift) + copies * shift.step.unwrap_or_else(|| i64::from(bits.width));
        distance = bit.div_euclid(16);
        let low = bit.rem_euclid(16) as u8;
        config.bit = config.bit.map(|_| low);
        config.bits = config.bits.map(|_| (low, low + bits.width - 1));
    }
    let addresses = [
        &mut config.coil,
        &mut config.discrete,
        &mut config.input,
        &mut config.holding,
        &mut config.write_address,
    ];
    for address in addresses.into_iter().flatten() {
        let moved = u32::try_from(i64::from(*address) + distance).ok();
        let within = moved.filter(|moved| *moved <= MAX_ADDRESS);
        *address = within.ok_or("the addresses of the copies run past 0 … 65535")?;
    }
    Ok(())
}

/// What the register can hold.
pub(super) fn raw_form(register: &Register) -> RawForm {
    let kind = match register.raw {
        RawType::Bool => ValueKind::Bool,
        raw if raw.is_text() => ValueKind::Text,
        RawType::F32 | RawType::F64 => ValueKind::Float,
        _ => ValueKind::Integer,
    };
    let signed = |bits: u32| (Value::Int(-(1 << (bits - 1))), Value::Int((1 << (bits - 1)) - 1));
    let unsigned = |bits: u32| (Value::Int(0), Value::Int((1 << bits) - 1));
    let limits = match (register.bits, register.raw) {
        (
            _,
            RawType::Bool | RawType::Text | RawType::Chars | RawType::Mac | RawType::F32 | RawType::F64,
        ) => None,
        (Some(field), _) => Some(unsigned(u32::from(field.width))),
        (None, RawType::U8) => Some(unsigned(8)),
        (None, RawType::U16) => Some(unsigned(16)),
        (None, RawType::U24) => Some(unsigned(24)),
        (None, RawType::I24) => Some(signed(24)),
        (None, RawType::U32) => Some(unsigned(32)),
        (None, RawType::U64) => Some((Value::Int(0), Value::UInt(u64::MAX))),
        (None, RawType::I8) => Some(signed(8)),
        (None, RawType::I16) => Some(signed(16)),
        (None, RawType::I32) => Some(signed(32)),
        (None, RawType::I64) => Some((Value::Int(i64::MIN), Value::Int(i64::MAX))),
        (None, RawType::Bcd16) => Some((Value::Int(0), Value::Int(9_999))),
        (None, RawType::Bcd32) => Some((Value::Int(0), Value::Int(99_999_999))),
    };
    let word = match register.bits {
        Some(field) if register.raw != RawType::Bool => format!("a field of {} bits", field.width),
        _ => format!("{:?}", register.raw).to_lowercase(),
    };
    RawForm { kind, limits, word }
}

/// Whether the register can hold a raw value that is to be written.
pub(super) fn encodable(register: &Register, raw: &Value) -> Result<(), String> {
    if is_coil_word(register) {
        return register.encode_coil_word(raw).map(|_| ());
    }
    if register.table.is_bits() {
        return register.encode_coil(raw).map(|_| ());
    }
    match register.bits {
        Some(_) => register.encode_bits(raw).map(|_| ()),
        None => register.encode(raw).map(|_| ()),
    }
}

/// Unit 0 is everybody on a serial line: it takes writes and answers nothing.
pub(super) fn check_unit(cx: &Context<'_>, transport: &Transport, unit: u8, access: Access, place: Span) {
    if transport.is_broadcast(unit) && access.readable() {
        let help = Some("use the device's own unit, or make the point write-only: access: w".to_owned());
        cx.error(place, "unit 0 is a broadcast to every device: nothing can be read from it", help);
    }
}
