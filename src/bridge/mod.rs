//! Bridges to upstream brokers: what is published here is kept until the other side has acknowledged it.
//!
//! Absent: the log that keeps it across a restart, which is `journal`'s. Invariant: every message that is forwarded has
//! a number in its stream, and each number is either acknowledged by the other side or declared as a gap.

pub mod config;
pub mod profile;

pub use config::Config;
pub use profile::{Limits, Profile};

mod backlog;
mod client;
mod lane;
mod mapping;
mod pace;
mod record;
mod sequence;
mod window;
