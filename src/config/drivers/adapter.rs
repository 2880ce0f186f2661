//! A driver without its types: what the rest of the configuration works with.
//!
//! Every [`Driver`] is an [`Adapter`] by the implementation below, the only place where types are taken away
//! and given back. Invariant: a driver is handed back only what it read itself; what is another's gives
//! nothing, and never another's values.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::SchemaGenerator;
use serde_json::Value;

use super::super::blame::{blame, tell};
use super::super::context::Context;
use super::super::de::{read, read_rest};
use super::super::node::Node;
use super::super::parts::{fields_of, read_part, read_part_rest, words_of};
use super::super::schema::{one, part};
use super::super::source::Span;
use crate::driver::DriverPlan;
use crate::driver::entry::{
    Attached, BrokerTopic, Clash, Driver, Endpoint, Neighbour, Shift, Surroundings, Wired, Wiring,
};
use crate::model::{Access, Conversion, PointId};

/// A section as its driver read it.
pub(in crate::config) type Read = Box<dyn AnyRead>;

/// Where a point is, as its driver says.
pub(in crate::config) type AnyWiring = Box<dyn Wiring>;

/// Anything that can be shown.
pub(in crate::config) trait AnyRead: Any + fmt::Debug {}

impl<T: Any + fmt::Debug> AnyRead for T {}

/// A device on its way into a plan.
pub(in crate::config) struct AttachedDevice {
    pub(in crate::config) name: Arc<str>,
    pub(in crate::config) model: Arc<str>,
    pub(in crate::config) settings: Read,
    pub(in crate::config) points: Vec<AttachedPoint>,
}

/// A point on its way into a plan.
pub(in crate::config) struct AttachedPoint {
    pub(in crate::config) id: PointId,
    pub(in crate::config) name: Arc<str>,
    pub(in crate::config) wiring: AnyWiring,
    pub(in crate::config) conversion: Conversion,
    pub(in crate::config) poll: Duration,
    pub(in crate::config) access: Access,
    pub(in crate::config) tolerance: f64,
}

/// What is handed to a driver about the point whose place it shall tell.
pub(in crate::config) struct About<'a> {
    pub(in crate::config) node: &'a Node,
    pub(in crate::config) name_span: Span,
    pub(in crate::config) settings: &'a Read,
    pub(in crate::config) access: Access,
    pub(in crate::config) shift: Shift,
}

