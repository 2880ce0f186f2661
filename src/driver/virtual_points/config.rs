//! What people write about virtual points, and what they are computed by.
//!
//! Every struct here is one section; unknown keys are refused by the loader. No key means something else
//! here than in another driver's sections. Absent: which points the names stand for, which the configuration
//! knows. Invariant: a [`Form`] fits the number of its sources.

use std::ops::Range;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::expression::{self, Expression, Kind};
use crate::model::units::Period;
use crate::model::{PointId, Value, ValueKind};

/// The most points that one is computed from.
pub const MAX_SOURCES: usize = 256;

/// How often totals may be saved.
const SAVE_LIMITS: (Period, Period) = (Period::from_secs(1), Period::from_secs(86_400));

/// Computed points: `computed: { virtual: {} }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct VirtualConfig {
    /// How often totals are written to the disk while they change; also at the stop. A power cut loses what came since.
    pub save_every: Period,
}

impl Default for VirtualConfig {
    fn default() -> Self {
        Self { save_every: Period::from_secs(60) }
    }
}

/// How a virtual point is computed: exactly one of these. Points are named `device/point`, or by their topic below the site.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// The sum of these points.
    pub sum: Option<Vec<String>>,
    /// The first point less the second.
    pub difference: Option<(String, String)>,
    /// The mean of these points.
    pub average: Option<Vec<String>>,
    /// The least of these points.
    pub minimum: Option<Vec<String>>,
    /// The greatest of these points.
    pub maximum: Option<Vec<String>>,
    /// The dew point in °C, of a temperature in °C and a relative humidity in %.
    pub dew_point: Option<DewPointConfig>,
    /// The energy of this power: its integral over time in hours (kW give kWh), a total that outlives restarts.
    pub energy: Option<String>,
    /// For how many hours this point has been on, a total that outlives restarts.
    pub run_time: Option<String>,
    /// How often a point has changed, a total that outlives restarts.
    pub count_edges: Option<EdgesConfig>,
    /// An expression over `inputs`: numbers, names, + - * /, comparisons, and, or, not, min, max, abs, if(condition, then, otherwise).
    pub formula: Option<String>,
    /// The names in the formula, and their points: `{ t: press/temperature }`.
    pub inputs: IndexMap<String, String>,
}

/// What a dew point is computed from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DewPointConfig {
    /// The point of the air's temperature, in °C.
    pub temperature: String,
    /// The point of its relative humidity, in %.
    pub humidity: String,
}

/// Which changes are counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EdgesConfig {
    /// The point that changes.
    pub of: String,
    /// Which of its changes count.
    #[serde(default)]
    pub edge: Edge,
}

/// A change of a digital point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// From off to on.
    #[default]
    Rising,
    /// From on to off.
    Falling,
    /// Both.
    Both,
}

/// How a point is computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// The sum.
    Sum,
    /// The first less the second.
    Difference,
    /// The mean.
    Average,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
    /// The dew point of temperature and humidity.
    DewPoint,
    /// The integral of a power over hours.
    Energy,
    /// The hours for which a point was on.
    RunTime,
    /// How often a point changed.
    Edges(Edge),
    /// An expression, and what it gives.
    Formula(Box<Expression>, Kind),
}

/// A form with the names of the points that it is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// How it is computed.
    pub form: Form,
    /// From which points, as they are named.
    pub names: Vec<String>,
    /// The points themselves, once all of them are known.
    pub inputs: Vec<PointId>,
}

/// What is wrong with a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key that is meant; none when there is no form at all.
    pub key: Option<&'static str>,
    /// The bytes of that key's text that are meant; all of it when `None`.
    pub at: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Form {
    /// Whether the point is a total that grows and is kept.
    #[must_use]
    pub const fn is_total(&self) -> bool {
        matches!(self, Self::Energy | Self::RunTime | Self::Edges(_))
    }

    /// Whether its sources are digital.
    #[must_use]
    pub const fn wants_states(&self) -> bool {
        matches!(self, Self::RunTime | Self::Edges(_))
    }

    /// Whether only whole numbers come of it.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Edges(_) | Self::Formula(_, Kind::Condition))
    }

    /// Whether a total can be set to this.
    ///
    /// # Errors
    /// Why not.
    pub fn settable(&self, raw: &Value) -> Result<(), String> {
        match raw.as_f64() {
            Some(number) if self.is_total() && number.is_finite() => Ok(()),
            Some(_) => Err("only totals can be set".into()),
            None => Err("a total is a number".into()),
        }
    }

    /// What is computed, before scale and offset.
    #[must_use]
    pub const fn kind(&self) -> ValueKind {
        match self {
            Self::Edges(_) => ValueKind::Integer,
            Self::Formula(_, Kind::Condition) => ValueKind::Bool,
            _ => ValueKind::Float,
        }
    }
}

impl VirtualConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        if (SAVE_LIMITS.0..=SAVE_LIMITS.1).contains(&self.save_every) {
            return Vec::new();
        }
        vec![format!("save-every {}: use 1s … 1d; every save wears the disk a little", self.save_every)]
    }
}

