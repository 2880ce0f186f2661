//! Devices on the embedded broker, as the configuration knows them.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{AvailabilityConfig, MaxAge, SetConfig};
use super::{Command, DeviceConfig, MqttConfig, Plan, PointConfig, Wiring, topics};
use crate::driver::entry::{
    self, Attached, BrokerTopic, Clash, Complaint, Driver, Neighbour, RawForm, Shift, Surroundings,
};
use crate::driver::plan::Description;
use crate::driver::text::{self, ExtractConfig, Form};
use crate::driver::{self, DriverPlan};
use crate::model::Value;
use crate::model::units::{ByteSize, Period};

/// The longest text of a setpoint, and of a template, in bytes.
const MAX_TEXT: usize = 4096;

/// How long messages may be.
const MESSAGES: (ByteSize, ByteSize) = (ByteSize(64), ByteSize(1 << 20));

/// How old values may become, where they may not become as old as they like.
const AGES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));

/// How long a device may take to report.
const WAITS: (Period, Period) = (Period::from_millis(50), Period::from_secs(60));

/// What a point without a maximum age counts as: the longest that any may have.
const NEVER: Duration = AGES.1;

/// Devices on the embedded broker.
#[derive(Debug)]
pub struct Mqtt;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "MqttChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Devices that publish to the embedded broker: W&T Web-IO, ADAM-6000, Tasmota, Shelly and the like.
    Mqtt(MqttConfig),
}

impl Driver for Mqtt {
    const KEY: &'static str = "mqtt";
    const PROFILE: Option<&'static str> =
        Some("The device's MQTT settings, for devices that publish to the embedded broker.");
    const TRIAL: &'static str = "mqtt: {}";
    const TRIAL_DEVICE: &'static str = "mqtt-name: device";
    const ADDRESSES: &'static [&'static str] = &["mqtt", "mqtt-set"];
    const ADDRESS_WORDS: &'static str = "mqtt or mqtt-set";
    const TABLES: &'static [(&'static str, &'static str)] = &[
        ("`mqtt-availability` of an MQTT device", "MqttAvailability"),
        ("`mqtt-set` of an MQTT point", "MqttSet"),
    ];

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Text = ExtractConfig;
    type Wiring = Wiring;

    fn channel_problems(Channel::Mqtt(config): &Channel) -> Vec<String> {
        let within = (MESSAGES.0..=MESSAGES.1).contains(&config.max_message);
        let wrong = (!within).then(|| format!("max-message {}: use 64B … 1MiB", config.max_message));
        wrong.into_iter().collect()
    }

    fn settle(device: &mut DeviceConfig, _: Option<&Channel>, _: Shift) -> Vec<Complaint> {
        let mut problems = Vec::new();
        if let Some(availability) = &device.mqtt_availability {
            problems.extend(availability_problem(device, availability));
        }
        problems.extend(age_problem("mqtt-max-age", device.mqtt_max_age));
        problems.into_iter().map(|message| Complaint::about(&[], message)).collect()
    }

    fn wiring(
        point: PointConfig,
        text: &ExtractConfig,
        around: &Surroundings<'_, DeviceConfig>,
    ) -> Result<Wiring, Complaint> {
        wiring(&point, text, around).map_err(|message| Complaint::about(&["mqtt", "mqtt-set"], message))
    }

    /// Two outputs with one topic and one message would overrule each other.
    fn clashes(points: &[Neighbour<'_, DeviceConfig, Wiring>]) -> Vec<Clash> {
        let written = |point: &Neighbour<'_, DeviceConfig, Wiring>| {
            let command = point.wiring.command.as_ref()?;
            Some((Arc::clone(&command.topic), command.payload.clone()))
        };
        entry::same(points.iter().map(written), |points| Clash {
            points,
            why: "are written by the same message".into(),
            help: "an output has one point ({first}); make one of them read-only".into(),
            keys: &["mqtt-set"],
        })
    }

    fn device_topics(device: &DeviceConfig) -> Vec<BrokerTopic> {
        let topic = device.mqtt_availability.as_ref().and_then(|own| availability_topic(device, own).ok());
        let read = |topic| BrokerTopic { topic, written: false, key: "mqtt-availability" };
        topic.into_iter().map(read).collect()
    }

    fn point_topics(wiring: &Wiring) -> Vec<BrokerTopic> {
        let read = wiring.topic.iter().map(|topic| (topic, false, "mqtt"));
        let written = wiring.command.iter().map(|command| (&command.topic, true, "mqtt-set"));
        let topics = read.chain(written);
        topics.map(|(topic, written, key)| BrokerTopic { topic: Arc::clone(topic), written, key }).collect()
    }

    fn plan(
        name: Arc<str>,
        Channel::Mqtt(config): Channel,
        devices: Vec<Attached<DeviceConfig, Wiring>>,
    ) -> DriverPlan {
        DriverPlan::new(Plan { name, config, devices })
    }
}

/// The topic by which a device is known to be there.
pub(super) fn availability_topic(
    device: &DeviceConfig,
    availability: &AvailabilityConfig,
) -> Result<Arc<str>, String> {
    topics::fill("mqtt-availability", &availability.topic, device.mqtt_name.as_deref())
}

