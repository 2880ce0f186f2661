//! A reading: what one point was at one moment, and how far to trust it.

use std::time::Instant;

use super::{PointId, Quality, Reason, Value};

/// When something was observed, on both clocks.
///
/// Intervals are always computed from `mono`; `unix_us` is for people and for the cloud, and may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Monotonic time of this process.
    pub mono: Instant,
    /// Wall-clock microseconds since 1970-01-01 UTC.
    pub unix_us: i64,
}

/// One point's value at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which point.
    pub point: PointId,
    /// The value. `None` from a driver means "no new value": the bus fills in the last known one, and
    /// readers then see `None` only if there has never been one.
    pub value: Option<Value>,
    /// How far to trust it.
    pub quality: Quality,
    /// When the device's answer arrived (its source time), not when it was published.
    pub at: Stamp,
}

impl Reading {
    /// A good reading.
    #[must_use]
    pub const fn good(point: PointId, value: Value, at: Stamp) -> Self {
        Self { point, value: Some(value), quality: Quality::Good, at }
    }

    /// A failed one: no new value, for this reason.
    #[must_use]
    pub const fn bad(point: PointId, reason: Reason, at: Stamp) -> Self {
        Self { point, value: None, quality: Quality::Bad(reason), at }
    }
}
