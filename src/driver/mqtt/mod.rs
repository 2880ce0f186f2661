//! Devices that publish to the embedded broker by themselves: W&T Web-IO, ADAM-6000, Tasmota, Shelly and the like.
//!
//! A [`Plan`] is the devices that one channel listens for; there is no link and nothing is polled. `config` holds
//! what people write, `entry` turns it into plan parts, `engine` is pure and decides what a message means,
//! `owner` is the task around it. Where a value stands in a message is `driver::text`'s. Absent on purpose:
//! wildcards (every point has one topic), discovery, and any way around the broker's access rules. Invariants:
//! what the broker had kept from before the start is never taken for news; a setpoint that was published is
//! never taken for a value: only what the device reports is.

pub mod config;
mod engine;
mod entry;
mod owner;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::entry::Attached;
use crate::driver::text::Extract;
use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::Value;

pub use config::{DeviceConfig, MqttConfig, PointConfig};
pub use entry::Mqtt;

/// The devices of one channel.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// What counts for all of them.
    pub config: MqttConfig,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Attached<DeviceConfig, Wiring>>,
}

/// How a point is read and written.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The topic that the device publishes it to; `None` when it is only written.
    pub topic: Option<Arc<str>>,
    /// Where it stands in a message.
    pub extract: Extract,
    /// How old it may become; `None` for ever.
    pub max_age: Option<Duration>,
    /// How it is written.
    pub command: Option<Command>,
}

/// How a point is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The topic that the device listens to.
    pub topic: Arc<str>,
    /// What is published, with `{value}` for the setpoint.
    pub payload: String,
    /// What the setpoint is for on.
    pub on: String,
    /// What it is for off.
    pub off: String,
    /// Numbers are written with a decimal comma.
    pub comma: bool,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// How long the device may take to report the new value.
    pub within: Duration,
}

impl Command {
    /// What is published for a raw value. A text is escaped where the message is JSON, so that it stays one.
    #[must_use]
    pub fn fill(&self, raw: &Value) -> String {
        let begin = self.payload.trim_start();
        let is_json = begin.starts_with(['{', '[']) && !begin.starts_with(topics::VALUE);
        let text = match raw {
            Value::Bool(true) => self.on.clone(),
            Value::Bool(false) => self.off.clone(),
            Value::Float(_) if self.comma => raw.to_string().replace('.', ","),
            Value::Text(text) if is_json => escaped(text),
            other => other.to_string(),
        };
        self.payload.replace(topics::VALUE, &text)
    }
}

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::run(self, context))
    }
}
