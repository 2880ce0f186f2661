//! The subscription tree: which subscribers a topic name selects.
//!
//! One node per filter level. Sessions keep the list of their own filters, so a disconnect removes
//! those and walks nothing else. Invariant: `generation` changes with every change of the tree, so a
//! cached answer is valid as long as it stays the same; no empty branch is left behind.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Hasher of all maps of the broker: fast, keyed per process, and of no size in each map.
#[derive(Clone, Copy, Default)]
pub(super) struct FastHash;

static KEYS: LazyLock<ahash::RandomState> = LazyLock::new(ahash::RandomState::new);

impl BuildHasher for FastHash {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> ahash::AHasher {
        KEYS.build_hasher()
    }
}

pub(super) type FastMap<K, V> = HashMap<K, V, FastHash>;

/// A tree of `E`, one list per filter.
pub(super) struct Trie<E> {
    root: Node<E>,
    generation: u64,
}

struct Node<E> {
    children: Children<E>,
    plus: Option<Box<Node<E>>>,
    /// Entries of the filter that ends here.
    here: Vec<E>,
    /// Entries of the filter that ends with `#` below here.
    hash: Vec<E>,
}

impl<E> Default for Node<E> {
    fn default() -> Self {
        Self { children: Children::One(None), plus: None, here: Vec::new(), hash: Vec::new() }
    }
}

/// The nodes below a node, by level. Many nodes have exactly one (a client's own topic below its name): a table for it
/// would take four times the memory.
enum Children<E> {
    One(Option<Box<(Box<str>, Node<E>)>>),
    Many(Box<FastMap<Box<str>, Node<E>>>),
}

impl<E> Children<E> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::One(None))
    }

    fn get(&self, level: &str) -> Option<&Node<E>> {
        match self {
            Self::One(only) => only.as_ref().filter(|only| *only.0 == *level).map(|only| &only.1),
            Self::Many(all) => all.get(level),
        }
    }

    /// The node of a level, made if there is none.
    fn make(&mut self, level: &str) -> &mut Node<E> {
        if let Self::One(only) = self
            && only.as_ref().is_some_and(|only| *only.0 != *level)
        {
            let known = only.take().map(|only| *only);
            *self = Self::Many(Box::new(known.into_iter().collect()));
        }
        match self {
            Self::One(only) => &mut only.get_or_insert_with(|| Box::new((level.into(), Node::default()))).1,
            Self::Many(all) => all.entry(level.into()).or_default(),
        }
    }

    fn remove(&mut self, level: &str) {
        match self {
            Self::One(only) => {
                only.take_if(|only| *only.0 == *level);
            }
            Self::Many(all) => {
                all.remove(level);
                if all.is_empty() {
                    *self = Self::One(None);
                }
            }
        }
    }
}

impl<E> Default for Trie<E> {
    fn default() -> Self {
        Self { root: Node::default(), generation: 1 }
    }
}

impl<E> Trie<E> {
    /// Changes with every change of the tree; never 0.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes every cached answer invalid.
    pub(super) fn touch(&mut self) {
        self.generation += 1;
    }

    /// Runs `change` on the list of `filter`, which is made if it does not exist. An empty list is
    /// removed afterwards.
    pub(super) fn edit<R>(&mut self, filter: &str, change: impl FnOnce(&mut Vec<E>) -> R) -> R {
        self.generation += 1;
        edit_below(&mut self.root, Some(filter), change)
    }

    /// Calls `each` with every list that `topic` selects.
    pub(super) fn select<'t>(&'t self, topic: &str, each: &mut impl FnMut(&'t [E])) {
        // [MQTT-4.7.2-1]: leading wildcards do not select names that begin with `$`.
        let wild = !topic.starts_with('$');
        walk(&self.root, Some(topic), wild, each);
    }
}

fn split(levels: &str) -> (&str, Option<&str>) {
    match levels.bytes().position(|byte| byte == b'/') {
        Some(at) => (&levels[..at], Some(&levels[at + 1..])),
        None => (levels, None),
    }
}

fn walk<'t, E>(node: &'t Node<E>, levels: Option<&str>, wild: bool, each: &mut impl FnMut(&'t [E])) {
    if wild && !node.hash.is_empty() {
        each(&node.hash);
    }
    let Some(levels) = levels else {
        if !node.here.is_empty() {
            each(&node.here);
        }
        return;
    };
    let (level, rest) = split(levels);
    if let Some(child) = node.children.get(level) {
        walk(child, rest, true, each);
    }
    if let (true, Some(plus)) = (wild, &node.plus) {
        walk(plus, rest, true, each);
    }
}

fn edit_below<E, R>(node: &mut Node<E>, levels: Option<&str>, change: impl FnOnce(&mut Vec<E>) -> R) -> R {
    let Some(levels) = levels else { return change(&mut node.here) };
    let (level, rest) = split(levels);
    match level {
        "#" if rest.is_none() => change(&mut node.hash),
        "+" => {
            let child = node.plus.get_or_insert_default();
            let result = edit_below(child, rest, change);
            if child.is_empty() {
                node.plus = None;
            }
            result
        }
        _ => {
            let child = node.children.make(level);
            let result = edit_below(child, rest, change);
            if child.is_empty() {
                node.children.remove(level);
            }
            result
        }
    }
}

impl<E> Node<E> {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.plus.is_none() && self.here.is_empty() && self.hash.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::topic;
    use proptest::prelude::*;

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), Just("a".into()), Just("b".into()), Just("$x".into()), "[a-c]{1,2}"]
    }

    fn name() -> impl Strategy<Value = String> {
        proptest::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("names are not empty", |name| !name.is_empty())
    }

    fn filter() -> impl Strategy<Value = String> {
        let part = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
        (proptest::collection::vec(part, 0..4), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash || levels.is_empty() {
                    levels.push("#".into());
                }
                levels.join("/")
            })
            .prop_filter("filters are not empty", |filter| !filter.is_empty())
    }

    proptest! {
        #[test]
        fn selects_what_matching_one_by_one_selects(
            filters in proptest::collection::btree_set(filter(), 0..12),
            removed in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
            topic in name(),
        ) {
            let mut trie = Trie::default();
            let mut kept = filters.clone();
            for filter in &filters {
                trie.edit(filter, |list| list.push(filter.clone()));
            }
            let all: Vec<_> = filters.iter().cloned().collect();
            for index in removed {
                if !all.is_empty() {
                    let filter = &all[index.index(all.len())];
                    kept.remove(filter);
                    trie.edit(filter, Vec::clear);
                }
            }
            let mut selected = Vec::new();
            trie.select(&topic, &mut |list| selected.extend(list.iter().cloned()));
            selected.sort();
            let expected: Vec<_> =
                kept.iter().filter(|filter| topic::matches(filter, &topic)).cloned().collect();
            prop_assert_eq!(selected, expected);
            for filter in &kept {
                trie.edit(filter, Vec::clear);
            }
            prop_assert!(trie.root.is_empty());
        }
    }
}
