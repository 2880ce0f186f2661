//! Buses of the machine itself: 1-Wire, IIO, GPIO, I2C, SPI, and what all such buses share.
//!
//! Their accesses block (a 1-Wire conversion for three quarters of a second), so each bus has one thread of
//! its own in which its [`Bench`] works, and one `owner` task that schedules, converts, publishes and never
//! blocks. A bus adds a folder beside this one, a variant to each enum here, and nothing else. Invariant: at
//! most one access is under way per bus, and no reading is made of an access that failed.

pub mod bench;
mod owner;
pub mod stand_in;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::{BoxFuture, Channel, ChannelContext, gpio, i2c, iio, onewire, spi};
use crate::model::{Access, Conversion, PointId, Value, ValueKind};

pub use bench::{Bench, Fault, Raw, Step};

/// One bus with everything on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel's name.
    pub name: Arc<str>,
    /// Which bus.
    pub bus: Bus,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
    /// A folder of files that stand for the bus: how it is simulated.
    pub stand_in: Option<PathBuf>,
}

/// A bus as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub enum Bus {
    /// 1-Wire.
    OneWire(onewire::OneWireConfig),
    /// Linux Industrial I/O.
    Iio(iio::IioConfig),
    /// GPIO lines.
    Gpio(gpio::GpioConfig),
    /// I2C.
    I2c(i2c::I2cConfig),
    /// SPI.
    Spi(spi::SpiConfig),
}

/// What a device's section adds.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceConfig {
    /// 1-Wire.
    OneWire(onewire::DeviceConfig),
    /// Linux Industrial I/O.
    Iio(iio::DeviceConfig),
    /// GPIO lines.
    Gpio(gpio::DeviceConfig),
    /// I2C.
    I2c(i2c::DeviceConfig),
    /// SPI.
    Spi(spi::DeviceConfig),
}

/// What a point's section adds, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum PointConfig {
    /// 1-Wire.
    OneWire(onewire::PointConfig),
    /// Linux Industrial I/O.
    Iio(iio::PointConfig),
    /// GPIO lines.
    Gpio(gpio::PointConfig),
    /// I2C.
    I2c(i2c::PointConfig),
    /// SPI.
    Spi(spi::PointConfig),
}

/// Where a point is.
#[derive(Debug, Clone, PartialEq)]
pub enum Wiring {
    /// 1-Wire.
    OneWire(onewire::Quantity),
    /// Linux Industrial I/O.
    Iio(iio::Input),
    /// GPIO lines.
    Gpio(gpio::Wiring),
    /// I2C.
    I2c(i2c::Input),
    /// SPI.
    Spi(spi::Input),
}

/// One device on a bus.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device's name.
    pub name: Arc<str>,
    /// What its bus needs to know of it.
    pub config: DeviceConfig,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a device.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which point.
    pub id: PointId,
    /// Where it is.
    pub wiring: Wiring,
    /// From what the bus gives to values and back.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}

/// What a bus gives for a point before its conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The kind of value.
    pub kind: ValueKind,
    /// The smallest and the largest, of whole numbers.
    pub limits: Option<(Value, Value)>,
    /// What people call it.
    pub word: &'static str,
    /// The unit that it comes in, where it has one.
    pub unit: Option<&'static str>,
}

impl Form {
    /// A real number in this unit.
    #[must_use]
    pub const fn number(word: &'static str, unit: &'static str) -> Self {
        Self { kind: ValueKind::Float, limits: None, word, unit: Some(unit) }
    }

    /// A digital state.
    #[must_use]
    pub const fn state() -> Self {
        Self { kind: ValueKind::Bool, limits: None, word: "a state", unit: None }
    }
}

impl Bus {
    /// The bus in a word, as the configuration names it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::OneWire(_) => "onewire",
            Self::Iio(_) => "iio",
            Self::Gpio(_) => "gpio",
            Self::I2c(_) => "i2c",
            Self::Spi(_) => "spi",
        }
    }

    /// What the bus is on this machine: a path.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::OneWire(config) => config.path.display().to_string(),
            Self::Iio(config) => config.path.display().to_string(),
            Self::Gpio(config) => config.chip.clone().unwrap_or_else(|| "any chip".into()),
            Self::I2c(config) => config.bus.display().to_string(),
            Self::Spi(config) => config.port.display().to_string(),
        }
    }

    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        match self {
            Self::OneWire(config) => config.validate(),
            Self::Iio(config) => config.validate(),
            Self::Gpio(config) => config.validate(),
            Self::I2c(config) => config.validate(),
            Self::Spi(config) => config.validate(),
        }
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        match self {
            Self::OneWire(config) => config.validate(),
            Self::Iio(config) => config.validate(),
            Self::Gpio(config) => config.validate(),
            Self::I2c(config) => config.validate(),
            Self::Spi(config) => config.validate(),
        }
    }
}

