//! Buses of the machine itself: 1-Wire, IIO, GPIO, I2C, SPI, and what all such buses share.
//!
//! Their accesses block (a 1-Wire conversion for three quarters of a second), so each bus has one thread of
//! its own in which its [`Bench`] works, and one `owner` task that schedules, converts, publishes and never
//! blocks. A bus is a folder beside this one that implements [`Bus`], which makes it a driver. Invariant: at
//! most one access is under way per bus, and no reading is made of an access that failed.

pub mod bench;
mod entry;
mod owner;
pub mod stand_in;
mod thread;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::entry::RawForm;
use crate::driver::{BoxFuture, Channel, ChannelContext};
use crate::model::{Access, Conversion, PointId, Value};

pub use bench::{Bench, Fault, Raw, Step};
pub use entry::{Bus, Input};

/// One bus with everything on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// The bus in a word, as the configuration names it.
    pub word: &'static str,
    /// What the bus is on this machine: a path.
    pub place: String,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
    /// What works the bus.
    pub work: Work,
    /// A folder of files that stand for the bus: how it is simulated.
    pub stand_in: Option<PathBuf>,
}

/// One device on a bus.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a device.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// What the bus gives for it.
    pub form: RawForm,
    /// From what the bus gives to values and back.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}

/// Makes what works a bus, anew for every start of the channel.
type Make<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What works a bus.
#[derive(Clone)]
pub enum Work {
    /// A bench, in a thread of its own, as it is polled.
    Bench(Make<Box<dyn Bench>>),
    /// Another channel, which waits for edges and is not polled.
    Edges(Arc<dyn Channel>),
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bench(_) => "Bench",
            Self::Edges(_) => "Edges",
        })
    }
}

impl Plan {
    /// This plan with a folder of files in the place of its bus.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        Self { stand_in: Some(endpoint.into()), ..self.clone() }
    }
}

/// Whether an output of a bus takes a raw value: all of them are digital.
///
/// # Errors
/// Says what does not fit.
pub fn encodable(raw: &Value) -> Result<(), String> {
    match raw.as_bool() {
        Some(_) => Ok(()),
        None => Err(format!("{raw} is neither on nor off")),
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        let bench: Box<dyn Bench> = match (&self.stand_in, &self.work) {
            (Some(folder), _) => Box::new(stand_in::Files::new(folder, &self.devices)),
            (None, Work::Bench(make)) => make(),
            (None, Work::Edges(channel)) => return Arc::clone(channel).run(context),
        };
        Box::pin(owner::Owner::new(self, bench, context).run())
    }
}
