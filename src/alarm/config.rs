//! What people write about one alarm.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Severity;
use crate::model::units::Period;

/// One entry under `alarms:`. At least one of `high` and `low` is needed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The point that is watched: `device/point`, or its topic below the site.
    pub point: String,
    /// Raised at or above this value, in the point's unit.
    #[serde(default)]
    pub high: Option<f64>,
    /// Raised at or below this value, in the point's unit.
    #[serde(default)]
    pub low: Option<f64>,
    /// How far the value must come back inside the limit before the alarm clears, in the point's unit.
    #[serde(default)]
    pub hysteresis: f64,
    /// How long the value must stay beyond the limit before the alarm is raised.
    #[serde(default)]
    pub on_delay: Period,
    /// How much the alarm matters.
    #[serde(default)]
    pub severity: Severity,
    /// What the operator is told; the alarm's name when left out.
    #[serde(default)]
    pub message: Option<String>,
    /// Outputs and the states that they are held in while the alarm is raised: `{ press/fan: on }`.
    #[serde(default)]
    pub then: IndexMap<String, String>,
}
