//! Where the gateway speaks of itself: every topic that does not belong to a point.
//!
//! All of them lie below `<site>/gateway`, a level that devices and points therefore cannot take.

use crate::model::{Topic, TopicError};

/// The level below the site that belongs to the gateway.
pub const GATEWAY_LEVEL: &str = "gateway";

/// Payload of an availability topic.
pub const ONLINE: &str = "online";

/// Payload of an availability topic.
pub const OFFLINE: &str = "offline";

/// `<site>/gateway/availability`: `online` or `offline`, retained.
///
/// # Errors
/// When the site leaves no room for it.
pub fn availability(site: &Topic) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "availability"])
}

/// `<site>/gateway/devices/<device>/availability`: `online` or `offline`, retained.
///
/// # Errors
/// When the device's name is no topic level.
pub fn device_availability(site: &Topic, device: &str) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "devices", device, "availability"])
}

/// `<site>/gateway/devices/<device>/notice`: what is odd about the device, as a sentence, retained; an empty
/// message when it is over.
///
/// # Errors
/// When the device's name is no topic level.
pub fn device_notice(site: &Topic, device: &str) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "devices", device, "notice"])
}

/// `<site>/gateway/alarms/<alarm>`: its state as JSON, retained.
///
/// # Errors
/// When the alarm's name is no topic level.
pub fn alarm(site: &Topic, alarm: &str) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "alarms", alarm])
}
