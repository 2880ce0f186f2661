//! How a simulated value moves: what stands under `simulate:` of a point.
//!
//! A point without the key holds still ([`Behaviour::resting`]). Absent on purpose: registers and wires
//! (the module `simulate` puts values there). Invariant: a behaviour says what a value *is* at a time, so
//! the same seed, the same times and the same output states give the same values, however often one looks.

mod motion;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::Period;
use super::{Value, ValueKind};

pub use motion::Motion;

/// The most entries of [`Steps::values`].
pub const MAX_STEPS: usize = 1000;

/// How a simulated value moves: `simulate: { sine: { mean: 21, amplitude: 2, period: 10m } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Always the same: `constant: 21`, `constant: on`, `constant: Running`.
    Constant(Literal),
    /// One value after the other, then from the start: numbers, states or names.
    Steps(Steps),
    /// A straight rise or fall that starts over (a saw tooth) or turns back.
    Ramp(Ramp),
    /// A sine wave: a day's temperature, a swinging pressure.
    Sine(Sine),
    /// Small random steps within limits.
    Walk(Walk),
    /// Counts up: parts, pulses, kilowatt hours.
    Count(Count),
    /// A digital state that switches on and off in turn.
    Square(Square),
    /// A digital state that repeats an output's state: the contact of a contactor.
    Follows(Follows),
    /// A number that drifts to one target while an output is on and to another while it is off:
    /// a press that cools while its fan runs.
    Responds(Responds),
}

/// A value as it is written; what it means depends on its point: a number, a state or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(pub String);

/// Values in turn: `steps: { values: [Idle, Running, Fault], every: 30s }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Steps {
    /// The values, 1 to 1000 of them.
    #[schemars(length(min = 1, max = 1000))]
    pub values: Vec<Literal>,
    /// How long each lasts.
    pub every: Period,
}

/// `ramp: { from: 0, to: 100, period: 1m }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ramp {
    /// Where it begins.
    pub from: f64,
    /// Where it arrives.
    pub to: f64,
    /// How long one round takes.
    pub period: Period,
    /// Go back as slowly as it came instead of jumping back.
    #[serde(default)]
    pub returns: bool,
    /// Most that a random disturbance adds or takes away.
    #[serde(default)]
    pub noise: f64,
}

/// `sine: { mean: 21, amplitude: 2, period: 10m }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sine {
    /// The middle.
    pub mean: f64,
    /// How far it swings to either side.
    pub amplitude: f64,
    /// How long one swing takes.
    pub period: Period,
    /// How far into the swing it begins.
    #[serde(default)]
    pub phase: Period,
    /// Most that a random disturbance adds or takes away.
    #[serde(default)]
    pub noise: f64,
}

/// `walk: { start: 600, step: 5, low: 400, high: 1200 }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Walk {
    /// Where it begins.
    pub start: f64,
    /// The largest single step.
    pub step: f64,
    /// It never goes below this.
    pub low: f64,
    /// It never goes above this.
    pub high: f64,
    /// How often it takes a step.
    #[serde(default = "Walk::default_every")]
    pub every: Period,
}

/// `count: { start: 1200, by: 1, every: 4s }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Count {
    /// The first count.
    #[serde(default)]
    pub start: f64,
    /// What each step adds.
    #[serde(default = "Count::default_by")]
    pub by: f64,
    /// How long between two steps.
    pub every: Period,
}

/// `square: { period: 20s, on: 5s }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Square {
    /// From one switching on to the next.
    pub period: Period,
    /// How much of that it is on; half of it when left out.
    #[serde(default)]
    pub on: Option<Period>,
    /// How far into the period it begins.
    #[serde(default)]
    pub phase: Period,
}

/// `follows: { to: press/fan, delay: 500ms }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Follows {
    /// The output, as `device/point`.
    pub to: String,
    /// How much later it takes the output's state.
    #[serde(default)]
    pub delay: Period,
    /// On while the output is off.
    #[serde(default)]
    pub inverted: bool,
}

/// `responds: { to: press/fan, off: 95, on: 35, time-constant: 20s, start: 40, noise: 0.1 }`.
///
/// A first-order lag: after one time constant 63 % of the way to the target is gone, after three 95 %.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Responds {
    /// The output, as `device/point`. A number counts as its share of its range.
    pub to: String,
    /// Where it drifts while the output is off.
    pub off: f64,
    /// Where it drifts while the output is on.
    pub on: f64,
    /// How fast.
    pub time_constant: Period,
    /// Where it begins; at `off` when left out.
    #[serde(default)]
    pub start: Option<f64>,
    /// Most that a random disturbance adds or takes away.
    #[serde(default)]
    pub noise: f64,
}

