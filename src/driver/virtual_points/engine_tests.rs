//! What is computed from which readings, with which quality and time.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Device, PointConfig, VirtualConfig};
use super::*;
use crate::model::{Access, Conversion};

/// An engine over points 0 … 9, whose own points are numbered from 10 on; `(yaml, inputs)` each.
fn engine(points: &[(&str, &[u32])]) -> Engine {
    let point = |(place, (yaml, inputs)): (usize, &(&str, &[u32]))| {
        let config: PointConfig = serde_yaml::from_str(yaml).unwrap();
        Point {
            id: PointId(10 + u32::try_from(place).unwrap()),
            name: format!("c/{place}").into(),
            form: config.sources().unwrap().form,
            inputs: inputs.iter().map(|input| PointId(*input)).collect(),
            conversion: Conversion::default(),
            access: Access::R,
        }
    };
    let points = points.iter().enumerate().map(point).collect();
    let device = Device { name: "c".into(), points };
    Engine::new(&Plan { name: "c".into(), config: VirtualConfig::default(), devices: vec![device] })
}

fn start() -> Stamp {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    Stamp { mono: *START.get_or_init(Instant::now), unix_us: 0 }
}

fn at(seconds: u64) -> Stamp {
    let start = start();
    Stamp { mono: start.mono + Duration::from_secs(seconds), unix_us: seconds as i64 * 1_000_000 }
}

fn good(point: u32, value: f64, seconds: u64) -> Reading {
    Reading::good(PointId(point), Value::Float(value), at(seconds))
}

fn state(point: u32, value: bool, seconds: u64) -> Reading {
    Reading::good(PointId(point), Value::Bool(value), at(seconds))
}

fn bad(point: u32, reason: Reason, seconds: u64) -> Reading {
    Reading::bad(PointId(point), reason, at(seconds))
}

fn take(engine: &mut Engine, readings: &[Reading]) -> Vec<Reading> {
    let mut out = Vec::new();
    engine.take(readings, &mut out);
    out
}

#[test]
fn every_form_computes_what_its_name_says() {
    for (yaml, wanted) in [
        ("{ sum: [a, b, c] }", 60.0),
        ("{ difference: [a, b] }", -10.0),
        ("{ average: [a, b, c] }", 20.0),
        ("{ minimum: [a, b, c] }", 10.0),
        ("{ maximum: [a, b, c] }", 30.0),
        ("{ formula: a * b - c, inputs: { a: a, b: b, c: c } }", 170.0),
    ] {
        let mut engine = engine(&[(yaml, &[0, 1, 2])]);
        let out = take(&mut engine, &[good(0, 10.0, 1), good(1, 20.0, 1), good(2, 30.0, 1)]);
        assert_eq!(out, [good(10, wanted, 1)], "{yaml}");
    }
    let mut condition = engine(&[("{ formula: a > b, inputs: { a: a, b: b } }", &[0, 1])]);
    assert_eq!(take(&mut condition, &[good(0, 2.0, 1), good(1, 1.0, 1)]), [state(10, true, 1)]);
}

#[test]
fn the_worst_input_decides_and_the_newest_gives_the_time() {
    let mut engine = engine(&[("{ sum: [a, b] }", &[0, 1])]);
    assert_eq!(take(&mut engine, &[good(0, 1.0, 5)]), [bad(10, Reason::NotYetRead, 5)]);
    assert_eq!(take(&mut engine, &[good(1, 2.0, 3)]), [good(10, 3.0, 5)]);
    let shaky = Reading { quality: Quality::Uncertain(Reason::Saturated), ..good(1, 4.0, 6) };
    let wanted = Reading { quality: Quality::Uncertain(Reason::Saturated), ..good(10, 5.0, 6) };
    assert_eq!(take(&mut engine, &[shaky]), [wanted]);
    assert_eq!(take(&mut engine, &[bad(0, Reason::Timeout, 7)]), [bad(10, Reason::Timeout, 7)]);
    let both = take(&mut engine, &[bad(1, Reason::NoConnection, 8)]);
    assert_eq!(both, [bad(10, Reason::Timeout, 8)], "of two bad ones, the first");
    let text = Reading::good(PointId(0), Value::from("x"), at(9));
    assert_eq!(take(&mut engine, &[text, good(1, 1.0, 9)]), [bad(10, Reason::Undecodable, 9)]);
}

