//! Alarms: thresholds on points that raise, act on outputs, and clear.
//!
//! `rule` is the pure state machine, `engine` runs every rule on every reading, `config` is what people
//! write. Alarms see each reading in line, before report by exception, so no deadband can blind one, and
//! they reach outputs only through the command handle. Absent: topics and pages, which read
//! [`AlarmStatus`](crate::model::AlarmStatus).

pub mod config;
pub mod engine;
pub mod rule;

pub use config::Config;
pub use engine::Engine;
pub use rule::Rule;
