//! The payload of a reading: `raw` or JSON. Pure.
//!
//! JSON members, chosen once: `value` (number, true/false, text, or null when there has never been one),
//! `quality` (`good`, `uncertain`, `bad`), `reason` (only when not good; with the code of a device exception), `time` (source time, RFC 3339 UTC
//! with milliseconds), `unit` (only where the point has one).

use std::io::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::value::write_json_string;
use crate::model::{PayloadFormat, Point, Reading};

/// Writes times, remembering the last second: readings of one batch share it.
#[derive(Debug, Default)]
pub struct TimeText {
    second: i64,
    text: String,
}

impl TimeText {
    /// Appends RFC 3339 in UTC: `2026-11-21T08:00:00.123Z`. A moment outside years 0 to 9999 becomes 1970.
    pub fn write(&mut self, unix_us: i64, out: &mut Vec<u8>) {
        let second = unix_us.div_euclid(1_000_000);
        let ms = unix_us.rem_euclid(1_000_000) / 1000;
        if self.text.is_empty() || self.second != second {
            let moment = Timestamp::from_second(second).unwrap_or_default();
            self.text = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.second = second;
        }
        out.extend_from_slice(self.text.as_bytes());
        let digit = |n: i64| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[b'.', digit(ms / 100), digit(ms / 10), digit(ms), b'Z']);
    }
}

/// What is said of one point, and how.
#[derive(Debug, Clone)]
pub struct Form {
    format: PayloadFormat,
    uncertain: bool,
    unit: Option<Arc<str>>,
}

impl Form {
    /// The form of a point's messages.
    #[must_use]
    pub fn of(point: &Point) -> Self {
        Self { format: point.publish.format, uncertain: point.publish.uncertain, unit: point.unit.clone() }
    }

    /// Appends the payload of `reading`. `false` when this form says nothing about it: `raw` stays silent
    /// about readings that are not good (or at least uncertain, where the point allows it).
    pub fn write(&self, reading: &Reading, time: &mut TimeText, out: &mut Vec<u8>) -> bool {
        match self.format {
            PayloadFormat::Json => {
                write_json(self.unit.as_deref(), reading, time, out);
                true
            }
            PayloadFormat::Raw => {
                let tellable = reading.quality.is_good() || (self.uncertain && reading.quality.is_usable());
                match &reading.value {
                    Some(value) if tellable => {
                        value.write_raw(out);
                        true
                    }
                    _ => false,
                }
            }
        }
    }
}

fn write_json(unit: Option<&str>, reading: &Reading, time: &mut TimeText, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"value\":");
    match &reading.value {
        Some(value) => value.write_json(out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"quality\":\"");
    out.extend_from_slice(reading.quality.class().as_bytes());
    if let Some(reason) = reading.quality.reason() {
        out.extend_from_slice(b"\",\"reason\":\"");
        // Writing into memory cannot fail.
        let _ = write!(out, "{reason}");
    }
    out.extend_from_slice(b"\",\"time\":\"");
    time.write(reading.at.unix_us, out);
    out.push(b'"');
    if let Some(unit) = unit {
        out.extend_from_slice(b",\"unit\":");
        write_json_string(unit, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::model::point::tests::point;
    use crate::model::{PointId, Quality, Reason, Stamp, Value};

    fn text(point: &Point, reading: &Reading) -> Option<String> {
        let mut out = Vec::new();
        Form::of(point)
            .write(reading, &mut TimeText::default(), &mut out)
            .then(|| String::from_utf8(out).unwrap())
    }

    fn reading(value: Value) -> Reading {
        Reading::good(PointId(0), value, Stamp { mono: Instant::now(), unix_us: 1_795_248_000_123_456 })
    }

    #[test]
    fn json_says_value_quality_time_and_unit() {
        let celsius = Point { unit: Some("°C".into()), ..point("t") };
        let mut sample = reading(Value::Float(21.5));
        assert_eq!(
            text(&celsius, &sample).unwrap(),
            r#"{"value":21.5,"quality":"good","time":"2026-11-21T08:00:00.123Z","unit":"°C"}"#
        );
        sample.quality = Quality::Bad(Reason::Timeout);
        sample.value = None;
        assert_eq!(
            text(&point("t"), &sample).unwrap(),
            r#"{"value":null,"quality":"bad","reason":"timeout","time":"2026-11-21T08:00:00.123Z"}"#
        );
    }

    #[test]
    fn a_device_exception_is_told_with_its_code() {
        let refused =
            Reading { quality: Quality::Bad(Reason::DeviceException(2)), ..reading(Value::Float(1.0)) };
        let told = text(&point("t"), &refused).unwrap();
        assert!(told.contains(r#""quality":"bad","reason":"device-exception 2""#), "{told}");
    }

    #[test]
    fn raw_is_silent_about_what_is_not_good() {
        let mut raw = point("t");
        raw.publish.format = PayloadFormat::Raw;
        let mut sample = reading(Value::Float(21.5));
        assert_eq!(text(&raw, &sample).as_deref(), Some("21.5"));
        sample.quality = Quality::Uncertain(Reason::Saturated);
        assert_eq!(text(&raw, &sample), None);
        raw.publish.uncertain = true;
        assert_eq!(text(&raw, &sample).as_deref(), Some("21.5"));
        sample.quality = Quality::Bad(Reason::Timeout);
        assert_eq!(text(&raw, &sample), None);
    }

    proptest! {
        #[test]
        fn times_agree_with_jiff_and_json_with_serde(us in -62_000_000_000_000_000i64..250_000_000_000_000_000, unit in ".*", value: f64) {
            let mut point = point("t");
            point.unit = Some(unit.as_str().into());
            let mut sample = reading(Value::Float(value));
            sample.at.unix_us = us;
            let json: serde_json::Value = serde_json::from_str(&text(&point, &sample).unwrap()).unwrap();
            prop_assert_eq!(json["unit"].as_str().unwrap(), unit);
            let time: Timestamp = json["time"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(time.as_millisecond(), us.div_euclid(1000));
            prop_assert_eq!(json["value"].as_f64(), Some(value).filter(|v| v.is_finite()));
        }
    }
}
