//! Converters on SPI, through `/dev/spidevB.C` (linux-embedded-hal): MCP3008.
//!
//! Source: Microchip's data sheet DS21295 (MCP3004/3008), sections 4.1, 5 and figure 6-1. SPI acknowledges
//! nothing; what can be told from the pattern of an answer is. Absent: other chips, sharing by several masters.
//! Invariant: an answer without the chip's null bit is no value.

mod entry;

use std::path::{Path, PathBuf};

use embedded_hal::spi::SpiDevice;
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::local::bench::{self, Bench, Fault, Raw, Step};
use crate::driver::entry::{Attached, RawForm};
use crate::model::Value;

pub use entry::Spi;

/// What the clock of the chip allows at 2.7 V and 5 V (table 1-2: 1.35 and 3.6 MHz), and what is slow enough for any wire.
const SPEEDS: std::ops::RangeInclusive<u32> = 10_000..=3_600_000;

/// An SPI device: `adc: { spi: { port: /dev/spidev0.0 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SpiConfig {
    /// The bus and chip select, such as `/dev/spidev0.0`.
    pub port: PathBuf,
    /// The clock in hertz.
    #[serde(default = "SpiConfig::default_speed")]
    pub speed: u32,
}

/// What SPI adds to a device's section.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// Which chip is read over SPI.
    pub spi_chip: Option<Chip>,
    /// The reference voltage of the converter, in volts.
    pub spi_reference: Option<f64>,
}

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    /// Microchip MCP3008 (or MCP3004): 10-bit converter.
    Mcp3008,
}

/// What SPI adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// An input of a converter on SPI: `ch0` … `ch7`, or a pair such as `ch0-ch1`, the first above the second.
    pub spi: Option<String>,
}

/// The four bits that choose an input: single-ended, and which (table 5-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input(u8);

impl SpiConfig {
    const fn default_speed() -> u32 {
        1_000_000
    }

    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.port.is_absolute() {
            problems.push("port: write a whole path, such as /dev/spidev0.0".into());
        }
        if !SPEEDS.contains(&self.speed) {
            problems.push(format!("speed {}: use 10000 … 3600000", self.speed));
        }
        problems
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.spi_chip.is_none() {
            problems.push("spi-chip is missing: name the chip, such as spi-chip: mcp3008".into());
        }
        match self.spi_reference {
            None => problems.push(
                "spi-reference is missing: say the reference voltage, such as spi-reference: 3.3".into(),
            ),
            Some(volts) if !(0.25..=5.5).contains(&volts) => {
                problems.push(format!("spi-reference {volts}: the chip takes 0.25 … 5.5 volts"));
            }
            Some(_) => {}
        }
        problems
    }
}

impl PointConfig {
    /// The input.
    ///
    /// # Errors
    /// Says what does not fit, and how to mend it.
    pub fn input(&self) -> Result<Input, String> {
        let word = self.spi.as_deref().ok_or("name the input with spi: ch0")?;
        let number = |part: &str| {
            let digits = part.strip_prefix("ch")?;
            digits.parse::<u8>().ok().filter(|number| *number < 8 && digits.len() == 1)
        };
        let bits = match word.split_once('-') {
            None => number(word).map(|input| 8 | input),
            // A pair is two neighbours; its lowest bit says which of them is the upper one.
            Some((plus, minus)) => match (number(plus), number(minus)) {
                (Some(plus), Some(minus)) if plus / 2 == minus / 2 && plus != minus => Some(plus),
                _ => None,
            },
        };
        bits.map(Input).ok_or_else(|| {
            format!("spi {word}: the chip has ch0 … ch7 and the pairs ch0-ch1, ch1-ch0, ch2-ch3, … ch7-ch6")
        })
    }
}

impl Input {
    /// What the chip gives.
    #[must_use]
    pub const fn form(self) -> RawForm {
        RawForm::number("a voltage", "V")
    }

    /// The bytes that ask for it.
    const fn request(self) -> [u8; 3] {
        [0x01, self.0 << 4, 0x00]
    }
}

/// The number in an answer (figure 6-1: a null bit, then ten bits).
fn decode(answer: [u8; 3]) -> Result<u16, Fault> {
    if answer[1] & 0x04 != 0 {
        return Err(Fault::Absent("no chip answers: its null bit is missing".into()));
    }
    Ok(u16::from(answer[1] & 0x03) << 8 | u16::from(answer[2]))
}

/// A port that bytes are exchanged through.
trait Port: Send {
    fn exchange(&mut self, bytes: &mut [u8; 3]) -> Result<(), Fault>;
}

struct Linux(SpidevDevice);

impl Linux {
    fn open(path: &Path, speed: u32) -> Result<Self, Fault> {
        let failed = |error: &std::io::Error| {
            let shown = path.display();
            Fault::Bus(format!("{shown}: {error}; is SPI switched on, and may the gateway's user use it?"))
        };
        let mut device = SpidevDevice::open(path).map_err(|error| failed(error.inner()))?;
        let mut options = SpidevOptions::new();
        options.bits_per_word(8).max_speed_hz(speed).mode(SpiModeFlags::SPI_MODE_0);
        device.0.configure(&options.build()).map_err(|error| failed(&error))?;
        Ok(Self(device))
    }
}

impl Port for Linux {
    fn exchange(&mut self, bytes: &mut [u8; 3]) -> Result<(), Fault> {
        self.0.transfer_in_place(bytes).map_err(|error| Fault::Bus(error.to_string()))
    }
}

/// The converter of one port.
pub struct Converters {
    config: SpiConfig,
    port: Option<Box<dyn Port>>,
    devices: Vec<(f64, Vec<Input>)>,
}

impl Converters {
    /// The converters of a plan's devices.
    #[must_use]
    pub fn new(config: &SpiConfig, devices: &[Attached<DeviceConfig, Input>]) -> Self {
        let converter = |device: &Attached<DeviceConfig, Input>| {
            let reference = device.config.spi_reference.unwrap_or(0.0);
            (reference, device.points.iter().map(|point| point.wiring).collect())
        };
        Self { config: config.clone(), port: None, devices: devices.iter().map(converter).collect() }
    }

    fn open(&mut self) -> Result<&mut Box<dyn Port>, Fault> {
        let new: Box<dyn Port> = match self.port.take() {
            Some(open) => open,
            None => Box::new(Linux::open(&self.config.port, self.config.speed)?),
        };
        Ok(self.port.insert(new))
    }
}

fn convert(port: &mut dyn Port, input: Input, reference: f64) -> Raw {
    let mut bytes = input.request();
    port.exchange(&mut bytes)?;
    Ok(Value::Float(f64::from(decode(bytes)?) * reference / 1024.0))
}

impl Bench for Converters {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        let Some((reference, inputs)) = self.devices.get(device).cloned() else {
            return Step::Done(Vec::new());
        };
        let port = match self.open() {
            Ok(port) => port,
            Err(fault) => return bench::all(points, &fault),
        };
        let chosen = points.iter().filter_map(|point| inputs.get(*point));
        let results: Vec<Raw> = chosen.map(|input| convert(port.as_mut(), *input, reference)).collect();
        if results.iter().any(|result| matches!(result, Err(Fault::Bus(_)))) {
            self.port = None;
        }
        Step::Done(results)
    }

    fn write(&mut self, _: usize, _: usize, _: &Value) -> Result<(), Fault> {
        Err(Fault::Malformed("a converter cannot be written".into()))
    }
}

#[cfg(test)]
mod tests;
