//! Modbus: TCP, RTU, RTU over TCP and ASCII (Modbus Application Protocol 1.1b3, Modbus over Serial Line 1.02).
//!
//! A [`Plan`] is the unchanging description of one channel: its transport, and its units with their points.
//! `config` holds what people write, `validate` turns it into plan parts, `register` and `codec` are one
//! point on the wire. `planner`, `health` and the common `schedule` are pure and decide what is asked, when, and of whom;
//! `budget` foretells the cost. `wire` is one checked exchange, `owner` the task that puts it all together.
//! Absent on purpose: the gateway as a Modbus slave. Invariant: no value is published that the unit did not
//! send in answer to the request for that very point.

pub mod budget;
pub mod codec;
pub mod config;
mod entry;
#[cfg(test)]
mod fixtures;
pub mod health;
mod owner;
pub mod planner;
mod redirect;
pub mod register;
mod validate;
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
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        let opener = owner::PlanOpener::new(Arc::clone(&self));
        Box::pin(owner::Owner::new(self, context, opener).run())
    }
}
