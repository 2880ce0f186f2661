//! Tells people of alarms by e-mail and webhook.
//!
//! A notifier is a filter (`wanted`), a bounded box of what waits (`outbox`: rate limit, digests, retries; pure), words
//! (`text`, `json`) and a way out (`mail`, `webhook`); `run` joins them. Absent: MQTT, which `publish` always does, and where
//! it is kept up to which entry of the journal people were told. Invariant: whoever tells of an alarm only leaves it here; a notifier that fails or hangs
//! delays nothing but itself.

pub mod config;
mod digest;
mod json;
mod mail;
mod outbox;
mod run;
mod text;
mod wanted;
mod webhook;

pub use config::Config;
pub use run::{Keep, Notifier, try_out};

/// Why something could not be sent; named by what is done next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Later it may go: try again.
    #[error("{0}")]
    Passing(String),
    /// It will never go like this: drop it.
    #[error("{0}")]
    Lasting(String),
}
