//! Virtual points: computed from other points, with the worst quality and the newest time of what they are computed from.
//!
//! `config` holds what people write and turns it into a [`Form`]; expressions are `model`'s and
//! `dew_point` is here; `engine` is pure and turns readings into readings; `owner` is the task around it, which takes
//! readings from the bus and keeps totals over restarts. Absent on purpose: timers. A computed point changes
//! with its inputs and at no other time. Invariant: what one input lacks, the result lacks: a bad input never
//! gives a good value.

pub mod config;
mod dew_point;
mod engine;
mod entry;
mod owner;

use std::sync::Arc;

use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId};

pub use config::{Form, PointConfig, Sources, VirtualConfig};
pub use entry::Virtual;

/// The computed points of one channel.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// How totals are kept.
    pub config: VirtualConfig,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// Computed points under one name.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// Its points.
    pub points: Vec<Point>,
}

/// One computed point.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// `device/point`, under which its total is kept.
    pub name: Arc<str>,
    /// How it is computed.
    pub form: Form,
    /// The points that it is computed from, in the order of its form. No point depends on itself, not even by
    /// way of others.
    pub inputs: Vec<PointId>,
    /// From what is computed to the value.
    pub conversion: Conversion,
    /// What may be done with it: a total can be set.
    pub access: Access,
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::run(self, context))
    }
}
