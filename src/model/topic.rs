//! MQTT topic names and filters, built and parsed in one place.
//!
//! Rules are those of MQTT 5.0 section 4.7. Invariant: a [`Topic`] never holds a wildcard, U+0000 or an
//! empty name; a [`Filter`] has `#` only as its last level and `+` only as a whole level.

use std::fmt;
use std::sync::Arc;

/// The longest topic in UTF-8 bytes (MQTT 5.0 section 1.5.4).
pub const MAX_TOPIC_BYTES: usize = 65_535;

/// The last level of the topic that sets a point.
pub const SET_LEVEL: &str = "set";

/// Why a text is not a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No characters.
    #[error("a topic must not be empty")]
    Empty,
    /// Over the protocol's limit.
    #[error("a topic must not be longer than 65535 bytes")]
    TooLong,
    /// `+` or `#` in a topic name.
    #[error("`+` and `#` are wildcards and cannot stand in a topic name")]
    Wildcard,
    /// U+0000 or another control character.
    #[error("a topic must not hold control characters")]
    Control,
    /// `#` before the end or inside a level, `+` inside a level.
    #[error("`#` must be the whole last level and `+` a whole level")]
    MisplacedWildcard,
    /// A part of a configured topic begins or ends with `/` or holds `//`.
    #[error("topic levels must not be empty: no leading, trailing or double `/`")]
    EmptyLevel,
}

/// A topic name: `busan/factory/assembly/barometer`.
///
/// ```
/// use iogate::model::Topic;
/// let topic = Topic::join(&["busan/factory", "assembly", "barometer"]).unwrap();
/// assert_eq!(topic.as_str(), "busan/factory/assembly/barometer");
/// let set = topic.set();
/// assert_eq!(set.as_str(), "busan/factory/assembly/barometer/set");
/// assert_eq!(set.of_set(), Some("busan/factory/assembly/barometer"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks a topic name by the protocol's rules.
    ///
    /// # Errors
    /// When the text breaks one of them.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_common(text)?;
        if text.contains(['+', '#']) {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(text.into()))
    }

    /// Joins configured parts (each may hold several levels) with `/`; empty parts are left out.
    ///
    /// # Errors
    /// When a level is empty or the result is no topic name.
    pub fn join(parts: &[&str]) -> Result<Self, TopicError> {
        let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        let text = parts.join("/");
        let topic = Self::new(&text)?;
        if text.split('/').any(str::is_empty) {
            return Err(TopicError::EmptyLevel);
        }
        Ok(topic)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The topic that sets this point: one level `set` below it.
    #[must_use]
    pub fn set(&self) -> Self {
        self.below(SET_LEVEL)
    }

    /// The topic one level below; `level` must be plain text without `/` or wildcards.
    #[must_use]
    pub fn below(&self, level: &str) -> Self {
        debug_assert!(!level.is_empty() && !level.contains(['/', '+', '#', '\0']));
        Self(format!("{}/{level}", self.0).into())
    }

    /// The point's topic of a `…/set` topic.
    #[must_use]
    pub fn of_set(&self) -> Option<&str> {
        self.0.strip_suffix(SET_LEVEL)?.strip_suffix('/').filter(|rest| !rest.is_empty())
    }
}

/// A topic filter: `busan/factory/#`, `+/+/set`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<str>);

impl Filter {
    /// Checks a filter by the protocol's rules (without `$share`, which is the broker's affair).
    ///
    /// # Errors
    /// When the text breaks one of them.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_common(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            match level {
                "#" if last => {}
                "+" => {}
                other if other.contains(['+', '#']) => return Err(TopicError::MisplacedWildcard),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `topic` falls under this filter. A leading wildcard does not match a `$` topic (MQTT-4.7.2-1).
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(actual)) if level == actual => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

fn check_common(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > MAX_TOPIC_BYTES {
        Err(TopicError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(TopicError::Control)
    } else {
        Ok(())
    }
}

macro_rules! shown_as_text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

shown_as_text!(Topic);
shown_as_text!(Filter);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_filters_follow_the_protocol() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert_eq!(Topic::new("a/+"), Err(TopicError::Wildcard));
        assert_eq!(Topic::new("a\0"), Err(TopicError::Control));
        assert_eq!(Topic::join(&["a/", "b"]), Err(TopicError::EmptyLevel));
        for wrong in ["a#", "#/a", "a/+b", "a/#/b"] {
            assert_eq!(Filter::new(wrong), Err(TopicError::MisplacedWildcard), "{wrong}");
        }
    }

    #[test]
    fn filters_match_as_the_specification_says() {
        let cases = [
            ("sport/#", "sport", true),
            ("sport/#", "sport/a/b", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a/b", "a/b/c", false),
        ];
        for (filter, topic, expected) in cases {
            assert_eq!(Filter::new(filter).unwrap().matches(topic), expected, "{filter} {topic}");
        }
    }

    proptest! {
        #[test]
        fn a_topic_matches_itself_and_the_hash_below_its_parent(levels in prop::collection::vec("[a-z0-9_-]{1,8}", 1..6)) {
            let text = levels.join("/");
            let topic = Topic::new(&text).unwrap();
            prop_assert!(Filter::new(&text).unwrap().matches(topic.as_str()));
            let above = format!("{}/#", levels[0]);
            prop_assert!(Filter::new(&above).unwrap().matches(topic.as_str()));
            let set = topic.set();
            prop_assert_eq!(set.of_set(), Some(topic.as_str()));
        }
    }
}
