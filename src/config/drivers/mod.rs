//! The registry of drivers, and the one a device or a profile is written for.
//!
//! [`DRIVERS`] is the only list of them: the words of channels, the keys of devices, points and profiles, the
//! schema, the tables of the reference and the plans follow from what each says of itself
//! (`crate::driver::entry`). Absent: what any of them means. Invariant: no key of a device or a point belongs
//! to two drivers; a test holds that.

mod adapter;

mod word;

use std::any::Any;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::context::Context;
use super::de::read_rest;
use super::node::Node;
use super::repeat::Item;
use crate::driver::entry::Wiring;
use crate::driver::{ascii, gpio, http, i2c, iio, modbus, mqtt, onewire, snmp, spi, system, virtual_points};

pub(super) use adapter::{About, Adapter, AnyWiring, AttachedDevice, AttachedPoint, Read};
use word::Word;

/// The registry: one line per driver.
pub(super) static DRIVERS: [DriverKind; 12] = [
    &modbus::Modbus,
    &http::Http,
    &ascii::Ascii,
    &mqtt::Mqtt,
    &snmp::Snmp,
    &system::System,
    &onewire::OneWire,
    &iio::Iio,
    &gpio::Gpio,
    &i2c::I2c,
    &spi::Spi,
    &virtual_points::Virtual,
];

/// One of them.
pub(super) type DriverKind = &'static dyn Adapter;

/// A channel's driver with its settings.
#[derive(Debug)]
pub(super) struct ChannelDriver {
    /// Which driver.
    pub(super) kind: DriverKind,
    /// The section as that driver reads it.
    pub(super) settings: Read,
}

/// What a device's or a channel's section holds, where it is of this type.
pub(super) fn read_as<T: 'static>(read: &Read) -> Option<&T> {
    (&**read as &dyn Any).downcast_ref()
}

/// Where a point is, where it is of this driver's type.
pub(super) fn wired_as<T: Wiring>(wiring: &AnyWiring) -> Option<&T> {
    wiring.get()
}

/// Those that profiles can be for.
pub(super) fn in_profiles() -> impl Iterator<Item = DriverKind> {
    DRIVERS.into_iter().filter(|kind| kind.profile().is_some())
}

/// The driver that a profile is for when it names none, and a device when nothing tells.
pub(super) fn usual() -> DriverKind {
    DRIVERS[0]
}

/// The words under a channel's name.
fn words() -> &'static [&'static str] {
    static WORDS: LazyLock<Vec<&str>> =
        LazyLock::new(|| DRIVERS.iter().flat_map(|kind| kind.words()).copied().collect());
    &WORDS
}

/// The driver of a channel, from the word under the channel's name.
pub(super) fn channel(cx: &Context<'_>, node: &Node) -> Option<ChannelDriver> {
    let Word(word) = read_rest(cx, node).0?;
    let kind = DRIVERS.into_iter().find(|kind| kind.words().contains(&&*word))?;
    kind.channel(cx, node).map(|settings| ChannelDriver { kind, settings })
}

/// The schema of what stands under a channel's name.
pub(super) fn channel_schema(generator: &mut schemars::SchemaGenerator) -> Value {
    let forms: Vec<Value> = DRIVERS.iter().flat_map(|kind| kind.channel_forms(generator)).collect();
    json!({ "description": "Under a channel's name stands exactly one driver with its settings.", "oneOf": forms })
}

/// Whether the point says where it is.
pub(super) fn names_address(kind: DriverKind, item: &Item) -> bool {
    kind.addresses().iter().any(|key| item.node.get(key).is_some())
}

/// The driver that the points of a device are written for, where neither channel nor profile tells.
pub(super) fn guess(device: &Node) -> DriverKind {
    let points = device.get("points").map(Node::entries).unwrap_or_default();
    let named = |kind: &DriverKind| {
        let names = |point: &Node| kind.addresses().iter().any(|key| point.get(key).is_some());
        points.iter().any(|point| names(&point.value))
    };
    DRIVERS.into_iter().find(named).unwrap_or_else(usual)
}

#[cfg(test)]
mod tests {
    use super::super::parts::fields_of;
    use super::super::sections::{
        ConversionSection, DeviceSection, PointSection, PublishSection, RepeatSection,
    };
    use super::*;
    use crate::driver::text::ExtractConfig;

    fn assert_disjoint(lists: &[&[&str]]) {
        let mut all = lists.concat();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "a key belongs to two sections: {all:?}");
    }

    #[test]
    fn no_two_sections_of_a_map_share_a_key() {
        // Drivers neither: editors complete from one schema that has the keys of all.
        let (publish, repeat) = (fields_of::<PublishSection>(), fields_of::<RepeatSection>());
        let mut device: Vec<&[&str]> = vec![fields_of::<DeviceSection>(), publish, repeat, &["points"]];
        device.extend(DRIVERS.iter().map(|kind| kind.device_fields()));
        assert_disjoint(&device);
        let (own, conversion) = (fields_of::<PointSection>(), fields_of::<ConversionSection>());
        let mut point: Vec<&[&str]> = vec![own, conversion, fields_of::<ExtractConfig>(), publish, repeat];
        assert!(point.iter().all(|list| !list.is_empty()));
        point.extend(DRIVERS.iter().map(|kind| kind.point_fields()));
        assert_disjoint(&point);
    }

    #[test]
    fn every_driver_can_be_named_and_told_from_the_others() {
        let mut words = words().to_vec();
        let mut keys: Vec<&str> = DRIVERS.iter().map(|kind| kind.key()).collect();
        let (all_words, all_keys) = (words.len(), keys.len());
        words.sort_unstable();
        words.dedup();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((words.len(), keys.len()), (all_words, all_keys));
        for kind in DRIVERS {
            assert!(!kind.words().is_empty() && !kind.addresses().is_empty(), "{}", kind.key());
            let own = |key: &&&str| kind.point_fields().contains(*key);
            assert_eq!(kind.addresses().iter().filter(own).count(), kind.addresses().len(), "{}", kind.key());
        }
    }
}
