//! Interlocks: conditions over points that forbid or force an output, whoever asks. Pure.
//!
//! An interlock is tripped while its condition stands against the output, and also while nobody can know: before
//! every input has been read, and while one of them is bad, stale or uncertain. Absent: what a trip does to an
//! output, which is the arbiter's. Invariant: not knowing is tripped, never permitted.

use std::sync::Arc;

use crate::model::expression::Expression;
use crate::model::{PointId, PointTable, Quality, Reading, Reason, Value};

/// One interlock as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Interlock {
    /// Its name.
    pub name: Arc<str>,
    /// The points of the condition, by their places in it.
    pub inputs: Vec<PointId>,
    /// Numbers and states in, a condition out.
    pub condition: Expression,
    /// What the condition does.
    pub sense: Sense,
    /// The condition as it is written.
    pub text: Arc<str>,
    /// Why it is there, for whoever is refused.
    pub message: Option<Arc<str>>,
    /// The outputs, and what they are brought to while it is tripped; `None` leaves one as it is and refuses commands.
    pub outputs: Vec<(PointId, Option<Value>)>,
    /// Whether the last setpoint counts again when it is over; otherwise the outputs stay safe until somebody acts.
    pub resume: bool,
}

/// What the condition of an interlock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// It permits the outputs: the interlock is tripped while it does not hold.
    Permits,
    /// It forces them: the interlock is tripped while it holds.
    Forces,
}

/// All interlocks and what their inputs are now.
#[derive(Debug, Default)]
pub(super) struct Interlocks {
    rules: Vec<State>,
    /// Indices into `rules`, by point.
    by_point: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct State {
    rule: Arc<Interlock>,
    inputs: Vec<Input>,
    /// Why it is tripped, as it was told last.
    tripped: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy)]
enum Input {
    Known(f64),
    Unknown(Quality),
}

/// An interlock that has tripped, has another reason for it, or has let go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub rule: Arc<Interlock>,
    /// Why it is tripped; `None` when it no longer is.
    pub tripped: Option<Arc<str>>,
    /// Whether it was not tripped before.
    pub fresh: bool,
}

impl Interlocks {
    pub(super) fn new(rules: Vec<Interlock>, points: &PointTable) -> Self {
        let mut by_point = vec![Vec::new(); points.len()];
        for (place, rule) in rules.iter().enumerate() {
            for input in &rule.inputs {
                let watching: &mut Vec<usize> = &mut by_point[input.index()];
                if watching.last() != Some(&place) {
                    watching.push(place);
                }
            }
        }
        let begin = |rule: Interlock| State {
            inputs: vec![Input::Unknown(Quality::Bad(Reason::NotYetRead)); rule.inputs.len()],
            rule: Arc::new(rule),
            tripped: None,
        };
        Self { rules: rules.into_iter().map(begin).collect(), by_point }
    }

    /// How they stand before anything has been read: all of them tripped.
    pub(super) fn begin(&mut self, points: &PointTable) -> Vec<Change> {
        self.rules.iter_mut().filter_map(|state| state.look(points)).collect()
    }

