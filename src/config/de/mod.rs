//! A located tree read into typed sections, recording every mistake and not only the first.
//!
//! A section's unknown keys are recorded and left out. When a value does not fit, its node is marked and
//! the section is read again without it, until nothing new is found. Invariant: whatever is left out of a
//! section is recorded as a mistake.

mod access;
mod error;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use access::{Entries, Items, Variant};
pub(super) use error::DeError;

use super::context::Context;
use super::node::{Entry, Kind, Node};
use super::scalar::ScalarDe;
use super::source::Span;
use super::suggest::{advice, nearest};

/// Reads a section. `None` when a value in it is wrong; all that is wrong is recorded then.
pub(super) fn read<T: DeserializeOwned>(cx: &Context<'_>, node: &Node) -> Option<T> {
    match read_rest(cx, node) {
        (value, true) => value,
        (_, false) => None,
    }
}

/// Reads a section and leaves out what is wrong in it, so that the rest can be checked further. Tells
/// whether nothing was left out.
pub(super) fn read_rest<T: DeserializeOwned>(cx: &Context<'_>, node: &Node) -> (Option<T>, bool) {
    loop {
        let failed_before = cx.failed.borrow().len();
        let result = T::deserialize(De { node, cx });
        let failed_after = cx.failed.borrow().len();
        match result {
            Ok(value) => {
                cx.failed.borrow_mut().clear();
                return (Some(value), failed_after == 0);
            }
            Err(error) if failed_after == failed_before => {
                error.settle(cx, node.span);
                cx.failed.borrow_mut().clear();
                return (None, false);
            }
            Err(_) => {}
        }
    }
}

/// A node on its way into a type.
#[derive(Clone, Copy)]
pub(super) struct De<'a> {
    node: &'a Node,
    cx: &'a Context<'a>,
}

/// The standard library's words for what it parses say little to somebody who edits a file.
fn in_plain_words(error: DeError, node: &Node) -> DeError {
    match &error {
        DeError::Text(message, None) if message == "invalid socket address syntax" => {
            let text = node.text().unwrap_or_default();
            DeError::text(format!("`{text}` is not an address with a port"))
                .with_help("write address and port: 127.0.0.1:PORT for this machine only, 0.0.0.0:PORT for every interface")
        }
        _ => error,
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl<'a> De<'a> {
    fn scalar<T>(
        self,
        wanted: &str,
        read: impl FnOnce(ScalarDe<'a>) -> Result<T, DeError>,
    ) -> Result<T, DeError> {
        let result = match &self.node.kind {
            Kind::Scalar(_) if self.node.is_null() => {
                Err(DeError::text(format!("{wanted} is missing")).with_help("give a value or remove the key"))
            }
            Kind::Scalar(scalar) => read(ScalarDe { text: &scalar.text, plain: scalar.plain }),
            _ => Err(DeError::text(format!("{wanted} is needed here, not {}", self.node.kind_word()))),
        };
        result.map_err(|error| in_plain_words(error, self.node).settle(self.cx, self.node.span))
    }

    /// Marks a part as failed, so that the next reading leaves it out.
    fn fail(self, part: &Node, error: DeError, span: Span) -> DeError {
        let error = error.settle(self.cx, span);
        self.cx.failed.borrow_mut().insert(address(part));
        error
    }

    fn has_failed(self, part: &Node) -> bool {
        self.cx.failed.borrow().contains(&address(part))
    }

    /// Settles what a visitor said of a whole map or list; silent when parts of it were left out.
    fn whole<T>(
        self,
        result: Result<T, DeError>,
        parts: impl Iterator<Item = &'a Node>,
    ) -> Result<T, DeError> {
        result.map_err(|error| {
            let incomplete = parts.into_iter().any(|part| self.has_failed(part));
            if incomplete { DeError::Recorded } else { error.settle(self.cx, self.node.span) }
        })
    }

    fn entries(self, wanted: &str) -> Result<&'a [Entry], DeError> {
        match &self.node.kind {
            Kind::Map(entries) => Ok(entries),
            _ if self.node.is_null() => Ok(&[]),
            _ => Err(DeError::text(format!("{wanted} are needed here, not {}", self.node.kind_word()))
                .settle(self.cx, self.node.span)),
        }
    }

    fn list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        let Kind::List(items) = &self.node.kind else {
            let found = self.node.kind_word();
            return Err(DeError::text(format!("a list is needed here, not {found}"))
                .with_help("write it as [first, second]")
                .settle(self.cx, self.node.span));
        };
        let access = Items { de: self, items, next: 0 };
        self.whole(visitor.visit_seq(access), items.iter())
    }
}

macro_rules! scalars {
    ($($method:ident $wanted:literal),* $(,)?) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
            self.scalar($wanted, |scalar| scalar.$method(visitor))
        }
    )*};
}

