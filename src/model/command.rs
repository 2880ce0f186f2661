//! Commands: a setpoint on its way to an output, and what became of it.
//!
//! Invariant: every request ends in exactly one [`Outcome`]; a setpoint is never shown as a reading.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::{PointId, Stamp, Value};

/// Names one command within one run of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The gateway itself: safe states at start and stop.
    Gateway,
    /// An MQTT client, by its client id.
    Mqtt(Arc<str>),
    /// Someone at the web page, by network address.
    Web(Arc<str>),
    /// An alarm, by name.
    Alarm(Arc<str>),
    /// An interlock, by name.
    Interlock(Arc<str>),
}

/// How far a command has come that has not ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// It has passed every check and waits for its channel.
    Accepted,
    /// The channel has taken it in time: it goes to the wire next, unless its deadline passes first.
    OnWire,
    /// The device has acknowledged the write, which is yet to be read back.
    Confirmed,
    /// The output is on its way in steps. Told about once a second.
    Ramping {
        /// Where it stands, in its unit.
        at: f64,
    },
}

impl Stage {
    /// Its stable name in payloads.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::OnWire => "on-wire",
            Self::Confirmed => "confirmed",
            Self::Ramping { .. } => "ramping",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Mqtt(client) => write!(f, "mqtt client {client}"),
            Self::Web(address) => write!(f, "web page from {address}"),
            Self::Alarm(name) => write!(f, "alarm {name}"),
            Self::Interlock(name) => write!(f, "interlock {name}"),
        }
    }
}

/// A setpoint for a point.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRequest {
    /// Which command this is.
    pub id: CommandId,
    /// Which output.
    pub point: PointId,
    /// What it shall become, in engineering units.
    pub setpoint: Value,
    /// Who asks.
    pub origin: Origin,
    /// After this moment nothing goes to the wire any more.
    pub deadline: Instant,
    /// When it was given.
    pub given: Stamp,
    /// What the output was known to be at that moment: its last good reading, or for an output that is never
    /// read the last setpoint that its device has confirmed.
    pub old: Option<Value>,
}

/// What is kept of a command that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRecord {
    /// The command.
    pub request: CommandRequest,
    /// The output by name, `device/point`; `?` where the command named none.
    pub output: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended: Stamp,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Written and read back within tolerance.
    Verified {
        /// What was read back.
        read_back: Value,
    },
    /// Written and acknowledged by the device; the point cannot be read back.
    Confirmed,
    /// Refused before anything was written.
    Rejected(String),
    /// The deadline passed before the write could start. Nothing was written.
    Expired,
    /// A newer setpoint for the same output took its place while it waited, and nothing was written; or turned the output
    /// while it was on its way in steps.
    Superseded,
    /// Written, but the output reads otherwise.
    Mismatch {
        /// What was read back.
        read_back: Value,
    },
    /// The device refused, did not answer, or the line is down.
    Failed(String),
}

impl Outcome {
    /// The stable name of this outcome in payloads, logs and API answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "verified",
            Self::Confirmed => "confirmed",
            Self::Rejected(_) => "rejected",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Mismatch { .. } => "mismatch",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether the output now stands as asked, as far as anyone can tell.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        matches!(self, Self::Verified { .. } | Self::Confirmed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified { read_back } => write!(f, "verified: reads {read_back}"),
            Self::Confirmed => f.write_str("confirmed by the device; it cannot be read back"),
            Self::Rejected(reason) => write!(f, "rejected: {reason}"),
            Self::Expired => f.write_str("expired before it reached the wire"),
            Self::Superseded => f.write_str("superseded by a newer setpoint"),
            Self::Mismatch { read_back } => write!(f, "mismatch: reads {read_back}"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}
