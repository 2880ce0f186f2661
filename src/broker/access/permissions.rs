//! What one client may do: the patterns of its roles and rules, put together and made its own.
//!
//! Made once when a client logs in, and again when the rules change. Absent: who the client is and where the
//! patterns come from (`rules`). Invariants: what no pattern permits is not permitted; a denied topic is neither read nor
//! written, whatever else permits it; nothing that begins with `$` is ever written.

use super::cover::{covers, intersection, overlap};
use crate::broker::topic::matches;

/// What a client may do. The default: nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Permissions {
    /// Everything but writing below `$`: there are no users and no rules.
    unrestricted: bool,
    pub(super) read: Vec<Box<str>>,
    pub(super) write: Vec<Box<str>>,
    pub(super) subscribe: Vec<Box<str>>,
    pub(super) deny: Vec<Box<str>>,
}

/// What a subscription may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Verdict {
    /// All that its filter selects.
    Everything,
    /// Some of it: every topic is checked at delivery.
    Part,
    /// Nothing: it is refused.
    Nothing,
}

impl Permissions {
    /// Everything but writing below `$`.
    pub(super) fn unrestricted() -> Self {
        Self { unrestricted: true, ..Self::default() }
    }

    /// Whether the client may publish to a topic. Names that begin with `$` belong to the server (section 4.7.2).
    pub(in crate::broker) fn may_write(&self, topic: &str) -> bool {
        !topic.starts_with('$')
            && (self.unrestricted || (matches_any(&self.write, topic) && !matches_any(&self.deny, topic)))
    }

    /// Whether the client may be given messages of a topic.
    pub(in crate::broker) fn may_read(&self, topic: &str) -> bool {
        self.unrestricted
            || ((matches_any(&self.read, topic) || matches_any(&self.subscribe, topic))
                && !matches_any(&self.deny, topic))
    }

    /// Whether every topic outside `$` may be written: the answer for one topic is then that for all.
    pub(in crate::broker) fn writes_everything(&self) -> bool {
        self.unrestricted || (self.deny.is_empty() && self.write.iter().any(|pattern| covers(pattern, "#")))
    }

    /// What a subscription with this filter may be given. A `read` pattern permits every filter that can select
    /// something it permits, a `subscribe` pattern only those that select nothing else.
    pub(in crate::broker) fn subscription(&self, filter: &str) -> Verdict {
        if self.unrestricted {
            return Verdict::Everything;
        }
        let denied = |filter: &str| self.deny.iter().any(|pattern| covers(pattern, filter));
        let whole = self.read.iter().chain(&self.subscribe).any(|pattern| covers(pattern, filter));
        if whole && !self.deny.iter().any(|pattern| overlap(pattern, filter)) {
            return Verdict::Everything;
        }
        let mut parts = self.read.iter().filter_map(|pattern| intersection(pattern, filter));
        if (whole && !denied(filter)) || parts.any(|part| !denied(&part)) {
            Verdict::Part
        } else {
            Verdict::Nothing
        }
    }
}

fn matches_any(patterns: &[Box<str>], topic: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => prop_oneof![Just("a"), Just("b"), Just("$s")], 2 => Just("+")];
        (proptest::collection::vec(level, 0..3), any::<bool>()).prop_map(|(mut levels, open)| {
            if open || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    fn patterns(max: usize) -> impl Strategy<Value = Vec<Box<str>>> {
        proptest::collection::vec(filter().prop_map(String::into_boxed_str), 0..=max)
    }

    fn universe() -> Vec<String> {
        let names = ["a", "b", "$s", "z"];
        let deeper = |heads: &[String]| -> Vec<String> {
            heads.iter().flat_map(|head| names.map(|name| format!("{head}/{name}"))).collect()
        };
        let one: Vec<String> = names.iter().map(ToString::to_string).collect();
        let two = deeper(&one);
        let three = deeper(&two);
        [one, two, three].concat()
    }

    /// The specification, matching one pattern after the other.
    fn selected(patterns: &[Box<str>], topic: &str) -> bool {
        let mut found = false;
        for pattern in patterns {
            found |= matches(pattern, topic);
        }
        found
    }

    proptest! {
        #[test]
        fn decisions_are_those_of_matching_topic_by_topic(
            read in patterns(2), write in patterns(2), subscribe in patterns(2), deny in patterns(1), wanted in filter(),
        ) {
            let granted = Permissions { unrestricted: false, read, write, subscribe, deny };
            let denied = |topic: &str| selected(&granted.deny, topic);
            let readable = |topic: &str| {
                (selected(&granted.read, topic) || selected(&granted.subscribe, topic)) && !denied(topic)
            };
            for topic in universe() {
                prop_assert_eq!(granted.may_read(&topic), readable(&topic), "{}", topic);
                let writable = selected(&granted.write, &topic) && !denied(&topic) && !topic.starts_with('$');
                prop_assert_eq!(granted.may_write(&topic), writable, "{}", topic);
                prop_assert!(!granted.writes_everything() || writable || topic.starts_with('$'));
            }
            let of_filter: Vec<_> = universe().into_iter().filter(|topic| matches(&wanted, topic)).collect();
            let by_read = of_filter.iter().any(|topic| selected(&granted.read, topic) && !denied(topic));
            let by_subscribe = granted.subscribe.iter().any(|pattern| {
                of_filter.iter().all(|topic| matches(pattern, topic)) && of_filter.iter().any(|topic| !denied(topic))
            });
            match granted.subscription(&wanted) {
                Verdict::Nothing => prop_assert!(!by_read && !by_subscribe, "{} refused", wanted),
                Verdict::Part => prop_assert!(by_read || by_subscribe, "{} accepted", wanted),
                Verdict::Everything => {
                    prop_assert!(of_filter.iter().all(|topic| readable(topic)), "{} unchecked", wanted);
                }
            }
        }

        /// Several denials may hide a topic from a subscription that no single one hides: it is accepted, and given nothing.
        #[test]
        fn a_refused_subscription_could_never_be_given_anything(
            read in patterns(3), subscribe in patterns(2), deny in patterns(3), wanted in filter(),
        ) {
            let granted = Permissions { read, subscribe, deny, ..Permissions::default() };
            let verdict = granted.subscription(&wanted);
            for topic in universe().into_iter().filter(|topic| matches(&wanted, topic)) {
                let by_read = selected(&granted.read, &topic) && !selected(&granted.deny, &topic);
                prop_assert!(verdict != Verdict::Nothing || !by_read, "{} refused for {}", wanted, topic);
                prop_assert!(verdict != Verdict::Everything || granted.may_read(&topic), "{} unchecked for {}", wanted, topic);
            }
        }
    }

    #[test]
    fn nothing_is_permitted_unless_said_and_nobody_writes_below_the_dollar() {
        let nothing = Permissions::default();
        assert!(!nothing.may_read("a") && !nothing.may_write("a"));
        assert_eq!(nothing.subscription("#"), Verdict::Nothing);
        let open = Permissions::unrestricted();
        assert!(open.may_read("$SYS/x") && open.may_write("a") && !open.may_write("$SYS/x"));
        let all = Permissions { write: vec!["$SYS/#".into()], ..Permissions::default() };
        assert!(!all.may_write("$SYS/x"));
    }
}
