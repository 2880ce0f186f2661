//! Values out of texts, whatever carries them: answers of web servers, lines of instruments, messages.
//!
//! `config` holds what people write about it and turns it into an [`Extract`]; `extract` and `number` are
//! pure and do the work. Absent: where texts come from. Invariant: a text that is not wholly what the point
//! says it is gives a reason and never a value.

pub mod config;
pub mod extract;
pub mod number;

pub use config::ExtractConfig;
pub use extract::{Extract, Form, Pick, Reply};

use super::entry::RawForm;
use crate::model::{Conversion, Value, ValueKind};

/// Whether what was read back is what was asked for; `whole` tells devices that take whole numbers only.
#[must_use]
pub fn agrees(
    whole: bool,
    conversion: &Conversion,
    tolerance: f64,
    setpoint: &Value,
    read_back: &Value,
) -> bool {
    if let (Value::Text(wanted), Value::Text(got)) = (setpoint, read_back) {
        return wanted.eq_ignore_ascii_case(got);
    }
    let (Some(wanted), Some(got)) = (setpoint.as_f64(), read_back.as_f64()) else {
        return setpoint == read_back;
    };
    // A real number comes back as it was sent, but for its last digit.
    let half = if whole { conversion.step() / 2.0 } else { wanted.abs() * 1e-9 };
    (wanted - got).abs() <= tolerance.max(half)
}

/// What a text of this form can hold; `counter` tells those that are counted in 32 bits.
#[must_use]
pub const fn raw_form(form: &Form, counter: bool) -> RawForm {
    match form {
        Form::Number { .. } => RawForm::plain(ValueKind::Float, "a number"),
        Form::Integer if counter => RawForm::whole(Value::Int(0), Value::Int(u32::MAX as i64), "a counter"),
        Form::Integer => RawForm::whole(Value::Int(i64::MIN), Value::Int(i64::MAX), "a whole number"),
        Form::Hex => RawForm::whole(Value::Int(0), Value::UInt(u64::MAX), "a hexadecimal number"),
        Form::State { .. } | Form::HexBit(_) => RawForm::plain(ValueKind::Bool, "a state"),
        Form::Text => RawForm::plain(ValueKind::Text, "a text"),
    }
}
