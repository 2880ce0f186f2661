//! SNMP agents (versions 1, 2c and 3): UPSs, thermometers, switches, PDUs and their outputs.
//!
//! A [`Plan`] is one agent at one UDP address with the devices behind it. `config` holds what people write,
//! `validate` turns it into plan parts; `planner` and `budget` say what is asked together and what it costs,
//! `value` makes of an SNMP value the text that `driver::text` reads, `syntax` the way back, `counter` follows counters
//! over their end. `wire` is the one place that speaks to the library (async-snmp), `owner` the task around it. Absent
//! on purpose: traps, walks, MIB files: points are named by number, and a reading is asked for. Invariant: a value
//! belongs to the object identifier that it was answered with, never to a place in an answer.

mod budget;
pub mod config;
mod counter;
mod entry;
mod owner;
pub mod planner;
mod syntax;
mod validate;
mod value;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::text::Extract;
use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId, Secret};

pub use super::text::ExtractConfig;
pub use async_snmp::Oid;
pub use config::{DeviceConfig, PointConfig, SnmpConfig};
pub use entry::Snmp;
pub use syntax::Syntax;

/// One agent with everything that is read from it and written to it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// The agent, and how it is spoken to.
    pub config: SnmpConfig,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// One device behind an agent.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// What goes around every write.
    pub session: Session,
    /// Its points.
    pub points: Vec<Point>,
}

/// What is SET around every write to a device, one object after the other.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Before it.
    pub open: Vec<Unlock>,
    /// After it.
    pub close: Vec<Unlock>,
}

/// One object of a session.
#[derive(Debug, Clone)]
pub struct Unlock {
    /// The instance.
    pub oid: Oid,
    /// Its type.
    pub syntax: Syntax,
    /// What it is set to; the type can hold it.
    pub value: Secret,
}

/// One point of a device.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// Where it is and what it is.
    pub wiring: Wiring,
    /// From raw numbers to values.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}

/// Where a point is and what it is.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The instance.
    pub oid: Oid,
    /// What is made of its value.
    pub extract: Extract,
    /// For counters, what of them is wanted.
    pub counter: Option<config::Counter>,
    /// How it is written.
    pub writing: Option<Writing>,
}

/// How a point is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// The instance that is set.
    pub oid: Oid,
    /// Its type; that of the object as it was read when `None`.
    pub syntax: Option<Syntax>,
}

impl Plan {
    /// This plan with its agent at `endpoint`, a host and port. Everything else stays as it is.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        let mut plan = self.clone();
        plan.config.address = endpoint.into();
        plan
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::Owner::new(self, context).run())
    }
}
