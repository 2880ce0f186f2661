//! What people write about instruments that speak in lines.
//!
//! Every struct here is one section; unknown keys are refused by the loader. No key means something else
//! here than in another driver's sections. Absent: where values stand in lines (`text::config`).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::driver::modbus::config::{Parity, Rs485Config};
use crate::model::units::Period;

/// A serial line with instruments: `scale: { ascii-serial: { port: /dev/ttyUSB0, baud: 9600 } }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "AsciiSerial")]
pub struct SerialConfig {
    /// The serial port; `/dev/serial/by-id/…` stays the same when adapters are plugged in another order.
    pub port: String,
    /// Bits per second.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Parity.
    #[serde(default)]
    pub parity: Parity,
    /// Data bits: 7 or 8.
    #[serde(default = "default_data_bits")]
    pub data_bits: u8,
    /// Stop bits: 1 or 2.
    #[serde(default = "default_stop_bits")]
    pub stop_bits: u8,
    /// How long to wait for an answer.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// A pause after every answer, for instruments that need one.
    #[serde(default)]
    pub pause: Period,
    /// Let the kernel switch an RS-485 driver by RTS. Leave it out for adapters that switch by themselves.
    #[serde(default)]
    pub rs485: Option<Rs485Config>,
}

/// Instruments behind a TCP socket: `scale: { ascii-tcp: { address: 192.0.2.30:4001 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "AsciiTcp")]
pub struct TcpConfig {
    /// Host and port, such as `192.0.2.30:4001`.
    pub address: String,
    /// How long to wait for an answer.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// How long to wait for the connection to stand.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: Period,
    /// A pause after every answer, for instruments that need one.
    #[serde(default)]
    pub pause: Period,
}

/// Instruments that speak in UDP datagrams: `module: { ascii-udp: { address: 192.0.2.31:1025 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "AsciiUdp")]
pub struct UdpConfig {
    /// Host and port, such as `192.0.2.31:1025`.
    pub address: String,
    /// How long to wait for an answer.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// A pause after every answer, for instruments that need one.
    #[serde(default)]
    pub pause: Period,
}

/// What carries the lines. In the configuration, one of these words stands under a channel's name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "AsciiTransport")]
pub enum Transport {
    /// Instruments that speak in lines of text, on a serial line.
    #[serde(rename = "ascii-serial")]
    Serial(SerialConfig),
    /// Instruments that speak in lines of text, behind a TCP socket.
    #[serde(rename = "ascii-tcp")]
    Tcp(TcpConfig),
    /// Instruments that speak in lines of text, in UDP datagrams.
    #[serde(rename = "ascii-udp")]
    Udp(UdpConfig),
}

/// How the lines of an instrument look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "AsciiDevice")]
pub struct DeviceConfig {
    /// What ends a line: `crlf`, `cr`, `lf`, `nul`, or `silence` for instruments that only pause.
    pub terminator: Terminator,
    /// With `terminator: silence`, how long nothing comes at the end of a line; 50ms when left out.
    pub silence: Option<Period>,
    /// The alphabet.
    pub charset: Charset,
    /// The check that requests and answers end with.
    pub checksum: Checksum,
    /// What is sent before every request, for instruments that sleep: `"\r"`.
    pub wake_up: Option<String>,
    /// How long to wait behind `wake-up`.
    pub wake_up_pause: Period,
    /// The instrument repeats every request before it answers.
    pub echoes: bool,
    /// Beginnings of answers that say "error", such as `?` or `ES`.
    pub error_replies: Vec<String>,
    /// Beginnings of answers that say "not now", such as `S I`.
    pub busy_replies: Vec<String>,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Terminator {
    /// Carriage return and line feed.
    #[default]
    Crlf,
    /// Carriage return.
    Cr,
    /// Line feed.
    Lf,
    /// A byte of zero.
    Nul,
    /// A pause.
    Silence,
}

/// An alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Charset {
    /// UTF-8, of which ASCII is a part.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1, in which `°` is one byte.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// A check at the end of a line, before its terminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// There is none.
    #[default]
    None,
    /// The sum of all characters modulo 256 as two hexadecimal digits (DCON: ADAM-4000, I-7000).
    Sum,
    /// The exclusive or of all characters as two hexadecimal digits.
    Xor,
    /// `*` and the exclusive or of what stands between `$` and `*` (NMEA 0183).
    Nmea,
}

/// What such an instrument adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "AsciiPoint")]
pub struct PointConfig {
    /// What is sent to be answered with the value, without its terminator: `SI`. Points of a device with the same question and `poll` share it.
    pub ask: Option<String>,
    /// The value is in lines that the instrument sends by itself and that begin so; `""` is every line. Silence for five `poll` periods (at least 10s) makes it stale.
    pub listen: Option<String>,
    /// How the point is written: what is sent, with `{value}` for the setpoint.
    pub send: Option<String>,
    /// What a write is answered with, at least its beginning; any answer when left out. `none` when there is no answer.
    pub answer: Option<String>,
}

impl Transport {
    /// How long to wait for an answer.
    #[must_use]
    pub const fn timeout(&self) -> Period {
        match self {
            Self::Serial(line) => line.timeout,
            Self::Tcp(tcp) => tcp.timeout,
            Self::Udp(udp) => udp.timeout,
        }
    }

    /// The pause after every answer.
    #[must_use]
    pub const fn pause(&self) -> Period {
        match self {
            Self::Serial(line) => line.pause,
            Self::Tcp(tcp) => tcp.pause,
            Self::Udp(udp) => udp.pause,
        }
    }

    /// Where it leads: a port's path, or a host and port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Serial(line) => &line.port,
            Self::Tcp(tcp) => &tcp.address,
            Self::Udp(udp) => &udp.address,
        }
    }

    /// The key of the channel in the configuration.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Serial(_) => "ascii-serial",
            Self::Tcp(_) => "ascii-tcp",
            Self::Udp(_) => "ascii-udp",
        }
    }
}

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
    Period::from_secs(1)
}

const fn default_connect_timeout() -> Period {
    Period::from_secs(3)
}
