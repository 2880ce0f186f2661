//! The JSON Schema of the configuration and of profiles, made from the types that read them.
//!
//! Editors complete and check with it. It accepts what the loader accepts: `on`/`off` for truths, numbers
//! in quotes, and `${NAME}` or `{n}` in the place of a value. Absent: checks across sections.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::cases::CaseSection;
use super::drivers::{DRIVERS, channel_schema, in_profiles};
use super::sections::{
    ConversionSection, DeviceSection, PointSection, ProfileSection, PublishSection, RepeatSection,
    SiteSection,
};
use crate::command::config::{ControlConfig, InterlockConfig};
use crate::driver::modbus::TABLES;
use crate::{alarm, bridge, broker, notify, web};

/// What stands for a value that is filled in at the load.
const PLACEHOLDER: &str = r"\$\{|\{n";

/// A number in quotes.
const NUMBER: &str =
    r"^[-+]?(0[xX][0-9A-Fa-f_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*(\.[0-9]+)?([eE][-+]?[0-9]+)?)$";

/// The schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    whole::<File>()
}

/// The schema of a profile file.
#[must_use]
pub fn profile_schema() -> Value {
    whole::<Profile>()
}

fn whole<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value();
    loosen(&mut schema);
    schema
}

/// A shape of the file that no single type reads.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident = $function:ident;)*) => {$(
        $(#[$doc])*
        struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Schema::try_from($function(generator)).unwrap_or_default()
            }
        }
    )*};
}

shapes! {
    /// The whole configuration file.
    File = file;
    /// A profile file.
    Profile = profile;
    /// What stands under a channel's name.
    ChannelSection = channel_schema;
    /// One entry under `devices`.
    Device = device;
    /// One entry under `points`, in either form.
    Point = point;
}

fn file(generator: &mut SchemaGenerator) -> Value {
    let mut root = object(vec![part::<SiteSection>(generator)]);
    let sections = [
        (
            "defaults",
            one::<PublishSection>(generator, "What counts for every point that does not say otherwise."),
        ),
        (
            "channels",
            named::<ChannelSection>(
                generator,
                "Where devices are attached: lines and connections, each with its driver.",
            ),
        ),
        ("devices", named::<Device>(generator, "What is attached to the channels.")),
        (
            "alarms",
            named::<alarm::Config>(generator, "What is watched, and what is done when a limit is passed."),
        ),
        (
            "chattering",
            one::<alarm::flood::ChatteringConfig>(
                generator,
                "Alarms that come too often, and what becomes of them.",
            ),
        ),
        ("notify", named::<notify::Config>(generator, "Who is told of alarms by e-mail and webhook.")),
        (
            "interlocks",
            named::<InterlockConfig>(generator, "Conditions that forbid or force outputs, whoever asks."),
        ),
        ("control", one::<ControlConfig>(generator, "Who counts more than whom at outputs.")),
        (
            "bridges",
            named::<bridge::Config>(generator, "Upstream brokers that messages are carried to and from."),
        ),
        ("broker", one::<broker::Config>(generator, "The embedded MQTT broker.")),
        (
            "tests",
            named::<CaseSection>(
                generator,
                "Rule tests: what must come of readings; `iogate test` runs them.",
            ),
        ),
        ("web", one::<web::Config>(generator, "The page and its API.")),
    ];
    for (name, section) in sections {
        root["properties"][name] = section;
    }
    root["required"] = json!(["site"]);
    root["title"] = json!("Configuration of iogate");
    root
}

fn profile(generator: &mut SchemaGenerator) -> Value {
    let mut root = object(vec![part::<ProfileSection>(generator), part::<PublishSection>(generator)]);
    for kind in in_profiles() {
        root["properties"][kind.key()] = kind.profile_part(generator);
    }
    root["properties"]["points"] = named::<Point>(generator, "The points of the device.");
    root["required"] = json!(["vendor", "models", "source", "grade", "points"]);
    let one_driver: Vec<Value> = in_profiles().map(|kind| json!({ "required": [kind.key()] })).collect();
    root["oneOf"] = json!(one_driver);
    root["title"] = json!("Device profile of iogate");
    root
}

