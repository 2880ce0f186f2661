//! A plan in the making: channels, devices and points with the places where they are written.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::conversion::RawForm;
use super::drivers::{ChannelDriver, DeviceSettings, DriverKind, Wire};
use super::node::Node;
use super::profile::Profile;
use super::sections::PublishSection;
use super::source::Span;
use super::values::{Grade, Language};
use crate::driver::ascii;
use crate::driver::gpio::GpioConfig;
use crate::driver::http::HttpConfig;
use crate::driver::i2c::I2cConfig;
use crate::driver::iio::IioConfig;
use crate::driver::local::Bus;
use crate::driver::modbus::{LineConfig, Register, TcpConfig, Transport};
use crate::driver::onewire::OneWireConfig;
use crate::driver::spi::SpiConfig;
use crate::driver::system::SystemConfig;
use crate::driver::virtual_points::VirtualConfig;
use crate::model::behaviour::Behaviour;
use crate::model::units::Period;
use crate::model::{Point, Topic};

/// Under a channel's name stands exactly one driver with its settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names, reason = "the names are the words of the file")]
pub(super) enum ChannelSection {
    /// Modbus TCP.
    ModbusTcp(TcpConfig),
    /// Modbus RTU on a serial line.
    ModbusRtu(LineConfig),
    /// Modbus RTU frames through a TCP connection: serial servers.
    ModbusRtuOverTcp(TcpConfig),
    /// Modbus ASCII on a serial line.
    ModbusAscii(LineConfig),
    /// HTTP: devices with a web interface, such as the W&T Web-IO family.
    Http(Box<HttpConfig>),
    /// Instruments that speak in lines of text, on a serial line.
    AsciiSerial(ascii::SerialConfig),
    /// Instruments that speak in lines of text, behind a TCP socket.
    AsciiTcp(ascii::TcpConfig),
    /// Instruments that speak in lines of text, in UDP datagrams.
    AsciiUdp(ascii::UdpConfig),
    /// The box itself: temperature, load, memory, disk, uptime, throttling.
    System(SystemConfig),
    /// 1-Wire thermometers, read through the kernel.
    #[serde(rename = "onewire")]
    OneWire(OneWireConfig),
    /// Sensors and converters that have a Linux driver (Industrial I/O).
    Iio(IioConfig),
    /// GPIO lines of the machine or of an expander with a Linux driver.
    Gpio(GpioConfig),
    /// Chips on an I2C bus that have no Linux driver, or shall have none.
    I2c(I2cConfig),
    /// Converters on SPI.
    Spi(SpiConfig),
    /// Points computed from others.
    Virtual(VirtualConfig),
}

impl ChannelSection {
    /// The driver with its settings.
    #[must_use]
    pub(super) fn driver(self) -> ChannelDriver {
        ChannelDriver::Modbus(match self {
            Self::ModbusTcp(tcp) => Transport::Tcp(tcp),
            Self::ModbusRtu(line) => Transport::Rtu(line),
            Self::ModbusRtuOverTcp(tcp) => Transport::RtuOverTcp(tcp),
            Self::ModbusAscii(line) => Transport::Ascii(line),
            Self::Http(config) => return ChannelDriver::Http(config),
            Self::AsciiSerial(line) => return ChannelDriver::Ascii(ascii::Transport::Serial(line)),
            Self::AsciiTcp(tcp) => return ChannelDriver::Ascii(ascii::Transport::Tcp(tcp)),
            Self::AsciiUdp(udp) => return ChannelDriver::Ascii(ascii::Transport::Udp(udp)),
            Self::System(SystemConfig {}) => return ChannelDriver::System,
            Self::OneWire(config) => return ChannelDriver::Local(Box::new(Bus::OneWire(config))),
            Self::Iio(config) => return ChannelDriver::Local(Box::new(Bus::Iio(config))),
            Self::Gpio(config) => return ChannelDriver::Local(Box::new(Bus::Gpio(config))),
            Self::I2c(config) => return ChannelDriver::Local(Box::new(Bus::I2c(config))),
            Self::Spi(config) => return ChannelDriver::Local(Box::new(Bus::Spi(config))),
            Self::Virtual(config) => return ChannelDriver::Virtual(config),
        })
    }
}

/// A channel as it is written.
pub(super) struct ChannelDraft {
    pub(super) name: Arc<str>,
    pub(super) key_span: Span,
    /// The driver's settings.
    pub(super) node: Node,
    /// `None` when the section is wrong.
    pub(super) driver: Option<ChannelDriver>,
}

/// A device as it is written, its profile and defaults applied.
pub(super) struct DeviceDraft {
    pub(super) name: Arc<str>,
    pub(super) key_span: Span,
    pub(super) node: Node,
    pub(super) label: Option<String>,
    /// Its channel's index.
    pub(super) channel: usize,
    pub(super) settings: DeviceSettings,
    pub(super) profile: Option<Rc<Profile>>,
    pub(super) points: Vec<PointDraft>,
}

impl DeviceDraft {
    /// Its unit, where it is Modbus.
    pub(super) fn unit(&self) -> Option<u8> {
        self.settings.modbus().map(|config| config.unit)
    }
}

impl PointDraft {
    /// Its register, where it is Modbus.
    pub(super) fn register(&self) -> Option<&Register> {
        self.wire.modbus().map(|point| &point.register)
    }
}

/// A point whose own keys are right.
pub(super) struct PointDraft {
    pub(super) point: Point,
    pub(super) place: Span,
    pub(super) node: Node,
    pub(super) wire: Wire,
    pub(super) form: RawForm,
    pub(super) behaviour: Option<Behaviour>,
    pub(super) grade: Option<Grade>,
}

/// What the points of one device have in common.
pub(super) struct Around<'a> {
    pub(super) site: &'a Topic,
    pub(super) device: &'a Arc<str>,
    pub(super) channel: &'a Arc<str>,
    pub(super) topic: &'a str,
    pub(super) publish: PublishSection,
    pub(super) kind: DriverKind,
    pub(super) settings: &'a DeviceSettings,
    pub(super) driver: Option<&'a ChannelDriver>,
    pub(super) grade: Option<Grade>,
    /// The periods of its poll groups.
    pub(super) groups: IndexMap<String, Period>,
    pub(super) language: Language,
    /// Whether its channel is known.
    pub(super) attached: bool,
}

/// The names by which points can be referred to, also of points whose own section is wrong.
#[derive(Default)]
pub(super) struct Names {
    places: HashMap<String, Option<usize>>,
}

impl Names {
    /// Adds a point under `device/point` and under its topic below the site.
    pub(super) fn add(&mut self, name: &str, topic_below_site: Option<&str>, index: Option<usize>) {
        self.places.insert(name.to_owned(), index);
        if let Some(topic) = topic_below_site {
            self.places.entry(topic.to_owned()).or_insert(index);
        }
    }

    /// The point of a name; `Some(None)` when it exists but is wrong itself.
    pub(super) fn find(&self, name: &str) -> Option<Option<usize>> {
        self.places.get(name).copied()
    }

    /// All names.
    pub(super) fn all(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
