//! One alarm's state machine. Pure: readings and moments in, changes out.
//!
//! | State | Event | Next |
//! |---|---|---|
//! | normal | value beyond a limit, no on-delay | active |
//! | normal | value beyond a limit, on-delay | pending, due after the delay |
//! | pending | value back inside the limit | normal |
//! | pending | the delay has passed | active |
//! | active | value inside the limit by the hysteresis | normal |
//! | any | bad quality | the same: bad readings neither raise nor clear |
//!
//! Invariant: intervals are measured on the monotonic clock only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{AlarmState, PointId, Quality, Reading, Severity, Stamp, Value};

/// A validated alarm rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// The point that it watches; numeric.
    pub point: PointId,
    /// Raised at or above.
    pub high: Option<f64>,
    /// Raised at or below.
    pub low: Option<f64>,
    /// How far inside the limit the value must come back; never negative.
    pub hysteresis: f64,
    /// How long the value must stay beyond the limit.
    pub on_delay: Duration,
    /// How much it matters.
    pub severity: Severity,
    /// For people.
    pub message: Arc<str>,
    /// What is done while it is raised.
    pub actions: Vec<Action>,
}

/// An output and the state that it is held in.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The output.
    pub output: PointId,
    /// The state, in the output's kind.
    pub value: Value,
}

/// Which limit is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// At or above `high`.
    High,
    /// At or below `low`.
    Low,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The state.
    pub state: AlarmState,
    /// Which limit is passed; `None` while normal.
    pub condition: Option<Condition>,
    /// The value at the last change.
    pub value: Option<Value>,
    /// When the state last changed.
    pub since: Option<Stamp>,
    /// When a pending alarm is due.
    pub due: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self { state: AlarmState::Normal, condition: None, value: None, since: None, due: None }
    }
}

/// A change worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The condition holds, but not yet for its delay.
    Pending,
    /// The alarm is raised.
    Raised,
    /// The alarm was raised and is no more.
    Cleared,
    /// The condition went away before its delay had passed.
    Withdrawn,
}

impl Condition {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

impl Rule {
    /// Takes in one reading of the rule's point.
    pub fn step(&self, state: &mut State, reading: &Reading) -> Option<Change> {
        if matches!(reading.quality, Quality::Bad(_)) {
            return None;
        }
        let number = reading.value.as_ref().and_then(Value::as_f64)?;
        let now = reading.at;
        if let Some(condition) = self.beyond(number) {
            state.condition = Some(condition);
            return match state.state {
                AlarmState::Normal if self.on_delay.is_zero() => {
                    Some(self.enter(state, AlarmState::Active, reading))
                }
                AlarmState::Normal => {
                    let change = self.enter(state, AlarmState::Pending, reading);
                    state.due = Some(now.mono + self.on_delay);
                    Some(change)
                }
                AlarmState::Pending => {
                    state.value.clone_from(&reading.value);
                    self.tick(state, now)
                }
                AlarmState::Active => None,
            };
        }
        match state.state {
            AlarmState::Pending => Some(self.enter(state, AlarmState::Normal, reading)),
            AlarmState::Active if self.inside(number) => Some(self.enter(state, AlarmState::Normal, reading)),
            _ => None,
        }
    }

    /// Lets time pass: a pending alarm whose delay is over is raised.
    pub fn tick(&self, state: &mut State, now: Stamp) -> Option<Change> {
        if state.due? > now.mono {
            return None;
        }
        state.due = None;
        state.state = AlarmState::Active;
        state.since = Some(now);
        Some(Change::Raised)
    }

    fn enter(&self, state: &mut State, next: AlarmState, reading: &Reading) -> Change {
        let change = match (state.state, next) {
            (_, AlarmState::Active) => Change::Raised,
            (_, AlarmState::Pending) => Change::Pending,
            (AlarmState::Pending, AlarmState::Normal) => Change::Withdrawn,
            (_, AlarmState::Normal) => Change::Cleared,
        };
        state.state = next;
        state.since = Some(reading.at);
        state.value.clone_from(&reading.value);
        state.due = None;
        if next == AlarmState::Normal {
            state.condition = None;
        }
        change
    }

    fn beyond(&self, value: f64) -> Option<Condition> {
        if self.high.is_some_and(|high| value >= high) {
            Some(Condition::High)
        } else if self.low.is_some_and(|low| value <= low) {
            Some(Condition::Low)
        } else {
            None
        }
    }

