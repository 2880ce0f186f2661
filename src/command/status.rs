//! Who holds which output and why, for people to see.
//!
//! Absent: any form of it, which the page and the metrics give it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::arbiter::Slot;
use super::{Commander, RampStatus};
use crate::model::{PointId, Value};

/// One output as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputStatus {
    /// Which output.
    pub point: PointId,
    /// What it shall be; `None` when nobody has said, or when it is to be left as it is.
    pub target: Option<Value>,
    /// What it is known to be.
    pub known: Option<Value>,
    /// Whether the target is still to be written, or the device has not confirmed it.
    pub due: bool,
    /// Who holds it and for how long yet, the one that counts first.
    pub slots: Vec<(Slot, Option<Duration>)>,
    /// The setpoint that counts where nobody holds it.
    pub setpoint: Option<Value>,
    /// How far it is, where it is on its way to the target in steps.
    pub ramp: Option<RampStatus>,
}

impl Commander {
    /// Every output, in the order of the points.
    #[must_use]
    pub fn status(&self) -> Vec<OutputStatus> {
        let now = self.inner.clock.mono();
        let mut outputs = self.outputs();
        let status = outputs.iter_mut().map(|managed| {
            managed.advance(now);
            let left = |slot: &Slot| slot.until.map(|until| until.saturating_duration_since(now));
            OutputStatus {
                point: managed.point,
                target: managed.output.target().cloned(),
                known: managed.known.clone(),
                due: managed.upkeep.is_due(),
                slots: managed.output.slots().iter().map(|slot| (slot.clone(), left(slot))).collect(),
                setpoint: managed.output.setpoint().cloned(),
                ramp: managed.ramp_status(),
            }
        });
        status.collect()
    }

    /// Every interlock by name, and why it is tripped where it is.
    #[must_use]
    pub fn interlocks(&self) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        self.inner.interlocks.lock().unwrap_or_else(PoisonError::into_inner).status()
    }
}
