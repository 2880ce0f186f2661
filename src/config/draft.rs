//! A plan in the making: channels, devices and points with the places where they are written.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use super::drivers::{AnyWiring, ChannelDriver, DriverKind, Read, read_as, wired_as};
use super::node::Node;
use super::profile::Profile;
use super::sections::PublishSection;
use super::source::Span;
use super::words::{Grade, Language};
use crate::driver::modbus::{self, Register};
use crate::model::behaviour::Behaviour;
use crate::model::units::Period;
use crate::model::{Conversion, Point, Topic};

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
    pub(super) settings: Read,
    pub(super) profile: Option<Rc<Profile>>,
    pub(super) points: Vec<PointDraft>,
}

impl DeviceDraft {
    /// Its unit, where it is Modbus.
    pub(super) fn unit(&self) -> Option<u8> {
        read_as::<modbus::DeviceConfig>(&self.settings).map(|config| config.unit)
    }
}

impl PointDraft {
    /// Its register, where it is Modbus.
    pub(super) fn register(&self) -> Option<&Register> {
        wired_as::<modbus::Place>(&self.wiring).map(|place| &place.register)
    }
}

/// A point whose own keys are right.
pub(super) struct PointDraft {
    pub(super) point: Point,
    pub(super) place: Span,
    pub(super) node: Node,
    /// Where its value comes from.
    pub(super) wiring: AnyWiring,
    pub(super) conversion: Conversion,
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
    pub(super) settings: &'a Read,
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
