//! Copies: one entry `ai{n}` with `repeat: 1..8` becomes eight.
//!
//! The placeholders `{n}` and `{n:02}` are filled in the name and in every text of the entry; the points
//! of a repeated device keep theirs for their own `repeat`. Addresses and units move by `step`, which the
//! driver applies, because it knows how far one copy reaches.

use std::sync::Arc;

use super::context::Context;
use super::node::{Entry, Kind, Node};
use super::parts::read_part;
use super::sections::RepeatSection;
use super::source::Span;
use crate::driver::entry::Shift;

/// One entry after `repeat`.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) name: Arc<str>,
    pub(super) key_span: Span,
    pub(super) node: Node,
    pub(super) shift: Shift,
}

/// The keys of a repeated entry that are no part of its copies.
const OWN: [&str; 2] = ["repeat", "step"];

/// The copies of an entry: itself when nothing is repeated. `keep` names a key whose texts are left alone.
pub(super) fn expand(cx: &Context<'_>, entry: &Entry, keep: &str) -> Vec<Item> {
    let section: RepeatSection = read_part(cx, &entry.value).unwrap_or_default();
    let mut plain = entry.value.clone();
    plain.remove(&OWN);
    let single = |name: Arc<str>| Item {
        name,
        key_span: entry.key_span,
        node: plain.clone(),
        shift: Shift::default(),
    };
    let Some(repeat) = section.repeat else {
        if entry.value.get("repeat").is_none() && entry.key.contains("{n") {
            let help = Some("add `repeat: 1..8` to the entry".to_owned());
            cx.error(entry.key_span, "`{n}` in a name needs `repeat`", help);
        }
        if entry.key.contains("{n") {
            return Vec::new();
        }
        if let Some(step) = entry.value.get("step").filter(|_| entry.value.get("repeat").is_none()) {
            cx.error(step.span, "`step` has no meaning without `repeat`", None);
        }
        return vec![single(Arc::clone(&entry.key))];
    };
    if !entry.key.contains("{n") {
        let help = format!("put the number into the name: {}-{{n}}", entry.key);
        cx.error(entry.key_span, format!("the copies of `{}` would all have the same name", entry.key), help);
        return vec![single(Arc::clone(&entry.key))];
    }
    let mut items = Vec::with_capacity(repeat.0.len());
    for (index, word) in (0u32..).zip(&repeat.0) {
        let name = match fill(&entry.key, word) {
            Ok(name) => name,
            Err(message) => {
                cx.error(entry.key_span, message, None);
                return items;
            }
        };
        let mut node = plain.clone();
        fill_texts(cx, &mut node, word, keep);
        let shift = Shift { index, step: section.step };
        items.push(Item { name: name.into(), key_span: entry.key_span, node, shift });
    }
    items
}

fn fill_texts(cx: &Context<'_>, node: &mut Node, word: &str, keep: &str) {
    let Kind::Map(entries) = &mut node.kind else { return };
    for entry in entries.iter_mut().filter(|entry| &*entry.key != keep) {
        entry.value.for_each_scalar(&mut |span, scalar| {
            if !scalar.text.contains("{n") {
                return;
            }
            match fill(&scalar.text, word) {
                Ok(text) => {
                    scalar.text = text.into();
                    scalar.verbatim_at = None;
                }
                Err(message) => cx.error(span, message, None),
            }
        });
    }
}

/// Replaces `{n}` and `{n:02}`.
fn fill(text: &str, word: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + word.len());
    let mut rest = text;
    while let Some(at) = rest.find("{n") {
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or_else(|| format!("`{{n` in `{text}` has no closing `}}`"))?;
        match &inside[..end] {
            "" => out.push_str(word),
            digits => out.push_str(&padded(word, digits).ok_or_else(|| {
                format!("`{{n{digits}}}` is no placeholder; write {{n}}, or {{n:02}} for two digits")
            })?),
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `:02` and the like; at most nine digits, and only for numbers.
fn padded(word: &str, form: &str) -> Option<String> {
    let width: usize = form.strip_prefix(":0")?.parse().ok().filter(|width| (1..=9).contains(width))?;
    word.parse::<u32>().ok().map(|number| format!("{number:0width$}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(fill("ai{n}-{n:02}", "7"), Ok("ai7-07".into()));
        assert_eq!(fill("{n}", "north"), Ok("north".into()));
        assert_eq!(fill("{x}", "7"), Ok("{x}".into()));
        assert!(fill("{n:2}", "7").unwrap_err().contains("{n:02}"));
        assert!(fill("{n:02}", "north").is_err() && fill("{n", "7").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*|[{}n:0-9]*", word in ".*") {
            let _ = fill(&text, &word);
        }
    }
}