impl<'a> Deserializer<'a> for De<'a> {
    type Error = DeError;

    scalars! {
        deserialize_bool "on or off", deserialize_char "a character", deserialize_str "a text",
        deserialize_string "a text", deserialize_u8 "a number", deserialize_u16 "a number",
        deserialize_u32 "a number", deserialize_u64 "a number", deserialize_i8 "a number",
        deserialize_i16 "a number", deserialize_i32 "a number", deserialize_i64 "a number",
        deserialize_f32 "a number", deserialize_f64 "a number", deserialize_identifier "a word",
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.kind {
            Kind::Scalar(_) if self.node.is_null() => visitor.visit_unit(),
            Kind::Scalar(_) => self.scalar("a value", |scalar| scalar.deserialize_any(visitor)),
            Kind::List(_) => self.list(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match super::secret::resolve(name, self.cx, self.node) {
            Some(text) => {
                let text = text.map_err(|error| error.settle(self.cx, self.node.span))?;
                visitor.visit_newtype_struct(ScalarDe { text: &text, plain: false })
            }
            None => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.kind {
            Kind::List(items) if items.len() != length => {
                let found = items.len();
                Err(DeError::text(format!("a list of {length} values is needed here, not of {found}"))
                    .settle(self.cx, self.node.span))
            }
            _ => self.list(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        let entries = self.entries("keys with values")?;
        let access = Entries { de: self, entries: entries.iter(), value: None };
        self.whole(visitor.visit_map(access), entries.iter().map(|entry| &entry.value))
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let entries = self.entries("keys with values")?;
        report_unknown(self.cx, entries, fields);
        let known: Vec<&Entry> = entries.iter().filter(|entry| fields.contains(&&*entry.key)).collect();
        let access = Entries { de: self, entries: known.into_iter(), value: None };
        let result = visitor.visit_map(access).map_err(|error| match error {
            DeError::Missing(key) if misspelt(entries, key, fields) => DeError::Recorded,
            other => other,
        });
        self.whole(result, entries.iter().map(|entry| &entry.value))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.node.kind {
            Kind::Map(entries) => match entries.as_slice() {
                [entry] if variants.contains(&&*entry.key) => {
                    let result = visitor.visit_enum(Variant { de: self, entry });
                    result.map_err(|error| self.fail(&entry.value, error, entry.value.span))
                }
                [entry] => Err(<DeError as de::Error>::unknown_variant(&entry.key, variants)
                    .settle(self.cx, entry.key_span)),
                _ => Err(DeError::text(format!(
                    "exactly one of these is needed here: {}",
                    variants.join(", ")
                ))
                .settle(self.cx, self.node.span)),
            },
            _ => {
                let wanted = format!("one of {}", variants.join(", "));
                self.scalar(&wanted, |scalar| scalar.deserialize_enum("", variants, visitor))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'a>>
        i128 u128 bytes byte_buf unit_struct tuple_struct
    }
}

/// Whether an unknown key was probably meant to be this one, so that it is not missing but misspelt.
pub(super) fn misspelt(entries: &[Entry], key: &str, known: &[&str]) -> bool {
    let mut unknown = entries.iter().filter(|entry| !known.contains(&&*entry.key));
    unknown.any(|entry| nearest(&entry.key, known.iter().copied()) == Some(key))
}

/// Records every key that is not among the known ones.
pub(super) fn report_unknown(cx: &Context<'_>, entries: &[Entry], known: &[&str]) {
    for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
        let help = advice(&entry.key, known.iter().copied());
        cx.error(entry.key_span, format!("unknown key `{}`", entry.key), help);
    }
}
