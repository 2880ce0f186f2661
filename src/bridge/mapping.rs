//! Which messages pass, and under which topic: the rules of `forward` and `accept`.
//!
//! Pure. The first rule that fits counts. Invariant: what comes out is a valid topic name, and nothing from upstream
//! gets a local topic that begins with `$`.

use super::config::{Config, Retain, Rule, RuleConfig};
use crate::broker::topic::{check_name, matches};

/// The rules of a bridge.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    forward: Vec<RuleConfig>,
    accept: Vec<RuleConfig>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Topic on the other side.
    pub(crate) topic: String,
    /// QoS on the other side, 0 or 1.
    pub(crate) qos: u8,
    /// What becomes of the retain flag.
    pub(crate) retain: Retain,
}

impl Mapping {
    /// The rules of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let rules = |rules: &[Rule]| rules.iter().map(|rule| rule.0.clone()).collect();
        Self { forward: rules(&config.forward), accept: rules(&config.accept) }
    }

    /// Where a local message goes upstream; `None`: it does not.
    pub(crate) fn outward(&self, topic: &str) -> Option<Mapped> {
        self.forward.iter().find_map(|rule| rename(rule, topic))
    }

    /// Where a message from upstream goes here; `None`: it does not.
    pub(crate) fn inward(&self, topic: &str) -> Option<Mapped> {
        let mapped = self.accept.iter().find_map(|rule| rename(rule, topic))?;
        (!mapped.topic.starts_with('$')).then_some(mapped)
    }

    /// Whether the bridge itself may publish to this upstream topic.
    pub(crate) fn is_own(&self, upstream: &str) -> bool {
        self.forward.iter().any(|rule| {
            let rest = upstream.strip_prefix(&*rule.prefix);
            rest.is_some_and(|rest| matches(&rule.topic, &format!("{}{rest}", rule.strip)))
        })
    }

    /// The filters of local messages to forward, with the QoS at which they are wanted.
    pub(crate) fn local_filters(&self) -> impl Iterator<Item = &str> {
        self.forward.iter().map(|rule| &*rule.topic)
    }

    /// The filters to subscribe upstream.
    pub(crate) fn upstream_filters(&self) -> impl Iterator<Item = (&str, u8)> {
        self.accept.iter().map(|rule| (&*rule.topic, rule.qos))
    }
}

fn rename(rule: &RuleConfig, topic: &str) -> Option<Mapped> {
    if !matches(&rule.topic, topic) {
        return None;
    }
    let rest = topic.strip_prefix(&*rule.strip)?;
    let topic = format!("{}{rest}", rule.prefix);
    check_name(&topic).ok()?;
    Some(Mapped { topic, qos: rule.qos, retain: rule.retain })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(topic: &str, strip: &str, prefix: &str) -> Rule {
        Rule(RuleConfig { strip: strip.into(), prefix: prefix.into(), ..RuleConfig::of(topic) })
    }

    fn mapping(forward: Vec<Rule>, accept: Vec<Rule>) -> Mapping {
        let url = "mqtt://broker.example.com".parse().unwrap();
        Mapping::new(&Config { forward, accept, ..Config::to(url) })
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let map = mapping(vec![rule("a/b", "", "x/"), rule("a/#", "a/", "")], vec![]);
        assert_eq!(map.outward("a/b").unwrap().topic, "x/a/b");
        assert_eq!(map.outward("a/c/d").unwrap().topic, "c/d");
        assert_eq!(map.outward("a"), None, "it does not begin with `a/`");
        assert_eq!(map.outward("b"), None);
        assert_eq!(mapping(vec![rule("a/#", "a/b", "")], vec![]).outward("a/b"), None, "nothing is left");
    }

    #[test]
    fn nothing_from_upstream_gets_below_a_dollar() {
        let map = mapping(vec![], vec![rule("x/#", "x/", ""), rule("$aws/#", "", "")]);
        assert_eq!(map.inward("x/a/set").unwrap().topic, "a/set");
        assert_eq!(map.inward("x/$SYS/a"), None);
        assert_eq!(map.inward("$aws/a"), None);
    }

    #[test]
    fn own_topics_are_known_by_the_way_back() {
        let map = mapping(vec![rule("a/#", "a/", "site/")], vec![rule("site/#", "site/", "a/")]);
        assert!(map.is_own("site/x/y") && !map.is_own("other/x"));
        assert!(mapping(vec![rule("a/+", "", "")], vec![]).is_own("a/x"));
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_back_under_its_name(rest in "[a-z]{1,5}(/[a-z]{1,5}){0,3}", strip in "([a-z]{1,3}/){0,2}", prefix in "([a-z]{1,3}/){0,2}") {
            let map = mapping(vec![rule(&format!("{strip}#"), &strip, &prefix)], vec![rule(&format!("{prefix}#"), &prefix, &strip)]);
            let topic = format!("{strip}{rest}");
            let out = map.outward(&topic).unwrap().topic;
            prop_assert!(map.is_own(&out));
            prop_assert_eq!(map.inward(&out).unwrap().topic, topic);
        }

        #[test]
        fn what_comes_out_is_a_topic(topic in "[a-z/$+#]{1,12}", filter in "[a-z/+#$]{1,8}", strip in "[a-z/]{0,3}", prefix in "[a-z/$]{0,3}") {
            let map = mapping(vec![rule(&filter, &strip, &prefix)], vec![rule(&filter, &strip, &prefix)]);
            for mapped in [map.outward(&topic), map.inward(&topic)].into_iter().flatten() {
                prop_assert_eq!(check_name(&mapped.topic), Ok(()));
            }
            prop_assert!(map.inward(&topic).is_none_or(|mapped| !mapped.topic.starts_with('$')));
        }
    }
}
