//! Report by exception: which readings are worth publishing.
//!
//! Only the publisher uses this; alarms see every reading, so a deadband can never blind one.
//! Invariant: a change of quality is always reported, and silence never lasts longer than `max_silence`.

use std::time::{Duration, Instant};

use super::{Quality, Reading, Value};

/// How much a number must move before it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Deadband {
    /// Every change.
    #[default]
    None,
    /// A change of at least this many engineering units.
    Absolute(f64),
    /// A change of at least this share of the last reported value, in percent.
    Percent(f64),
}

/// When a point is reported.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReportPolicy {
    /// How much the value must move.
    pub deadband: Deadband,
    /// Report every reading, also unchanged ones.
    pub always: bool,
    /// Report an unchanged value again after this long.
    pub max_silence: Option<Duration>,
}

/// What was last reported of one point.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    last: Option<(Option<Value>, Quality, Instant)>,
}

impl Deadband {
    /// Whether going from `old` to `new` is worth a report.
    #[must_use]
    pub fn exceeded(self, old: &Value, new: &Value) -> bool {
        if old == new {
            return false;
        }
        let (Some(a), Some(b)) = (old.as_f64(), new.as_f64()) else {
            return true;
        };
        match self {
            Self::None => true,
            _ if matches!(new, Value::Bool(_)) => true,
            Self::Absolute(limit) => (b - a).abs() >= limit,
            Self::Percent(share) => (b - a).abs() >= a.abs() * share / 100.0,
        }
    }
}

impl Reported {
    /// Decides on one reading and remembers it when it is to be reported.
    pub fn admit(&mut self, policy: &ReportPolicy, reading: &Reading) -> bool {
        let worth = match &self.last {
            None => true,
            Some((value, quality, at)) => {
                policy.always
                    || *quality != reading.quality
                    || changed(policy.deadband, value.as_ref(), reading.value.as_ref())
                    || policy
                        .max_silence
                        .is_some_and(|limit| reading.at.mono.saturating_duration_since(*at) >= limit)
            }
        };
        if worth {
            self.last = Some((reading.value.clone(), reading.quality, reading.at.mono));
        }
        worth
    }
}

fn changed(deadband: Deadband, old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => deadband.exceeded(old, new),
        (old, new) => old.is_some() != new.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{PointId, Reason, Stamp};

    fn reading(value: f64, at: Instant) -> Reading {
        Reading::good(PointId(0), Value::Float(value), Stamp { mono: at, unix_us: 0 })
    }

    #[test]
    fn quality_changes_pass_any_deadband() {
        let start = Instant::now();
        let policy = ReportPolicy { deadband: Deadband::Absolute(100.0), ..ReportPolicy::default() };
        let mut state = Reported::default();
        assert!(state.admit(&policy, &reading(1.0, start)));
        assert!(!state.admit(&policy, &reading(50.0, start)));
        let mut bad = reading(50.0, start);
        bad.quality = Quality::Bad(Reason::Timeout);
        assert!(state.admit(&policy, &bad));
        assert!(!state.admit(&policy, &bad));
        assert!(state.admit(&policy, &reading(50.0, start)));
    }

    #[test]
    fn silence_is_bounded() {
        let start = Instant::now();
        let policy = ReportPolicy { max_silence: Some(Duration::from_secs(60)), ..ReportPolicy::default() };
        let mut state = Reported::default();
        assert!(state.admit(&policy, &reading(1.0, start)));
        assert!(!state.admit(&policy, &reading(1.0, start + Duration::from_secs(59))));
        assert!(state.admit(&policy, &reading(1.0, start + Duration::from_secs(60))));
    }

    proptest! {
        #[test]
        fn what_is_withheld_is_always_within_the_deadband(values in prop::collection::vec(-1e6f64..1e6, 1..60), limit in 0.001f64..1e5) {
            let policy = ReportPolicy { deadband: Deadband::Absolute(limit), ..ReportPolicy::default() };
            let start = Instant::now();
            let mut state = Reported::default();
            let mut shown = f64::NAN;
            for value in values {
                if state.admit(&policy, &reading(value, start)) {
                    shown = value;
                }
                prop_assert!((shown - value).abs() < limit);
            }
        }
    }
}
