//! Where the gateway speaks of itself: every topic that does not belong to a point.
//!
//! All of them lie below `<site>/gateway`, a level that devices and points therefore cannot take.

use crate::model::{AlarmTarget, Topic, TopicError};

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

/// `<site>/gateway/alarm-groups/<group>`: how a group of alarms stands, as JSON, retained.
///
/// # Errors
/// When the group's name is no topic level.
pub fn alarm_group(site: &Topic, group: &str) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "alarm-groups", group])
}

/// `<site>/gateway/alarms/<alarm>/event`: what happens to it as JSON, not retained.
///
/// # Errors
/// When the alarm's name is no topic level.
pub fn alarm_event(site: &Topic, alarm: &str) -> Result<Topic, TopicError> {
    Topic::join(&[site.as_str(), GATEWAY_LEVEL, "alarms", alarm, "event"])
}

/// The filters of what people want of alarms: `<site>/gateway/alarms/+/set` and
/// `<site>/gateway/alarm-groups/+/set`.
#[must_use]
pub fn alarm_orders(site: &Topic) -> [String; 2] {
    ["alarms", "alarm-groups"].map(|level| format!("{site}/{GATEWAY_LEVEL}/{level}/+/set"))
}

/// Which alarm or group a topic of [`alarm_orders`] means.
#[must_use]
pub fn alarm_target(site: &Topic, topic: &str) -> Option<AlarmTarget> {
    let rest = topic.strip_prefix(site.as_str())?.strip_prefix('/')?.strip_prefix(GATEWAY_LEVEL)?;
    let rest = rest.strip_prefix('/')?.strip_suffix("/set")?;
    match rest.split_once('/')? {
        ("alarms", name) => Some(AlarmTarget::Alarm(name.to_owned())),
        ("alarm-groups", name) => Some(AlarmTarget::Group(name.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_alarms_is_found_by_its_topic() {
        let site = Topic::new("busan/factory").unwrap();
        let target = |topic: &str| alarm_target(&site, topic);
        let alarm = AlarmTarget::Alarm("hot".into());
        assert_eq!(target("busan/factory/gateway/alarms/hot/set"), Some(alarm));
        let group = AlarmTarget::Group("press".into());
        assert_eq!(target("busan/factory/gateway/alarm-groups/press/set"), Some(group));
        for other in [
            "busan/factory/gateway/alarms/hot",
            "busan/gateway/alarms/hot/set",
            "busan/factory/gateway/x/hot/set",
        ] {
            assert_eq!(target(other), None);
        }
        assert_eq!(alarm_orders(&site)[0], "busan/factory/gateway/alarms/+/set");
    }
}
