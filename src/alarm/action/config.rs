//! What people write about one action under `then:`.
//!
//! `press/fan: on` is the short form, keys are the long one. Which of them is written, the configuration sees by
//! itself and reads accordingly, so that mistakes are told where they stand.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::When;
use crate::model::units::Period;

/// One output under `then`, in the long form.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ActionConfig {
    /// The state that the output is brought to.
    pub value: String,
    /// What begins it, and for how long that asks for it; `raised` when left out.
    #[serde(default)]
    pub when: When,
    /// Which alarm has the output where several want it: 1 counts most, 16 least, and among equal ones the first to come. 8 when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16))]
    pub priority: Option<u8>,
    /// How long the output is held at least, from when its device has confirmed it; also when the alarm is gone before.
    #[serde(default)]
    pub at_least: Period,
    /// How long this alarm leaves the output alone at least before it takes it again.
    #[serde(default)]
    pub pause: Period,
    /// How long the output is held, from when its device has confirmed it, whatever becomes of the alarm.
    #[serde(default)]
    pub pulse: Option<Period>,
    /// Held until this expression over the alarm's `inputs` holds, also when the alarm is gone; an input that is bad releases nothing.
    #[serde(default)]
    pub until: Option<String>,
}

impl ActionConfig {
    /// The short form: held while the alarm is active or latched.
    #[must_use]
    pub fn plain(value: String) -> Self {
        let (at_least, pause) = (Period::default(), Period::default());
        Self { value, when: When::default(), priority: None, at_least, pause, pulse: None, until: None }
    }
}

/// The form of `then`: a state, or keys, for each output.
pub(in crate::alarm) fn by_output(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<ActionConfig>();
    json_schema!({
        "type": "object",
        "additionalProperties": { "anyOf": [{ "type": ["string", "boolean", "number"] }, long] },
    })
}
