//! What people write of a rule test. Series are read node by node, since each of their values depends on a point.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::units::Period;

/// One entry under `tests`: what is given, what people do and what must come of it, on a clock that begins at 0s.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(in crate::config) struct CaseSection {
    /// What points read: one value for all the time, or values by the time from which each holds: `{ press/temperature: { 0s: 40, 1m: 61 } }`. Each is read again every `poll` of its point.
    #[schemars(schema_with = "series_by_name")]
    pub(super) given: IgnoredAny,
    /// When devices fall silent and answer again: `{ press: { 5m: offline, 6m: online } }`.
    #[schemars(schema_with = "words_by_time")]
    pub(super) devices: IgnoredAny,
    /// What people do, by time: `{ 2m: { acknowledge: press-too-hot } }`, or a list of such.
    #[schemars(schema_with = "deeds_by_time")]
    pub(super) r#do: IgnoredAny,
    /// What must come of it.
    #[schemars(with = "ExpectSection")]
    pub(super) expect: IgnoredAny,
    /// Whether nothing may happen to alarms and outputs that `expect` does not name.
    pub(super) only: bool,
    /// When the test ends; with the last time that it names when left out.
    pub(super) until: Option<Period>,
    /// How far an event may lie from its time; 10ms when left out.
    pub(super) tolerance: Option<Period>,
}

/// What must come of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(in crate::config) struct ExpectSection {
    /// Every change of these alarms, by time: `{ press-too-hot: { 1m2s: active-unacknowledged } }`. `{}` is none at all.
    #[schemars(schema_with = "words_by_time")]
    pub(super) alarms: IgnoredAny,
    /// Every write to these outputs, by time; safe states that are taken at the start do not count.
    #[schemars(schema_with = "words_by_time")]
    pub(super) writes: IgnoredAny,
    /// How points stand at some moments, computed ones and outputs too.
    #[schemars(schema_with = "series_by_name")]
    pub(super) values: IgnoredAny,
}

/// One thing that somebody does: to an alarm, or `write` with `value`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(in crate::config) struct DeedSection {
    /// The alarm that is acknowledged.
    pub(super) acknowledge: Option<String>,
    /// The alarm that is put aside, with `for`.
    pub(super) shelve: Option<String>,
    /// The alarm that is taken from the shelf.
    pub(super) unshelve: Option<String>,
    /// The alarm that is taken out of service.
    pub(super) take_out: Option<String>,
    /// The alarm that is put back into service.
    pub(super) put_back: Option<String>,
    /// The output that is written.
    pub(super) write: Option<String>,
    /// With `write`: the setpoint.
    pub(super) value: Option<String>,
    /// With `write`: what must become of the command; it must succeed when left out.
    pub(super) outcome: Option<OutcomeWord>,
    /// With `shelve`: for how long.
    pub(super) r#for: Option<Period>,
}

/// What may become of a command.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum OutcomeWord {
    /// Refused.
    Rejected,
    /// Too late.
    Expired,
    /// Overtaken by another one.
    Superseded,
    /// The output reads otherwise.
    Mismatch,
    /// The device did not take it.
    Failed,
}

impl OutcomeWord {
    /// The code of the outcome.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Mismatch => "mismatch",
            Self::Failed => "failed",
        }
    }
}

/// A reading in its long form.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(in crate::config) struct SignalSection {
    /// The value; the last one stays when left out.
    pub(super) value: Option<String>,
    /// How good it is.
    pub(super) quality: QualityWord,
    /// Why it is not good, such as `timeout` or `out-of-range`.
    pub(super) reason: Option<String>,
}

/// How good a reading is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum QualityWord {
    /// Good.
    #[default]
    Good,
    /// Usable with care.
    Uncertain,
    /// Not usable.
    Bad,
    /// No reading comes any more.
    Silent,
}

fn series_by_name(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<SignalSection>();
    let plain = json_schema!({ "type": ["string", "number", "boolean"] });
    let one = json_schema!({ "anyOf": [plain, long] });
    json_schema!({
        "type": ["object", "null"],
        "additionalProperties": { "anyOf": [one, { "type": "object", "additionalProperties": one }] },
    })
}

fn words_by_time(_: &mut SchemaGenerator) -> Schema {
    let one = json_schema!({ "type": ["string", "number", "boolean"] });
    json_schema!({
        "type": ["object", "null"],
        "additionalProperties": {
            "type": ["object", "null"],
            "additionalProperties": { "anyOf": [one, { "type": "array", "items": one }] },
        },
    })
}

fn deeds_by_time(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<DeedSection>();
    json_schema!({
        "type": ["object", "null"],
        "additionalProperties": { "anyOf": [one, { "type": "array", "items": one }] },
    })
}
