//! Sensors, converters and expanders on I2C, spoken to from here (`/dev/i2c-N`, linux-embedded-hal).
//!
//! A chip with a Linux driver is better read by `iio` or `gpio`. `wire` is the bus, everything else a chip:
//! its arithmetic is pure, its steps leave the bus free while it converts. Absent: clock stretching by us,
//! ten-bit addresses. Invariant: what a checksum, an identity or a pattern of the chip contradicts is no value,
//! and after any failure a chip is set up from the start, since it may be another one.

mod ads1115;
mod bme280;
mod config;
mod entry;
mod mcp23017;
mod sensirion;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;
use std::time::Instant;

use super::local::bench::{self, Bench, Fault, Step};
use crate::driver::entry::Attached;
use crate::model::Value;
use wire::{Linux, Wire};

pub use config::{Chip, DeviceConfig, I2cConfig, Input, PointConfig, Quantity};
pub use entry::I2c;

/// A chip at work.
trait Part: Send {
    /// Reads these inputs, or begins to, or goes on with it.
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], now: Instant) -> Result<Step, Fault>;

    /// Writes an output.
    fn write(&mut self, _: &mut dyn Wire, _: Input, _: bool) -> Result<(), Fault> {
        Err(Fault::Malformed("this chip has no outputs".into()))
    }
}

/// The chips of one bus.
pub struct Chips {
    path: PathBuf,
    /// `None` while the bus is not open.
    wire: Option<Box<dyn Wire>>,
    devices: Vec<Mounted>,
}

struct Mounted {
    chip: Chip,
    address: u8,
    inputs: Vec<Input>,
    part: Box<dyn Part>,
}

impl Chips {
    /// The chips of a plan's devices.
    #[must_use]
    pub fn new(config: &I2cConfig, devices: &[Attached<DeviceConfig, Input>]) -> Self {
        let mounted = |device: &Attached<DeviceConfig, Input>| {
            // A device without a chip is refused by the check of its section.
            let chip = device.config.i2c_chip?;
            let inputs = device.points.iter().map(|point| point.wiring).collect();
            let address = device.config.address();
            Some(Mounted { chip, address, inputs, part: part(chip, address) })
        };
        Self { path: config.bus.clone(), wire: None, devices: devices.iter().filter_map(mounted).collect() }
    }

    /// Works one chip; after a failure it is set up anew, and after one of the bus that is opened anew.
    fn work<T>(
        &mut self,
        device: usize,
        work: impl FnOnce(&mut dyn Part, &mut dyn Wire, &[Input]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(mounted) = self.devices.get_mut(device) else {
            return Err(Fault::Malformed("no such device".into()));
        };
        if self.wire.is_none() {
            self.wire = Some(Box::new(Linux::open(&self.path)?));
        }
        let Some(wire) = self.wire.as_mut() else { return Err(Fault::Bus("the bus is not open".into())) };
        let result = work(mounted.part.as_mut(), wire.as_mut(), &mounted.inputs);
        if let Err(fault) = &result {
            mounted.part = part(mounted.chip, mounted.address);
            if matches!(fault, Fault::Bus(_)) {
                self.wire = None;
            }
        }
        result
    }
}

fn part(chip: Chip, address: u8) -> Box<dyn Part> {
    match chip {
        Chip::Sht3x => Box::new(sensirion::Sht::sht3x(address)),
        Chip::Sht4x => Box::new(sensirion::Sht::sht4x(address)),
        Chip::Scd4x => Box::new(sensirion::Scd4x::new(address)),
        Chip::Bme280 => Box::new(bme280::Bme280::new(address)),
        Chip::Ads1115 => Box::new(ads1115::Ads1115::new(address)),
        Chip::Mcp23017 => Box::new(mcp23017::Mcp23017::new(address)),
    }
}

impl Bench for Chips {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        let result = self.work(device, |part, wire, inputs| {
            let wanted: Vec<Input> = points.iter().filter_map(|point| inputs.get(*point).copied()).collect();
            part.read(wire, &wanted, Instant::now())
        });
        result.unwrap_or_else(|fault| bench::all(points, &fault))
    }

    fn write(&mut self, device: usize, point: usize, raw: &Value) -> Result<(), Fault> {
        let state = raw.as_bool().ok_or_else(|| Fault::Malformed(format!("{raw} is neither on nor off")))?;
        self.work(device, |part, wire, inputs| match inputs.get(point) {
            Some(input) => part.write(wire, *input, state),
            None => Err(Fault::Malformed("no such point".into())),
        })
    }
}
