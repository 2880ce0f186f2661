//! What people write about devices that publish to the embedded broker.
//!
//! Absent: where a value stands in a message, which is `driver::text`'s.

use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::model::units::{ByteSize, Period};

/// Devices that publish to the embedded broker: `devices: { mqtt: {} }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MqttConfig {
    /// The longest message that is looked at; longer ones are bad readings.
    pub max_message: ByteSize,
}

/// What MQTT adds to a device's section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(rename = "MqttDevice")]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// What `{device}` stands for in the topics of an MQTT device.
    pub mqtt_name: Option<String>,
    /// The topic by which it is known whether an MQTT device is there, as a rule that of its last will.
    pub mqtt_availability: Option<AvailabilityConfig>,
    /// How old values of an MQTT device may become; `off` trusts them for ever. Left out only beside `mqtt-availability`.
    pub mqtt_max_age: Option<MaxAge>,
}

/// How it is known whether a device is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "MqttAvailability")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AvailabilityConfig {
    /// The topic; `{device}` stands for `mqtt-name`.
    pub topic: String,
    /// What is said there when the device is gone. Whatever else is said means that it is there.
    #[serde(default = "AvailabilityConfig::default_offline")]
    pub offline: String,
    /// Where the word stands in a JSON text, as a JSON pointer.
    #[serde(default)]
    pub json: Option<String>,
}

/// What MQTT adds to a point.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[schemars(rename = "MqttPoint")]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// The topic that the device publishes the value to, such as `stat/{device}/POWER`; `{device}` stands for `mqtt-name`.
    pub mqtt: Option<String>,
    /// How the point is written: a message to the device.
    pub mqtt_set: Option<SetConfig>,
    /// How old the value may become, where that differs from the device's `mqtt-max-age`.
    pub max_age: Option<MaxAge>,
}

/// A message in which `{value}` stands for the setpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "MqttSet")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetConfig {
    /// The topic that the device listens to; `{device}` stands for `mqtt-name`.
    pub topic: String,
    /// What is published.
    #[serde(default = "SetConfig::default_payload")]
    pub payload: String,
    /// What `{value}` is for on; `on-word` of the point, or ON, when left out.
    #[serde(default)]
    pub on: Option<String>,
    /// What `{value}` is for off; `off-word` of the point, or OFF, when left out.
    #[serde(default)]
    pub off: Option<String>,
    /// Quality of service, 0 to 2.
    #[schemars(range(min = 0, max = 2))]
    #[serde(default = "SetConfig::default_qos")]
    pub qos: u8,
    /// How long the device may take to report the new value.
    #[serde(default = "SetConfig::default_within")]
    pub within: Period,
}

/// How old a value may become; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub Option<Duration>);

impl Default for MqttConfig {
    fn default() -> Self {
        Self { max_message: ByteSize(64 << 10) }
    }
}

impl AvailabilityConfig {
    fn default_offline() -> String {
        "offline".into()
    }
}

impl SetConfig {
    fn default_payload() -> String {
        "{value}".into()
    }

    const fn default_qos() -> u8 {
        1
    }

    const fn default_within() -> Period {
        Period::from_secs(2)
    }
}

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "no" | "false" | "none" => Ok(Self(None)),
            text => text.parse().map(|Period(age)| Self(Some(age))),
        }
    }
}

impl<'de> Deserialize<'de> for MaxAge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for MaxAge {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MaxAge".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let period = generator.subschema_for::<Period>();
        json_schema!({ "anyOf": [period, { "const": "off" }, { "const": false }] })
    }
}
