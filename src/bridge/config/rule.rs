//! What is forwarded and accepted: one rule as people write it, a filter alone or a map.
//!
//! Absent: matching and renaming, which are `mapping`'s.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::broker::topic::check_filter;

/// One entry of `forward` or `accept`: a filter, or a map with the filter at `topic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub RuleConfig);

/// The long form of an entry of `forward` or `accept`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleConfig {
    /// Filter of the messages, by the topics where they come from: local ones in `forward`, upstream ones in `accept`.
    pub topic: String,
    /// Quality of service on the other side: 0 or 1. Forwarded at 0, a message may be lost on a failing link.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// Taken off the front of the topic; a topic that does not begin with it does not match.
    #[serde(default)]
    pub strip: String,
    /// Put in front of the topic, after `strip`.
    #[serde(default)]
    pub prefix: String,
    /// What becomes of the retain flag.
    #[serde(default)]
    pub retain: Retain,
}

/// What becomes of the retain flag of a message that passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Retain {
    /// As it came.
    #[default]
    Keep,
    /// Never retained on the other side.
    Clear,
}

fn one() -> u8 {
    1
}

impl RuleConfig {
    /// A rule for a filter, with nothing else said.
    #[must_use]
    pub fn of(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            qos: one(),
            strip: String::new(),
            prefix: String::new(),
            retain: Retain::Keep,
        }
    }

    /// What is wrong with the rule, one sentence each. `key` is `forward` or `accept`.
    pub(super) fn problems(&self, key: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut add = |text: String| problems.push(format!("{key}: `{}`: {text}", self.topic));
        if let Err(why) = check_filter(&self.topic) {
            add(why.into());
        } else if self.topic.starts_with("$share/") {
            add("a shared subscription would lose messages to other members".into());
        }
        if self.qos > 1 {
            add("`qos` must be 0 or 1: cloud brokers serve no QoS 2, and sequence numbers show duplicates"
                .into());
        }
        for (name, part) in [("strip", &self.strip), ("prefix", &self.prefix)] {
            if part.contains(['+', '#', '\0']) {
                add(format!("`{name}` must be the beginning of a topic, without wildcards"));
            }
        }
        let fixed = self.topic.split(['+', '#']).next().unwrap_or_default();
        if !self.strip.starts_with(fixed) && !fixed.starts_with(&self.strip) {
            add(format!("no topic that matches begins with `{}`, so `strip` leaves nothing", self.strip));
        }
        if self.prefix.starts_with('$') && key == "accept" {
            add("`prefix`: local topics that begin with `$` belong to the broker".into());
        }
        problems
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleVisitor)
    }
}

struct RuleVisitor;

impl<'de> de::Visitor<'de> for RuleVisitor {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a filter such as busan/# or a map with `topic:`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rule, E> {
        Ok(Rule(RuleConfig::of(text)))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
        RuleConfig::deserialize(de::value::MapAccessDeserializer::new(map)).map(Rule)
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "BridgeRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<RuleConfig>();
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, long], "description": "A filter, or its long form." })
    }
}
