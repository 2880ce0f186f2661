//! Which driver a channel, a device and a profile belong to, and what that means for their sections.
//!
//! The sections of every driver have keys of their own beside the common ones; which lists count follows
//! from the channel, or from the profile. Absent: what the keys mean, which each driver's adapter knows.

use super::modbus::oneline::TABLES;
use super::node::Node;
use super::parts::fields_of;
use super::repeat::Item;
use crate::driver::http::{self, HttpConfig};
use crate::driver::modbus::{self, Transport};
use crate::driver::text::ExtractConfig;
use crate::driver::virtual_points::{self, VirtualConfig};
use crate::driver::{ascii, gpio, i2c, iio, local, onewire, spi, system};
use crate::model::{Value, ValueKind};

/// The drivers, as profiles name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DriverKind {
    /// Modbus over any transport.
    Modbus,
    /// HTTP.
    Http,
    /// Instruments that speak in lines.
    Ascii,
    /// The box itself.
    System,
    /// 1-Wire.
    OneWire,
    /// Linux Industrial I/O.
    Iio,
    /// GPIO lines.
    Gpio,
    /// I2C.
    I2c,
    /// SPI.
    Spi,
    /// Computed points.
    Virtual,
}

/// A channel's driver with its settings.
#[derive(Debug, Clone)]
pub(super) enum ChannelDriver {
    /// Modbus over this transport.
    Modbus(Transport),
    /// HTTP to this host.
    Http(Box<HttpConfig>),
    /// Instruments that speak in lines.
    Ascii(ascii::Transport),
    /// The box itself.
    System,
    /// A bus of the machine.
    Local(Box<local::Bus>),
    /// Computed points.
    Virtual(VirtualConfig),
}

/// What a driver adds to a device.
#[derive(Debug, Clone)]
pub(super) enum DeviceSettings {
    /// Modbus.
    Modbus(modbus::DeviceConfig),
    /// HTTP.
    Http(Box<http::DeviceConfig>),
    /// Instruments that speak in lines.
    Ascii(Box<ascii::DeviceConfig>),
    /// The box itself, which adds nothing.
    System,
    /// On a bus of the machine.
    Local(Box<local::DeviceConfig>),
    /// Computed points, which add nothing.
    Virtual,
}

/// A point as its driver sees it.
#[derive(Debug, Clone)]
pub(super) enum Wire {
    /// Modbus.
    Modbus(Box<modbus::Point>),
    /// HTTP.
    Http(Box<http::Point>),
    /// A point of an instrument.
    Ascii(Box<ascii::Point>),
    /// A figure of the box.
    System(Box<system::Point>),
    /// On a bus of the machine.
    Local(Box<local::Point>),
    /// A computed point.
    Virtual(Box<Computed>),
}

/// A computed point whose sources are names still.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    /// The names of what it is computed from.
    pub(super) names: Vec<String>,
    /// The point; its inputs come when all points are known.
    pub(super) point: virtual_points::Point,
}

/// The keys by which an HTTP point says where it is.
const HTTP_ADDRESSES: [&str; 8] =
    ["get", "post", "set", "analog-in", "analog-out", "digital-in", "digital-out", "counter"];

/// The keys by which a point says how it is computed.
const FORMS: [&str; 10] = [
    "sum",
    "difference",
    "average",
    "minimum",
    "maximum",
    "dew-point",
    "energy",
    "run-time",
    "count-edges",
    "formula",
];

impl DriverKind {
    /// Those that profiles can be for.
    pub(super) const IN_PROFILES: [Self; 8] =
        [Self::Modbus, Self::Http, Self::Ascii, Self::OneWire, Self::Iio, Self::Gpio, Self::I2c, Self::Spi];

    /// All of them.
    const ALL: [Self; 10] = [
        Self::Modbus,
        Self::Http,
        Self::Ascii,
        Self::OneWire,
        Self::Iio,
        Self::Gpio,
        Self::I2c,
        Self::Spi,
        Self::System,
        Self::Virtual,
    ];

