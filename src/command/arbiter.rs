//! Who owns an output now, and what it shall be. Pure: no tasks, no clocks.
//!
//! An output is governed, in this order, by: the gateway's stop (safe state), the alarms that hold it (the
//! one that took it first), the last setpoint that an operator got through, its safe state. Releasing a hold
//! hands the output to the next in line. Invariant: [`Output::target`] is always that of the highest owner,
//! and a setpoint below a hold is refused with the holder's name, never stored to surprise someone later.

use std::sync::Arc;

use crate::model::{Access, Origin, Point, Value, ValueKind};

/// One writable point and its owners.
#[derive(Debug, Clone, Default)]
pub struct Output {
    holds: Vec<Hold>,
    base: Option<Value>,
    safe: Option<Value>,
    stopping: bool,
}

#[derive(Debug, Clone)]
struct Hold {
    owner: Arc<str>,
    value: Value,
}

impl Output {
    /// An output that belongs to nobody yet.
    #[must_use]
    pub fn new(safe: Option<Value>) -> Self {
        Self { safe, ..Self::default() }
    }

    /// What the output shall be; `None` when nobody has said.
    #[must_use]
    pub fn target(&self) -> Option<&Value> {
        if self.stopping {
            return self.safe.as_ref();
        }
        self.holds.first().map(|hold| &hold.value).or(self.base.as_ref()).or(self.safe.as_ref())
    }

    /// Who holds the output against operators, if anyone.
    #[must_use]
    pub fn holder(&self) -> Option<&Arc<str>> {
        self.holds.first().map(|hold| &hold.owner)
    }

    /// Whether the target counts more than a command of an operator that is still under way.
    #[must_use]
    pub fn overrules_operators(&self) -> bool {
        self.stopping || !self.holds.is_empty()
    }

    /// In whose name the target is written.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.holder() {
            Some(alarm) if !self.stopping => Origin::Alarm(Arc::clone(alarm)),
            _ => Origin::Gateway,
        }
    }

    /// Whether a setpoint from this origin may pass now.
    ///
    /// # Errors
    /// Names what stands in the way.
    pub fn admit(&self, origin: &Origin) -> Result<(), String> {
        if self.stopping && *origin != Origin::Gateway {
            return Err("the gateway is stopping".into());
        }
        match (origin, self.holder()) {
            (Origin::Mqtt(_) | Origin::Web(_), Some(holder)) => Err(format!("held by alarm `{holder}`")),
            _ => Ok(()),
        }
    }

    /// An alarm takes the output.
    pub fn hold(&mut self, owner: &Arc<str>, value: Value) {
        match self.holds.iter_mut().find(|hold| hold.owner == *owner) {
            Some(hold) => hold.value = value,
            None => self.holds.push(Hold { owner: Arc::clone(owner), value }),
        }
    }

    /// An alarm lets go of the output.
    pub fn release(&mut self, owner: &str) {
        self.holds.retain(|hold| &*hold.owner != owner);
    }

    /// An operator's setpoint has been written.
    pub fn settle(&mut self, value: Value) {
        self.base = Some(value);
    }

    /// The gateway stops: only the safe state counts from here on.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

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
    use proptest::prelude::*;

    use super::*;
    use crate::model::point::tests::point;

    fn output() -> Point {
        Point { access: Access::Rw, range: Some((0.0, 100.0)), ..point("valve") }
    }

    #[test]
    fn setpoints_are_checked_and_brought_into_kind() {
        assert_eq!(check(&output(), Value::Int(5)), Ok(Value::Float(5.0)));
        assert_eq!(check(&output(), Value::from("7.5")), Ok(Value::Float(7.5)));
        assert!(check(&output(), Value::Float(101.0)).unwrap_err().contains("outside 0 … 100"));
        assert!(check(&point("meter"), Value::Float(1.0)).unwrap_err().contains("read only"));
        let coil = Point { kind: ValueKind::Bool, range: None, ..output() };
        assert_eq!(check(&coil, Value::from("on")), Ok(Value::Bool(true)));
        assert_eq!(check(&coil, Value::Int(0)), Ok(Value::Bool(false)));
        assert!(check(&coil, Value::Int(2)).is_err());
    }

    #[test]
    fn releasing_hands_the_output_to_the_next_in_line() {
        let (hot, smoke): (Arc<str>, Arc<str>) = ("hot".into(), "smoke".into());
        let mut output = Output::new(Some(Value::Bool(false)));
        assert_eq!(output.target(), Some(&Value::Bool(false)));
        output.hold(&hot, Value::Bool(true));
        output.hold(&smoke, Value::Bool(false));
        assert_eq!(output.target(), Some(&Value::Bool(true)));
        assert!(output.admit(&Origin::Web("192.0.2.1".into())).unwrap_err().contains("hot"));
        output.release("hot");
        assert_eq!(output.target(), Some(&Value::Bool(false)));
        output.release("smoke");
        assert!(output.admit(&Origin::Mqtt("c".into())).is_ok());
        output.settle(Value::Bool(true));
        assert_eq!(output.target(), Some(&Value::Bool(true)));
        output.stop();
        assert_eq!(output.target(), Some(&Value::Bool(false)));
        assert!(output.admit(&Origin::Mqtt("c".into())).is_err());
    }

    proptest! {
        #[test]
        fn the_holder_is_always_the_oldest_live_hold(steps in prop::collection::vec((0u8..4, any::<bool>()), 0..60)) {
            let mut output = Output::new(None);
            let mut live: Vec<u8> = Vec::new();
            for (owner, take) in steps {
                let name: Arc<str> = owner.to_string().into();
                if take {
                    output.hold(&name, Value::Int(i64::from(owner)));
                    if !live.contains(&owner) {
                        live.push(owner);
                    }
                } else {
                    output.release(&name);
                    live.retain(|known| *known != owner);
                }
                prop_assert_eq!(output.target().cloned(), live.first().map(|first| Value::Int(i64::from(*first))));
            }
        }
    }
}
