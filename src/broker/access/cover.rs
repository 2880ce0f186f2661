//! How topic filters relate as sets of topics: which holds another, and which share a topic.
//!
//! Works on strings alone; all filters are valid. Both answers are exact: a level's names are without number, so no
//! list of literal levels stands for `+`. Invariant: what begins with `$` is selected only by a filter that
//! begins with the same level ([MQTT-4.7.2-1]).

/// Whether `pattern` selects every topic that `filter` selects.
pub(super) fn covers(pattern: &str, filter: &str) -> bool {
    let (pattern, filter) = (plain(pattern), plain(filter));
    if filter.starts_with('$') && is_wild(pattern) {
        return false;
    }
    let mut wanted = filter.split('/');
    for level in pattern.split('/') {
        if level == "#" {
            return true;
        }
        match wanted.next() {
            Some("#") | None => return false,
            Some(name) if level == "+" || level == name => {}
            Some(_) => return false,
        }
    }
    wanted.next().is_none()
}

/// Whether some topic is selected by both filters.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    meet(a, b, |_| ())
}

/// The filter that selects what both filters select; `None`: they share no topic.
pub(super) fn intersection(a: &str, b: &str) -> Option<String> {
    let mut levels = Vec::new();
    meet(a, b, |level| levels.push(level)).then(|| levels.join("/"))
}

/// Walks both filters level by level. Returns whether they share a topic.
fn meet<'f>(a: &'f str, b: &'f str, mut each: impl FnMut(&'f str)) -> bool {
    let (a, b) = (plain(a), plain(b));
    if (a.starts_with('$') && is_wild(b)) || (b.starts_with('$') && is_wild(a)) {
        return false;
    }
    let (mut left, mut right) = (a.split('/'), b.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) | (Some("#"), None) | (None, Some("#")) => return true,
            (Some("#"), Some(level)) => {
                each(level);
                right.for_each(each);
                return true;
            }
            (Some(level), Some("#")) => {
                each(level);
                left.for_each(each);
                return true;
            }
            (Some("+"), Some(level)) | (Some(level), Some("+")) => each(level),
            (Some(a), Some(b)) if a == b => each(a),
            _ => return false,
        }
    }
}

fn is_wild(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

/// The same set of topics, written so that levels tell all: every topic has a first level, so `+/#` is `#`, and none is
/// empty, so `/#` selects nothing without a second level.
fn plain(filter: &str) -> &str {
    match filter {
        "+/#" => "#",
        "/#" => "/+/#",
        _ => filter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::topic::matches;
    use proptest::prelude::*;

    /// Every topic of up to four levels over a few names. `z` stands in no filter: it is any other name.
    fn universe() -> Vec<String> {
        let names = ["", "a", "b", "$s", "z"];
        let mut all: Vec<String> = Vec::new();
        let mut last: Vec<String> = names.iter().map(ToString::to_string).collect();
        for _ in 0..4 {
            all.extend(last.iter().cloned());
            last = last.iter().flat_map(|head| names.map(|name| format!("{head}/{name}"))).collect();
        }
        all.retain(|topic| !topic.is_empty());
        all
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => prop_oneof![Just(""), Just("a"), Just("b"), Just("$s")], 2 => Just("+")];
        (proptest::collection::vec(level, 0..4), any::<bool>())
            .prop_map(|(mut levels, open)| {
                if open || levels.is_empty() {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("a filter is not empty", |filter| !filter.is_empty())
    }

    proptest! {
        #[test]
        fn the_answers_are_those_of_matching_every_topic(a in filter(), b in filter()) {
            let universe = universe();
            let selects = |filter: &str| universe.iter().filter(|topic| matches(filter, topic)).collect::<Vec<_>>();
            let (of_a, of_b) = (selects(&a), selects(&b));
            prop_assert_eq!(covers(&a, &b), of_b.iter().all(|topic| of_a.contains(topic)), "{} covers {}", a, b);
            let both: Vec<_> = of_a.iter().filter(|topic| of_b.contains(topic)).copied().collect();
            prop_assert_eq!(overlap(&a, &b), !both.is_empty(), "{} overlaps {}", a, b);
            match intersection(&a, &b) {
                Some(filter) => prop_assert_eq!(selects(&filter), both, "{} with {} is {}", a, b, filter),
                None => prop_assert!(both.is_empty()),
            }
        }
    }

    #[test]
    fn the_corners_of_wildcards() {
        for (pattern, filter, expected) in [
            ("a/#", "a", true),
            ("a/+/#", "a/#", false),
            ("+/#", "#", true),
            ("#", "+/#", true),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/broker/+", true),
            ("a/+", "a/b/c", false),
        ] {
            assert_eq!(covers(pattern, filter), expected, "{pattern} {filter}");
        }
        assert_eq!(intersection("a/#", "+/b").as_deref(), Some("a/b"));
        assert_eq!(intersection("#", "$SYS/#"), None);
    }
}