    /// The key of a profile that names the driver and holds the device's settings.
    pub(super) const fn profile_key(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
            Self::Http => "http",
            Self::Ascii => "ascii",
            Self::System => "system",
            Self::OneWire => "onewire",
            Self::Iio => "iio",
            Self::Gpio => "gpio",
            Self::I2c => "i2c",
            Self::Spi => "spi",
            Self::Virtual => "virtual",
        }
    }

    /// The keys that the driver adds to a device.
    pub(super) fn device_fields(self) -> &'static [&'static str] {
        match self {
            Self::Modbus => fields_of::<modbus::DeviceConfig>(),
            Self::Http => fields_of::<http::DeviceConfig>(),
            Self::Ascii => fields_of::<ascii::DeviceConfig>(),
            Self::OneWire => fields_of::<onewire::DeviceConfig>(),
            Self::Iio => fields_of::<iio::DeviceConfig>(),
            Self::Gpio => fields_of::<gpio::DeviceConfig>(),
            Self::I2c => fields_of::<i2c::DeviceConfig>(),
            Self::Spi => fields_of::<spi::DeviceConfig>(),
            Self::System | Self::Virtual => &[],
        }
    }

    /// The keys that it adds to a point.
    pub(super) fn point_fields(self) -> &'static [&'static str] {
        match self {
            Self::Modbus => fields_of::<modbus::PointConfig>(),
            Self::Http => fields_of::<http::PointConfig>(),
            Self::Ascii => fields_of::<ascii::PointConfig>(),
            Self::System => fields_of::<system::PointConfig>(),
            Self::OneWire => fields_of::<onewire::PointConfig>(),
            Self::Iio => fields_of::<iio::PointConfig>(),
            Self::Gpio => fields_of::<gpio::PointConfig>(),
            Self::I2c => fields_of::<i2c::PointConfig>(),
            Self::Spi => fields_of::<spi::PointConfig>(),
            Self::Virtual => fields_of::<virtual_points::PointConfig>(),
        }
    }

    /// The keys about texts, where points of the driver stand in some.
    pub(super) fn text_fields(self) -> &'static [&'static str] {
        match self {
            Self::Http | Self::Ascii => fields_of::<ExtractConfig>(),
            _ => &[],
        }
    }

    /// The keys by which a point says where it is; one that has none of them only changes one of a profile.
    pub(super) const fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::Modbus => &TABLES,
            Self::Http => &HTTP_ADDRESSES,
            Self::Ascii => &["ask", "listen", "send"],
            Self::System => &["figure"],
            Self::OneWire => &["onewire"],
            Self::Iio => &["iio"],
            Self::Gpio => &["gpio"],
            Self::I2c => &["i2c"],
            Self::Spi => &["spi"],
            Self::Virtual => &FORMS,
        }
    }

    /// The most usual of them, for messages.
    pub(super) const fn address_words(self) -> &'static str {
        match self {
            Self::Modbus => "input, holding, coil, discrete",
            Self::Http => "get, post, or a terminal",
            Self::Ascii => "ask, listen or send",
            Self::System => "figure",
            Self::OneWire => "onewire",
            Self::Iio => "iio",
            Self::Gpio => "gpio",
            Self::I2c => "i2c",
            Self::Spi => "spi",
            Self::Virtual => "sum, formula or another form",
        }
    }

    /// Whether the point says where it is.
    pub(super) fn names_address(self, item: &Item) -> bool {
        self.addresses().iter().any(|key| item.node.get(key).is_some())
    }

    /// The driver that the points of a device are written for, where neither channel nor profile tells.
    pub(super) fn guess(device: &Node) -> Self {
        let points = device.get("points").map(Node::entries).unwrap_or_default();
        let named = |kind: &Self| {
            let names = |point: &Node| kind.addresses().iter().any(|key| point.get(key).is_some());
            points.iter().any(|point| names(&point.value))
        };
        Self::ALL.into_iter().find(named).unwrap_or(Self::Modbus)
    }
}

impl ChannelDriver {
    /// Which driver.
    pub(super) const fn kind(&self) -> DriverKind {
        match self {
            Self::Modbus(_) => DriverKind::Modbus,
            Self::Http(_) => DriverKind::Http,
            Self::Ascii(_) => DriverKind::Ascii,
            Self::System => DriverKind::System,
            Self::Local(bus) => match **bus {
                local::Bus::OneWire(_) => DriverKind::OneWire,
                local::Bus::Iio(_) => DriverKind::Iio,
                local::Bus::Gpio(_) => DriverKind::Gpio,
                local::Bus::I2c(_) => DriverKind::I2c,
                local::Bus::Spi(_) => DriverKind::Spi,
            },
            Self::Virtual(_) => DriverKind::Virtual,
        }
    }

    /// The transport, where it is Modbus.
    pub(super) const fn modbus(&self) -> Option<&Transport> {
        match self {
            Self::Modbus(transport) => Some(transport),
            _ => None,
        }
    }
}

