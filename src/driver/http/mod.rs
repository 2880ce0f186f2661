//! HTTP devices: polled requests, values out of their answers, and on it the W&T Web-IO family.
//!
//! A [`Plan`] is one connection to one host with the devices behind it. `config` holds what people write,
//! `validate` turns it into plan parts; `request` and `digest` are pure and know the wire's forms, `planner` and `budget` what is asked together and what it costs, `wut` the Web-IOs. `wire`
//! is one exchange on a kept connection, `owner` the task around it. Absent on purpose: redirects, cookies,
//! compression, pipelining: a field device needs none of them. Invariant: at most one request is under way
//! per host, and no value is published that its answer does not hold as a whole.

mod budget;
pub mod config;
pub mod digest;
mod entry;
mod owner;
pub mod planner;
pub mod request;
mod validate;
pub mod wire;
pub mod wut;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId};

pub use super::text::{Extract, ExtractConfig, extract};
pub use config::{DeviceConfig, HttpConfig, PointConfig};
pub use entry::Http;
pub use request::{Request, Template};
pub use validate::Wiring;

/// One host with everything on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// The host, and how it is spoken to.
    pub config: HttpConfig,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// One device behind a host.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// What it should be, for warnings: its profile, or its own name.
    pub model: Arc<str>,
    /// What its requests, its identification and its terminals need.
    pub config: DeviceConfig,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a device.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// How it is read and written.
    pub wiring: Wiring,
    /// From raw numbers to values and back.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}

impl Device {
    /// Whether it is a W&T Web-IO: one of its points is a terminal.
    #[must_use]
    pub fn is_web_io(&self) -> bool {
        self.points.iter().any(|point| point.wiring.slot.is_some())
    }
}

impl Plan {
    /// This plan with its connection led to `endpoint`, a host and port; without TLS, which a simulator or a
    /// recording proxy on this machine has no certificate for. Everything else stays as it is.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        let mut plan = self.clone();
        plan.config.address = endpoint.into();
        plan.config.tls = None;
        plan
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::Owner::new(self, context).run())
    }
}