impl Walk {
    const fn default_every() -> Period {
        Period::from_secs(1)
    }
}

impl Count {
    const fn default_by() -> f64 {
        1.0
    }
}

impl Behaviour {
    /// What a point does that says nothing: it holds still, within its range; an output in its safe state.
    #[must_use]
    pub fn resting(kind: ValueKind, range: Option<(f64, f64)>, safe: Option<&Value>, names: &[&str]) -> Self {
        if let Some(safe) = safe {
            return Self::Constant(Literal(safe.to_string()));
        }
        let number = match (range, kind) {
            (Some((low, high)), ValueKind::Integer) => (low / 2.0 + high / 2.0).floor().max(low),
            (Some((low, high)), _) => low / 2.0 + high / 2.0,
            (None, _) => 0.0,
        };
        Self::Constant(Literal(match kind {
            ValueKind::Bool => "off".into(),
            ValueKind::Integer | ValueKind::Float => Value::Float(number).to_string(),
            ValueKind::Text => names.first().copied().unwrap_or("simulated").into(),
        }))
    }

    /// The output that this behaviour depends on, as `device/point`.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Follows(follows) => Some(&follows.to),
            Self::Responds(responds) => Some(&responds.to),
            _ => None,
        }
    }

    /// Whether the behaviour suits a point of this kind and its numbers make sense.
    ///
    /// # Errors
    /// One sentence about what does not fit.
    pub fn check(&self, kind: ValueKind) -> Result<(), String> {
        Motion::new(self, kind, 0).map(|_| ())
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Literal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Literal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "A number, a state (on, off, true, false) or a text, as the point holds."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<Behaviour, String> {
        serde_yaml::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn behaviours_read_as_people_write_them() {
        assert_eq!(parse("constant: 21"), Ok(Behaviour::Constant(Literal("21".into()))));
        assert_eq!(parse("constant: on"), Ok(Behaviour::Constant(Literal("on".into()))));
        assert_eq!(
            parse(
                "{ responds: { to: press/fan, off: 95, on: 35, time-constant: 20s, start: 40, noise: 0.1 } }"
            ),
            Ok(Behaviour::Responds(Responds {
                to: "press/fan".into(),
                off: 95.0,
                on: 35.0,
                time_constant: Period::from_secs(20),
                start: Some(40.0),
                noise: 0.1,
            }))
        );
        let Ok(Behaviour::Square(square)) = parse("{ square: { period: 20s, on: 5s } }") else {
            panic!("a square");
        };
        assert_eq!(square.on, Some(Period::from_secs(5)));
        assert!(
            parse("{ sine: { mean: 1, amplitude: 1, period: 1s, wobble: 2 } }")
                .unwrap_err()
                .contains("wobble")
        );
    }

    #[test]
    fn resting_values_lie_in_the_range() {
        let text = |behaviour| match behaviour {
            Behaviour::Constant(Literal(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(Behaviour::resting(ValueKind::Float, Some((-40.0, 85.0)), None, &[])), "22.5");
        assert_eq!(text(Behaviour::resting(ValueKind::Integer, Some((0.0, 5.0)), None, &[])), "2");
        assert_eq!(text(Behaviour::resting(ValueKind::Bool, None, Some(&Value::Bool(true)), &[])), "true");
        assert_eq!(text(Behaviour::resting(ValueKind::Text, None, None, &["Idle", "Run"])), "Idle");
    }

    #[test]
    fn a_behaviour_that_does_not_suit_its_point_is_refused() {
        let refused = |yaml: &str, kind| parse(yaml).unwrap().check(kind).unwrap_err();
        assert!(
            refused("{ sine: { mean: 1, amplitude: 1, period: 1s } }", ValueKind::Bool).contains("number")
        );
        assert!(refused("{ square: { period: 1s } }", ValueKind::Float).contains("digital"));
        assert!(refused("{ constant: warm }", ValueKind::Float).contains("warm"));
        assert!(
            refused("{ sine: { mean: 1, amplitude: 1, period: 0s } }", ValueKind::Float).contains("period")
        );
        assert!(
            refused("{ walk: { start: 1, step: 1, low: 2, high: 3 } }", ValueKind::Float).contains("start")
        );
        assert!(refused("{ steps: { values: [], every: 1s } }", ValueKind::Float).contains("values"));
        assert!(refused("{ square: { period: 1s, on: 2s } }", ValueKind::Bool).contains("period"));
        assert!(
            refused("{ sine: { mean: .nan, amplitude: 1, period: 1s } }", ValueKind::Float)
                .contains("finite")
        );
    }
}