impl DeviceConfig {
    /// Takes what the bus says where this device says nothing.
    pub fn inherit(&mut self, bus: &Bus) {
        if let (Self::Gpio(own), Bus::Gpio(channel)) = (self, bus) {
            own.inherit(channel);
        }
    }
}

impl PointConfig {
    /// Where the point is.
    ///
    /// # Errors
    /// Says what does not fit, and how to mend it.
    pub fn wiring(&self, device: &DeviceConfig, access: Access) -> Result<Wiring, String> {
        let wiring = match (self, device) {
            (Self::OneWire(config), DeviceConfig::OneWire(_)) => Wiring::OneWire(config.quantity()?),
            (Self::Iio(config), DeviceConfig::Iio(_)) => Wiring::Iio(config.input()?),
            (Self::Gpio(config), DeviceConfig::Gpio(device)) => Wiring::Gpio(config.wiring(device, access)?),
            (Self::I2c(config), DeviceConfig::I2c(device)) => Wiring::I2c(config.input(device, access)?),
            (Self::Spi(config), DeviceConfig::Spi(_)) => Wiring::Spi(config.input()?),
            _ => return Err("the point belongs to another kind of channel".into()),
        };
        if access.writable() && !wiring.is_output() {
            return Err("access: this can only be read; remove `access`, or write r".into());
        }
        Ok(wiring)
    }
}

impl Wiring {
    /// What the bus gives for the point.
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::OneWire(quantity) => quantity.form(),
            Self::Iio(input) => input.form(),
            Self::Gpio(wiring) => wiring.form(),
            Self::I2c(input) => input.form(),
            Self::Spi(input) => input.form(),
        }
    }

    /// Whether it can be written.
    #[must_use]
    pub const fn is_output(&self) -> bool {
        match self {
            Self::OneWire(_) | Self::Iio(_) | Self::Spi(_) => false,
            Self::I2c(input) => input.can_be_written(),
            Self::Gpio(wiring) => wiring.output,
        }
    }

    /// Why two points of one bus cannot both be; `None` when they can.
    #[must_use]
    pub fn clash(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Gpio(one), Self::Gpio(two)) => one.clash(two),
            (Self::I2c(one), Self::I2c(two)) => one.clash(*two),
            _ => None,
        }
    }

    /// Whether the bus takes a raw value.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn encodable(&self, raw: &Value) -> Result<(), String> {
        match raw.as_bool() {
            Some(_) => Ok(()),
            None => Err(format!("{raw} is neither on nor off")),
        }
    }
}

impl Plan {
    /// This plan with a folder of files in the place of its bus.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        Self { stand_in: Some(endpoint.into()), ..self.clone() }
    }

    /// What works the bus, to be moved into its thread; `None` where edges do and not polls.
    fn bench(&self) -> Option<Box<dyn Bench>> {
        if let Some(folder) = &self.stand_in {
            return Some(Box::new(stand_in::Files::new(folder, &self.devices)));
        }
        Some(match &self.bus {
            Bus::OneWire(config) => Box::new(onewire::Sensors::new(config, &self.devices)),
            Bus::Iio(config) => Box::new(iio::Files::new(config, &self.devices)),
            Bus::Gpio(_) => return None,
            Bus::I2c(config) => Box::new(i2c::Chips::new(config, &self.devices)),
            Bus::Spi(config) => Box::new(spi::Converters::new(config, &self.devices)),
        })
    }
}

impl Channel for Plan {
    fn run(self: Arc<Self>, context: ChannelContext) -> BoxFuture {
        Box::pin(async move {
            match self.bench() {
                Some(bench) => owner::Owner::new(self, bench, context).run().await,
                None => gpio::run(self, context).await,
            }
        })
    }
}
