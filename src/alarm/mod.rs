//! Alarms: conditions on points and devices that are annunciated, act on outputs, and clear (ISA-18.2).
//!
//! A reading goes through pure parts: `detect` sees whether the condition holds, `delay` whether it has for
//! long enough, `life` is the state machine of docs/alarms.md, `action` what comes of it for outputs, `instance` joins them for one alarm, `flood` counts. `engine`
//! runs every rule on every reading, `store` keeps states and the journal, `config` is what people write. Alarms see each reading in line, before
//! report by exception, so no deadband can blind one, and they reach outputs only through the command handle.
//! Absent: topics and pages, which read [`AlarmStatus`](crate::model::AlarmStatus).

pub mod action;
pub mod config;
pub mod delay;
pub mod detect;
pub mod engine;
pub mod flood;
#[cfg(test)]
mod histories;
mod index;
pub mod instance;
pub mod life;
pub mod rule;
pub mod store;
pub mod text;
mod timers;

pub use action::Action;
pub use config::Config;
pub use engine::Engine;
pub use rule::Rule;
pub use store::{Boot, Store};
