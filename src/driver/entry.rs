//! What a driver says of itself: the types of its sections, and what becomes of them.
//!
//! [`Driver`] is all that the configuration knows of a driver, and `config::drivers` the one list of them.
//! Everything that the configuration reads, checks, documents and plans follows from it. Absent: where
//! things stand in a file; a [`Complaint`] names keys, and the configuration finds their places. Invariant: a
//! driver is handed back only what it made itself.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::DriverPlan;
use crate::model::{Access, Conversion, PointId, Value, ValueKind};

/// A driver as the configuration knows it.
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// The driver in a word: the key of profiles for it, and its name in messages.
    const KEY: &'static str;
    /// What the key of a profile holds, in a sentence; `None` where profiles make no sense.
    const PROFILE: Option<&'static str> = None;
    /// A channel that a profile can be tried on without anything being there: `http: { address: 192.0.2.1 }`.
    const TRIAL: &'static str = "";
    /// What a device must say besides its profile to be tried: `mqtt-name: device`.
    const TRIAL_DEVICE: &'static str = "";
    /// The keys by which a point says where it is; one that has none of them only changes one of a profile.
    const ADDRESSES: &'static [&'static str];
    /// The most usual of them, for messages.
    const ADDRESS_WORDS: &'static str;
    /// Keys of which an override of a profile's point replaces all of the second when it names one of the first.
    const REPLACES: &'static [(&'static [&'static str], &'static [&'static str])] = &[];
    /// Tables of the reference for keys of channels that hold keys: the title, and the name of the type.
    const CHANNEL_TABLES: &'static [(&'static str, &'static str)] = &[];
    /// The same for keys of devices and points.
    const TABLES: &'static [(&'static str, &'static str)] = &[];
    /// Where a complaint about a channel stands that names no key.
    const CHANNEL_KEYS: &'static [&'static str] = &[];

    /// A channel's section with the word above it: an enum of one variant for every word of the file.
    type Channel: Section + Clone;
    /// What the driver adds to a device; [`NoKeys`] where that is nothing.
    type Device: Section + Clone;
    /// What it adds to a point.
    type Point: Section;
    /// What it takes of the keys about texts: [`super::text::ExtractConfig`], or [`NoKeys`].
    type Text: Section;
    /// Where a point is.
    type Wiring: Wiring;

    /// Everything that is wrong with a channel's section.
    fn channel_problems(channel: &Self::Channel) -> Vec<String>;

    /// Where a channel leads; `None` when two of them cannot be in each other's way.
    fn endpoint(_channel: &Self::Channel) -> Option<Endpoint> {
        None
    }

    /// Checks a device's section and fills in what follows from its channel and from its number among copies.
    fn settle(_device: &mut Self::Device, _channel: Option<&Self::Channel>, _shift: Shift) -> Vec<Complaint> {
        Vec::new()
    }

    /// What speaks against a point of this access at all, wherever on the device it is.
    fn objection(_channel: &Self::Channel, _device: &Self::Device, _access: Access) -> Option<Complaint> {
        None
    }

    /// Where a point is.
    ///
    /// # Errors
    /// What does not fit, and how to mend it.
    fn wiring(
        point: Self::Point,
        text: &Self::Text,
        around: &Surroundings<'_, Self::Device>,
    ) -> Result<Self::Wiring, Complaint>;

    /// The points of one channel that cannot be beside each other, by their places in the list.
    fn clashes(_points: &[Neighbour<'_, Self::Device, Self::Wiring>]) -> Vec<Clash> {
        Vec::new()
    }

    /// The topics of the embedded broker that a device uses besides its points.
    fn device_topics(_device: &Self::Device) -> Vec<BrokerTopic> {
        Vec::new()
    }

    /// Those that a point uses.
    fn point_topics(_wiring: &Self::Wiring) -> Vec<BrokerTopic> {
        Vec::new()
    }

    /// The channel, ready to run.
    fn plan(
        name: Arc<str>,
        channel: Self::Channel,
        devices: Vec<Attached<Self::Device, Self::Wiring>>,
    ) -> DriverPlan;
}

/// A section that a driver reads.
pub trait Section: DeserializeOwned + JsonSchema + fmt::Debug + Send + Sync + 'static {}

impl<T: DeserializeOwned + JsonSchema + fmt::Debug + Send + Sync + 'static> Section for T {}

/// The section of a driver that has no keys of its own there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoKeys {}

/// Where a point is, as everybody but its driver sees it.
pub trait Wiring: Any + fmt::Debug + Send + Sync {
    /// What comes from there.
    fn form(&self) -> RawForm;

    /// Whether it takes whole numbers only.
    fn is_whole(&self) -> bool;

    /// Whether the device tells the scale elsewhere, so that whole raw numbers become real ones.
    fn is_scaled(&self) -> bool {
        false
    }

    /// Whether it takes a raw value.
    ///
    /// # Errors
    /// Says what does not fit.
    fn encodable(&self, raw: &Value) -> Result<(), String>;

    /// How long the point may be silent, where it is not polled but speaks by itself; its `poll` has no meaning then.
    fn rhythm(&self) -> Option<Duration> {
        None
    }

    /// How long the output stands before its driver takes it back by itself.
    fn pulse(&self) -> Option<Duration> {
        None
    }
}

impl dyn Wiring {
    /// It, where it is one of this driver's.
    #[must_use]
    pub fn get<T: Wiring>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }

    /// It, to be completed.
    pub fn get_mut<T: Wiring>(&mut self) -> Option<&mut T> {
        (self as &mut dyn Any).downcast_mut()
    }
}

