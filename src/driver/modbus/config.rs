//! What people write about Modbus in the configuration.
//!
//! Every struct here is one section; unknown keys are refused by the loader, which knows the field names
//! from these types. Absent: anything that is common to all drivers (topic, unit, scale, range, …).

use schemars::JsonSchema;
use serde::Deserialize;

use super::beside::{ProbeConfig, ScaleConfig, StatusConfig, WhenConfig};
use super::codes::Codes;
use super::confirm::ConfirmConfig;
use super::counter::Counting;
use super::modules::Module;
use super::quirks::WriteConfig;
use super::register::{Order, RawType, WriteMethod};
use super::wake::WakeConfig;
use super::watchdog::WatchdogConfig;
use crate::model::units::Period;

/// A Modbus TCP or RTU-over-TCP connection: `plc: { modbus-tcp: { address: 192.0.2.10:502 } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TcpConfig {
    /// Host and port, such as `192.0.2.10:502`. Without a port, 502.
    pub address: String,
    /// How long to wait for an answer.
    #[serde(default = "TcpConfig::default_timeout")]
    pub timeout: Period,
    /// How long to wait for the connection to stand.
    #[serde(default = "TcpConfig::default_connect_timeout")]
    pub connect_timeout: Period,
    /// A pause after every answer, for devices that need one.
    #[serde(default)]
    pub pause: Period,
}

/// A serial line: `line-1: { modbus-rtu: { port: /dev/serial/by-id/usb-FTDI-if00, baud: 9600 } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LineConfig {
    /// The serial port; `/dev/serial/by-id/…` stays the same when adapters are plugged in another order.
    pub port: String,
    /// Bits per second. Devices leave the factory at 9600 or 19200 as a rule.
    #[serde(default = "LineConfig::default_baud")]
    pub baud: u32,
    /// Parity. The standard's default is even (Serial Line 1.02, section 2.5.1); most devices ship with none.
    #[serde(default)]
    pub parity: Parity,
    /// Data bits: 8, for ASCII also 7.
    #[serde(default = "LineConfig::default_data_bits")]
    pub data_bits: u8,
    /// Stop bits: 1 or 2.
    #[serde(default = "LineConfig::default_stop_bits")]
    pub stop_bits: u8,
    /// How long to wait for the first byte of an answer.
    #[serde(default = "LineConfig::default_timeout")]
    pub timeout: Period,
    /// A pause after every answer beyond the 3.5 characters of the standard.
    #[serde(default)]
    pub pause: Period,
    /// The silence after a broadcast in which slaves act (Serial Line 1.02, section 2.4.1: 100 to 200 ms).
    #[serde(default = "LineConfig::default_turnaround")]
    pub turnaround: Period,
    /// Let the kernel switch an RS-485 driver by RTS. Leave it out for adapters that switch by themselves.
    #[serde(default)]
    pub rs485: Option<Rs485Config>,
}

/// RS-485 direction control by the kernel (TIOCSRS485).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Rs485Config {
    /// The level of RTS while sending: high (the usual one) or low.
    pub rts_low_while_sending: bool,
    /// A wait between switching the driver on and the first bit.
    pub delay_before_send: Period,
    /// A wait between the last bit and switching the driver off.
    pub delay_after_send: Period,
}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// What Modbus adds to a device's section.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceConfig {
    /// Unit identifier, 0 … 255; 0 is broadcast and can only be written to.
    #[serde(default = "DeviceConfig::default_unit")]
    pub unit: u8,
    /// Whether register numbers count from 0 (as on the wire) or from 1 (as some manuals print them).
    #[serde(default)]
    pub address_base: AddressBase,
    /// The byte order of points that do not name one.
    #[serde(default)]
    pub order: Order,
    /// The most registers that one read may ask for (the standard allows 125).
    #[serde(default = "DeviceConfig::default_max_registers")]
    pub max_registers: u16,
    /// The most coils or discrete inputs that one read may ask for (the standard allows 2000).
    #[serde(default = "DeviceConfig::default_max_bits")]
    pub max_bits: u16,
    /// How many registers nobody wants may be read along to save a request. 0 where holes are errors.
    #[serde(default = "DeviceConfig::default_max_gap")]
    pub max_gap: u16,
    /// How long to wait for this device's answers, where it differs from the channel's.
    #[serde(default)]
    pub timeout: Option<Period>,
    /// A silence after each of this device's answers, beyond the channel's `pause`.
    #[serde(default)]
    pub pause: Period,
    /// What wakes the device when nobody has spoken to it for a while; for devices that miss the first request.
    #[serde(default)]
    pub wake: Option<WakeConfig>,
    /// What every address of the device is moved by: for devices whose addresses a switch or a setting shifts.
    #[serde(default)]
    pub address_offset: i32,
    /// What the device is known by: read when it comes online; another device gives a warning that names both.
    #[serde(default)]
    pub probe: Vec<ProbeConfig>,
    /// The modules of a WAGO node in their order, by their channels: `[4AI, 8DI, 8DI/8DO]`. Points then name `module` and `module-channel`, and the node is compared with the list when it comes online.
    #[serde(default)]
    pub modules: Vec<Module>,
    /// What is written when the device comes online, one after the other, unless it is the wrong one.
    #[serde(default)]
    pub setup: Vec<WriteConfig>,
    /// The device's own watchdog, which brings its outputs to the device's safe state when the gateway hangs or the line is gone.
    #[serde(default)]
    pub watchdog: Option<WatchdogConfig>,
}

