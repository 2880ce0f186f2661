//! The section `notify`: who is told of alarms and how, each checked by itself and against the alarms.
//!
//! Absent: servers and networks, which are looked at when something is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::build::plain_name;
use super::context::Context;
use super::de::read;
use super::node::{Entry, Node};
use super::parts::expect_map;
use super::suggest::advice;
use crate::{alarm, notify};

/// The most notifiers of one configuration.
const MAX_NOTIFIERS: usize = 32;

/// Everything under `notify`.
pub(super) fn notifiers(
    cx: &Context<'_>,
    node: &Node,
    rules: &[alarm::Rule],
) -> IndexMap<Arc<str>, notify::Config> {
    if !expect_map(cx, node, "`notify`") {
        return IndexMap::new();
    }
    if node.entries().len() > MAX_NOTIFIERS {
        cx.error(node.span, format!("more than {MAX_NOTIFIERS} notifiers"), None);
    }
    let entries = node.entries().iter().take(MAX_NOTIFIERS);
    entries.filter_map(|entry| Some((entry.key.clone(), one(cx, entry, rules)?))).collect()
}

fn one(cx: &Context<'_>, entry: &Entry, rules: &[alarm::Rule]) -> Option<notify::Config> {
    let node = &entry.value;
    if let Err(help) = plain_name(&entry.key) {
        cx.error(entry.key_span, format!("`{}` cannot be the name of a notifier", entry.key), Some(help));
    }
    if !expect_map(cx, node, &format!("the notifier `{}`", entry.key)) {
        return None;
    }
    let config: notify::Config = read(cx, node)?;
    for (keys, message, help) in config.problems() {
        cx.error(entry.place(keys), message, help);
    }
    let classes: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.class.as_deref()).collect();
    let groups: BTreeSet<&str> =
        rules.iter().flat_map(|rule| rule.groups.iter()).map(|group| &**group).collect();
    for (key, words, there) in [("classes", &config.classes, classes), ("groups", &config.groups, groups)] {
        for word in words.iter().filter(|word| !there.contains(word.as_str())) {
            let place = entry.place(&[key]);
            let message = format!("no alarm has `{word}` among its {key}: nothing would ever be told");
            cx.error(place, message, advice(word, there.iter().copied()));
        }
    }
    Some(config)
}