/// What a driver gives for a point before its conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct RawForm {
    /// The kind of value: a bit, a whole number, a real number or text.
    pub kind: ValueKind,
    /// The smallest and the largest, of whole numbers.
    pub limits: Option<(Value, Value)>,
    /// What people call it: `i16`.
    pub word: Cow<'static, str>,
    /// The unit that it comes in, where the driver knows it.
    pub unit: Option<&'static str>,
}

impl RawForm {
    /// A value of this kind without limits and unit.
    #[must_use]
    pub const fn plain(kind: ValueKind, word: &'static str) -> Self {
        Self { kind, limits: None, word: Cow::Borrowed(word), unit: None }
    }

    /// A whole number between these.
    #[must_use]
    pub const fn whole(low: Value, high: Value, word: &'static str) -> Self {
        Self { kind: ValueKind::Integer, limits: Some((low, high)), word: Cow::Borrowed(word), unit: None }
    }

    /// A real number in this unit.
    #[must_use]
    pub const fn number(word: &'static str, unit: &'static str) -> Self {
        Self { kind: ValueKind::Float, limits: None, word: Cow::Borrowed(word), unit: Some(unit) }
    }

    /// A digital state.
    #[must_use]
    pub const fn state() -> Self {
        Self::plain(ValueKind::Bool, "a state")
    }
}

/// Which copy of a repeated entry a device or a point is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    /// Which copy, from 0.
    pub index: u32,
    /// The distance of two neighbours, where it is given.
    pub step: Option<i64>,
}

impl Shift {
    /// How far the copy is from the entry as it is written; neighbours are `usual` apart where nothing is said.
    #[must_use]
    pub fn distance(self, usual: i64) -> i64 {
        i64::from(self.index) * self.step.unwrap_or(usual)
    }
}

/// What a point is part of.
#[derive(Debug)]
pub struct Surroundings<'a, D> {
    /// Its device.
    pub device: &'a D,
    /// What may be done with it.
    pub access: Access,
    /// Which copy it is.
    pub shift: Shift,
    /// Whether the configuration says how it moves when it is simulated.
    pub simulated: bool,
}

/// Where a channel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// An address, or a path.
    pub place: String,
    /// Whether only one channel can be there; two channels to one address are only a warning.
    pub exclusive: bool,
}

impl Endpoint {
    /// A host and port. `found` is empty where they cannot be told, and `written` counts.
    #[must_use]
    pub fn address(found: Result<(String, u16), String>, written: &str) -> Self {
        let place = found.map(|(host, port)| format!("{}:{port}", host.to_ascii_lowercase()));
        Self { place: place.unwrap_or_else(|_| written.to_owned()), exclusive: false }
    }