/// From where a manual counts registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "u8")]
#[schemars(with = "u8")]
pub enum AddressBase {
    /// As on the wire.
    #[default]
    Zero,
    /// One above the wire.
    One,
}

/// What Modbus adds to a point: `{ input: 0x0000, type: i16 }`. Exactly one of the four tables is named, or `identification`, `function` or `module`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// A coil by its address.
    pub coil: Option<u32>,
    /// A discrete input by its address.
    pub discrete: Option<u32>,
    /// An input register by its address.
    pub input: Option<u32>,
    /// A holding register by its address.
    pub holding: Option<u32>,
    /// An object of the device's identification (function 43/14) by its number, as a text: 0 vendor, 1 product code, 2 revision, 4 product name, 5 model name.
    pub identification: Option<u8>,
    /// A function code that knows no table: 7 (exception status) or a vendor's own. What is read stands in its answer, what is written follows `function-data`; a command without a value (`access: w`, no type) is given by `on`.
    pub function: Option<u8>,
    /// The bytes that follow the function code.
    pub function_data: Vec<u8>,
    /// How many bytes of the answer follow the function code.
    pub reply_bytes: Option<u8>,
    /// The byte of these at which the value stands, counted from 0.
    pub reply_at: u8,
    /// A module of the device's list by its number, counted from 1: the address follows from the modules before it.
    pub module: Option<u8>,
    /// The channel of the module, counted from 1; the first when left out.
    pub module_channel: Option<u16>,
    /// Number format; `u16` for registers, `bool` for coils, discrete inputs and single bits.
    #[serde(rename = "type")]
    pub raw: Option<RawType>,
    /// Byte order, where it differs from the device's.
    pub order: Option<Order>,
    /// One bit of a register, 0 … 15, 0 being the least significant.
    pub bit: Option<u8>,
    /// Consecutive bits of a register, lowest and highest: `[4, 7]`.
    pub bits: Option<(u8, u8)>,
    /// Characters of a text, two per register.
    pub length: Option<u16>,
    /// Where writes go, when that is another address.
    pub write_address: Option<u32>,
    /// How the point is written.
    pub write: Option<WriteMethod>,
    /// Reading it resets it: it gets a request of its own, and no other request reads across it.
    pub read_to_clear: bool,
    /// The address counts from the start of one of these SunSpec models, which is looked for when the device comes online: `[101, 102, 103]`.
    pub model: Vec<u16>,
    /// Which of several SunSpec models of one number, counted from 1.
    pub instance: Option<u8>,
    /// A register of the same table that holds the power of ten of the scale: SunSpec's scale factors.
    pub exponent: Option<u32>,
    /// Another register tells the scale.
    pub scale_by: Option<ScaleConfig>,
    /// Another register tells whether the value is good.
    pub status_by: Option<StatusConfig>,
    /// The point is there only while another register says so; else it is `not-available`.
    pub when: Option<WhenConfig>,
    /// The only raw numbers that may be written, such as `[1]` for a coil that is only ever set.
    pub accepts: Vec<Codes>,
    /// Writes that go before every write of the point: passwords, unlocking sequences.
    pub before: Vec<WriteConfig>,
    /// Writes that go behind every write of the point: the command that takes the parameter over.
    pub after: Vec<WriteConfig>,
    /// Words that go in front of the value in the same write: the number of a command whose parameter it is.
    pub lead: Vec<u16>,
    /// What makes a write of the point count as done: other registers that are read until they hold what they must, one after the other.
    pub confirm: Vec<ConfirmConfig>,
    /// The function that reads it, where that is not the usual one of its table: 2 for a coil, 4 for a holding register.
    pub read_function: Option<u8>,
    /// The register is a counter: `total` goes on over its roll-overs, resets and restarts, `rate` is what it grows by per second, `delta` what it grew by since the last reading.
    pub counting: Option<Counting>,
    /// How many numbers a counter has before it begins at 0 again, where its type does not tell: 10000 for four digits.
    pub rollover: Option<u64>,
}

impl TcpConfig {
    const fn default_timeout() -> Period {
        Period::from_secs(1)
    }

    const fn default_connect_timeout() -> Period {
        Period::from_secs(3)
    }
}

impl LineConfig {
    const fn default_baud() -> u32 {
        9600
    }

    const fn default_data_bits() -> u8 {
        8
    }

    const fn default_stop_bits() -> u8 {
        1
    }

    const fn default_timeout() -> Period {
        Period::from_millis(500)
    }

    const fn default_turnaround() -> Period {
        Period::from_millis(100)
    }
}

impl Parity {
    /// Its letter in forms such as `8N1`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'N',
            Self::Even => 'E',
            Self::Odd => 'O',
        }
    }
}

impl DeviceConfig {
    const fn default_unit() -> u8 {
        1
    }

    const fn default_max_registers() -> u16 {
        125
    }

    const fn default_max_bits() -> u16 {
        2000
    }

    const fn default_max_gap() -> u16 {
        8
    }
}

impl TryFrom<u8> for AddressBase {
    type Error = String;

    fn try_from(base: u8) -> Result<Self, String> {
        match base {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            other => Err(format!("address-base is 0 or 1, not {other}")),
        }
    }
}
