//! What is known of upstream brokers: the limits that a configuration is checked against and that sending keeps to.
//!
//! The values are those that the services document (2022 to 2026); quotas can be raised by contract, so every one of
//! them gives way to `limits:` of the bridge and, where the broker tells more at the connection, to that. Absent:
//! enforcing them, which is done where messages are renamed (`mapping`) and sent (`session`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{Scheme, Version};

/// The kind of the upstream broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Mosquitto, and any broker without limits of its own.
    #[default]
    Mosquitto,
    /// AWS IoT Core.
    AwsIotCore,
    /// Azure IoT Hub: one topic for everything, the local topic travels as a property.
    AzureIotHub,
    /// The MQTT broker of Azure Event Grid.
    AzureEventGrid,
    /// HiveMQ Cloud.
    HivemqCloud,
    /// EMQX Cloud Serverless.
    Emqx,
    /// RabbitMQ and CloudAMQP.
    Rabbitmq,
    /// ThingsBoard by its gateway API: readings become telemetry of devices.
    Thingsboard,
}

/// What an upstream broker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload.
    pub payload: u64,
    /// Bytes of a topic.
    pub topic_bytes: usize,
    /// Levels of a topic.
    pub topic_levels: usize,
    /// Messages sent and not yet acknowledged.
    pub in_flight: u16,
    /// Messages per second; `None`: as many as it acknowledges.
    pub rate: Option<u32>,
    /// Bytes of topics and payloads per second.
    pub bytes_rate: Option<u64>,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Filters of one SUBSCRIBE.
    pub filters_at_once: usize,
    /// Bytes of the client identifier.
    pub client_id: usize,
    /// Longest keep-alive in seconds.
    pub keep_alive_s: u16,
    /// Whether messages can be retained.
    pub retain: bool,
    /// Whether a `.` in a topic arrives as another topic.
    pub forbids_dots: bool,
    /// Shortest time between two connections under one client identifier.
    pub connect_every: Duration,
}

/// How topics and payloads look on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As here, but for the renaming of the rules.
    Plain,
    /// `devices/<client-id>/messages/events/` with the topic as a property.
    IotHub,
    /// `v1/gateway/telemetry` with values by device.
    ThingsBoard,
}

const NO_LIMITS: Limits = Limits {
    payload: 256 << 20,
    topic_bytes: 65_535,
    topic_levels: usize::MAX,
    in_flight: 65_535,
    rate: None,
    bytes_rate: None,
    subscriptions: usize::MAX,
    filters_at_once: usize::MAX,
    client_id: 65_535,
    keep_alive_s: 65_535,
    retain: true,
    forbids_dots: false,
    connect_every: Duration::ZERO,
};