fn availability_problem(device: &DeviceConfig, availability: &AvailabilityConfig) -> Option<String> {
    if availability.offline.trim().is_empty() {
        return Some("mqtt-availability: `offline` needs the word for a device that is gone".into());
    }
    match &availability.json {
        Some(pointer) if !pointer.starts_with('/') => {
            Some(format!("mqtt-availability: a JSON pointer begins with `/`, such as /{pointer}"))
        }
        _ => availability_topic(device, availability).err(),
    }
}

fn age_problem(key: &str, age: Option<MaxAge>) -> Option<String> {
    let age = age?.0?;
    let within = (AGES.0..=AGES.1).contains(&age);
    (!within).then(|| format!("{key} {}: use 1s … 7d, or `off`", Period(age)))
}

fn wiring(
    point: &PointConfig,
    text: &ExtractConfig,
    around: &Surroundings<'_, DeviceConfig>,
) -> Result<Wiring, String> {
    let (device, access) = (around.device, around.access);
    let topic = match (&point.mqtt, access.readable()) {
        (Some(template), true) => Some(topics::fill("mqtt", template, device.mqtt_name.as_deref())?),
        (None, true) => {
            return Err("say which topic the device publishes it to: mqtt: \"stat/{device}/POWER\"".into());
        }
        (Some(_), false) => {
            return Err("mqtt is of no use for a point that is only written: remove it".into());
        }
        (None, false) => None,
    };
    if let Some(problem) = age_problem("max-age", point.max_age) {
        return Err(problem);
    }
    let age = point.max_age.or(device.mqtt_max_age);
    if access.readable() && age.is_none() && device.mqtt_availability.is_none() {
        return Err("mqtt: it would look fresh for ever once the device is gone: \
                    give the device `mqtt-availability`, or `mqtt-max-age` (`off` to trust it all the same)"
            .into());
    }
    let command = match (&point.mqtt_set, access.writable()) {
        (Some(set), true) => Some(command(set, text, device)?),
        (None, true) => return Err("say how it is written: mqtt-set: { topic: … }".into()),
        (Some(_), false) => return Err("mqtt-set needs access: rw or w".into()),
        (None, false) => None,
    };
    Ok(Wiring { topic, extract: text.extract()?, max_age: age.and_then(|age| age.0), command })
}

fn command(set: &SetConfig, text: &ExtractConfig, device: &DeviceConfig) -> Result<Command, String> {
    if !set.payload.contains(topics::VALUE) {
        return Err(format!("mqtt-set: put {} into `payload`, where the setpoint belongs", topics::VALUE));
    }
    if set.payload.len() > MAX_TEXT {
        return Err(format!("mqtt-set: a payload of more than {MAX_TEXT} bytes"));
    }
    if set.qos > 2 {
        return Err(format!("mqtt-set: there is no quality of service {}; use 0, 1 or 2", set.qos));
    }
    if !(WAITS.0..=WAITS.1).contains(&set.within) {
        return Err(format!("mqtt-set: `within` {}; use 50ms … 60s", set.within));
    }
    let word = |own: &Option<String>, read: &Option<String>, usual: &str| {
        own.clone().or_else(|| read.clone()).unwrap_or_else(|| usual.to_owned())
    };
    Ok(Command {
        topic: topics::fill("mqtt-set", &set.topic, device.mqtt_name.as_deref())?,
        payload: set.payload.clone(),
        on: word(&set.on, &text.on_word, "ON"),
        off: word(&set.off, &text.off_word, "OFF"),
        comma: text.decimal_comma,
        qos: set.qos,
        within: set.within.0,
    })
}

impl entry::Wiring for Wiring {
    fn form(&self) -> RawForm {
        text::raw_form(&self.extract.form, false)
    }

    fn is_whole(&self) -> bool {
        !matches!(self.extract.form, Form::Number { .. })
    }

    fn encodable(&self, raw: &Value) -> Result<(), String> {
        match raw {
            Value::Text(text) if text.len() > MAX_TEXT || text.chars().any(char::is_control) => {
                Err(format!("a text has at most {MAX_TEXT} bytes and no control characters"))
            }
            _ => Ok(()),
        }
    }

    /// Nothing is polled: a point may be silent for as long as its value may be old.
    fn rhythm(&self) -> Option<Duration> {
        Some(self.max_age.unwrap_or(NEVER))
    }
}

impl driver::Plan for Plan {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn device_names(&self) -> Vec<Arc<str>> {
        self.devices.iter().map(|device| Arc::clone(&device.name)).collect()
    }

    /// Those of availability last: a value that was kept from before is seen before it is known that its device has gone.
    fn topics(&self) -> Option<Vec<Arc<str>>> {
        let points = self.devices.iter().flat_map(|device| &device.points);
        let mut topics: Vec<Arc<str>> = points.filter_map(|point| point.wiring.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        let availability = self.devices.iter().flat_map(|device| Mqtt::device_topics(&device.config));
        for own in availability {
            if !topics.contains(&own.topic) {
                topics.push(own.topic);
            }
        }
        Some(topics)
    }

    fn description(&self) -> Description {
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        Description::plain("devices on the embedded broker".into(), devices)
    }
}
