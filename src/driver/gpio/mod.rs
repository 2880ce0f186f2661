//! GPIO lines by the kernel's character device (uAPI v2): inputs by their edges, outputs, pulses, counters.
//!
//! `find` turns names into lines, `line` is one requested line, `meter` and `debounce` are pure, `store`
//! keeps totals over restarts. The kernel's calls may block (an expander on I2C), so one thread per channel
//! waits for edges, commands and polls (`owner`); it publishes straight from there, which is the shortest way
//! from an edge to an alarm. Absent: PWM, and lines of other processes. Invariants: every line is requested
//! by itself, so that a busy one costs no other; an output with a safe state takes it with its request,
//! before anything else can be seen on it.

mod config;
mod debounce;
mod find;
mod line;
mod meter;
mod owner;
mod store;

use std::sync::Arc;

use super::ChannelContext;
use super::local::Plan;

pub use config::{Bias, DeviceConfig, Drive, Edge, GpioConfig, Measure, PointConfig, Wiring};
pub use find::LineId;

/// Runs the lines of a plan until the shutdown.
pub(super) async fn run(plan: Arc<Plan>, context: ChannelContext) {
    owner::run(plan, context).await;
}