impl Profile {
    /// The word for it in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::AwsIotCore => "aws-iot-core",
            Self::AzureIotHub => "azure-iot-hub",
            Self::AzureEventGrid => "azure-event-grid",
            Self::HivemqCloud => "hivemq-cloud",
            Self::Emqx => "emqx",
            Self::Rabbitmq => "rabbitmq",
            Self::Thingsboard => "thingsboard",
        }
    }

    /// What it takes.
    #[must_use]
    pub const fn limits(self) -> Limits {
        match self {
            Self::Mosquitto | Self::HivemqCloud => NO_LIMITS,
            Self::AwsIotCore => Limits {
                payload: 128 << 10,
                topic_bytes: 256,
                topic_levels: 8,
                in_flight: 100,
                rate: Some(100),
                bytes_rate: Some(512 << 10),
                subscriptions: 50,
                filters_at_once: 8,
                client_id: 128,
                keep_alive_s: 1200,
                connect_every: Duration::from_secs(1),
                ..NO_LIMITS
            },
            Self::AzureIotHub => Limits {
                payload: 256 << 10,
                rate: Some(100),
                subscriptions: 5,
                client_id: 128,
                keep_alive_s: 1177,
                retain: false,
                ..NO_LIMITS
            },
            Self::AzureEventGrid => Limits {
                payload: (512 << 10) - 1024,
                topic_bytes: 256,
                topic_levels: 8,
                in_flight: 64,
                rate: Some(1000),
                bytes_rate: Some(1 << 20),
                keep_alive_s: 1160,
                client_id: 128,
                ..NO_LIMITS
            },
            Self::Emqx => Limits {
                payload: 1 << 20,
                topic_levels: 10,
                rate: Some(10),
                subscriptions: 10,
                client_id: 1024,
                ..NO_LIMITS
            },
            Self::Rabbitmq => Limits { forbids_dots: true, ..NO_LIMITS },
            Self::Thingsboard => {
                Limits { payload: 65_536, in_flight: 100, rate: Some(100), retain: false, ..NO_LIMITS }
            }
        }
    }

    /// The protocol versions that it speaks, the preferred one first.
    #[must_use]
    pub const fn versions(self) -> &'static [Version] {
        match self {
            Self::AzureIotHub => &[Version::V311],
            _ => &[Version::V5, Version::V311],
        }
    }

    /// Whether a connection of this scheme can reach it.
    #[must_use]
    pub const fn takes(self, scheme: Scheme) -> bool {
        let needs_tls = matches!(
            self,
            Self::AwsIotCore | Self::AzureIotHub | Self::AzureEventGrid | Self::HivemqCloud | Self::Emqx
        );
        scheme.is_secure() || !needs_tls
    }

    /// What is offered by ALPN when the configuration says nothing.
    #[must_use]
    pub fn alpn(self, scheme: Scheme, port: u16) -> Option<&'static str> {
        (self == Self::AwsIotCore && scheme == Scheme::Mqtts && port == 443).then_some("x-amzn-mqtt-ca")
    }

    /// How topics and payloads look on the other side.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::AzureIotHub => Shape::IotHub,
            Self::Thingsboard => Shape::ThingsBoard,
            _ => Shape::Plain,
        }
    }

    /// How long the broker is silent at most about a keep-alive.
    #[must_use]
    pub fn longest_keep_alive(self) -> Duration {
        Duration::from_secs(self.limits().keep_alive_s.into())
    }
}

impl Limits {
    /// Why a topic does not fit; `None` when it does.
    #[must_use]
    pub fn topic_misfit(&self, topic: &str) -> Option<String> {
        // The first three levels of a rule's topic are not counted by AWS IoT Core (basic ingest).
        let counted = topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/'));
        let counted = counted.map_or(topic, |(_, rest)| rest);
        let levels = crate::broker::topic::levels(counted);
        if levels > self.topic_levels {
            return Some(format!("the topic has {levels} levels, the broker takes {}", self.topic_levels));
        }
        if counted.len() > self.topic_bytes {
            return Some(format!(
                "the topic has {} bytes, the broker takes {}",
                counted.len(),
                self.topic_bytes
            ));
        }
        if self.forbids_dots && topic.contains('.') {
            return Some("the topic holds a `.`, which the broker takes for a level".into());
        }
        None
    }

    /// Why a payload does not fit; `None` when it does.
    #[must_use]
    pub fn payload_misfit(&self, bytes: usize) -> Option<String> {
        (bytes as u64 > self.payload)
            .then(|| format!("the payload has {bytes} bytes, the broker takes {}", self.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_held_against_the_limits() {
        let aws = Profile::AwsIotCore.limits();
        assert_eq!(aws.topic_misfit("1/2/3/4/5/6/7/8"), None);
        assert!(aws.topic_misfit("1/2/3/4/5/6/7/8/9").unwrap().contains("9 levels"));
        assert_eq!(aws.topic_misfit("$aws/rules/store/1/2/3/4/5/6/7/8"), None);
        assert!(aws.topic_misfit(&"x".repeat(257)).unwrap().contains("257 bytes"));
        assert!(aws.payload_misfit((128 << 10) + 1).is_some() && aws.payload_misfit(128 << 10).is_none());
        assert!(Profile::Rabbitmq.limits().topic_misfit("a.b").is_some());
        assert!(Profile::Mosquitto.limits().topic_misfit(&"a/".repeat(300)).is_none());
    }

    #[test]
    fn clouds_are_reached_by_tls_only() {
        for profile in [Profile::AwsIotCore, Profile::AzureIotHub, Profile::HivemqCloud, Profile::Emqx] {
            assert!(!profile.takes(Scheme::Mqtt) && profile.takes(Scheme::Wss), "{}", profile.word());
        }
        assert!(Profile::Rabbitmq.takes(Scheme::Mqtt));
        assert_eq!(Profile::AwsIotCore.alpn(Scheme::Mqtts, 443), Some("x-amzn-mqtt-ca"));
        assert_eq!(Profile::AwsIotCore.alpn(Scheme::Mqtts, 8883), None);
    }
}
