//! What a setpoint must be for its output, whoever asks. Pure.
//!
//! Absent: who may ask now, which is the arbiter's. Invariant: what passes is of the point's kind and in its range.

use crate::model::{Access, Point, Value, ValueKind};

/// Brings a setpoint into the point's kind and checks it against what the point permits.
///
/// # Errors
/// Says what is wrong with it, in the sender's terms.
pub fn check(point: &Point, setpoint: Value) -> Result<Value, String> {
    if point.access == Access::R {
        return Err(format!("`{}` is read only", point.name));
    }
    let value = coerce(setpoint, point.kind)?;
    if let (Some((low, high)), Some(number)) = (point.range, value.as_f64())
        && !(low..=high).contains(&number)
    {
        return Err(format!("{number} is outside {low} … {high}"));
    }
    Ok(value)
}

fn coerce(value: Value, kind: ValueKind) -> Result<Value, String> {
    match (kind, value) {
        (_, value) if value.kind() == kind => Ok(value),
        (ValueKind::Text, other) => Err(format!("text is needed, not {other}")),
        (kind, Value::Text(text)) => Value::parse(&text, kind),
        (ValueKind::Bool, other) => other
            .as_bool()
            .map(Value::Bool)
            .ok_or_else(|| format!("{other} is not on/off, true/false or 1/0")),
        (ValueKind::Integer, Value::Float(number)) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
            Ok(Value::Int(number as i64))
        }
        (ValueKind::Float, Value::Int(number)) => Ok(Value::Float(number as f64)),
        (ValueKind::Float, Value::UInt(number)) => Ok(Value::Float(number as f64)),
        (ValueKind::Integer, other) => Err(format!("{other} is not a whole number")),
        (ValueKind::Float, other) => Err(format!("{other} is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::point::tests::point;

    #[test]
    fn setpoints_are_checked_and_brought_into_kind() {
        let output = Point { access: Access::Rw, range: Some((0.0, 100.0)), ..point("valve") };
        assert_eq!(check(&output, Value::Int(5)), Ok(Value::Float(5.0)));
        assert_eq!(check(&output, Value::from("7.5")), Ok(Value::Float(7.5)));
        assert!(check(&output, Value::Float(101.0)).unwrap_err().contains("outside 0 … 100"));
        assert!(check(&point("meter"), Value::Float(1.0)).unwrap_err().contains("read only"));
        let coil = Point { kind: ValueKind::Bool, range: None, ..output };
        assert_eq!(check(&coil, Value::from("on")), Ok(Value::Bool(true)));
        assert_eq!(check(&coil, Value::Int(0)), Ok(Value::Bool(false)));
        assert!(check(&coil, Value::Int(2)).is_err());
    }
}
