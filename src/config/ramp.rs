//! What people write about ramps, and what of it makes sense.
//!
//! Absent: the steps themselves (`model::ramp`). Invariant: a ramp that passes belongs to a number that can be written and
//! of which somebody can know where it stands.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::context::Context;
use super::repeat::Item;
use super::sections::PointSection;
use crate::model::units::{Period, Slope};
use crate::model::{Access, Ramp, ValueKind};

/// The shortest and the longest interval between steps.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(60);

/// A ramp: its slope, or the long form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RampSection(RampParts);

/// The long form of a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RampParts {
    /// How fast it may rise: `5/s`.
    up: Slope,
    /// How fast it may fall; as it may rise when left out.
    #[serde(default)]
    down: Option<Slope>,
    /// The least time between two steps, 20ms to 1m: 200ms when left out, and as long as one step of a whole number takes.
    #[serde(default)]
    every: Option<Period>,
    /// Whether the safe state is approached in steps, too, while the gateway runs. Interlocks never are.
    #[serde(default)]
    also_safe: bool,
}

impl<'de> Deserialize<'de> for RampSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RampVisitor)
    }
}

struct RampVisitor;

impl<'de> de::Visitor<'de> for RampVisitor {
    type Value = RampSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a slope such as 5/s, or a map with `up:`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RampSection, E> {
        let up = text.parse().map_err(E::custom)?;
        Ok(RampSection(RampParts { up, down: None, every: None, also_safe: false }))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RampSection, A::Error> {
        RampParts::deserialize(de::value::MapAccessDeserializer::new(map)).map(RampSection)
    }
}

impl JsonSchema for RampSection {
    fn schema_name() -> Cow<'static, str> {
        "Ramp".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (generator.subschema_for::<Slope>(), generator.subschema_for::<RampParts>());
        json_schema!({ "anyOf": [short, long], "description": "A slope such as 5/s, or the long form." })
    }
}

/// The ramp of an output, with its mistakes told.
pub(super) fn rule(
    cx: &Context<'_>,
    item: &Item,
    section: &PointSection,
    kind: ValueKind,
    access: Access,
    has_safe: bool,
) -> Option<Ramp> {
    let RampParts { up, down, every, also_safe } = section.ramp?.0;
    let place = |key: &str| item.node.span_of(&[key]).unwrap_or(item.key_span);
    let wrong = |what: &str, help: &str| cx.error(place("ramp"), what, Some(help.to_owned()));
    if !matches!(kind, ValueKind::Float | ValueKind::Integer) {
        wrong("a ramp needs a number, and this is none", "remove `ramp`");
    }
    if section.momentary.is_some() {
        wrong(
            "a momentary output is not ramped: its time would be over on the way",
            "remove `ramp` or `momentary`",
        );
    }
    if section.min_interval.is_some() {
        wrong(
            "`min-interval` would hold the steps of the ramp up",
            "say `ramp: { every: … }` and remove `min-interval`",
        );
    }
    if access.writable() && !access.readable() && !has_safe {
        let help = "make it readable, or name its safe state";
        wrong("nobody can know where this output stands, which a ramp begins from", help);
    }
    if also_safe && !has_safe {
        wrong(
            "`also-safe` is said, and there is no safe state",
            "name the safe state, or remove `also-safe`",
        );
    }
    let down = down.unwrap_or(up);
    let one = Duration::from_secs_f64((1.0 / up.0.max(down.0)).min(60.0));
    let usual = if kind == ValueKind::Integer { one.max(Ramp::USUAL_EVERY) } else { Ramp::USUAL_EVERY };
    let every = every.map_or(usual, |every| every.0);
    if !EVERY.contains(&every) {
        wrong("`every` is at least 20ms and at most 1m", "leave it out: 200ms");
    }
    Some(Ramp { up: up.0, down: down.0, every, also_safe })
}