impl DeviceSettings {
    /// The settings of a unit, where it is Modbus.
    pub(super) const fn modbus(&self) -> Option<&modbus::DeviceConfig> {
        match self {
            Self::Modbus(config) => Some(config),
            _ => None,
        }
    }
}

impl Wire {
    /// From raw numbers to values and back.
    pub(super) const fn conversion(&self) -> &crate::model::Conversion {
        match self {
            Self::Modbus(point) => &point.conversion,
            Self::Http(point) => &point.conversion,
            Self::Ascii(point) => &point.conversion,
            Self::System(point) => &point.conversion,
            Self::Local(point) => &point.conversion,
            Self::Virtual(computed) => &computed.point.conversion,
        }
    }

    /// The point, where it is Modbus.
    pub(super) const fn modbus(&self) -> Option<&modbus::Point> {
        match self {
            Self::Modbus(point) => Some(point),
            _ => None,
        }
    }

    /// Numbers the point.
    pub(super) fn set_id(&mut self, id: crate::model::PointId) {
        match self {
            Self::Modbus(point) => point.id = id,
            Self::Http(point) => point.id = id,
            Self::Ascii(point) => point.id = id,
            Self::System(point) => point.id = id,
            Self::Local(point) => point.id = id,
            Self::Virtual(computed) => computed.point.id = id,
        }
    }

    /// The point itself, where it is Modbus.
    pub(super) fn into_modbus(self) -> Option<modbus::Point> {
        match self {
            Self::Modbus(point) => Some(*point),
            _ => None,
        }
    }

    /// The point itself, where it is HTTP.
    pub(super) fn into_http(self) -> Option<http::Point> {
        match self {
            Self::Http(point) => Some(*point),
            _ => None,
        }
    }

    /// The point itself, where it is an instrument's.
    pub(super) fn into_ascii(self) -> Option<ascii::Point> {
        match self {
            Self::Ascii(point) => Some(*point),
            _ => None,
        }
    }

    /// The point itself, where it is a figure of the box.
    pub(super) fn into_system(self) -> Option<system::Point> {
        match self {
            Self::System(point) => Some(*point),
            _ => None,
        }
    }

    /// The point itself, where it is on a bus of the machine.
    pub(super) fn into_local(self) -> Option<local::Point> {
        match self {
            Self::Local(point) => Some(*point),
            _ => None,
        }
    }

    /// The point itself, where it is computed.
    pub(super) fn into_virtual(self) -> Option<virtual_points::Point> {
        match self {
            Self::Virtual(computed) => Some(computed.point),
            _ => None,
        }
    }

    /// What values for the point are checked against.
    pub(super) const fn taker(&self) -> Taker<'_> {
        match self {
            Self::Modbus(point) => Taker::Modbus(&point.register),
            Self::Http(point) => Taker::Http(&point.wiring),
            Self::Ascii(point) => Taker::Ascii(&point.wiring),
            Self::System(_) => Taker::Nothing,
            Self::Local(point) => Taker::Local(&point.wiring),
            Self::Virtual(computed) => Taker::Virtual(&computed.point.form),
        }
    }
}

/// What takes the raw values of an output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taker<'a> {
    /// A register or coil.
    Modbus(&'a modbus::Register),
    /// A request.
    Http(&'a http::Wiring),
    /// A line to an instrument.
    Ascii(&'a ascii::Wiring),
    /// Nothing: the point can only be read.
    Nothing,
    /// A line or channel of a bus of the machine.
    Local(&'a local::Wiring),
    /// A total.
    Virtual(&'a virtual_points::Form),
}

impl Taker<'_> {
    /// Whether it takes whole numbers only.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Self::Modbus(register) => register.raw.is_whole(),
            Self::Http(wiring) => wiring.is_whole(),
            Self::Ascii(wiring) => wiring.is_whole(),
            Self::Nothing => false,
            Self::Local(wiring) => wiring.form().kind != ValueKind::Float,
            Self::Virtual(form) => form.is_whole(),
        }
    }

    /// Whether it can take a raw value.
    pub(super) fn encodable(self, raw: &Value) -> Result<(), String> {
        match self {
            Self::Modbus(register) => super::modbus::encodable(register, raw),
            Self::Http(wiring) => wiring.encodable(raw),
            Self::Ascii(wiring) => wiring.encodable(raw),
            Self::Nothing => Err("the point cannot be written".into()),
            Self::Local(wiring) => wiring.encodable(raw),
            Self::Virtual(form) => form.settable(raw),
        }
    }
}
