//! The dew point of humid air by the Magnus formula.
//!
//! Pure. Over water, with the constants of D. Sonntag (1990) as in the Guide to Instruments and Methods of
//! Observation, WMO-No. 8, annex 4.B: saturation vapour pressure 6.112 hPa · exp(17.62 t / (243.12 + t)),
//! stated for -45 … 60 °C. The pressure cancels out of the dew point.

/// The constants of the formula; the second in °C.
const BETA: f64 = 17.62;
const LAMBDA: f64 = 243.12;

/// Where the formula is stated to hold, in °C.
const VALID: (f64, f64) = (-45.0, 60.0);

/// What comes of a temperature and a humidity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DewPoint {
    /// The dew point in °C.
    Sure(f64),
    /// The dew point, from a temperature that the formula is not stated for.
    Doubtful(f64),
    /// There is no such air.
    None,
}

/// The dew point of air of this temperature in °C and this relative humidity in %.
pub(super) fn dew_point(temperature: f64, humidity: f64) -> DewPoint {
    if !(humidity > 0.0 && humidity <= 100.0) || temperature <= -LAMBDA {
        return DewPoint::None;
    }
    let share = (humidity / 100.0).ln() + BETA * temperature / (LAMBDA + temperature);
    let found = LAMBDA * share / (BETA - share);
    match (found.is_finite(), (VALID.0..=VALID.1).contains(&temperature)) {
        (false, _) => DewPoint::None,
        (true, true) => DewPoint::Sure(found),
        (true, false) => DewPoint::Doubtful(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_pairs_agree_with_tables() {
        // Psychrometric tables (rounded to 0.1 K): 20 °C and 50 % give 9.3 °C, 30 °C and 80 % give 26.2 °C.
        for (temperature, humidity, wanted) in [
            (20.0, 50.0, 9.3),
            (30.0, 80.0, 26.2),
            (25.0, 60.0, 16.7),
            (0.0, 100.0, 0.0),
            (-10.0, 70.0, -14.4),
        ] {
            let DewPoint::Sure(found) = dew_point(temperature, humidity) else { panic!("{temperature}") };
            assert!((found - wanted).abs() < 0.06, "{temperature} {humidity}: {found}");
        }
        assert!(matches!(dew_point(80.0, 10.0), DewPoint::Doubtful(_)));
        for (temperature, humidity) in [(20.0, 0.0), (20.0, 100.1), (20.0, f64::NAN), (-300.0, 50.0)] {
            assert_eq!(dew_point(temperature, humidity), DewPoint::None);
        }
    }

    proptest! {
        #[test]
        fn the_dew_point_is_never_above_the_temperature(t in -45.0f64..60.0, rh in 0.1f64..100.0) {
            let DewPoint::Sure(found) = dew_point(t, rh) else { return Err(TestCaseError::fail("none")) };
            prop_assert!(found <= t + 1e-9);
        }
    }
}
