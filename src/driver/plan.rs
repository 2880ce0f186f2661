//! One channel of any driver, ready to run: what the gateway, the simulator and `iogate check` need of it.
//!
//! Absent: what only the driver itself knows; who needs that asks for the driver's own plan by its type.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::Channel;
use crate::model::units::count;

/// The unchanging description of one channel.
pub trait Plan: Channel + Any + fmt::Debug {
    /// The channel's name.
    fn name(&self) -> &Arc<str>;

    /// The names of the devices on it, in the order of [`super::ChannelStats::devices`].
    fn device_names(&self) -> Vec<Arc<str>>;

    /// What it comes to, in words.
    fn description(&self) -> Description;

    /// The same channel led to another endpoint: an address for connections, a path for serial lines, a
    /// folder of files for buses of the machine; `None` where it leads nowhere.
    fn redirected(&self, _endpoint: &str) -> Option<DriverPlan> {
        None
    }

    /// The topics of the embedded broker that it listens to; `None` where it has nothing to do with the broker.
    fn topics(&self) -> Option<Vec<Arc<str>>> {
        None
    }

    /// What speaks against its polls; `None` when they can be served.
    fn overload(&self) -> Option<Overload> {
        None
    }
}

/// A channel in words, for `iogate check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it is, behind its name: `modbus-tcp to 192.0.2.10:502`.
    pub line: String,
    /// What its polls cost, where that can be foretold.
    pub load: Option<String>,
    /// Its devices, and what there is to say of each.
    pub devices: Vec<(Arc<str>, String)>,
}

impl Description {
    /// A channel of whose devices there is nothing to say but how many points they have.
    pub fn plain<'a>(line: String, devices: impl Iterator<Item = (&'a Arc<str>, usize)>) -> Self {
        let devices = devices.map(|(name, points)| (Arc::clone(name), count(points, "point")));
        Self { line, load: None, devices: devices.collect() }
    }
}

/// Polls that a channel cannot serve, or hardly can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// Whether it cannot work at all.
    pub fatal: bool,
    /// What it comes to.
    pub message: String,
    /// What would fit.
    pub help: Option<String>,
}

/// The plan of one channel, whatever its driver. Clones are the same plan.
#[derive(Debug, Clone)]
pub struct DriverPlan(Arc<dyn Plan>);

impl DriverPlan {
    /// The plan of a driver.
    #[must_use]
    pub fn new(plan: impl Plan) -> Self {
        Self(Arc::new(plan))
    }

    /// The channel that this plan describes.
    #[must_use]
    pub fn channel(&self) -> Arc<dyn Channel> {
        Arc::clone(&self.0) as Arc<dyn Channel>
    }

    /// The driver's own plan, where it is this driver's.
    #[must_use]
    pub fn get<P: Plan>(&self) -> Option<&P> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared<P: Plan>(&self) -> Option<Arc<P>> {
        (Arc::clone(&self.0) as Arc<dyn Any + Send + Sync>).downcast().ok()
    }

    /// The same channel led to another endpoint; one that leads nowhere stays as it is.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        self.0.redirected(endpoint).unwrap_or_else(|| self.clone())
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.0.name()
    }

    /// The names of the devices on the channel, in the order of [`super::ChannelStats::devices`].
    #[must_use]
    pub fn device_names(&self) -> Vec<Arc<str>> {
        self.0.device_names()
    }

    /// What it comes to, in words.
    #[must_use]
    pub fn description(&self) -> Description {
        self.0.description()
    }

    /// The topics of the embedded broker that it listens to, where it has to do with the broker.
    #[must_use]
    pub fn topics(&self) -> Option<Vec<Arc<str>>> {
        self.0.topics()
    }

    /// What speaks against its polls.
    #[must_use]
    pub fn overload(&self) -> Option<Overload> {
        self.0.overload()
    }
}
