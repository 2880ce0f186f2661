//! Bridges to upstream brokers: what is published here is kept until the other side has acknowledged it.
//!
//! Absent: the log that keeps it across a restart, which is `journal`'s. Invariant: every message that is forwarded has
//! a number in its stream, and each number is either acknowledged by the other side or declared as a gap.

pub mod config;
pub mod profile;

mod backlog;
mod batch;
mod check;
mod client;
mod deadletter;
mod downlink;
mod echo;
mod intake;
mod lane;
mod link;
mod mapping;
mod names;
mod outgoing;
mod pace;
mod prepare;
mod probe;
mod pump;
mod record;
mod run;
mod sequence;
mod shape;
mod split;
mod status;
mod token;
mod window;

pub use backlog::BufferError;
pub use check::misfits;
pub use client::error::LinkError;
pub use config::Config;
pub use probe::probe;
pub use profile::{Limits, Profile};
pub use run::{Bridge, BridgeError, BridgeHandle};
pub use sequence::{Gap, StreamId, Why};
pub use status::{Snapshot, State};
