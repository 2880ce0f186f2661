//! Writes that another register confirms: what it must come to hold, what it says when the device refuses, and how
//! long that may take.
//!
//! Pure. Absent: the waiting itself (`owner/confirm`). Invariant: every wait ends.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::beside::beside;
use super::codes::Codes;
use super::config::{DeviceConfig, PointConfig};
use super::register::{Order, RawType, Register};
use crate::model::Value;
use crate::model::units::Period;

/// The most registers that confirm one write.
const MAX_STEPS: usize = 8;

/// How long a device may take, unless something is said, and at most.
const WITHIN: (Period, Duration) = (Period::from_secs(5), Duration::from_secs(600));

/// How often it is asked, unless something is said, and at most.
const EVERY: (Period, Duration) = (Period::from_millis(200), Duration::from_millis(20));

beside! {
    /// A write counts as done when another register says so.
    ConfirmConfig {
        /// One of these numbers; what was written when left out.
        is: Vec<Codes>,
        /// Numbers with which the device refuses, and what they mean: `{ 3001: wrong parameter }`.
        refused: IndexMap<Codes, String>,
        /// How long that may take; 5s when left out.
        within: Option<Period>,
        /// How often the register is read meanwhile; each 200ms when left out.
        every: Option<Period>,
    }
}

/// A register that confirms a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// Its place on the wire.
    pub register: Register,
    /// What it must hold; what was written where this is empty.
    pub wanted: Vec<Codes>,
    /// What it holds when the device refuses, and why.
    pub refused: Vec<(Codes, Arc<str>)>,
    /// How long that may take.
    pub within: Duration,
    /// How often it is read.
    pub every: Duration,
}

/// What a register says of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// Not yet.
    Waits,
    /// The device refuses, for this reason.
    Refused(Arc<str>),
    /// What was written is to be compared with what the register holds.
    Compare,
}

impl PointConfig {
    /// The registers that confirm its writes.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn confirmations(&self, device: &DeviceConfig) -> Result<Vec<Confirm>, String> {
        if self.confirm.len() > MAX_STEPS {
            return Err(format!("confirm names more than {MAX_STEPS} registers"));
        }
        self.confirm.iter().map(|confirm| confirm.confirm(self, device)).collect()
    }

    /// What goes in front of a value must suit it.
    pub(super) fn check_lead(&self) -> Result<(), String> {
        match (self.lead.len(), self.holding) {
            (0, _) => Ok(()),
            (_, None) => Err("lead is for holding registers: the words stand before the value's own".into()),
            (_, Some(_)) if self.bit.is_some() || self.bits.is_some() => {
                Err("lead goes with whole registers: remove bit and bits".into())
            }
            (words, Some(_)) if words > MAX_LEAD => Err(format!("lead has more than {MAX_LEAD} words")),
            (words, Some(holding)) if self.write_address.unwrap_or(holding) < words as u32 => {
                Err("lead: there are not so many registers before the value".into())
            }
            _ => Ok(()),
        }
    }
}

/// The most words in front of a value.
const MAX_LEAD: usize = 32;

impl ConfirmConfig {
    fn confirm(&self, point: &PointConfig, device: &DeviceConfig) -> Result<Confirm, String> {
        let mut place = PointConfig { model: point.model.clone(), ..self.place() };
        if self.is.is_empty() {
            // What was written is looked for: in the same form, unless something else is said.
            place.raw = place.raw.or(point.raw);
            place.order = place.order.or(point.order);
            place.length = point.length;
        }
        let (register, _) = place.register(device, false).map_err(|message| format!("confirm: {message}"))?;
        if !self.is.is_empty() && !register.raw.is_whole() {
            return Err("confirm: the register must hold a whole number or a bit".into());
        }
        let (within, every) = (self.within.unwrap_or(WITHIN.0), self.every.unwrap_or(EVERY.0));
        if within.0.is_zero() || within.0 > WITHIN.1 {
            return Err(format!("confirm: within {within}: use more than nothing and at most 10m"));
        }
        if every.0 < EVERY.1 {
            return Err(format!("confirm: every {every}: use at least 20ms"));
        }
        if self.poll.is_some() {
            return Err(
                "confirm: the register is read while a write waits for it: use every, not poll".into()
            );
        }
        let refused = self.refused.iter().map(|(codes, why)| (*codes, why.as_str().into())).collect();
        Ok(Confirm { register, wanted: self.is.clone(), refused, within: within.0, every: every.0 })
    }
}

impl Confirm {
    /// What the register says.
    #[must_use]
    pub fn judge(&self, raw: &Value) -> Verdict {
        let number = Codes::number(raw);
        if let Some((_, why)) =
            self.refused.iter().find(|(codes, _)| number.is_some_and(|number| codes.hold(number)))
        {
            return Verdict::Refused(Arc::clone(why));
        }
        if self.wanted.is_empty() {
            return Verdict::Compare;
        }
        match number.is_some_and(|number| Codes::any_holds(&self.wanted, number)) {
            true => Verdict::Done,
            false => Verdict::Waits,
        }
    }

    /// A number that confirms, for simulated devices; `None` where it is what was written.
    #[must_use]
    pub fn example(&self) -> Option<i64> {
        self.wanted.first().map(|codes| codes.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::modbus::Rules;

    fn rules(json: &str) -> Result<Rules, String> {
        let device: DeviceConfig = serde_json::from_str("{}").unwrap();
        serde_json::from_str::<PointConfig>(json).unwrap().rules(&device, true)
    }

    #[test]
    fn a_register_confirms_waits_or_refuses() {
        let json = r#"{"holding": 5, "confirm": [
            {"holding": 6, "is": [0], "refused": {"3000..3007": "not performed"}}, {"input": 9}]}"#;
        let confirm = rules(json).unwrap().confirm;
        assert_eq!(confirm[0].judge(&Value::Int(0)), Verdict::Done);
        assert_eq!(confirm[0].judge(&Value::Int(1)), Verdict::Waits);
        assert_eq!(confirm[0].judge(&Value::Int(3001)), Verdict::Refused("not performed".into()));
        assert_eq!(confirm[1].judge(&Value::Int(3001)), Verdict::Compare);
        assert_eq!((confirm[0].within, confirm[0].every), (WITHIN.0.0, EVERY.0.0));
    }

    #[test]
    fn what_makes_no_sense_says_so() {
        for (json, words) in [
            (r#"{"holding": 5, "confirm": [{"is": [0]}]}"#, "confirm: name where the point is"),
            (
                r#"{"holding": 5, "confirm": [{"holding": 6, "is": [0], "type": "f32"}]}"#,
                "whole number or a bit",
            ),
            (r#"{"holding": 5, "confirm": [{"holding": 6, "within": "1h"}]}"#, "at most 10m"),
            (r#"{"holding": 5, "confirm": [{"holding": 6, "every": "1ms"}]}"#, "at least 20ms"),
            (r#"{"holding": 5, "confirm": [{"holding": 6, "poll": "1s"}]}"#, "use every, not poll"),
            (r#"{"coil": 5, "lead": [1]}"#, "lead is for holding registers"),
            (r#"{"holding": 1, "lead": [1, 2]}"#, "not so many registers before"),
            (r#"{"holding": 5, "bit": 1, "lead": [1]}"#, "whole registers"),
        ] {
            let problem = rules(json).unwrap_err();
            assert!(problem.contains(words), "{json}: {problem}");
        }
    }
}
