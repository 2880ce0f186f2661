//! What an MQTT client writes to `…/set`, and what it is answered. Pure.
//!
//! The payload is either the setpoint as plain text (`on`, `21.5`) or an object
//! `{"value": …, "id": …, "timeout": "2s", "for": "10m", "stages": true}`, or `{"release": true}`. Invariant: an object with any other member, or a payload over
//! [`MAX_BYTES`], is refused and never guessed at.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::command::MAX_DEADLINE;
use crate::model::units::Period;
use crate::model::value::write_json_string;
use crate::model::{Outcome, Stage, Value};

/// The longest payload of a command.
pub const MAX_BYTES: usize = 4096;

/// The longest id of a command.
pub const MAX_ID_BYTES: usize = 128;

/// What a client asks of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// This setpoint, not yet of the point's kind; held for a time, or merely set.
    Set(Value, Option<Duration>),
    /// To be let go of.
    Release,
}

/// A command as a client gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct SetRequest {
    /// What the output shall do.
    pub asked: Asked,
    /// The client's own name for the command, given back in the answer.
    pub id: Option<String>,
    /// For how long the command counts.
    pub timeout: Option<Duration>,
    /// Whether the client wants to hear how far the command has come.
    pub stages: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    id: Option<String>,
    timeout: Option<Period>,
    #[serde(rename = "for")]
    lasts: Option<Period>,
    #[serde(default)]
    release: bool,
    #[serde(default)]
    stages: bool,
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
            false => {
                let asked = Asked::Set(Value::from(text.trim()), None);
                Ok(Self { asked, id: None, timeout: None, stages: false })
            }
        }
    }

    fn parse_object(text: &str) -> Result<Self, String> {
        let written: Written<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let lasts = written.lasts.map(|period| period.0);
        let asked = match (written.value, written.release) {
            (Some(value), false) => Asked::Set(parse_scalar(value.get())?, lasts),
            (None, true) if lasts.is_none() => Asked::Release,
            (Some(_), true) | (None, true) => {
                return Err("`release` stands alone: it lets go of the output".into());
            }
            (None, false) => return Err("`value` is missing".into()),
        };
        if written.id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            return Err(format!("`id` is longer than {MAX_ID_BYTES} bytes"));
        }
        let timeout = written.timeout.map(|period| period.0);
        if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > MAX_DEADLINE) {
            return Err(format!("timeout must be above 0 and at most {} s", MAX_DEADLINE.as_secs()));
        }
        Ok(Self { asked, id: written.id, timeout, stages: written.stages })
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
    let mut out = begin(point, id, "outcome", outcome.code());
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

/// What is told of a command that has not ended: `{"id":"7","point":"press/fan","stage":"accepted"}`.
#[must_use]
pub fn progress(point: &str, id: Option<&str>, stage: Stage) -> Vec<u8> {
    let mut out = begin(point, id, "stage", stage.code());
    if let Stage::Ramping { at } = stage {
        out.extend_from_slice(b",\"value\":");
        Value::Float(at).write_json(&mut out);
    }
    out.push(b'}');
    out
}

/// The answer to somebody who has let go of an output: `{"point":"press/fan","outcome":"released"}`.
#[must_use]
pub fn released(point: &str, id: Option<&str>) -> Vec<u8> {
    let mut out = begin(point, id, "outcome", "released");
    out.push(b'}');
    out
}

fn begin(point: &str, id: Option<&str>, key: &str, word: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.push(b'{');
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        write_json_string(id, &mut out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"point\":");
    write_json_string(point, &mut out);
    out.push(b',');
    write_json_string(key, &mut out);
    out.push(b':');
    write_json_string(word, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_object_payloads() {
        let plain = SetRequest::parse(b" on\n").unwrap();
        let asked = Asked::Set(Value::from("on"), None);
        assert_eq!(plain, SetRequest { asked, id: None, timeout: None, stages: false });
        let object = SetRequest::parse(br#"{"value": 3, "id": "a", "timeout": "2s"}"#).unwrap();
        assert_eq!(object.asked, Asked::Set(Value::Int(3), None));
        assert_eq!(object.timeout, Some(Duration::from_secs(2)));
        let held = SetRequest::parse(br#"{"value": true, "for": "10m", "stages": true}"#).unwrap();
        assert_eq!(held.asked, Asked::Set(Value::Bool(true), Some(Duration::from_secs(600))));
        assert!(held.stages);
        assert_eq!(SetRequest::parse(br#"{"release": true}"#).unwrap().asked, Asked::Release);
        let long_id = format!(r#"{{"value": 1, "id": "{}"}}"#, "x".repeat(MAX_ID_BYTES + 1));
        for wrong in [
            long_id.as_bytes(),
            br#"{"value": 1, "release": true}"#,
            br#"{"release": true, "for": "1m"}"#,
            br#"{"id": "7"}"#,
            b"",
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
        let stage = progress("press/fan", Some("7"), Stage::OnWire);
        assert_eq!(stage, br#"{"id":"7","point":"press/fan","stage":"on-wire"}"#);
        let stage = progress("oven/heat", None, Stage::Ramping { at: 37.5 });
        assert_eq!(stage, br#"{"point":"oven/heat","stage":"ramping","value":37.5}"#);
        assert_eq!(released("press/fan", None), br#"{"point":"press/fan","outcome":"released"}"#);
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
