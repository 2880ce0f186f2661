//! GPIO lines by the kernel's character device (uAPI v2): inputs by their edges, outputs, pulses, counters.
//!
//! `find` turns names into lines, `line` is one requested line, `meter` and `debounce` are pure, `store`
//! keeps totals over restarts. The kernel's calls may block (an expander on I2C), so one thread per channel
//! opens, polls and writes (`owner`); edges, whose reading never blocks, are taken in by the channel's task, which
//! publishes straight from there: the shortest way from an edge to an alarm. Absent: PWM, and lines of other processes. Invariants: every line is requested
//! by itself, so that a busy one costs no other; an output with a safe state takes it with its request,
//! before anything else can be seen on it.

mod config;
mod debounce;
mod entry;
mod find;
mod line;
mod meter;
mod owner;
mod store;

use std::sync::Arc;

use super::entry::Attached;
use super::{BoxFuture, Channel, ChannelContext};

pub use config::{Bias, DeviceConfig, Drive, Edge, GpioConfig, Measure, PointConfig, Wiring};
pub use entry::Gpio;
pub use find::LineId;

/// The lines of one channel.
#[derive(Debug)]
struct Lines {
    name: Arc<str>,
    config: GpioConfig,
    devices: Vec<Attached<DeviceConfig, Wiring>>,
}

impl Channel for Lines {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(owner::run(self, context))
    }
}
