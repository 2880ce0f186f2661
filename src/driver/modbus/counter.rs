//! What is made of a device's counter: a total that goes on over roll-overs, resets and restarts, its rate, or its
//! growth since the last reading.
//!
//! Pure: readings and times in, numbers out. Absent: where totals are kept (`owner/count`). Invariant: a total never
//! falls.

use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Deserialize;

use super::config::PointConfig;
use super::register::RawType;
use crate::driver::entry::RawForm;
use crate::model::{Value, ValueKind};

/// What is told of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// How much it has counted, kept over roll-overs, resets and restarts.
    Total,
    /// How much it counts per second.
    Rate,
    /// How much it has counted since the last reading.
    Delta,
}

/// A point that tells of a counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// What it tells.
    pub what: Counting,
    /// How many numbers the counter has before it begins at 0 again.
    pub numbers: u128,
    /// `device/point`, under which its total is kept.
    pub name: Arc<str>,
}

/// What is known of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Meter {
    /// What it held last, and when; without a time where that was before a restart.
    pub last: Option<(u64, Option<Instant>)>,
    /// How much it has counted in all.
    pub total: u64,
}

impl PointConfig {
    /// What is made of the point when it is a counter.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn count(&self, writable: bool) -> Result<Option<Count>, String> {
        let Some(what) = self.counting else {
            return match self.rollover {
                Some(_) => {
                    Err("rollover belongs to counting: add counting: total, rate or delta, or remove it"
                        .into())
                }
                None => Ok(None),
            };
        };
        if writable {
            return Err("a counter is only read: use access: r, and another point for what clears it".into());
        }
        let bits = self.bits.map(|(low, high)| u32::from(high.saturating_sub(low)) + 1);
        let numbers = match (self.raw.unwrap_or(RawType::U16), bits) {
            (RawType::U16, Some(bits)) => 1 << bits.min(16),
            (RawType::U8, None) => 1 << 8,
            (RawType::U16, None) => 1 << 16,
            (RawType::U24, None) => 1 << 24,
            (RawType::U32, None) => 1 << 32,
            (RawType::U64, None) => 1 << 64,
            (RawType::Bcd16, None) => 10_000,
            (RawType::Bcd32, None) => 100_000_000,
            (other, _) => {
                return Err(format!("a counter is a whole number without a sign: not {}", other.word()));
            }
        };
        let in_bits = self.coil.is_some() || self.discrete.is_some() || self.bit.is_some();
        if in_bits || self.scale_by.is_some() || self.exponent.is_some() {
            return Err("a counter is in registers of its own, with a scale that stays: remove bit, scale-by and exponent".into());
        }
        match self.rollover.map(u128::from) {
            Some(rollover) if !(2..=numbers).contains(&rollover) => {
                Err(format!("rollover {rollover}: the register has {numbers} numbers"))
            }
            rollover => Ok(Some(Count { what, numbers: rollover.unwrap_or(numbers), name: Arc::from("") })),
        }
    }
}

impl Count {
    /// What comes of it, before scale and offset.
    #[must_use]
    pub fn form(&self) -> RawForm {
        match self.what {
            Counting::Total | Counting::Delta => {
                RawForm::whole(Value::Int(0), Value::Int(i64::MAX), "a count")
            }
            Counting::Rate => RawForm::plain(ValueKind::Float, "a rate"),
        }
    }

    /// Takes in a reading and tells what the point shows; `None` while there is nothing to compare it with.
    pub fn take(&self, meter: &mut Meter, now: u64, at: Instant) -> Option<Value> {
        let before = meter.last.replace((now, Some(at)));
        let grown = match before {
            Some((last, _)) => self.grown(last, now),
            // A counter that was never seen before has counted what it shows.
            None => {
                meter.total = now;
                return (self.what == Counting::Total).then_some(Value::from(now));
            }
        };
        meter.total = meter.total.saturating_add(grown);
        match (self.what, before) {
            (Counting::Total, _) => Some(Value::from(meter.total)),
            (Counting::Delta, _) => Some(Value::from(grown)),
            (Counting::Rate, Some((_, Some(since)))) => {
                let seconds = at.saturating_duration_since(since).as_secs_f64();
                (seconds > 0.0).then(|| Value::Float(grown as f64 / seconds))
            }
            (Counting::Rate, _) => None,
        }
    }

