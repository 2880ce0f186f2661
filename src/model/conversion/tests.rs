//! Tests of conversion in both directions.

use proptest::prelude::*;

use super::*;

fn scaled(scale: f64, offset: f64) -> Conversion {
    Conversion { linear: Linear::Scale { scale, offset }, round: Some(6), ..Conversion::default() }
}

fn loop_4_20() -> Conversion {
    Conversion {
        linear: Linear::Span { raw: (4.0, 20.0), value: (0.0, 10.0), ne43: true },
        round: Some(6),
        ..Conversion::default()
    }
}

#[test]
fn scale_and_range() {
    let c = Conversion { range: Some((-40.0, 85.0)), ..scaled(0.1, 0.0) };
    assert_eq!(c.apply(&Value::Int(215)), (Some(Value::Float(21.5)), Quality::Good));
    assert_eq!(c.apply(&Value::Int(900)), (None, Quality::Bad(Reason::OutOfRange)));
    assert_eq!(c.invert(&Value::Float(21.5), true), Ok(Value::Int(215)));
    assert!(matches!(c.invert(&Value::Float(90.0), true), Err(InverseError::OutOfRange { .. })));
}

#[test]
fn scaled_whole_numbers_show_no_binary_noise() {
    let places = |scale, offset| {
        Conversion { linear: Linear::Scale { scale, offset }, ..Conversion::default() }.natural_places()
    };
    assert_eq!(places(0.1, 0.0), Some(1));
    assert_eq!(places(2.0, 0.25), Some(2));
    assert_eq!(places(1.0 / 3.0, 0.0), None);
    let c = Conversion { round: places(0.1, 0.0), ..scaled(0.1, 0.0) };
    assert_eq!(c.apply(&Value::Int(428)).0, Some(Value::Float(42.8)));
}

#[test]
fn ne43_limits() {
    let c = loop_4_20();
    let quality = |ma: f64| c.apply(&Value::Float(ma)).1;
    assert_eq!(c.apply(&Value::Float(12.0)), (Some(Value::Float(5.0)), Quality::Good));
    assert_eq!(quality(3.5), Quality::Bad(Reason::SensorUnder));
    assert_eq!(quality(3.7), Quality::Uncertain(Reason::Saturated));
    assert_eq!(quality(20.6), Quality::Uncertain(Reason::Saturated));
    assert_eq!(quality(21.5), Quality::Bad(Reason::SensorOver));
}

#[test]
fn sentinels_and_enumerations_are_never_values() {
    let c = Conversion {
        sentinels: vec![
            Sentinel { raw: 32_767.0, reason: Reason::SensorFault },
            Sentinel { raw: f64::NAN, reason: Reason::NotAvailable },
        ],
        ..scaled(0.01, 0.0)
    };
    assert_eq!(c.apply(&Value::Int(32_767)), (None, Quality::Bad(Reason::SensorFault)));
    assert_eq!(c.apply(&Value::Float(f64::NAN)), (None, Quality::Bad(Reason::NotAvailable)));
    assert_eq!(
        Conversion::default().apply(&Value::Float(f64::NAN)),
        (None, Quality::Bad(Reason::Undecodable))
    );
    assert!(matches!(c.invert(&Value::Float(327.67), true), Err(InverseError::Reserved(_))));
    let e = Conversion { enumeration: vec![(0, "Idle".into()), (1, "Run".into())], ..Conversion::default() };
    assert_eq!(e.apply(&Value::Int(1)).0, Some(Value::from("Run")));
    assert_eq!(e.apply(&Value::Int(7)), (None, Quality::Bad(Reason::Undecodable)));
    assert_eq!(e.invert(&Value::from("run"), true), Ok(Value::Int(1)));
    assert!(e.invert(&Value::from("fly"), true).unwrap_err().to_string().contains("Idle, Run"));
}

#[test]
fn sign_magnitude_reads_and_writes() {
    let c = Conversion { sign_magnitude_from: Some(10_000), ..scaled(0.1, 0.0) };
    assert_eq!(c.apply(&Value::Int(10_055)).0, Some(Value::Float(-5.5)));
    assert_eq!(c.invert(&Value::Float(-5.5), true), Ok(Value::Int(10_055)));
    assert_eq!(c.invert(&Value::Float(5.5), true), Ok(Value::Int(55)));
    assert!(c.invert(&Value::Float(1500.0), true).is_err());
}

#[test]
fn wide_counters_keep_every_digit() {
    let c = Conversion::default();
    assert_eq!(c.apply(&Value::UInt(u64::MAX)).0, Some(Value::UInt(u64::MAX)));
    assert_eq!(c.invert(&Value::Int(i64::MAX), true), Ok(Value::Int(i64::MAX)));
    assert!(c.invert(&Value::Float(1.5), true).is_err());
}

proptest! {
    #[test]
    fn a_written_value_reads_back_within_half_a_step(
        raw in -32_768i64..32_767, scale in prop::sample::select(vec![0.001, 0.01, 0.1, 0.5, 1.0, 10.0, -0.1]),
        offset in -100.0f64..100.0,
    ) {
        let c = Conversion { linear: Linear::Scale { scale, offset }, ..Conversion::default() };
        let (value, quality) = c.apply(&Value::Int(raw));
        prop_assert_eq!(quality, Quality::Good);
        let back = c.invert(&value.unwrap(), true).unwrap();
        prop_assert_eq!(back, Value::Int(raw));
    }

    #[test]
    fn any_number_gives_a_finite_value_or_a_reason(bits: u64, scale in -1e9f64..1e9, span: bool) {
        prop_assume!(scale != 0.0);
        let c = if span { loop_4_20() } else { scaled(scale, 1.0) };
        let (value, quality) = c.apply(&Value::Float(f64::from_bits(bits)));
        match value {
            Some(v) => {
                prop_assert!(quality.is_usable());
                prop_assert!(v.as_f64().unwrap().is_finite());
            }
            None => prop_assert!(!quality.is_usable()),
        }
    }
}