    /// A device file, under the name that it really has.
    #[must_use]
    pub fn port(port: &str) -> Self {
        let port = std::path::Path::new(port.trim());
        let real = std::fs::canonicalize(port).unwrap_or_else(|_| port.to_path_buf());
        Self { place: real.display().to_string(), exclusive: true }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The keys that it may stand at: the first one that is there.
    pub keys: Cow<'static, [&'static str]>,
    /// The bytes of that key's text that are meant; all of it when `None`.
    pub part: Option<Range<usize>>,
    /// Whether the message itself names its key, and its help stands behind a colon in it.
    pub names_key: bool,
    /// Where it stands when none of the keys is there: at the entry's name, or at what is in it.
    pub at_name: bool,
}

impl Complaint {
    /// A message that names its key, with help behind a colon where there is some: `timeout 0s: use more`.
    #[must_use]
    pub fn about(keys: &'static [&'static str], message: impl Into<String>) -> Self {
        Self { names_key: true, ..Self::at(keys, message, None) }
    }

    /// A message at the first of these keys that is there.
    #[must_use]
    pub fn at(keys: &'static [&'static str], message: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            message: message.into(),
            help: help.map(str::to_owned),
            keys: Cow::Borrowed(keys),
            part: None,
            names_key: false,
            at_name: false,
        }
    }
}

/// A point among the others of its channel.
#[derive(Debug)]
pub struct Neighbour<'a, D, W> {
    /// Its device.
    pub device: &'a D,
    /// Where it is.
    pub wiring: &'a W,
    /// What may be done with it.
    pub access: Access,
}

/// A topic of the embedded broker that a device uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerTopic {
    /// The topic.
    pub topic: Arc<str>,
    /// Whether the gateway publishes to it; otherwise it listens.
    pub written: bool,
    /// The key that says so.
    pub key: &'static str,
}

/// Two points that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The places of both in the list.
    pub points: (usize, usize),
    /// What they have in common, behind their names: `are the same line`.
    pub why: String,
    /// How to mend it; `{first}` stands for the place of the first one.
    pub help: String,
    /// The keys that it stands at.
    pub keys: &'static [&'static str],
}

/// The clashes of points that have the same of something; `None` is nobody's.
pub fn same<K: PartialEq>(
    keys: impl Iterator<Item = Option<K>>,
    clash: impl Fn((usize, usize)) -> Clash,
) -> Vec<Clash> {
    let mut seen: Vec<(usize, K)> = Vec::new();
    let mut clashes = Vec::new();
    for (place, key) in keys.enumerate().filter_map(|(place, key)| Some((place, key?))) {
        let first = seen.iter().find(|(_, other)| *other == key);
        clashes.extend(first.map(|(first, _)| clash((*first, place))));
        seen.push((place, key));
    }
    clashes
}

/// A device of a channel.
#[derive(Debug, Clone)]
pub struct Attached<D, W> {
    /// The device's name.
    pub name: Arc<str>,
    /// What it should be, for warnings: its profile, or its own name.
    pub model: Arc<str>,
    /// Its section.
    pub config: D,
    /// Its points.
    pub points: Vec<Wired<W>>,
}

#[cfg(test)]
impl<D, W> Attached<D, W> {
    /// A device with points that have nothing but their places.
    pub(crate) fn plain(config: D, wirings: impl IntoIterator<Item = W>) -> Self {
        let point = |wiring| Wired {
            id: PointId(0),
            name: "device/point".into(),
            wiring,
            conversion: Conversion::default(),
            poll: Duration::from_secs(1),
            access: Access::R,
            tolerance: 0.0,
        };
        let points = wirings.into_iter().map(point).collect();
        Self { name: "device".into(), model: "device".into(), config, points }
    }
}

/// A point of a device.
#[derive(Debug, Clone)]
pub struct Wired<W> {
    /// Which point.
    pub id: PointId,
    /// `device/point`.
    pub name: Arc<str>,
    /// Where it is.
    pub wiring: W,
    /// From raw numbers to values and back.
    pub conversion: Conversion,
    /// How often it is read.
    pub poll: Duration,
    /// What may be done with it.
    pub access: Access,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
}
