//! Drivers: each speaks to field devices over one kind of channel and turns their answers into readings.
//!
//! A channel (bus, port, chip) has exactly one owner task, so nothing on a line can overlap. This file
//! holds what every driver shares: what it is given, the queue that its writes wait in, its statistics,
//! and the registry, the one list that a new driver is entered into.

pub mod ascii;
pub mod gpio;
pub mod http;
pub mod i2c;
pub mod iio;
pub mod local;
pub mod modbus;
pub mod onewire;
pub mod queue;
pub mod schedule;
pub mod snmp;
pub mod spi;
pub mod stats;
pub mod system;
pub mod text;
pub mod totals;
pub mod virtual_points;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::clock::Clock;

pub use queue::{WriteJob, WriteQueue};
pub use stats::{ChannelStats, DeviceStats, LinkState};

/// What a channel's owner task is given.
#[derive(Clone)]
pub struct ChannelContext {
    /// Where readings go.
    pub bus: Arc<Bus>,
    /// Where commands for this channel's points wait.
    pub writes: Arc<WriteQueue>,
    /// What it counts.
    pub stats: Arc<ChannelStats>,
    /// The clocks.
    pub clock: Clock,
    /// What the gateway does for drivers that need more.
    pub services: Services,
    /// Tells it to finish the exchange under way and return.
    pub shutdown: CancellationToken,
}

/// What a gateway does for those drivers that need it. [`Default`] is none of it.
#[derive(Clone, Default)]
pub struct Services {
    /// Where totals are kept over restarts; `None` keeps nothing.
    pub state: Option<PathBuf>,
}

/// A future that owns everything it needs.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One channel, ready to run: an unchanging plan. It can be run again after a defect ended it.
pub trait Channel: Send + Sync {
    /// Runs until `context.shutdown`; opens, polls, writes, reconnects. Never returns on device trouble.
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture;
}

/// The registry: one line per driver. The plan of a validated configuration holds one of these per channel.
#[derive(Debug, Clone)]
pub enum DriverPlan {
    /// Modbus over TCP, RTU, RTU over TCP or ASCII.
    Modbus(Arc<modbus::Plan>),
    /// HTTP devices, the W&T Web-IO family among them.
    Http(Arc<http::Plan>),
    /// Instruments that speak in lines of text, over tty, TCP or UDP.
    Ascii(Arc<ascii::Plan>),
    /// The box itself.
    System(Arc<system::Plan>),
    /// A bus of the machine itself: 1-Wire, Industrial I/O, GPIO, I2C, SPI.
    Local(Arc<local::Plan>),
    /// Points computed from others.
    Virtual(Arc<virtual_points::Plan>),
}

impl DriverPlan {
    /// The channel that this plan describes.
    #[must_use]
    pub fn channel(&self) -> Arc<dyn Channel> {
        match self {
            Self::Modbus(plan) => Arc::clone(plan) as Arc<dyn Channel>,
            Self::Http(plan) => Arc::clone(plan) as Arc<dyn Channel>,
            Self::Ascii(plan) => Arc::clone(plan) as Arc<dyn Channel>,
            Self::System(plan) => Arc::clone(plan) as Arc<dyn Channel>,
            Self::Local(plan) => Arc::clone(plan) as Arc<dyn Channel>,
            Self::Virtual(plan) => Arc::clone(plan) as Arc<dyn Channel>,
        }
    }

    /// The same channel led to another endpoint: an address for connections, a path for serial lines, a
    /// folder of files for buses of the machine. One that leads nowhere stays as it is.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        match self {
            Self::Modbus(plan) => Self::Modbus(Arc::new(plan.with_endpoint(endpoint))),
            Self::Http(plan) => Self::Http(Arc::new(plan.with_endpoint(endpoint))),
            Self::Ascii(plan) => Self::Ascii(Arc::new(plan.with_endpoint(endpoint))),
            Self::System(plan) => Self::System(Arc::clone(plan)),
            Self::Local(plan) => Self::Local(Arc::new(plan.with_endpoint(endpoint))),
            Self::Virtual(plan) => Self::Virtual(Arc::clone(plan)),
        }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Modbus(plan) => &plan.name,
            Self::Http(plan) => &plan.name,
            Self::Ascii(plan) => &plan.name,
            Self::System(plan) => &plan.name,
            Self::Local(plan) => &plan.name,
            Self::Virtual(plan) => &plan.name,
        }
    }

    /// The names of the devices on the channel, in the order of [`ChannelStats::devices`].
    #[must_use]
    pub fn device_names(&self) -> Vec<Arc<str>> {
        match self {
            Self::Modbus(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
            Self::Http(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
            Self::Ascii(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
            Self::System(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
            Self::Local(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
            Self::Virtual(plan) => plan.devices.iter().map(|device| Arc::clone(&device.name)).collect(),
        }
    }
}