/// A driver, whatever its types. What is wrong is recorded in the context.
pub(in crate::config) trait Adapter: fmt::Debug + Send + Sync {
    /// See [`Driver::KEY`].
    fn key(&self) -> &'static str;
    /// See [`Driver::PROFILE`].
    fn profile(&self) -> Option<&'static str>;
    /// See [`Driver::TRIAL`] and [`Driver::TRIAL_DEVICE`].
    fn trial(&self) -> (&'static str, &'static str);
    /// See [`Driver::ADDRESSES`].
    fn addresses(&self) -> &'static [&'static str];
    /// See [`Driver::ADDRESS_WORDS`].
    fn address_words(&self) -> &'static str;
    /// See [`Driver::REPLACES`].
    fn replaces(&self) -> &'static [(&'static [&'static str], &'static [&'static str])];
    /// See [`Driver::CHANNEL_TABLES`].
    fn channel_tables(&self) -> &'static [(&'static str, &'static str)];
    /// See [`Driver::TABLES`].
    fn tables(&self) -> &'static [(&'static str, &'static str)];
    /// The words of its channels.
    fn words(&self) -> &'static [&'static str];
    /// The keys that it adds to a device.
    fn device_fields(&self) -> &'static [&'static str];
    /// The keys that it adds to a point, without those about texts.
    fn point_fields(&self) -> &'static [&'static str];
    /// The keys about texts that its points can have.
    fn text_fields(&self) -> &'static [&'static str];

    /// The schemas of its channels, one for every word.
    fn channel_forms(&self, generator: &mut SchemaGenerator) -> Vec<Value>;
    /// The schema of what it adds to a device.
    fn device_part(&self, generator: &mut SchemaGenerator) -> Value;
    /// The schemas of what it adds to a point.
    fn point_parts(&self, generator: &mut SchemaGenerator) -> [Value; 2];
    /// The schema of its key in profiles.
    fn profile_part(&self, generator: &mut SchemaGenerator) -> Value;

    /// Reads and checks a channel with its word.
    fn channel(&self, cx: &Context<'_>, node: &Node) -> Option<Read>;
    /// Reads and checks a device.
    fn device(&self, cx: &Context<'_>, node: &Node, channel: Option<&Read>, shift: Shift) -> Option<Read>;
    /// Checks the device's settings in a profile.
    fn check_profile(&self, cx: &Context<'_>, node: &Node);
    /// Reads what it adds to a point.
    fn section(&self, cx: &Context<'_>, node: &Node) -> Option<Read>;
    /// Records what speaks against a point of this access on this device of this channel.
    fn object(&self, cx: &Context<'_>, channel: &Read, about: &About<'_>);
    /// Where a point is.
    fn wiring(&self, cx: &Context<'_>, section: Read, about: &About<'_>) -> Option<AnyWiring>;
    /// See [`Driver::endpoint`].
    fn endpoint(&self, channel: &Read) -> Option<Endpoint>;
    /// See [`Driver::clashes`].
    fn clashes(&self, points: &[(&Read, &AnyWiring, Access)]) -> Vec<Clash>;
    /// See [`Driver::device_topics`] and [`Driver::point_topics`].
    fn topics(&self, device: Option<&Read>, wiring: Option<&AnyWiring>) -> Vec<BrokerTopic>;
    /// The channel, ready to run.
    fn plan(&self, name: Arc<str>, channel: Read, devices: Vec<AttachedDevice>) -> Option<DriverPlan>;
}

fn get<T: 'static>(read: &Read) -> Option<&T> {
    super::read_as(read)
}

fn take<T: 'static>(read: Read) -> Option<T> {
    (read as Box<dyn Any>).downcast().ok().map(|own| *own)
}

impl<D: Driver> Adapter for D {
    fn key(&self) -> &'static str {
        D::KEY
    }

    fn profile(&self) -> Option<&'static str> {
        D::PROFILE
    }

    fn trial(&self) -> (&'static str, &'static str) {
        (D::TRIAL, D::TRIAL_DEVICE)
    }

    fn addresses(&self) -> &'static [&'static str] {
        D::ADDRESSES
    }

    fn address_words(&self) -> &'static str {
        D::ADDRESS_WORDS
    }

    fn replaces(&self) -> &'static [(&'static [&'static str], &'static [&'static str])] {
        D::REPLACES
    }

    fn channel_tables(&self) -> &'static [(&'static str, &'static str)] {
        D::CHANNEL_TABLES
    }

    fn tables(&self) -> &'static [(&'static str, &'static str)] {
        D::TABLES
    }

    fn words(&self) -> &'static [&'static str] {
        words_of::<D::Channel>()
    }

    fn device_fields(&self) -> &'static [&'static str] {
        fields_of::<D::Device>()
    }

    fn point_fields(&self) -> &'static [&'static str] {
        fields_of::<D::Point>()
    }

    fn text_fields(&self) -> &'static [&'static str] {
        fields_of::<D::Text>()
    }

    fn channel_forms(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        match part::<D::Channel>(generator).get_mut("oneOf").map(Value::take) {
            Some(Value::Array(forms)) => forms,
            _ => Vec::new(),
        }
    }

    fn device_part(&self, generator: &mut SchemaGenerator) -> Value {
        part::<D::Device>(generator)
    }

    fn point_parts(&self, generator: &mut SchemaGenerator) -> [Value; 2] {
        [part::<D::Point>(generator), part::<D::Text>(generator)]
    }

    fn profile_part(&self, generator: &mut SchemaGenerator) -> Value {
        one::<D::Device>(generator, D::PROFILE.unwrap_or_default())
    }

    fn channel(&self, cx: &Context<'_>, node: &Node) -> Option<Read> {
        let channel: D::Channel = read_rest(cx, node).0?;
        let settings = node.entries().first().map_or(node, |entry| &entry.value);
        let problems = D::channel_problems(&channel);
        problems.iter().for_each(|message| blame(cx, settings, D::CHANNEL_KEYS, message));
        Some(Box::new(channel))
    }

    fn device(&self, cx: &Context<'_>, node: &Node, channel: Option<&Read>, shift: Shift) -> Option<Read> {
        let mut device: D::Device = read_part_rest(cx, node)?;
        let complaints = D::settle(&mut device, channel.and_then(get), shift);
        complaints.iter().for_each(|complaint| tell(cx, node, node.span, complaint));
        Some(Box::new(device))
    }

    fn check_profile(&self, cx: &Context<'_>, node: &Node) {
        drop(read::<D::Device>(cx, node));
    }

    fn section(&self, cx: &Context<'_>, node: &Node) -> Option<Read> {
        let (own, text) = (read_part::<D::Point>(cx, node), read_part::<D::Text>(cx, node));
        own.zip(text).map(|both| Box::new(both) as Read)
    }

    fn object(&self, cx: &Context<'_>, channel: &Read, about: &About<'_>) {
        let (Some(channel), Some(device)) = (get(channel), get(about.settings)) else { return };
        if let Some(complaint) = D::objection(channel, device, about.access) {
            tell(cx, about.node, about.name_span, &complaint);
        }
    }

    fn wiring(&self, cx: &Context<'_>, section: Read, about: &About<'_>) -> Option<AnyWiring> {
        let (point, text) = take::<(D::Point, D::Text)>(section)?;
        let around = Surroundings {
            device: get::<D::Device>(about.settings)?,
            access: about.access,
            shift: about.shift,
            simulated: about.node.get("simulate").is_some(),
        };
        match D::wiring(point, &text, &around) {
            Ok(wiring) => Some(Box::new(wiring)),
            Err(complaint) => {
                tell(cx, about.node, about.name_span, &complaint);
                None
            }
        }
    }

    fn endpoint(&self, channel: &Read) -> Option<Endpoint> {
        get(channel).and_then(D::endpoint)
    }

    fn clashes(&self, points: &[(&Read, &AnyWiring, Access)]) -> Vec<Clash> {
        let all: Option<Vec<Neighbour<'_, D::Device, D::Wiring>>> = points
            .iter()
            .map(|(device, wiring, access)| {
                Some(Neighbour { device: get(device)?, wiring: wiring.get()?, access: *access })
            })
            .collect();
        all.map(|all| D::clashes(&all)).unwrap_or_default()
    }

    fn topics(&self, device: Option<&Read>, wiring: Option<&AnyWiring>) -> Vec<BrokerTopic> {
        let mut topics = device.and_then(get).map(D::device_topics).unwrap_or_default();
        topics.extend(wiring.and_then(|own| own.get()).map(D::point_topics).unwrap_or_default());
        topics
    }

    fn plan(&self, name: Arc<str>, channel: Read, devices: Vec<AttachedDevice>) -> Option<DriverPlan> {
        let devices: Option<Vec<_>> = devices.into_iter().map(attached::<D>).collect();
        Some(D::plan(name, take(channel)?, devices?))
    }
}

fn attached<D: Driver>(device: AttachedDevice) -> Option<Attached<D::Device, D::Wiring>> {
    let wired = |point: AttachedPoint| {
        let AttachedPoint { id, name, wiring, conversion, poll, access, tolerance } = point;
        let wiring = *(wiring as Box<dyn Any>).downcast::<D::Wiring>().ok()?;
        Some(Wired { id, name, wiring, conversion, poll, access, tolerance })
    };
    let AttachedDevice { name, model, settings, points } = device;
    let points: Option<Vec<_>> = points.into_iter().map(wired).collect();
    Some(Attached { name, model, config: take(settings)?, points: points? })
}
