//! One point as a simulated device holds it: its place, how its value moves, and what depends on it.
//!
//! Invariant: a cell's motion suits its kind, so it always has a value; whether a register can hold that
//! value is asked each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::driver::modbus::Register;
use crate::model::{Conversion, Motion, PointId, Value, ValueKind};

/// An output's state as other points see it: 0 for off to 1 for on.
#[derive(Debug, Default)]
pub(super) struct Drive(AtomicU64);

impl Drive {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, state: f64) {
        self.0.store(state.to_bits(), Ordering::Relaxed);
    }
}

/// One point as the device holds it.
#[derive(Debug)]
pub(super) struct Cell {
    /// Which point.
    pub(super) id: PointId,
    /// Its place on the wire.
    pub(super) register: Register,
    /// From values to raw numbers. It has no range: a device knows nothing of ours.
    pub(super) conversion: Conversion,
    /// What it holds.
    pub(super) kind: ValueKind,
    /// Its range, for outputs that others respond to in part.
    pub(super) range: Option<(f64, f64)>,
    /// Whether masters may write it: then what they wrote stays.
    pub(super) writable: bool,
    /// How it moves.
    pub(super) motion: Motion,
    /// The output that it depends on.
    pub(super) depends: Option<Arc<Drive>>,
    /// What others see of it when it is an output that they depend on.
    pub(super) drive: Option<Arc<Drive>>,
    /// It was set by hand or by a master and stays so.
    pub(super) held: bool,
    /// How many registers in front of it a write of it takes along.
    pub(super) lead: usize,
    /// What it holds where it is in none of the four tables.
    pub(super) apart: Option<Value>,
}

impl Cell {
    /// The value at `time` since the start, under the present state of the output that it depends on.
    pub(super) fn move_to(&mut self, time: Duration) -> Value {
        let drive = self.depends.as_ref().map_or(0.0, |drive| drive.get());
        self.motion.at(time, drive)
    }

    /// A value of this point as others see it: 0 for off to 1 for on; of a number, its share of the range.
    #[must_use]
    pub(super) fn share(&self, value: &Value) -> f64 {
        match (value, value.as_f64(), self.range) {
            (Value::Bool(_), Some(state), _) => state,
            (_, Some(number), Some((low, high))) if high > low => {
                ((number - low) / (high - low)).clamp(0.0, 1.0)
            }
            (_, Some(number), _) => f64::from(u8::from(number != 0.0)),
            (_, None, _) => 0.0,
        }
    }

    /// The raw number for a value. Numbers that fall between two raw steps go to the nearest.
    ///
    /// # Errors
    /// When no raw number means this value.
    pub(super) fn to_raw(&self, value: &Value) -> Result<Value, String> {
        let whole = self.register.raw.is_whole();
        match (self.conversion.invert(value, whole), value) {
            (Ok(raw), _) => Ok(raw),
            (Err(_), Value::Float(number)) if whole => {
                let nearest = Value::Float(number.round());
                self.conversion.invert(&nearest, whole).map_err(|error| error.to_string())
            }
            (Err(error), _) => Err(error.to_string()),
        }
    }
}
