//! The HTTP sections of a configuration: devices and points become parts of a plan.
//!
//! The driver owns the types and says what fits; this file finds the place of what it says.

use super::context::Context;
use super::conversion::RawForm;
use super::modbus::blame;
use super::node::Node;
use super::repeat::Shift;
use crate::driver::http::extract::Form;
use crate::driver::http::{DeviceConfig, ExtractConfig, PointConfig, Wiring};
use crate::model::{Access, Value, ValueKind};

/// The keys of terminals, which copies move along.
const TERMINALS: [&str; 5] = ["analog-in", "analog-out", "digital-in", "digital-out", "counter"];

/// Records the problems of a section.
pub(super) fn check(cx: &Context<'_>, node: &Node, fallback: &[&str], problems: &[String]) {
    problems.iter().for_each(|message| blame(cx, node, fallback, message));
}

/// How a point is read and written.
pub(super) fn wiring(
    cx: &Context<'_>,
    node: &Node,
    (mut config, text): (PointConfig, &ExtractConfig),
    device: &DeviceConfig,
    access: Access,
    shift: Shift,
) -> Option<Wiring> {
    if shift.index > 0
        && let Err(message) = move_to_copy(&mut config, shift)
    {
        cx.error(node.span_of(&TERMINALS).unwrap_or(node.span), message, None);
        return None;
    }
    match config.wiring(text, device, access.readable(), access.writable()) {
        Ok(wiring) => Some(wiring),
        Err(message) => {
            let places = ["get", "post", "analog-in", "analog-out", "digital-in", "digital-out", "counter"];
            blame(cx, node, &places, &message);
            None
        }
    }
}

/// Moves the terminal of a copy; requests have the copy's `{n}` in their texts.
fn move_to_copy(config: &mut PointConfig, shift: Shift) -> Result<(), String> {
    let terminals = [
        &mut config.analog_in,
        &mut config.analog_out,
        &mut config.digital_in,
        &mut config.digital_out,
        &mut config.counter,
    ];
    let distance = i64::from(shift.index) * shift.step.unwrap_or(1);
    for number in terminals.into_iter().flatten() {
        let moved = u16::try_from(i64::from(*number) + distance);
        *number = moved.map_err(|_| "the terminals of the copies run past their numbers")?;
    }
    Ok(())
}

/// What the text of an answer can hold.
pub(super) fn raw_form(wiring: &Wiring) -> RawForm {
    raw_text_form(&wiring.extract.form, wiring.slot.is_some())
}

/// What a text of this form can hold; counters of a Web-IO have 32 bits.
pub(super) fn raw_text_form(form: &Form, counter: bool) -> RawForm {
    let whole = |low: Value, high: Value, word: &str| RawForm {
        kind: ValueKind::Integer,
        limits: Some((low, high)),
        word: word.into(),
    };
    let plain = |kind, word: &str| RawForm { kind, limits: None, word: word.into() };
    match form {
        Form::Number { .. } => plain(ValueKind::Float, "a number"),
        Form::Integer if counter => whole(Value::Int(0), Value::Int(i64::from(u32::MAX)), "a counter"),
        Form::Integer => whole(Value::Int(i64::MIN), Value::Int(i64::MAX), "a whole number"),
        Form::Hex => whole(Value::Int(0), Value::UInt(u64::MAX), "a hexadecimal number"),
        Form::State { .. } | Form::HexBit(_) => plain(ValueKind::Bool, "a state"),
        Form::Text => plain(ValueKind::Text, "a text"),
    }
}
