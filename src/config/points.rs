//! From the entries under `points` to one map per point: one-line forms, copies, and overrides on a profile.
//!
//! Absent: what the keys of a point mean. Invariant: every point that leaves here has its own name.

use std::collections::HashMap;

use super::context::Context;
use super::drivers::{DriverKind, names_address};
use super::node::{Kind, Node};
use super::oneline;
use super::parts::expect_map;
use super::repeat::{Item, expand};
use super::suggest::advice;

/// The most points of one device.
pub(super) const MAX_DEVICE_POINTS: usize = 20_000;

/// Keys of which an override replaces all of the second when it names one of the first, whatever the driver;
/// drivers have further ones.
const GROUPS: [(&[&str], &[&str]); 4] = [
    (&["span"], &["scale", "offset"]),
    (&["scale", "offset"], &["span"]),
    (&PICKS, &PICKS),
    (&["as", "hex-bit"], &["as", "hex-bit"]),
];

/// Where a value stands in a text.
const PICKS: [&str; 4] = ["json", "split", "regex", "columns"];

/// The points of a `points` section, copies made.
pub(super) fn expand_points(cx: &Context<'_>, node: &Node) -> Vec<Item> {
    if !expect_map(cx, node, "`points`") {
        return Vec::new();
    }
    let mut items: Vec<Item> = Vec::new();
    for entry in node.entries() {
        let mut entry = entry.clone();
        if let Some(map) = as_map(cx, &entry.value) {
            entry.value = map;
            items.extend(expand(cx, &entry, ""));
        }
        if items.len() > MAX_DEVICE_POINTS {
            let help = Some("split it into several devices".to_owned());
            cx.error(entry.key_span, format!("more than {MAX_DEVICE_POINTS} points in one device"), help);
            return items;
        }
    }
    unique(cx, items)
}

/// The long form of a point; `None` when it has neither form, which is recorded.
fn as_map(cx: &Context<'_>, node: &Node) -> Option<Node> {
    match &node.kind {
        Kind::Map(_) => Some(node.clone()),
        Kind::Scalar(_) if node.is_null() => Some(Node::map(node.span, Vec::new())),
        Kind::Scalar(scalar) => match oneline::parse(node, &scalar.text) {
            Ok(map) => Some(map),
            Err(error) => {
                cx.error(node.part(error.range.start, error.range.end), error.message, error.help);
                None
            }
        },
        Kind::List(_) => {
            let help = Some("write { input: 0, type: i16 }, or on one line: input 0 i16".to_owned());
            cx.error(node.span, "a point is not a list", help);
            None
        }
    }
}

fn unique(cx: &Context<'_>, items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashMap::new();
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if let Some(first) = seen.insert(item.name.clone(), item.key_span) {
            let line = cx.sources.borrow().place(first).map_or(0, |place| place.line);
            cx.error(item.key_span, format!("the point `{}` exists already (line {line})", item.name), None);
        } else {
            kept.push(item);
        }
    }
    kept
}

/// The points of a profile with a device's own on top: those that are in the profile change it, those that
/// name an address are added.
pub(super) fn overlay(
    cx: &Context<'_>,
    profile: &[Item],
    own: Vec<Item>,
    profile_name: &str,
    kind: DriverKind,
) -> Vec<Item> {
    let mut points = profile.to_vec();
    let places: HashMap<_, _> =
        profile.iter().enumerate().map(|(at, item)| (item.name.clone(), at)).collect();
    for item in own {
        let addressed = names_address(kind, &item);
        match places.get(&item.name) {
            Some(at) => merge(&mut points[*at], item, addressed, kind),
            None if addressed => points.push(item),
            None => {
                let help = advice(&item.name, profile.iter().map(|point| &*point.name));
                let message = format!("`{}` is not a point of the profile `{profile_name}`", item.name);
                let help = help
                    .map(|help| format!("{help} (a new point needs an address: {})", kind.address_words()));
                cx.error(item.key_span, message, help);
            }
        }
    }
    points
}

fn merge(point: &mut Item, change: Item, addressed: bool, kind: DriverKind) {
    for (named, replaced) in GROUPS.iter().chain(kind.replaces()) {
        if named.iter().any(|key| change.node.get(key).is_some()) {
            point.node.remove(replaced);
        }
    }
    if let Kind::Map(entries) = change.node.kind {
        entries.into_iter().for_each(|entry| point.node.put(entry));
    }
    if addressed {
        point.shift = change.shift;
    }
    point.key_span = change.key_span;
    point.node.span = change.key_span;
}