fn device(generator: &mut SchemaGenerator) -> Value {
    let mut parts = vec![part::<DeviceSection>(generator), part::<PublishSection>(generator)];
    parts.extend(DRIVERS.iter().map(|kind| kind.device_part(generator)));
    parts.push(part::<RepeatSection>(generator));
    let mut device = object(parts);
    let points = "Its points; with a profile, those that differ from it or are added.";
    device["properties"]["points"] = named::<Point>(generator, points);
    device["required"] = json!(["channel"]);
    device["description"] = json!("A device on a channel.");
    device
}

fn point(generator: &mut SchemaGenerator) -> Value {
    let mut parts: Vec<Value> = DRIVERS.iter().flat_map(|kind| kind.point_parts(generator)).collect();
    let common =
        [part::<PointSection>, part::<ConversionSection>, part::<PublishSection>, part::<RepeatSection>];
    parts.extend(common.map(|part| part(generator)));
    let mut long = object(parts);
    long["description"] = json!("The long form of a point.");
    let line = json!({
        "type": "string",
        "pattern": format!("^\\s*({})\\s", TABLES.join("|")),
        "description": "A point on one line: table address [type] [order] [*scale] [+offset] [unit] [rw] [safe=state].",
    });
    json!({ "anyOf": [long, line, { "type": "null" }] })
}

/// The schema of one section, as an object with `properties`.
pub(super) fn part<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// One object with the keys of several sections.
fn object(parts: Vec<Value>) -> Value {
    let mut properties = Map::new();
    for mut part in parts {
        if let Some(Value::Object(own)) = part.get_mut("properties").map(Value::take) {
            properties.extend(own);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// A section of the file.
pub(super) fn one<T: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Value {
    let section = generator.subschema_for::<T>().to_value();
    json!({ "anyOf": [section, { "type": "null" }], "description": description })
}

/// A map from names that people choose to entries of one form.
fn named<T: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Value {
    let entry = generator.subschema_for::<T>().to_value();
    json!({ "type": ["object", "null"], "additionalProperties": entry, "description": description })
}

/// Makes a schema accept what the loader reads as the same value.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(map) => {
            map.remove("format");
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            let fixed = map.contains_key("const") || map.contains_key("enum");
            if !fixed && let Some(kind) = map.get("type").cloned() {
                loosen_type(map, &kind);
            }
            for (key, inside) in map.iter_mut() {
                match (key.as_str(), inside) {
                    ("properties" | "definitions" | "patternProperties", Value::Object(named)) => {
                        named.values_mut().for_each(loosen);
                    }
                    ("default" | "const" | "enum" | "required" | "type", _) => {}
                    (_, inside) => loosen(inside),
                }
            }
        }
        _ => {}
    }
}

fn loosen_type(map: &mut Map<String, Value>, kind: &Value) {
    let kinds: Vec<&str> = match kind {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let has = |word| kinds.contains(&word);
    let mut wider: Vec<&str> = kinds.clone();
    let mut add = |word| {
        if !wider.contains(&word) {
            wider.push(word);
        }
    };
    if has("boolean") && !has("string") {
        add("string");
        map.insert(
            "pattern".into(),
            json!(format!("^([Oo]n|ON|[Oo]ff|OFF|[Yy]es|[Nn]o|true|false)$|{PLACEHOLDER}")),
        );
    } else if (has("integer") || has("number")) && !has("string") {
        add("string");
        map.insert("pattern".into(), json!(format!("{NUMBER}|{PLACEHOLDER}")));
    } else if has("string") {
        match map.get("pattern").and_then(Value::as_str) {
            Some(pattern) => {
                let pattern = format!("({pattern})|{PLACEHOLDER}");
                map.insert("pattern".into(), json!(pattern));
            }
            None => {
                add("number");
                add("boolean");
            }
        }
    }
    if wider.len() > kinds.len() {
        map.insert("type".into(), json!(wider));
    }
}