    /// Every interlock, and why it is tripped where it is.
    pub(super) fn status(&self) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        self.rules.iter().map(|state| (Arc::clone(&state.rule.name), state.tripped.clone())).collect()
    }

    /// Takes readings in, all of them before any interlock looks.
    pub(super) fn take(&mut self, readings: &[Reading], points: &PointTable) -> Vec<Change> {
        let mut touched = Vec::new();
        for reading in readings {
            for place in self.by_point.get(reading.point.index()).into_iter().flatten() {
                let state = &mut self.rules[*place];
                let input = Input::of(reading);
                for (own, point) in state.inputs.iter_mut().zip(&state.rule.inputs) {
                    if *point == reading.point {
                        *own = input;
                    }
                }
                touched.push(*place);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().filter_map(|place| self.rules[place].look(points)).collect()
    }
}

impl Input {
    fn of(reading: &Reading) -> Self {
        match reading.value.as_ref().and_then(Value::as_f64) {
            Some(number) if reading.quality.is_good() => Self::Known(number),
            _ if reading.quality.is_good() => Self::Unknown(Quality::Bad(Reason::Undecodable)),
            _ => Self::Unknown(reading.quality),
        }
    }
}

impl State {
    fn look(&mut self, points: &PointTable) -> Option<Change> {
        let tripped: Option<Arc<str>> = self.reason(points).map(Into::into);
        if tripped == self.tripped {
            return None;
        }
        let fresh = self.tripped.is_none();
        self.tripped.clone_from(&tripped);
        Some(Change { rule: Arc::clone(&self.rule), tripped, fresh })
    }

    fn reason(&self, points: &PointTable) -> Option<String> {
        let mut values = Vec::with_capacity(self.inputs.len());
        for (input, point) in self.inputs.iter().zip(&self.rule.inputs) {
            match input {
                Input::Known(number) => values.push(*number),
                Input::Unknown(quality) => {
                    return Some(self.explained(&format!("`{}` is {quality}", points.get(*point).name)));
                }
            }
        }
        let text = &self.rule.text;
        match (self.rule.condition.truth(&values), self.rule.sense) {
            (Some(true), Sense::Permits) | (Some(false), Sense::Forces) => None,
            (Some(false), Sense::Permits) => Some(self.explained(&format!("`{text}` does not hold"))),
            (Some(true), Sense::Forces) => Some(self.explained(&format!("`{text}` holds"))),
            (None, _) => Some(self.explained(&format!("`{text}` has no value"))),
        }
    }

    fn explained(&self, why: &str) -> String {
        match &self.rule.message {
            Some(message) => format!("{message} ({why})"),
            None => why.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;
    use crate::model::expression::{Two, parse};
    use crate::model::point::tests::point;

    fn points() -> PointTable {
        PointTable::new(vec![point("flow"), point("door"), point("heater")])
    }

    fn interlock(text: &str, sense: Sense) -> Interlock {
        let (condition, _) = parse(text, &["flow", "door"]).unwrap();
        Interlock {
            name: "air".into(),
            inputs: vec![PointId(0), PointId(1)],
            condition,
            sense,
            text: text.into(),
            message: None,
            outputs: vec![(PointId(2), Some(Value::Bool(false)))],
            resume: false,
        }
    }

    fn good(point: u32, value: f64) -> Reading {
        Reading::good(PointId(point), Value::Float(value), Clock::system().stamp())
    }

    fn why(changes: &[Change]) -> Option<&str> {
        let [change] = changes else { panic!("{changes:?}") };
        change.tripped.as_deref()
    }

    #[test]
    fn what_is_not_known_is_not_permitted() {
        let points = points();
        let mut all = Interlocks::new(vec![interlock("flow and not door", Sense::Permits)], &points);
        assert_eq!(why(&all.begin(&points)), Some("`test/flow` is bad (not-yet-read)"));
        assert_eq!(why(&all.take(&[good(0, 1.0)], &points)), Some("`test/door` is bad (not-yet-read)"));
        assert_eq!(why(&all.take(&[good(1, 0.0)], &points)), None);
        assert!(all.take(&[good(1, 0.0), good(2, 5.0)], &points).is_empty());
        let opened = all.take(&[good(1, 1.0)], &points);
        assert_eq!(why(&opened), Some("`flow and not door` does not hold"));
        assert!(opened[0].fresh);
        all.take(&[good(1, 0.0)], &points);
        let stale = Reading::bad(PointId(0), Reason::Stale, Clock::system().stamp());
        assert!(why(&all.take(&[stale], &points)).unwrap().contains("stale"));
        assert_eq!(all.status().len(), 1);
    }

    #[test]
    fn a_forcing_condition_trips_while_it_holds_and_says_why_in_words() {
        let points = points();
        let rule =
            Interlock { message: Some("smoke".into()), ..interlock("flow > 5 or door", Sense::Forces) };
        let mut all = Interlocks::new(vec![rule], &points);
        all.begin(&points);
        assert_eq!(why(&all.take(&[good(0, 1.0), good(1, 0.0)], &points)), None);
        let tripped = all.take(&[good(0, 6.0)], &points);
        assert_eq!(why(&tripped), Some("smoke (`flow > 5 or door` holds)"));
        // A condition that is neither true nor false permits nothing.
        assert!(why(&all.take(&[good(1, 3.0)], &points)).unwrap().contains("has no value"));
    }

    proptest! {
        #[test]
        fn permitted_is_only_what_good_readings_of_every_input_permit(
            readings in prop::collection::vec((0u32..2, prop::option::of(0u8..2)), 0..60)
        ) {
            let points = points();
            let both = Expression::Two(Two::And, Box::new(Expression::Input(0)), Box::new(Expression::Input(1)));
            let rule = Interlock { condition: both, ..interlock("flow and door", Sense::Permits) };
            let mut all = Interlocks::new(vec![rule], &points);
            all.begin(&points);
            let mut known = [None; 2];
            for (point, value) in readings {
                known[point as usize] = value;
                let reading = match value {
                    Some(value) => good(point, f64::from(value)),
                    None => Reading::bad(PointId(point), Reason::Timeout, Clock::system().stamp()),
                };
                all.take(&[reading], &points);
                prop_assert_eq!(all.status()[0].1.is_none(), known == [Some(1), Some(1)]);
            }
        }
    }
}
