//! What people write about control as a whole and about one interlock.
//!
//! Absent: which points the names stand for, which the configuration knows.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::ControlClass;
use crate::model::units::Period;

/// The section `control:`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Who counts more than whom, the first one most. All five are named, and `interlock` first; `[interlock, manual, alarm, automatic, remote]` when nothing is said.
    pub order: Vec<ControlClass>,
    /// The MQTT clients that are programs of the plant and count as `automatic`, by client identifier; all others are `remote`.
    pub automatic: Vec<String>,
    /// For how long a command may hold an output; 8h when nothing is said, 7d at most.
    pub longest_hold: Option<Period>,
}

/// One entry under `interlocks:`. It says either `permit-when` or `force-when`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InterlockConfig {
    /// The outputs may be operated only while this holds: an expression over `inputs`.
    #[serde(default)]
    pub permit_when: Option<String>,
    /// The outputs are forced while this holds: an expression over `inputs`.
    #[serde(default)]
    pub force_when: Option<String>,
    /// The names in the expression, and their points: `{ flow: ahu/airflow }`. One that is not good counts as not permitted.
    #[serde(default)]
    pub inputs: IndexMap<String, String>,
    /// The outputs, and what they are brought to while they are not permitted or forced: `{ ahu/heater: off }`; `keep` leaves one as it is and refuses commands.
    #[serde(default)]
    pub outputs: IndexMap<String, String>,
    /// Whether the last setpoint counts again when the interlock permits again; otherwise the outputs stay safe until somebody acts.
    #[serde(default)]
    pub resume: bool,
    /// Why it is there, for whoever is refused.
    #[serde(default)]
    pub message: Option<String>,
}
