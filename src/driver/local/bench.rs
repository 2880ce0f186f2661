//! What works a bus, and what can go wrong there.
//!
//! A [`Bench`] lives in its bus's thread and may block. Absent: schedules, qualities of whole devices and
//! time limits, which the owner keeps. Invariant: a result is either what the device said, checked as far as
//! its protocol allows, or a [`Fault`]; there are no values that stand for a failure.

use std::io;
use std::time::Duration;

use crate::model::{Reason, Value};

/// Why an access gave nothing. Named by what it means for the device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bus itself cannot be used: no such file, no permission.
    #[error("{0}")]
    Bus(String),
    /// The device is not there or does not acknowledge.
    #[error("{0}")]
    Absent(String),
    /// The device or the bus took too long.
    #[error("{0}")]
    Late(String),
    /// What came cannot be right: a checksum, a pattern that no device sends.
    #[error("{0}")]
    Malformed(String),
    /// The device itself says that it has no value; its other points may have one.
    #[error("no value: {0}")]
    NoValue(Reason),
    /// The deadline of a write passed before it began.
    #[error("the deadline passed")]
    Expired,
}

/// What one point gave.
pub type Raw = Result<Value, Fault>;

/// How far reading a device has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is over: one result for every point that was asked for, in their order.
    Done(Vec<Raw>),
    /// The device works on it; ask again after this time. The bus is free meanwhile.
    Later(Duration),
}

/// Works a bus.
pub trait Bench: Send {
    /// Reads these points (places in the device's list) of a device (a place in the plan's list), or begins
    /// to, or goes on with it.
    fn read(&mut self, device: usize, points: &[usize]) -> Step;

    /// Writes a raw value once.
    ///
    /// # Errors
    /// When it may not have been written.
    fn write(&mut self, device: usize, point: usize, raw: &Value) -> Result<(), Fault>;
}

impl Fault {
    /// The reason in the quality of a reading.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Bus(_) | Self::Absent(_) => Reason::NoConnection,
            Self::Late(_) | Self::Expired => Reason::Timeout,
            Self::Malformed(_) => Reason::MalformedReply,
            Self::NoValue(reason) => *reason,
        }
    }

    /// Whether it says that the device as a whole does not work.
    #[must_use]
    pub const fn is_of_device(&self) -> bool {
        !matches!(self, Self::NoValue(_) | Self::Expired)
    }

    /// The fault that a system error on a device's file or address means.
    #[must_use]
    pub fn of(error: &io::Error, what: &str) -> Self {
        use rustix::io::Errno;
        let text = format!("{what}: {error}");
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::TIMEDOUT | Errno::AGAIN | Errno::BUSY) => Self::Late(text),
            Some(Errno::ACCESS | Errno::PERM) => {
                Self::Bus(format!("{text}; is the gateway's user allowed to use it?"))
            }
            Some(Errno::BADMSG | Errno::PROTO | Errno::ILSEQ | Errno::INVAL | Errno::OVERFLOW) => {
                Self::Malformed(text)
            }
            // ENXIO, EREMOTEIO and EIO are what bus drivers say when nothing acknowledges.
            _ => Self::Absent(text),
        }
    }
}

/// The same fault for every point.
#[must_use]
pub fn all(points: &[usize], fault: &Fault) -> Step {
    Step::Done(points.iter().map(|_| Err(fault.clone())).collect())
}