    /// How much a counter has counted between two readings. One that fell has rolled over when the way across its
    /// end is the shorter half of all its numbers; else it was reset, and has counted what it shows.
    #[must_use]
    pub fn grown(&self, last: u64, now: u64) -> u64 {
        if now >= last {
            return now - last;
        }
        let across = self.numbers.saturating_sub(u128::from(last)) + u128::from(now);
        if across <= self.numbers / 2 { u64::try_from(across).unwrap_or(now) } else { now }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn count(json: &str) -> Result<Count, String> {
        serde_json::from_str::<PointConfig>(json).unwrap().count(false).map(|count| count.unwrap())
    }

    fn of(what: &str, more: &str) -> Count {
        count(&format!(r#"{{"input": 32, "counting": "{what}"{more}}}"#)).unwrap()
    }

    #[test]
    fn totals_go_on_over_the_end_and_over_resets() {
        let (total, mut meter, start) = (of("total", ""), Meter::default(), Instant::now());
        let mut show = |now| total.take(&mut meter, now, start);
        assert_eq!(show(65_000), Some(Value::Int(65_000)), "what the device has counted before");
        assert_eq!(show(65_530), Some(Value::Int(65_530)));
        assert_eq!(show(4), Some(Value::Int(65_540)), "over the end");
        assert_eq!(show(20_000), Some(Value::Int(85_536)));
        assert_eq!(show(7), Some(Value::Int(85_543)), "reset, and seven since");
        assert_eq!(of("total", r#", "rollover": 10000"#).grown(9_990, 5), 15);
        assert_eq!(of("total", r#", "type": "bcd32""#).numbers, 100_000_000);
        assert_eq!(of("total", r#", "type": "u64""#).grown(u64::MAX - 1, 3), 5);
    }

    #[test]
    fn rates_and_deltas_need_two_readings() {
        let (rate, delta, start) = (of("rate", ""), of("delta", ""), Instant::now());
        let (mut one, mut two) = (Meter::default(), Meter::default());
        assert_eq!((rate.take(&mut one, 10, start), delta.take(&mut two, 10, start)), (None, None));
        let later = start + Duration::from_secs(4);
        assert_eq!(rate.take(&mut one, 20, later), Some(Value::Float(2.5)));
        assert_eq!(delta.take(&mut two, 20, later), Some(Value::Int(10)));
        assert_eq!(rate.take(&mut one, 21, later), None, "no time has passed");
        let mut restarted = Meter { last: Some((20, None)), total: 500 };
        assert_eq!(rate.take(&mut restarted, 30, later), None, "nobody knows for how long it was away");
        assert_eq!(restarted.total, 510);
    }

    #[test]
    fn what_is_no_counter_says_so() {
        for (json, words) in [
            (r#"{"input": 1, "type": "i16", "counting": "total"}"#, "without a sign: not i16"),
            (r#"{"input": 1, "type": "f32", "counting": "rate"}"#, "not f32"),
            (r#"{"coil": 1, "counting": "rate"}"#, "registers of its own"),
            (r#"{"input": 1, "counting": "rate", "rollover": 70000}"#, "65536 numbers"),
        ] {
            let problem = count(json).unwrap_err();
            assert!(problem.contains(words), "{json}: {problem}");
        }
        let alone: PointConfig = serde_json::from_str(r#"{"input": 1, "rollover": 9}"#).unwrap();
        assert!(alone.count(false).unwrap_err().contains("belongs to counting"));
        let output: PointConfig = serde_json::from_str(r#"{"holding": 1, "counting": "total"}"#).unwrap();
        assert!(output.count(true).unwrap_err().contains("access: r"));
    }

    proptest! {
        #[test]
        fn a_total_never_falls(readings in prop::collection::vec(any::<u16>(), 1..60)) {
            let (total, mut meter, at) = (of("total", ""), Meter::default(), Instant::now());
            let mut before = 0;
            for reading in readings {
                total.take(&mut meter, u64::from(reading), at);
                prop_assert!(meter.total >= before);
                before = meter.total;
            }
        }

        #[test]
        fn steps_of_less_than_half_are_counted_exactly(start: u16, steps in prop::collection::vec(0u16..32_768, 0..60)) {
            let (total, mut meter, at) = (of("total", ""), Meter::default(), Instant::now());
            total.take(&mut meter, u64::from(start), at);
            let mut wanted = u64::from(start);
            let mut shown = start;
            for step in steps {
                (shown, wanted) = (shown.wrapping_add(step), wanted + u64::from(step));
                total.take(&mut meter, u64::from(shown), at);
                prop_assert_eq!(meter.total, wanted);
            }
        }
    }
}
