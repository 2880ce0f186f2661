//! Topics with a placeholder for the device, filled in and checked.

use std::sync::Arc;

use crate::model::Topic;

/// What stands for the device's name in a topic.
pub(super) const DEVICE: &str = "{device}";

/// What stands for the setpoint in a message.
pub(super) const VALUE: &str = "{value}";

/// The longest topic of a device in bytes.
const MAX_TOPIC: usize = 1024;

/// A topic of the device of this name.
///
/// # Errors
/// What does not fit, behind the key that it was written at.
pub(super) fn fill(key: &str, template: &str, device: Option<&str>) -> Result<Arc<str>, String> {
    let text = match (template.contains(DEVICE), device) {
        (false, _) => template.to_owned(),
        (true, Some(device)) => template.replace(DEVICE, device),
        (true, None) => {
            return Err(format!("{key} {template}: say at the device what {DEVICE} is: mqtt-name: …"));
        }
    };
    if text.len() > MAX_TOPIC {
        return Err(format!("{key}: a topic of more than {MAX_TOPIC} bytes"));
    }
    if text.starts_with('$') {
        return Err(format!("{key} {text}: topics that begin with `$` belong to the broker"));
    }
    let topic = Topic::new(&text).map_err(|error| format!("{key} {text}: {error}"))?;
    Ok(topic.shared())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_are_filled_and_checked() {
        let filled = |template: &str, device| fill("mqtt", template, device);
        assert_eq!(&*filled("stat/{device}/POWER", Some("plug-1")).unwrap(), "stat/plug-1/POWER");
        assert_eq!(&*filled("plain/topic", None).unwrap(), "plain/topic");
        for (template, device, part) in [
            ("stat/{device}/POWER", None, "mqtt-name"),
            ("stat/{device}/POWER", Some("a/+/b"), "wildcards"),
            ("stat/#", None, "wildcards"),
            ("", None, "empty"),
            ("$SYS/uptime", None, "belong to the broker"),
        ] {
            let message = filled(template, device).unwrap_err();
            assert!(message.starts_with("mqtt") && message.contains(part), "{message}");
        }
        assert!(filled(&"x".repeat(2000), None).unwrap_err().contains("1024"));
    }

    proptest! {
        #[test]
        fn whatever_is_filled_in_is_a_topic_or_refused(template in ".{0,40}|[a-z/]{0,9}\\{device\\}[a-z/]{0,9}", device in ".{0,12}") {
            if let Ok(topic) = fill("mqtt", &template, Some(&device)) {
                prop_assert!(!topic.contains(['+', '#', '\0']) && !topic.starts_with('$') && !topic.is_empty());
            }
        }
    }
}
