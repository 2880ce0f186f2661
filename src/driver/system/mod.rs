//! The box itself as a device: temperature, load, memory, disk, uptime and throttling, from /proc and /sys.
//!
//! `config` holds what people write, `read` is the figures (files in, values out, with the root of the file
//! systems handed in), `owner` the task around them. Absent on purpose: processes, network, and anything that
//! needs a command to be run. Invariant: a figure that the box does not give is `not-available`, never zero.

pub mod config;
mod entry;
mod owner;
pub mod read;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Conversion, PointId};

pub use config::{Figure, PointConfig, SystemConfig};
pub use entry::System;

/// The figures of the box.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// Where /proc and /sys are found: `/`, or a copy of it in tests.
    pub root: PathBuf,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
}

/// Figures under one name.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// Its points.
    pub points: Vec<Point>,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// Which figure.
    pub figure: Figure,
    /// From raw numbers to values.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::run(self, context))
    }
}
