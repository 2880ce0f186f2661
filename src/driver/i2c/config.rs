//! What people write about chips on I2C, and what it comes to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::driver::entry::RawForm;
use crate::model::Access;

/// Addresses that devices can have (I2C specification UM10204, section 3.1.12: the rest is reserved).
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x08..=0x77;

/// The full scales of an ADS1115 in volts (data sheet SBAS444, table 8-3), by their code.
pub(super) const FULL_SCALES: [f64; 6] = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256];

/// An I2C bus: `onboard: { i2c: { bus: /dev/i2c-1 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct I2cConfig {
    /// The bus, such as `/dev/i2c-1`.
    pub bus: PathBuf,
}

/// What I2C adds to a device's section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// Which chip is read over I2C.
    pub i2c_chip: Option<Chip>,
    /// The chip's address without the read bit, such as `0x44`; its usual one when left out.
    pub i2c_address: Option<u8>,
}

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    /// Sensirion SHT30, SHT31, SHT35: temperature, humidity.
    Sht3x,
    /// Sensirion SHT40, SHT41, SHT45: temperature, humidity.
    Sht4x,
    /// Sensirion SCD40, SCD41: CO2, temperature, humidity.
    Scd4x,
    /// Bosch BME280: temperature, humidity, pressure.
    Bme280,
    /// Texas Instruments ADS1115: four analog inputs.
    Ads1115,
    /// Microchip MCP23017: sixteen lines.
    Mcp23017,
}

/// What I2C adds to a point.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// What is read of an I2C chip: `temperature`, `humidity`, `pressure`, `co2`, an input such as `ain0` or `ain0-ain1`, a line such as `gpa0`.
    pub i2c: Option<String>,
    /// The full scale of an ADS1115 input in volts: 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256; 4.096 when not given.
    pub full_scale: Option<f64>,
    /// Switch on the pull-up of an MCP23017 line.
    pub pull_up: Option<bool>,
}

/// What is read of a chip, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// What.
    pub quantity: Quantity,
    /// The code of the full scale of an ADS1115.
    pub gain: u8,
    /// The pull-up of an MCP23017 line.
    pub pull_up: bool,
    /// Whether the line is driven.
    pub output: bool,
    /// Where the chip is, so that two points of one line are known.
    pub address: u8,
}

/// What is read of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// °C.
    Temperature,
    /// % relative.
    Humidity,
    /// hPa.
    Pressure,
    /// ppm.
    Co2,
    /// An input of an ADS1115, by its multiplexer code.
    Mux(u8),
    /// A line of an MCP23017: 0 … 7 are GPA0 … GPA7, 8 … 15 GPB0 … GPB7.
    Pin(u8),
}

/// The inputs of an ADS1115 by their multiplexer code (data sheet SBAS444, table 8-3).
const MUX: [&str; 8] = ["ain0-ain1", "ain0-ain3", "ain1-ain3", "ain2-ain3", "ain0", "ain1", "ain2", "ain3"];

impl I2cConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let relative = !self.bus.is_absolute();
        relative.then(|| "bus: write a whole path, such as /dev/i2c-1".to_owned()).into_iter().collect()
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(chip) = self.i2c_chip else {
            return vec!["i2c-chip is missing: name the chip, such as i2c-chip: sht3x".into()];
        };
        if let Some(address) = self.i2c_address {
            let usual = chip.addresses();
            if !ADDRESSES.contains(&address) {
                problems.push(format!(
                    "i2c-address {address:#04x}: addresses are 0x08 … 0x77, without the read bit"
                ));
            } else if !usual.contains(&address) {
                let usual: Vec<String> = usual.iter().map(|address| format!("{address:#04x}")).collect();
                let usual = usual.join(", ");
                problems.push(format!("i2c-address {address:#04x}: this chip can only be at {usual}"));
            }
        }
        problems
    }

    /// Where the chip is.
    #[must_use]
    pub fn address(&self) -> u8 {
        let usual = self.i2c_chip.and_then(|chip| chip.addresses().first().copied());
        self.i2c_address.or(usual).unwrap_or(0)
    }
}

