//! What keeps a flood of alarms bearable: chattering, the first-out of a group, and how many there are. Pure.
//!
//! Absent: outputs, stores, and what becomes of a chattering alarm, which `instance` decides. Invariant: memory
//! is bounded by the number of alarms and groups, however many events come.

pub mod chatter;
pub mod config;
pub mod first_out;
pub mod rates;

pub use chatter::{Chatter, Chattering};
pub use config::ChatteringConfig;
pub use first_out::Groups;
pub use rates::Rates;
