//! Topics of devices on the embedded broker that would make the gateway hear itself.
//!
//! Invariant: whatever the gateway listens to as a device's, it publishes nowhere itself; and what it publishes
//! to a device is no command for itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::context::Context;
use super::super::draft::{ChannelDraft, DeviceDraft, PointDraft};
use super::super::node::Node;
use super::super::source::Span;
use crate::driver::entry::BrokerTopic;
use crate::model::Topic;
use crate::publish::topics::GATEWAY_LEVEL;

/// A topic that a device uses, and where that is written.
struct Used<'a> {
    topic: BrokerTopic,
    node: &'a Node,
    place: Span,
}

impl Used<'_> {
    fn refuse(&self, cx: &Context<'_>, message: String, help: &str) {
        cx.error(self.node.span_of(&[self.topic.key]).unwrap_or(self.place), message, help.to_owned());
    }
}

/// Refuses every topic that leads back to the gateway.
pub(super) fn check(cx: &Context<'_>, site: &Topic, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    let used = used(channels, devices);
    if used.is_empty() {
        return;
    }
    let own = site.below(GATEWAY_LEVEL);
    let points: HashMap<&str, &PointDraft> =
        devices.iter().flat_map(|device| &device.points).map(|d| (d.point.topic.as_str(), d)).collect();
    let read = used.iter().filter(|used| !used.topic.written).map(|used| Arc::clone(&used.topic.topic));
    let read: HashSet<Arc<str>> = read.collect();
    for one in &used {
        let topic = &*one.topic.topic;
        let below = topic.strip_prefix(own.as_str());
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let help = "name the topic that the device itself uses";
            one.refuse(cx, format!("`{topic}`: topics below `{own}` are the gateway's own"), help);
        } else if let Some(point) = published(topic, &points) {
            let message =
                format!("`{topic}` belongs to `{}`: the gateway would hear itself", point.point.name);
            one.refuse(
                cx,
                message,
                "name the topic that the device itself uses, or give the point another `topic`",
            );
        } else if one.topic.written && read.contains(topic) {
            let message = format!("`{topic}` is read as a device's: a setpoint would be taken for a value");
            one.refuse(cx, message, "name the topic that the device listens to");
        }
    }
}

/// The point whose readings, setpoints or answers have this topic.
fn published<'a>(topic: &str, points: &HashMap<&str, &'a PointDraft>) -> Option<&'a PointDraft> {
    let bare = topic.strip_suffix("/result").unwrap_or(topic);
    let bare = bare.strip_suffix("/set").unwrap_or(topic);
    points.get(topic).or_else(|| points.get(bare)).copied()
}

fn used<'a>(channels: &[ChannelDraft], devices: &'a [DeviceDraft]) -> Vec<Used<'a>> {
    let mut used = Vec::new();
    for device in devices {
        let Some(driver) = &channels[device.channel].driver else { continue };
        let own = driver.kind.topics(Some(&device.settings), None).into_iter();
        used.extend(own.map(|topic| Used { topic, node: &device.node, place: device.key_span }));
        for draft in &device.points {
            let own = driver.kind.topics(None, Some(&draft.wiring)).into_iter();
            used.extend(own.map(|topic| Used { topic, node: &draft.node, place: draft.place }));
        }
    }
    used
}