    /// Inside both limits by the hysteresis: strictly below `high - hysteresis` only where there is one,
    /// so that a hysteresis of 0 clears just inside the limit.
    fn inside(&self, value: f64) -> bool {
        self.high.is_none_or(|high| value <= high - self.hysteresis)
            && self.low.is_none_or(|low| value >= low + self.hysteresis)
            && self.beyond(value).is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Reason;

    fn rule(on_delay_s: u64) -> Rule {
        Rule {
            name: "hot".into(),
            point: PointId(0),
            high: Some(60.0),
            low: Some(5.0),
            hysteresis: 2.0,
            on_delay: Duration::from_secs(on_delay_s),
            severity: Severity::High,
            message: "too hot".into(),
            actions: vec![],
        }
    }

    fn at(start: Instant, seconds: f64, value: f64) -> Reading {
        let mono = start + Duration::from_secs_f64(seconds);
        Reading::good(PointId(0), Value::Float(value), Stamp { mono, unix_us: 0 })
    }

    #[test]
    fn without_delay_it_raises_at_once_and_clears_past_the_hysteresis() {
        let (rule, mut state, start) = (rule(0), State::default(), Instant::now());
        assert_eq!(rule.step(&mut state, &at(start, 0.0, 59.9)), None);
        assert_eq!(rule.step(&mut state, &at(start, 1.0, 60.0)), Some(Change::Raised));
        assert_eq!(state.condition, Some(Condition::High));
        assert_eq!(rule.step(&mut state, &at(start, 2.0, 58.1)), None);
        assert_eq!(rule.step(&mut state, &at(start, 3.0, 58.0)), Some(Change::Cleared));
        assert_eq!(state.condition, None);
        assert_eq!(rule.step(&mut state, &at(start, 4.0, 5.0)), Some(Change::Raised));
        assert_eq!(state.condition, Some(Condition::Low));
    }

    #[test]
    fn the_delay_must_pass_unbroken() {
        let (rule, mut state, start) = (rule(5), State::default(), Instant::now());
        assert_eq!(rule.step(&mut state, &at(start, 0.0, 61.0)), Some(Change::Pending));
        assert_eq!(rule.step(&mut state, &at(start, 4.0, 59.0)), Some(Change::Withdrawn));
        assert_eq!(rule.step(&mut state, &at(start, 4.5, 61.0)), Some(Change::Pending));
        assert_eq!(rule.step(&mut state, &at(start, 9.4, 61.0)), None);
        assert_eq!(rule.step(&mut state, &at(start, 9.5, 61.0)), Some(Change::Raised));
    }

    #[test]
    fn the_delay_passes_without_readings_too() {
        let (rule, mut state, start) = (rule(5), State::default(), Instant::now());
        rule.step(&mut state, &at(start, 0.0, 61.0));
        let later = |s| Stamp { mono: start + Duration::from_secs(s), unix_us: 0 };
        assert_eq!(rule.tick(&mut state, later(4)), None);
        assert_eq!(rule.tick(&mut state, later(5)), Some(Change::Raised));
        assert_eq!(rule.tick(&mut state, later(6)), None);
    }

    #[test]
    fn bad_quality_neither_raises_nor_clears() {
        let (rule, mut state, start) = (rule(0), State::default(), Instant::now());
        let mut bad = at(start, 0.0, 99.0);
        bad.quality = Quality::Bad(Reason::Timeout);
        assert_eq!(rule.step(&mut state, &bad), None);
        rule.step(&mut state, &at(start, 1.0, 99.0));
        bad.value = Some(Value::Float(20.0));
        assert_eq!(rule.step(&mut state, &bad), None);
        assert_eq!(state.state, AlarmState::Active);
    }

    proptest! {
        /// Against the plain meaning: raised after `delay` of unbroken excess, cleared inside the hysteresis.
        #[test]
        fn it_means_what_it_says(values in prop::collection::vec(0.0f64..70.0, 1..120), delay in 0u64..4) {
            let (rule, mut state, start) = (rule(delay), State::default(), Instant::now());
            let (mut active, mut beyond_since) = (false, None);
            for (second, value) in values.into_iter().enumerate() {
                let excess = value >= 60.0 || value <= 5.0;
                if active {
                    active = excess || !(7.0..=58.0).contains(&value);
                    if !active { beyond_since = None; }
                } else if excess {
                    let since = *beyond_since.get_or_insert(second);
                    active = (second - since) as u64 >= delay;
                } else {
                    beyond_since = None;
                }
                rule.step(&mut state, &at(start, second as f64, value));
                prop_assert_eq!(state.state == AlarmState::Active, active);
                prop_assert_eq!(state.due.is_some(), state.state == AlarmState::Pending);
            }
        }
    }
}
