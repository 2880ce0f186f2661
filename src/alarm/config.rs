//! What people write about one alarm.
//!
//! Which kind an alarm is follows from its keys; exactly one kind is written. Absent: which points the names
//! stand for, which the configuration knows.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, de};

use super::action::by_output;
use crate::model::Severity;
use crate::model::units::Period;

/// One entry under `alarms:`. It watches for exactly one of: limits (`high` …), `rate`, `deviation`, `state`, `quality` (with `stale`), `no-change`, `device`, `formula`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The point that is watched: `device/point`, or its topic below the site.
    #[serde(default)]
    pub point: Option<String>,
    /// Active at or above this value, beyond `high`; see `extreme-severity`.
    #[serde(default)]
    pub high_high: Option<f64>,
    /// Active at or above this value, in the point's unit.
    #[serde(default)]
    pub high: Option<f64>,
    /// Active at or below this value, in the point's unit.
    #[serde(default)]
    pub low: Option<f64>,
    /// Active at or below this value, beyond `low`; see `extreme-severity`.
    #[serde(default)]
    pub low_low: Option<f64>,
    /// How far the value must come back inside a limit before the alarm clears, in the point's unit.
    #[serde(default)]
    pub hysteresis: f64,
    /// Active when the value moves too fast.
    #[serde(default)]
    pub rate: Option<RateConfig>,
    /// Active when the value lies too far from another point or a number.
    #[serde(default)]
    pub deviation: Option<DeviationConfig>,
    /// Active in one of these states: `on`, `[fault, open]`.
    #[serde(default)]
    pub state: Option<Words>,
    /// Active when the reading is `bad`, or `not-good` (also when it is uncertain).
    #[serde(default)]
    pub quality: Option<QualityWord>,
    /// Active when there was no good reading for this long; alone, or with `quality` for what is bad at once.
    #[serde(default)]
    pub stale: Option<Period>,
    /// Active when the value does not move: a frozen sensor.
    #[serde(default)]
    pub no_change: Option<NoChangeConfig>,
    /// Active while this device does not answer.
    #[serde(default)]
    pub device: Option<String>,
    /// Active while this holds: an expression over `inputs`, as of computed points.
    #[serde(default)]
    pub formula: Option<String>,
    /// Counts only while this expression over `inputs` holds; otherwise the alarm is suppressed by design.
    #[serde(default)]
    pub enabled_when: Option<String>,
    /// The names in the expressions, and their points: `{ pump: press/pump }`.
    #[serde(default)]
    pub inputs: IndexMap<String, String>,
    /// How long the condition must hold before the alarm is active.
    #[serde(default)]
    pub on_delay: Period,
    /// How long the condition must be gone before the alarm is.
    #[serde(default)]
    pub off_delay: Period,
    /// Whether the alarm, once active, stays with its outputs until somebody acknowledges that it is gone.
    #[serde(default)]
    pub latch: bool,
    /// Whether somebody must acknowledge that the alarm was there (`required`) or not (`automatic`).
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// How much the alarm matters.
    #[serde(default)]
    pub severity: Severity,
    /// How much `high-high` and `low-low` matter; as `severity` when left out.
    #[serde(default)]
    pub extreme_severity: Option<Severity>,
    /// What the operator is told; the alarm's name when left out. `{value}`, `{unit}`, `{limit}`, `{reference}`, `{condition}`, `{point}` and `{alarm}` are filled in.
    #[serde(default)]
    pub message: Option<TextConfig>,
    /// What the operator can do about it.
    #[serde(default)]
    pub help: Option<TextConfig>,
    /// What kind of alarm it is, in your words: `safety`, `process` …
    #[serde(default)]
    pub class: Option<String>,
    /// The groups that it belongs to, which can be acknowledged and shelved as one.
    #[serde(default)]
    pub groups: Vec<String>,
    /// A bad input keeps the alarm as it is. It also raises an alarm of its own, called NAME.input, after 10 s (`alarm`), or does not (`hold`).
    #[serde(default)]
    pub bad_input: BadInput,
    /// Outputs and the states that they are held in while the alarm is active or latched: `{ press/fan: on }`; or keys, see below.
    #[serde(default)]
    #[schemars(schema_with = "by_output")]
    pub then: IgnoredAny,
}

/// How much a value may move.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RateConfig {
    /// By how much it may not rise, in the point's unit.
    #[serde(default)]
    pub rise: Option<f64>,
    /// By how much it may not fall, in the point's unit.
    #[serde(default)]
    pub fall: Option<f64>,
    /// Within this time; judged with a resolution of one sixteenth of it.
    pub within: Period,
}

/// How far a value may lie from another.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviationConfig {
    /// The other point, such as a setpoint, or a number.
    pub from: String,
    /// Active when the value lies this much above it or more.
    #[serde(default)]
    pub above: Option<f64>,
    /// Active when the value lies this much below it or more.
    #[serde(default)]
    pub below: Option<f64>,
}

/// How long a value may stand still.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NoChangeConfig {
    /// For how long it may.
    pub during: Period,
    /// By more than this it must have moved, in the point's unit.
    #[serde(default)]
    pub by: f64,
}

/// Which qualities are alarming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QualityWord {
    /// Bad ones.
    Bad,
    /// Bad and uncertain ones.
    NotGood,
}

/// Who acknowledges that an alarm was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledge {
    /// An operator.
    #[default]
    Required,
    /// Its return to normal.
    Automatic,
}

/// What comes of a bad input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BadInput {
    /// An alarm of its own.
    #[default]
    Alarm,
    /// Nothing but that the alarm keeps its state.
    Hold,
}

/// One text, or one in each language: `{ en: "…", ko: "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextConfig {
    /// English, or the only one.
    pub en: Option<String>,
    /// Korean.
    pub ko: Option<String>,
}

/// A text in each language.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByLanguage {
    /// English.
    #[serde(default)]
    en: Option<String>,
    /// Korean.
    #[serde(default)]
    ko: Option<String>,
}

impl<'de> Deserialize<'de> for TextConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = TextConfig;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, or { en: …, ko: … }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TextConfig, E> {
        Ok(TextConfig { en: Some(text.to_owned()), ko: None })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TextConfig, A::Error> {
        let ByLanguage { en, ko } = ByLanguage::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(TextConfig { en, ko })
    }
}

impl JsonSchema for TextConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AlarmText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<ByLanguage>();
        json_schema!({ "anyOf": [{ "type": "string" }, long], "description": "A text, or one in each language." })
    }
}

/// One word or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> de::Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a state such as on, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
        Ok(Words(vec![text.to_owned()]))
    }

    fn visit_bool<E: de::Error>(self, state: bool) -> Result<Words, E> {
        Ok(Words(vec![state.to_string()]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Words, E> {
        Ok(Words(vec![number.to_string()]))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Words, E> {
        Ok(Words(vec![number.to_string()]))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Words, E> {
        Ok(Words(vec![number.to_string()]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = items.next_element::<String>()? {
            words.push(word);
        }
        Ok(Words(words))
    }
}

impl JsonSchema for Words {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AlarmStates".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": ["string", "boolean", "number"] },
                { "type": "array", "items": { "type": ["string", "boolean", "number"] }, "minItems": 1 },
            ],
            "description": "A state, or a list of them.",
        })
    }
}