impl PointConfig {
    /// How the point is computed, and from what.
    ///
    /// # Errors
    /// What does not fit.
    pub fn sources(&self) -> Result<Sources, Mistake> {
        let mut found = self.forms();
        let Some((key, form, names)) = found.pop() else {
            let help = "name one of sum, difference, average, minimum, maximum, dew-point, energy, run-time, count-edges, formula";
            return Err(Mistake::new(None, "it is not said what the point is computed from", help));
        };
        if let Some((other, ..)) = found.first() {
            let message = format!("`{other}` and `{key}` exclude each other");
            return Err(Mistake::new(
                Some(key),
                message,
                "keep one; a point can be computed from computed ones",
            ));
        }
        if !self.inputs.is_empty() && key != "formula" {
            return Err(Mistake::new(Some("inputs"), "`inputs` belongs to `formula`", "remove it"));
        }
        let (form, names) = match form {
            Some(form) => (form, names),
            None => self.formula()?,
        };
        if names.is_empty() || names.len() > MAX_SOURCES {
            let message = format!("`{key}` is computed from {} points", names.len());
            return Err(Mistake::new(Some(key), message, &format!("name 1 … {MAX_SOURCES} points")));
        }
        Ok(Sources { form, names, inputs: Vec::new() })
    }

    /// Every form that is named, with its sources; a formula has its own way.
    fn forms(&self) -> Vec<(&'static str, Option<Form>, Vec<String>)> {
        let many = |key, form, names: &Option<Vec<String>>| {
            names.as_ref().map(|names| (key, Some(form), names.clone()))
        };
        let one = |key, form, name: &Option<String>| {
            name.as_ref().map(|name| (key, Some(form), vec![name.clone()]))
        };
        let pair = |key, form, names: Option<(&String, &String)>| {
            names.map(|(a, b)| (key, Some(form), vec![a.clone(), b.clone()]))
        };
        let dew_point = self.dew_point.as_ref().map(|own| (&own.temperature, &own.humidity));
        let edges = self.count_edges.as_ref();
        [
            many("sum", Form::Sum, &self.sum),
            pair("difference", Form::Difference, self.difference.as_ref().map(|(a, b)| (a, b))),
            many("average", Form::Average, &self.average),
            many("minimum", Form::Minimum, &self.minimum),
            many("maximum", Form::Maximum, &self.maximum),
            pair("dew-point", Form::DewPoint, dew_point),
            one("energy", Form::Energy, &self.energy),
            one("run-time", Form::RunTime, &self.run_time),
            edges.map(|own| ("count-edges", Some(Form::Edges(own.edge)), vec![own.of.clone()])),
            self.formula.as_ref().map(|_| ("formula", None, Vec::new())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn formula(&self) -> Result<(Form, Vec<String>), Mistake> {
        let text = self.formula.as_deref().unwrap_or_default();
        if let Some(name) = self.inputs.keys().find(|name| !expression::is_name(name)) {
            let help =
                "begin with a letter and go on with letters, digits and _; not and, or, not, true, false";
            return Err(Mistake::new(
                Some("inputs"),
                format!("`{name}` cannot be a name in a formula"),
                help,
            ));
        }
        let names: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
        let (expression, kind) = expression::parse(text, &names).map_err(|error| Mistake {
            key: Some("formula"),
            at: Some(error.at),
            message: error.message,
            help: error.help,
        })?;
        if let Some((_, name)) = names.iter().enumerate().find(|(place, _)| !expression.uses(*place)) {
            let message = format!("the formula does not use its input `{name}`");
            return Err(Mistake::new(Some("inputs"), message, "remove it, or use it"));
        }
        Ok((Form::Formula(Box::new(expression), kind), self.inputs.values().cloned().collect()))
    }
}

impl Mistake {
    fn new(key: Option<&'static str>, message: impl Into<String>, help: &str) -> Self {
        Self { key, at: None, message: message.into(), help: Some(help.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(yaml: &str) -> Result<Sources, Mistake> {
        serde_yaml::from_str::<PointConfig>(yaml).unwrap().sources()
    }

    #[test]
    fn forms_know_their_sources() {
        let found = sources("{ dew-point: { temperature: a/t, humidity: a/h } }").unwrap();
        assert_eq!((found.form, found.names), (Form::DewPoint, vec!["a/t".into(), "a/h".into()]));
        let found = sources("{ count-edges: { of: a/door, edge: both } }").unwrap();
        assert_eq!((found.form.is_total(), found.form.kind()), (true, ValueKind::Integer));
        let found = sources("{ formula: t > limit, inputs: { limit: a/l, t: a/t } }").unwrap();
        assert_eq!((found.form.kind(), found.names), (ValueKind::Bool, vec!["a/l".into(), "a/t".into()]));
    }

    #[test]
    fn what_does_not_fit_is_told_with_a_remedy() {
        for (yaml, key, part) in [
            ("{}", None, "not said"),
            ("{ sum: [] }", Some("sum"), "0 points"),
            ("{ sum: [a/x], average: [a/x] }", Some("average"), "exclude"),
            ("{ sum: [a/x], inputs: { x: a/x } }", Some("inputs"), "belongs to `formula`"),
            ("{ formula: x + }", Some("formula"), "no input `x`"),
            ("{ formula: 1 }", Some("formula"), "0 points"),
            ("{ formula: x, inputs: { x: a/x, y: a/y } }", Some("inputs"), "does not use"),
            ("{ formula: 1, inputs: { x-y: a/x } }", Some("inputs"), "cannot be a name"),
            ("{ formula: 1, inputs: { and: a/x } }", Some("inputs"), "cannot be a name"),
        ] {
            let mistake = sources(yaml).unwrap_err();
            assert_eq!(mistake.key, key, "{yaml}: {mistake:?}");
            assert!(mistake.message.contains(part) && mistake.help.is_some(), "{yaml}: {mistake:?}");
        }
        let often = VirtualConfig { save_every: Period::from_millis(10) };
        assert!(often.validate()[0].contains("save-every"));
    }
}