#[test]
fn one_state_of_the_plant_is_computed_once_and_no_reading_is_passed_over() {
    let mut engine = engine(&[
        ("{ sum: [x, y] }", &[11, 2]),
        ("{ sum: [a, b] }", &[0, 1]),
        ("{ count-edges: { of: d } }", &[3]),
    ]);
    let mut sources = engine.sources();
    sources.sort();
    assert_eq!(sources, [0, 1, 2, 3].map(PointId));
    let first = [good(0, 1.0, 1), good(1, 2.0, 1), good(2, 10.0, 1)];
    // The chained sum comes after the one that it is computed from, though it is written before it.
    assert_eq!(take(&mut engine, &first), [good(11, 3.0, 1), good(10, 13.0, 1)]);
    let readings = [false, true, false, true, true].map(|on| state(3, on, 2));
    let counts: Vec<_> = take(&mut engine, &readings).into_iter().map(|reading| reading.value).collect();
    assert_eq!(counts, [0, 1, 1, 2, 2].map(|count| Some(Value::Int(count))));
}

#[test]
fn totals_grow_by_good_time_only() {
    let mut engine = engine(&[("{ energy: p }", &[0]), ("{ run-time: r }", &[1])]);
    take(&mut engine, &[good(0, 1.0, 0), state(1, true, 0)]);
    let out = take(&mut engine, &[good(0, 3.0, 3600), state(1, false, 1800)]);
    assert_eq!(out, [good(10, 2.0, 3600), good(11, 0.5, 1800)]);
    // An hour that nobody watched does not count, and the total stays as it was.
    let out = take(&mut engine, &[bad(0, Reason::Timeout, 5000)]);
    let wanted = Reading { value: Some(Value::Float(2.0)), ..bad(10, Reason::Timeout, 5000) };
    assert_eq!(out, [wanted]);
    assert_eq!(take(&mut engine, &[good(0, 3.0, 7200)]), [good(10, 2.0, 7200)]);
    assert_eq!(take(&mut engine, &[good(0, 3.0, 10_800)]), [good(10, 5.0, 10_800)]);
    let out = take(&mut engine, &[good(1, 0.5, 9000)]);
    assert_eq!(out[0].quality, Quality::Bad(Reason::Undecodable), "half on is no state");
}

#[test]
fn a_change_during_an_outage_is_one_edge() {
    for (edge, wanted) in [("rising", 1), ("falling", 0), ("both", 1)] {
        let yaml = format!("{{ count-edges: {{ of: d, edge: {edge} }} }}");
        let mut engine = engine(&[(&yaml, &[0])]);
        take(&mut engine, &[state(0, false, 0), bad(0, Reason::Timeout, 1), state(0, true, 2)]);
        assert_eq!(engine.totals().collect::<Vec<_>>(), [("c/0", f64::from(wanted))], "{edge}");
    }
}

#[test]
fn totals_can_be_set() {
    let mut engine = engine(&[("{ energy: p }", &[0]), ("{ sum: [a] }", &[1])]);
    let unread = Quality::Bad(Reason::NotYetRead);
    let wanted = Reading { quality: unread, ..good(10, 42.0, 1) };
    assert_eq!(engine.set_total(PointId(10), 42.0, at(1)), Some(wanted));
    assert_eq!(engine.set_total(PointId(11), 42.0, at(1)), None);
    take(&mut engine, &[good(0, 1.0, 0)]);
    assert_eq!(take(&mut engine, &[good(0, 1.0, 3600)]), [good(10, 43.0, 3600)]);
}

proptest! {
    #[test]
    fn no_bad_input_gives_a_good_value(readings in prop::collection::vec((0u32..3, 0u8..4, -1e9f64..1e9), 1..60)) {
        let mut engine = engine(&[
            ("{ average: [a, b] }", &[0, 1]),
            ("{ formula: a / b, inputs: { a: a, b: b } }", &[10, 2]),
            ("{ dew-point: { temperature: t, humidity: h } }", &[0, 2]),
        ]);
        let mut now = [Quality::Bad(Reason::NotYetRead); 3];
        for (second, (point, class, value)) in (0..).zip(readings) {
            let quality = match class {
                0 => Quality::Bad(Reason::Timeout),
                1 => Quality::Uncertain(Reason::Saturated),
                _ => Quality::Good,
            };
            now[point as usize] = quality;
            for reading in take(&mut engine, &[Reading { quality, ..good(point, value, second) }]) {
                let inputs: &[usize] = match reading.point.0 { 10 => &[0, 1], 11 => &[0, 1, 2], _ => &[0, 2] };
                let all_usable = inputs.iter().all(|input| now[*input].is_usable());
                let all_good = inputs.iter().all(|input| now[*input].is_good());
                prop_assert!(all_usable || !reading.quality.is_usable());
                prop_assert!(all_good || !reading.quality.is_good());
                prop_assert!(!reading.quality.is_usable() || reading.value.is_some());
            }
        }
    }
}
