//! Tests of what registers beside a point make of it.

use super::*;
use crate::driver::modbus::config::DeviceConfig;

fn rules(point: &str) -> Result<Vec<Companion>, String> {
    let point: PointConfig = serde_yaml::from_str(point).unwrap();
    let device: DeviceConfig = serde_yaml::from_str("{}").unwrap();
    Ok(point.companions(&device)?.into_iter().map(|(companion, _)| companion).collect())
}

/// The value of a raw number beside registers that all hold `code`.
fn value(point: &str, conversion: &Conversion, raw: i64, code: i64) -> Option<(Option<Value>, Quality)> {
    let companions = rules(point).unwrap();
    let beside = Beside::Raw(Value::Int(code));
    judge(&companions, conversion, |_| &beside).apply(&Value::Int(raw), conversion)
}

fn good(number: f64) -> Option<(Option<Value>, Quality)> {
    Some((Some(Value::Float(number)), Quality::Good))
}

fn bad(reason: Reason) -> Option<(Option<Value>, Quality)> {
    Some((None, Quality::Bad(reason)))
}

#[test]
fn a_power_of_ten_scales_without_noise() {
    let plain = Conversion::default();
    let point = "{ holding: 0, exponent: 5 }";
    assert_eq!(value(point, &plain, 2_305, -1), good(230.5));
    assert_eq!(value(point, &plain, 428, -2), good(4.28));
    assert_eq!(value(point, &plain, 428, 3), good(428_000.0));
    assert_eq!(value(point, &plain, 428, 0), good(428.0));
    assert_eq!(value(point, &plain, 428, -32_768), bad(Reason::NotAvailable));
    assert_eq!(value(point, &plain, 428, 11), bad(Reason::Undecodable));
    let minutes = Conversion { linear: Linear::Scale { scale: 60.0, offset: 1.0 }, ..Conversion::default() };
    assert_eq!(value(point, &minutes, 2, 1), good(1_201.0));
}

#[test]
fn a_code_chooses_the_scale() {
    let plain = Conversion::default();
    let point = "{ input: 0, scale-by: { holding: 16, codes: { 0: { raw: [0, 65535], value: [0, 10] }, '2..3': { scale: 0.5 } } } }";
    assert_eq!(value(point, &plain, 65_535, 0), good(10.0));
    assert_eq!(value(point, &plain, 8, 3), good(4.0));
    assert_eq!(value(point, &plain, 8, 7), bad(Reason::Undecodable));
}

#[test]
fn a_state_register_makes_readings_bad() {
    let plain = Conversion::default();
    let point = "{ input: 0, status-by: { input: 60, codes: { 1: sensor-fault, 2: sensor-over } } }";
    assert_eq!(value(point, &plain, 8, 0), Some((Some(Value::Int(8)), Quality::Good)));
    assert_eq!(value(point, &plain, 8, 1), bad(Reason::SensorFault));
    assert_eq!(value(point, &plain, 8, 2), bad(Reason::SensorOver));
    let there = "{ input: 0, when: { holding: 7, bit: 2, is: [1] } }";
    assert_eq!(value(there, &plain, 8, 1), Some((Some(Value::Int(8)), Quality::Good)));
    assert_eq!(value(there, &plain, 8, 0), bad(Reason::NotAvailable));
}

#[test]
fn nothing_is_assumed_of_a_register_that_was_not_read() {
    let companions = rules("{ holding: 0, exponent: 5 }").unwrap();
    let plain = Conversion::default();
    let by = |beside: &Beside| {
        let now = judge(&companions, &plain, |_| beside);
        (now.apply(&Value::Int(1), &plain), now.conversion(&plain).is_ok())
    };
    assert_eq!(by(&Beside::Unread), (None, false));
    assert_eq!(by(&Beside::Bad(Reason::Timeout)), (bad(Reason::Timeout), false));
    assert_eq!(by(&Beside::Raw(Value::Int(-1))), (good(0.1), true));
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    for (point, words) in [
        ("{ coil: 0, exponent: 5 }", "registers"),
        ("{ holding: 0, exponent: 5, scale-by: { holding: 1, exponent: on } }", "exclude"),
        ("{ holding: 0, scale-by: { holding: 1 } }", "either exponent"),
        ("{ holding: 0, scale-by: { exponent: on } }", "scale-by: name where"),
        ("{ holding: 0, status-by: { holding: 1 } }", "needs codes"),
        ("{ holding: 0, when: { holding: 1 } }", "needs is"),
        ("{ holding: 0, when: { holding: 1, type: f32, is: [1] } }", "whole number"),
        ("{ holding: 0, scale-by: { holding: 1, codes: { 1: { scale: 0 } } } }", "scale of 0"),
        (
            "{ holding: 0, scale-by: { holding: 1, codes: { 1: { scale: 2, raw: [0, 1], value: [0, 1] } } } }",
            "either scale",
        ),
    ] {
        let point = point.replace(": on", ": true");
        let message = rules(&point).unwrap_err();
        assert!(message.contains(words), "{point}: {message}");
    }
}

#[test]
fn an_example_gives_a_value() {
    let plain = Conversion::default();
    for point in [
        "{ holding: 0, exponent: 5 }",
        "{ holding: 0, scale-by: { holding: 1, codes: { 4: { scale: 2 } } } }",
        "{ holding: 0, status-by: { holding: 1, codes: { '0..3': stale } } }",
        "{ holding: 0, when: { holding: 1, is: ['5..9'] } }",
    ] {
        let companions = rules(point).unwrap();
        let beside = Beside::Raw(companions[0].role.example());
        let (value, quality) = judge(&companions, &plain, |_| &beside).apply(&Value::Int(1), &plain).unwrap();
        assert!(value.is_some() && quality == Quality::Good, "{point}");
    }
}
