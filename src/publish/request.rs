//! What an MQTT client writes to `…/set`, and what it is answered. Pure.
//!
//! The payload is either the setpoint as plain text (`on`, `21.5`) or an object
//! `{"value": …, "id": …, "timeout": "2s"}`. Invariant: an object with any other member, or a payload over
//! [`MAX_BYTES`], is refused and never guessed at.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::command::MAX_DEADLINE;
use crate::model::units::Period;
use crate::model::value::write_json_string;
use crate::model::{Outcome, Value};

/// The longest payload of a command.
pub const MAX_BYTES: usize = 4096;

/// A setpoint as a client asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct SetRequest {
    /// What the output shall become; not yet of the point's kind.
    pub setpoint: Value,
    /// The client's own name for the command, given back in the answer.
    pub id: Option<String>,
    /// For how long the command counts.
    pub timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    id: Option<String>,
    timeout: Option<Period>,
}

impl SetRequest {
    /// Reads a payload.
    ///
    /// # Errors
    /// Says what is wrong, for the answer to the sender.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        if payload.len() > MAX_BYTES {
            return Err(format!("the payload is longer than {MAX_BYTES} bytes"));
        }
        let text = std::str::from_utf8(payload).map_err(|_| "the payload is not UTF-8".to_owned())?;
        match text.trim_start().starts_with('{') {
            true => Self::parse_object(text),
            false if text.trim().is_empty() => Err("the payload is empty".into()),
            false => Ok(Self { setpoint: Value::from(text.trim()), id: None, timeout: None }),
        }
    }

    fn parse_object(text: &str) -> Result<Self, String> {
        let written: Written<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let setpoint = parse_scalar(written.value.get())?;
        let timeout = written.timeout.map(|period| period.0);
        if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > MAX_DEADLINE) {
            return Err(format!("timeout must be above 0 and at most {} s", MAX_DEADLINE.as_secs()));
        }
        Ok(Self { setpoint, id: written.id, timeout })
    }
}

/// Whole numbers stay whole: `1` is not `1.0` for a counter of 64 bits.
fn parse_scalar(json: &str) -> Result<Value, String> {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::Bool(state)) => Ok(Value::Bool(state)),
        Ok(serde_json::Value::String(text)) => Ok(Value::from(text.as_str())),
        Ok(serde_json::Value::Number(number)) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .or_else(|| number.as_f64().map(Value::Float))
            .ok_or_else(|| format!("{number} is too large")),
        _ => Err("`value` must be a number, true, false or text".into()),
    }
}

/// The answer to a command: `{"id":"7","point":"press/fan","outcome":"verified","value":true}`.
#[must_use]
pub fn answer(point: &str, id: Option<&str>, outcome: &Outcome) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.push(b'{');
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        write_json_string(id, &mut out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"point\":");
    write_json_string(point, &mut out);
    out.extend_from_slice(b",\"outcome\":");
    write_json_string(outcome.code(), &mut out);
    match outcome {
        Outcome::Verified { read_back } | Outcome::Mismatch { read_back } => {
            out.extend_from_slice(b",\"value\":");
            read_back.write_json(&mut out);
        }
        Outcome::Rejected(reason) | Outcome::Failed(reason) => {
            out.extend_from_slice(b",\"reason\":");
            write_json_string(reason, &mut out);
        }
        Outcome::Confirmed | Outcome::Expired | Outcome::Superseded => {}
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_object_payloads() {
        let plain = SetRequest::parse(b" on\n").unwrap();
        assert_eq!(plain, SetRequest { setpoint: Value::from("on"), id: None, timeout: None });
        let object = SetRequest::parse(br#"{"value": 3, "id": "a", "timeout": "2s"}"#).unwrap();
        assert_eq!(object.setpoint, Value::Int(3));
        assert_eq!(object.timeout, Some(Duration::from_secs(2)));
        for wrong in [
            &b""[..],
            b"\xff",
            br#"{"value":[1]}"#,
            br#"{"value":1,"speed":2}"#,
            br#"{"value":1,"timeout":"0s"}"#,
            br#"{"value":1,"timeout":"1h"}"#,
            &[b'1'; MAX_BYTES + 1],
        ] {
            assert!(SetRequest::parse(wrong).is_err());
        }
    }

    #[test]
    fn answers_are_json() {
        let json = answer("press/fan", Some("7"), &Outcome::Verified { read_back: Value::Bool(true) });
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"id":"7","point":"press/fan","outcome":"verified","value":true}"#
        );
        let json = answer("p", None, &Outcome::Rejected("held by alarm `hot`".into()));
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["reason"], "held by alarm `hot`");
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200), text in r#"\{"value":.{0,40}\}"#) {
            let _ = SetRequest::parse(&payload);
            let _ = SetRequest::parse(text.as_bytes());
        }
    }
}
