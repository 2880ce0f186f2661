//! A YAML document as a tree in which every part knows its place.
//!
//! Scalars keep the text as it was written; what `1.10`, `on` or `0x10` mean is decided by the type that
//! reads them. Invariant: the keys of a map are scalars and differ from each other.

use std::sync::Arc;

use super::source::Span;

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Text, a number, a truth or nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys with values.
    Map(Vec<Entry>),
}

/// A scalar.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// The text, with `${NAME}` already replaced.
    pub text: Arc<str>,
    /// Written without quotes.
    pub plain: bool,
    /// The byte within the span where the text begins, when the source holds it letter by letter.
    pub verbatim_at: Option<u32>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where the key stands.
    pub key_span: Span,
    /// The key.
    pub key: Arc<str>,
    /// The value.
    pub value: Node,
}

impl Entry {
    /// Where a value is written, by the way of keys to it, as far as that is there; or else where the entry's own key stands.
    pub(super) fn place(&self, keys: &[&str]) -> Span {
        let mut place = (&self.value, self.key_span);
        for key in keys {
            let Some(value) = place.0.get(key) else { break };
            place = (value, value.span);
        }
        place.1
    }
}

impl Node {
    /// A scalar made by the program, standing at `span`.
    #[must_use]
    pub(super) fn scalar(span: Span, text: &str) -> Self {
        let scalar = Scalar { text: text.into(), plain: true, verbatim_at: None };
        Self { span, kind: Kind::Scalar(scalar) }
    }

    /// A map of these entries, standing at `span`.
    #[must_use]
    pub(super) fn map(span: Span, entries: Vec<Entry>) -> Self {
        Self { span, kind: Kind::Map(entries) }
    }

    /// The scalar's text.
    #[must_use]
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The entries of a map; none for anything else.
    #[must_use]
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of this key.
    #[must_use]
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// The value of this key.
    #[must_use]
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Where the value of the first of these keys that is there stands.
    #[must_use]
    pub(super) fn span_of(&self, keys: &[&str]) -> Option<Span> {
        keys.iter().find_map(|key| self.get(key)).map(|node| node.span)
    }

    /// Whether nothing is written: `key:`, `~` or `null`.
    #[must_use]
    pub(super) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.plain && matches!(&*scalar.text, "" | "~" | "null"),
            _ => false,
        }
    }

    /// What it is, for people.
    #[must_use]
    pub(super) fn kind_word(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(_) if self.is_null() => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "keys with values",
        }
    }

    /// The place of a part of the scalar's text, in bytes; the whole place when the source differs from it.
    #[must_use]
    pub(super) fn part(&self, start: usize, end: usize) -> Span {
        match &self.kind {
            Kind::Scalar(Scalar { verbatim_at: Some(at), .. }) => {
                self.span.part(*at as usize + start, *at as usize + end)
            }
            _ => self.span,
        }
    }

    /// The map without the entries of these keys.
    pub(super) fn remove(&mut self, keys: &[&str]) {
        if let Kind::Map(entries) = &mut self.kind {
            entries.retain(|entry| !keys.contains(&&*entry.key));
        }
    }

    /// Puts an entry in the place of the one with its key, or at the end.
    pub(super) fn put(&mut self, entry: Entry) {
        if let Kind::Map(entries) = &mut self.kind {
            match entries.iter_mut().find(|old| old.key == entry.key) {
                Some(old) => *old = entry,
                None => entries.push(entry),
            }
        }
    }

    /// Changes every scalar below, keys excepted.
    pub(super) fn for_each_scalar(&mut self, change: &mut impl FnMut(Span, &mut Scalar)) {
        match &mut self.kind {
            Kind::Scalar(scalar) => change(self.span, scalar),
            Kind::List(items) => items.iter_mut().for_each(|item| item.for_each_scalar(change)),
            Kind::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.for_each_scalar(change)),
        }
    }
}
