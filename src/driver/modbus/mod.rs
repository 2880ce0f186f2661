//! Modbus: TCP, RTU, RTU over TCP and ASCII (Modbus Application Protocol 1.1b3, Modbus over Serial Line 1.02).
//!
//! A [`Plan`] is the unchanging description of one channel: its transport, and its units with their points.
//! `config` holds what people write, `validate` turns it into plan parts, `register` and `codec` are one
//! point on the wire, `beside` what other registers say of it, `quirks` and `sunspec` what some devices want. `planner`, `health` and the common `schedule` are pure and decide what is asked, when, and of whom;
//! `budget` foretells the cost. `wire` is one checked exchange, `owner` the task that puts it all together.
//! Absent on purpose: the gateway as a Modbus slave. Invariant: no value is published that the unit did not
//! send in answer to the request for that very point.

pub mod beside;
pub mod budget;
pub mod codec;
pub mod codes;
pub mod config;
pub mod confirm;
mod copies;
pub mod counter;
mod entry;
#[cfg(test)]
mod fixtures;
pub mod function;
pub mod health;
pub mod modules;
mod owner;
pub mod planner;
pub mod quirks;
mod redirect;
pub mod register;
mod settings;
pub mod sunspec;
mod validate;
pub mod wake;
pub mod watchdog;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId};

pub use budget::Budget;
pub use config::{DeviceConfig, LineConfig, PointConfig, TcpConfig};
pub use entry::{Modbus, Place, TABLES};
pub use register::{Register, WriteMethod};

/// How frames travel. In the configuration, one of these words stands under a channel's name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub enum Transport {
    /// Modbus TCP.
    #[serde(rename = "modbus-tcp")]
    Tcp(TcpConfig),
    /// Modbus RTU on a serial line.
    #[serde(rename = "modbus-rtu")]
    Rtu(LineConfig),
    /// Modbus RTU frames through a TCP connection: serial servers.
    #[serde(rename = "modbus-rtu-over-tcp")]
    RtuOverTcp(TcpConfig),
    /// Modbus ASCII on a serial line.
    #[serde(rename = "modbus-ascii")]
    Ascii(LineConfig),
}

/// One channel with everything on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// How frames travel.
    pub transport: Transport,
    /// The units, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// One unit on a channel.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// Unit identifier: 1 … 247, also 0 (broadcast: write-only points) and 248 … 255 (TCP, and devices that answer to any).
    pub unit: u8,
    /// The most registers that one read may ask for, 1 … 125.
    pub max_registers: u16,
    /// The most coils or discrete inputs that one read may ask for, 1 … 2000.
    pub max_bits: u16,
    /// How many unwanted registers may be read along to join two wanted ones into one request.
    pub max_gap: u16,
    /// How long to wait for its answers; the channel's own unless the device differs.
    pub timeout: Duration,
    /// A silence after each of its answers, beyond the channel's.
    pub pause: Duration,
    /// What wakes it when it has been left alone.
    pub wake: Option<wake::Wake>,
    /// What it is called where it is mistaken for another: its profile, or its own name.
    pub model: Arc<str>,
    /// What it is known by.
    pub identify: Vec<quirks::Probe>,
    /// The node that its list of modules makes.
    pub node: Option<modules::Node>,
    /// What is written when it comes online.
    pub setup: Vec<wire::Ask>,
    /// Its own watchdog.
    pub watchdog: Option<watchdog::Watchdog>,
    /// The SunSpec models to which its points are bound; none before it was searched for them.
    pub models: sunspec::Chain,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a unit.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// Where it is on the wire.
    pub register: Register,
    /// From raw numbers to values and back.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How it is written.
    pub write: WriteMethod,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
    /// What else counts for it.
    pub rules: Rules,
}

/// What counts for a point besides its register and its conversion; nothing by default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Registers that tell its scale, its state, or whether it is there.
    pub companions: Vec<beside::Companion>,
    /// The SunSpec model from whose start its address counts.
    pub model: Option<sunspec::Membership>,
    /// The only raw numbers that may be written; all where it is empty.
    pub accepts: Vec<codes::Codes>,
    /// Writes that go before each of its own.
    pub before: Vec<wire::Ask>,
    /// Writes that go behind each of its own.
    pub after: Vec<wire::Ask>,
    /// Words that go in front of its own in the same write.
    pub lead: Vec<u16>,
    /// What other registers must come to hold, one after the other, before a write counts as done.
    pub confirm: Vec<confirm::Confirm>,
    /// What is made of a counter.
    pub count: Option<counter::Count>,
}

impl Point {
    /// Whether its place on the wire is known.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.rules.model.as_ref().is_none_or(|model| model.state == sunspec::Binding::Bound)
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        let opener = owner::PlanOpener::new(Arc::clone(&self));
        Box::pin(owner::Owner::new(self, context, opener).run())
    }
}
