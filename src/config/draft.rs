//! A plan in the making: channels, devices and points with the places where they are written.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::conversion::RawForm;
use super::node::Node;
use super::profile::Profile;
use super::sections::PublishSection;
use super::source::Span;
use super::values::Grade;
use crate::driver::modbus::{self, DeviceConfig, LineConfig, TcpConfig, Transport};
use crate::model::behaviour::Behaviour;
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
}

impl ChannelSection {
    /// The transport of a plan.
    #[must_use]
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::ModbusTcp(tcp) => Transport::Tcp(tcp),
            Self::ModbusRtu(line) => Transport::Rtu(line),
            Self::ModbusRtuOverTcp(tcp) => Transport::RtuOverTcp(tcp),
            Self::ModbusAscii(line) => Transport::Ascii(line),
        }
    }
}

/// A channel as it is written.
pub(super) struct ChannelDraft {
    pub(super) name: Arc<str>,
    pub(super) key_span: Span,
    /// The driver's settings.
    pub(super) node: Node,
    /// `None` when the section is wrong.
    pub(super) transport: Option<Transport>,
}

/// A device as it is written, its profile and defaults applied.
pub(super) struct DeviceDraft {
    pub(super) name: Arc<str>,
    pub(super) key_span: Span,
    pub(super) node: Node,
    pub(super) label: Option<String>,
    /// Its channel's index.
    pub(super) channel: usize,
    pub(super) config: DeviceConfig,
    pub(super) profile: Option<Rc<Profile>>,
    pub(super) points: Vec<PointDraft>,
}

/// A point whose own keys are right.
pub(super) struct PointDraft {
    pub(super) point: Point,
    pub(super) place: Span,
    pub(super) node: Node,
    pub(super) wire: modbus::Point,
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
    pub(super) config: &'a DeviceConfig,
    pub(super) transport: Option<&'a Transport>,
    pub(super) grade: Option<Grade>,
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
