//! One point as a simulated device of texts holds it, and the text that stands for it.

use std::sync::Arc;

use crate::driver::text::Extract;
use crate::driver::text::extract::{Form, Suffix};
use crate::model::{Conversion, Motion, PointId, Value, ValueKind};

/// One point as the device holds it; `W` is where its driver finds it.
#[derive(Debug)]
pub(in crate::simulate) struct Cell<W> {
    pub(in crate::simulate) id: PointId,
    /// The point's own name, without its device's.
    pub(in crate::simulate) name: Arc<str>,
    pub(in crate::simulate) kind: ValueKind,
    pub(in crate::simulate) unit: String,
    pub(in crate::simulate) wiring: W,
    /// Where its value stands in an answer.
    pub(in crate::simulate) extract: Extract,
    /// From values to raw ones; it has no range: a device knows nothing of ours.
    pub(in crate::simulate) conversion: Conversion,
    pub(super) range: Option<(f64, f64)>,
    pub(super) motion: Motion,
    /// The output that it depends on.
    pub(super) depends: Option<PointId>,
    pub(super) now: Value,
    pub(super) held: Option<Held>,
}

/// What a point was set to.
#[derive(Debug, Clone)]
pub(super) enum Held {
    Value(Value),
    /// A text that stands for no value.
    Missing(String),
}

impl<W> Cell<W> {
    /// Its value now.
    pub(in crate::simulate) fn value(&self) -> Value {
        match &self.held {
            Some(Held::Value(value)) => value.clone(),
            _ => self.now.clone(),
        }
    }

    /// The raw value now, where there is one.
    pub(in crate::simulate) fn raw(&self) -> Option<Value> {
        match &self.held {
            Some(Held::Missing(_)) => None,
            _ => self.conversion.invert(&self.value(), false).ok(),
        }
    }

    /// Takes a raw value that was written.
    pub(in crate::simulate) fn write(&mut self, raw: &Value) {
        if let Some(value) = self.conversion.apply(raw).0 {
            self.held = Some(Held::Value(value));
        }
    }

    /// The text that the device prints for it.
    pub(in crate::simulate) fn text(&self) -> String {
        if let Some(Held::Missing(text)) = &self.held {
            return text.clone();
        }
        let Some(raw) = self.raw() else { return String::new() };
        match (&self.extract.form, &raw) {
            (Form::Number { comma, suffix }, raw) => {
                let number = plain_number(raw.as_f64().unwrap_or(0.0));
                let number = if *comma { number.replace('.', ",") } else { number };
                match suffix {
                    Suffix::None => number,
                    Suffix::Any => format!("{number}{}", self.unit),
                    Suffix::Exact(text) => format!("{number}{text}"),
                }
            }
            (Form::State { on: Some(on), off: Some(off) }, Value::Bool(state)) => {
                if *state { on } else { off }.clone()
            }
            (Form::State { .. }, Value::Bool(state)) => if *state { "on" } else { "off" }.to_owned(),
            (Form::HexBit(bit), Value::Bool(state)) => format!("{:X}", u64::from(*state) << (bit & 63)),
            (Form::Hex, Value::Int(number)) => format!("{number:X}"),
            (_, raw) => raw.to_string(),
        }
    }
}

/// At most three decimals, as devices of this class print.
fn plain_number(number: f64) -> String {
    let text = format!("{number:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// What stands in a text in the place of `placeholder`; a pattern without one has to be the text itself.
pub(in crate::simulate) fn inside(pattern: &str, placeholder: &str, text: &str) -> Option<String> {
    match pattern.split_once(placeholder) {
        Some((head, tail)) => Some(text.strip_prefix(head)?.strip_suffix(tail)?.to_owned()),
        None => (pattern == text).then(String::new),
    }
}

/// The raw value that a written text means, for a point of this form whose states are written with these words.
pub(in crate::simulate) fn raw_of(form: &Form, on: &str, off: &str, text: &str) -> Option<Value> {
    match form {
        Form::State { .. } | Form::HexBit(_) if text == on => Some(Value::Bool(true)),
        Form::State { .. } | Form::HexBit(_) if text == off => Some(Value::Bool(false)),
        Form::State { .. } | Form::HexBit(_) => None,
        Form::Number { .. } => text.replace(',', ".").parse().ok().map(Value::Float),
        Form::Integer | Form::Hex => text.parse().ok().map(Value::Int),
        Form::Text => Some(Value::from(text)),
    }
}