impl Chip {
    /// The addresses that it can be given by its pins (data sheets), the usual one first.
    const fn addresses(self) -> &'static [u8] {
        match self {
            Self::Sht3x => &[0x44, 0x45],
            Self::Sht4x => &[0x44, 0x45, 0x46],
            Self::Scd4x => &[0x62],
            Self::Bme280 => &[0x76, 0x77],
            Self::Ads1115 => &[0x48, 0x49, 0x4A, 0x4B],
            Self::Mcp23017 => &[0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27],
        }
    }

    /// What can be read of it, for messages.
    const fn words(self) -> &'static str {
        match self {
            Self::Sht3x | Self::Sht4x => "temperature, humidity",
            Self::Scd4x => "co2, temperature, humidity",
            Self::Bme280 => "temperature, humidity, pressure",
            Self::Ads1115 => "ain0 … ain3, ain0-ain1, ain0-ain3, ain1-ain3, ain2-ain3",
            Self::Mcp23017 => "gpa0 … gpa7, gpb0 … gpb7",
        }
    }

    fn quantity(self, word: &str) -> Option<Quantity> {
        let found = match word {
            "temperature" => Quantity::Temperature,
            "humidity" => Quantity::Humidity,
            "pressure" => Quantity::Pressure,
            "co2" => Quantity::Co2,
            _ => match MUX.iter().position(|mux| *mux == word) {
                Some(code) => Quantity::Mux(u8::try_from(code).ok()?),
                None => pin(word)?,
            },
        };
        let has = matches!(
            (self, found),
            (Self::Sht3x | Self::Sht4x, Quantity::Temperature | Quantity::Humidity)
                | (Self::Scd4x, Quantity::Temperature | Quantity::Humidity | Quantity::Co2)
                | (Self::Bme280, Quantity::Temperature | Quantity::Humidity | Quantity::Pressure)
                | (Self::Ads1115, Quantity::Mux(_))
                | (Self::Mcp23017, Quantity::Pin(_))
        );
        has.then_some(found)
    }
}

fn pin(word: &str) -> Option<Quantity> {
    let (port, digits) = (word.get(..3)?, word.get(3..)?);
    let number = digits.parse::<u8>().ok().filter(|number| *number < 8 && digits.len() == 1)?;
    match port {
        "gpa" => Some(Quantity::Pin(number)),
        "gpb" => Some(Quantity::Pin(8 + number)),
        _ => None,
    }
}

impl PointConfig {
    /// What is read of the chip.
    ///
    /// # Errors
    /// Says what does not fit, and how to mend it.
    pub fn input(&self, device: &DeviceConfig, access: Access) -> Result<Input, String> {
        let chip = device.i2c_chip.ok_or("i2c-chip is missing at the device: name the chip")?;
        let words = chip.words();
        let word = self.i2c.as_deref().ok_or_else(|| format!("name what is read with i2c: {words}"))?;
        let quantity = chip.quantity(word).ok_or_else(|| format!("i2c {word}: this chip has {words}"))?;
        let analog = matches!(quantity, Quantity::Mux(_));
        if self.full_scale.is_some() && !analog {
            return Err("full-scale: it is for inputs of an ADS1115; remove it".into());
        }
        let full_scale = self.full_scale.unwrap_or(4.096);
        let gain = FULL_SCALES.iter().position(|own| (own - full_scale).abs() < 1e-9);
        let gain = gain.and_then(|code| u8::try_from(code).ok()).ok_or_else(|| {
            format!("full-scale {full_scale}: the chip has 6.144, 4.096, 2.048, 1.024, 0.512 and 0.256")
        })?;
        let line = matches!(quantity, Quantity::Pin(_));
        if self.pull_up.is_some() && !line {
            return Err("pull-up: it is for lines of an MCP23017; remove it".into());
        }
        let output = access.writable();
        Ok(Input {
            quantity,
            gain,
            pull_up: self.pull_up.unwrap_or(false),
            output,
            address: device.address(),
        })
    }
}

impl Input {
    /// What the chip gives.
    #[must_use]
    pub const fn form(self) -> RawForm {
        match self.quantity {
            Quantity::Temperature => RawForm::number("a temperature", "°C"),
            Quantity::Humidity => RawForm::number("a humidity", "%"),
            Quantity::Pressure => RawForm::number("a pressure", "hPa"),
            Quantity::Co2 => RawForm::number("a concentration", "ppm"),
            Quantity::Mux(_) => RawForm::number("a voltage", "V"),
            Quantity::Pin(_) => RawForm::state(),
        }
    }

    /// Whether it can be written.
    #[must_use]
    pub const fn can_be_written(self) -> bool {
        matches!(self.quantity, Quantity::Pin(_))
    }

    /// Why two points cannot both be; `None` when they can.
    #[must_use]
    pub fn clash(self, other: Self) -> Option<String> {
        let same = self.quantity == other.quantity && self.address == other.address;
        let both = same && self.can_be_written() && (self.output || other.output);
        both.then(|| "are one line that is an output: an output has one point".into())
    }
}
