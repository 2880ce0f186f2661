//! What wakes a device that sleeps, or misses the first request after a silence.
//!
//! Pure. Absent: when it was spoken to last (`owner`). Invariant: what is sent is no request to anybody: nobody
//! waits for its answer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::settings::check_wait;
use crate::model::units::Period;

/// The most bytes that wake a device.
const MAX_BYTES: usize = 32;

/// What wakes a device: `{ bytes: [0], pause: 20ms, after: 1m }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WakeConfig {
    /// The bytes that are sent, 1 … 32.
    pub bytes: Vec<u8>,
    /// How long it is left alone then.
    pub pause: Period,
    /// After how long without a word to it they are sent again.
    pub after: Period,
}

impl Default for WakeConfig {
    fn default() -> Self {
        Self { bytes: vec![0], pause: Period::from_millis(20), after: Period::from_secs(60) }
    }
}

/// The same, to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// The silence behind it.
    pub pause: Duration,
    /// After how long a silence it is sent.
    pub after: Duration,
}

impl WakeConfig {
    /// What is wrong with the section.
    pub(super) fn problem(&self) -> Option<String> {
        let mut problems = Vec::new();
        if !(1..=MAX_BYTES).contains(&self.bytes.len()) {
            problems.push(format!("wake: give 1 … {MAX_BYTES} bytes, such as bytes: [0]"));
        }
        check_wait(&mut problems, "wake pause", self.pause);
        problems.into_iter().next()
    }

    /// The section, to be used.
    #[must_use]
    pub fn wake(&self) -> Wake {
        Wake { bytes: self.bytes.clone(), pause: self.pause.0, after: self.after.0 }
    }
}
