//! Topic names and topic filters (section 4.7): what is valid, and which matches which.
//!
//! Works on strings alone. The subscription tree gives the same answers as [`matches()`], faster; a
//! property test compares the two.

/// Checks a topic name: not empty, no wildcard, no U+0000, at most 65,535 bytes.
///
/// # Errors
/// What is wrong, in words.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("topic name is empty");
    }
    if name.len() > usize::from(u16::MAX) {
        return Err("topic name is longer than 65,535 bytes");
    }
    if name.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0)) {
        return Err("topic name contains a wildcard or U+0000");
    }
    Ok(())
}

/// Checks a topic filter: `+` fills a whole level, `#` is the whole last level.
///
/// # Errors
/// What is wrong, in words.
pub fn check_filter(filter: &str) -> Result<(), &'static str> {
    if filter.is_empty() {
        return Err("topic filter is empty");
    }
    if filter.len() > usize::from(u16::MAX) {
        return Err("topic filter is longer than 65,535 bytes");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return Err("`#` is not the last level"),
            "#" | "+" => {}
            _ if level.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0)) => {
                return Err("a wildcard does not fill its level, or U+0000");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The two parts of a shared subscription `$share/<name>/<filter>` (MQTT 5 section 4.8.2); `None` for any
/// other filter. The filter part is not checked.
///
/// # Errors
/// What is wrong with the share name, in words ([MQTT-4.8.2-1], [MQTT-4.8.2-2]).
///
/// ```
/// use iogate::broker::topic::shared;
/// assert_eq!(shared("$share/workers/jobs/#"), Ok(Some(("workers", "jobs/#"))));
/// assert_eq!(shared("jobs/#"), Ok(None));
/// assert!(shared("$share/workers").is_err());
/// ```
pub fn shared(filter: &str) -> Result<Option<(&str, &str)>, &'static str> {
    let Some(rest) = filter.strip_prefix("$share/") else { return Ok(None) };
    match rest.split_once('/') {
        None => Err("shared subscription without a filter"),
        Some(("", _)) => Err("shared subscription without a name"),
        Some((name, _)) if name.contains(['+', '#']) => Err("share name contains a wildcard"),
        Some((name, filter)) => Ok(Some((name, filter))),
    }
}

/// Number of levels of a name or filter.
#[must_use]
pub fn levels(topic: &str) -> usize {
    1 + topic.bytes().filter(|&byte| byte == b'/').count()
}

/// Whether `filter` selects the topic `name`; both valid.
///
/// A leading wildcard does not select names that begin with `$` ([MQTT-4.7.2-1]).
///
/// ```
/// use iogate::broker::topic::matches;
/// assert!(matches("busan/+/set", "busan/fan/set"));
/// assert!(matches("busan/#", "busan"));
/// assert!(!matches("#", "$SYS/uptime"));
/// ```
#[must_use]
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = name.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match names.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_names() {
        for good in ["#", "+", "a/#", "+/+", "/", "//", "a/+/b", "$SYS/#", "a b"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a#", "#/a", "+a", "a+/b", "a/#/b", "a\0"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
        for bad in ["", "+", "a/#", "a\0b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_name("/"), Ok(()));
        assert_eq!((levels("a"), levels("a/b"), levels("/")), (1, 2, 2));
    }

    #[test]
    fn matching_follows_the_examples_of_the_specification() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ] {
            assert_eq!(matches(filter, name), expected, "{filter} {name}");
        }
    }
}
