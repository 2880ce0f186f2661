//! SNMP agents (versions 1, 2c and 3) that are read: UPSs, thermometers, switches, PDUs.
//!
//! A [`Plan`] is one agent at one UDP address with the devices behind it. `config` holds what people write,
//! `validate` turns it into plan parts; `planner` and `budget` say what is asked together and what it costs,
//! `value` makes of an SNMP value the text that `driver::text` reads, `counter` follows counters over their end.
//! `wire` is the one place that knows the library (async-snmp), `owner` the task around it. Absent on purpose:
//! SET, traps, walks, MIB files: points are named by number, and a reading is asked for. Invariant: a value
//! belongs to the object identifier that it was answered with, never to a place in an answer.

mod budget;
pub mod config;
mod counter;
mod entry;
mod owner;
pub mod planner;
mod validate;
mod value;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::text::Extract;
use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Conversion, PointId};

pub use super::text::ExtractConfig;
pub use async_snmp::Oid;
pub use config::{PointConfig, SnmpConfig};
pub use entry::Snmp;

/// One agent with everything that is read from it.
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
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a device. It is only read.
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
