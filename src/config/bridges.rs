//! The section `bridges`: upstream brokers, each checked by itself and against the topics that the plan publishes.
//!
//! Absent: names, files and networks, which are looked at when a bridge connects.

use std::sync::Arc;

use indexmap::IndexMap;

use super::build::plain_name;
use super::context::Context;
use super::de::read;
use super::draft::DeviceDraft;
use super::node::{Entry, Node};
use super::parts::expect_map;
use crate::bridge;

/// The most bridges of one configuration.
pub(super) const MAX_BRIDGES: usize = 32;

/// Everything under `bridges`, without those that are switched off.
pub(super) fn bridges(
    cx: &Context<'_>,
    node: &Node,
    devices: &[DeviceDraft],
) -> IndexMap<Arc<str>, bridge::Config> {
    if !expect_map(cx, node, "`bridges`") {
        return IndexMap::new();
    }
    if node.entries().len() > MAX_BRIDGES {
        cx.error(node.span, format!("more than {MAX_BRIDGES} bridges"), None);
    }
    let entries = node.entries().iter().take(MAX_BRIDGES);
    entries.filter_map(|entry| Some((entry.key.clone(), one(cx, entry, devices)?))).collect()
}

fn one(cx: &Context<'_>, entry: &Entry, devices: &[DeviceDraft]) -> Option<bridge::Config> {
    let node = &entry.value;
    if let Err(help) = plain_name(&entry.key) {
        cx.error(entry.key_span, format!("`{}` cannot be the name of a bridge", entry.key), Some(help));
    }
    if !expect_map(cx, node, &format!("the bridge `{}`", entry.key)) {
        return None;
    }
    let config: bridge::Config = read(cx, node)?;
    let topics = devices.iter().flat_map(|device| &device.points).map(|draft| draft.point.topic.as_str());
    let misfits = if config.enabled { bridge::misfits(&config, topics) } else { Vec::new() };
    for message in config.problems().into_iter().chain(misfits) {
        let (key, text) = message.split_once(": ").unwrap_or(("", &message));
        let place = key
            .split('.')
            .try_fold(node, |node, key| node.get(key))
            .or_else(|| node.get(key.split('.').next()?));
        let place = place.map_or(entry.key_span, |node| node.span);
        cx.error(place, text, None);
    }
    Some(config).filter(|config| config.enabled)
}
