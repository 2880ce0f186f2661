//! One map that several types read their own keys of: common keys beside a driver's keys.
//!
//! Every driver owns its struct, and none knows the others. Invariant: a key belongs to exactly one of the
//! types that share a map; a test of `drivers` holds that.

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use super::context::Context;
use super::de::{DeError, read, read_rest, report_unknown};
use super::node::{Kind, Node};

/// The keys that a struct reads, as they are written.
pub(super) fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    let _ = T::deserialize(Probe { found: &mut found });
    found
}

/// The words of an enum, as they are written.
pub(super) fn words_of<T: DeserializeOwned>() -> &'static [&'static str] {
    fields_of::<T>()
}

/// Reads those keys of a map that belong to `T`.
pub(super) fn read_part<T: DeserializeOwned>(cx: &Context<'_>, node: &Node) -> Option<T> {
    let fields = fields_of::<T>();
    let own = node.entries().iter().filter(|entry| fields.contains(&&*entry.key)).cloned().collect();
    read(cx, &Node::map(node.span, own))
}

/// As [`read_part`], but what is wrong is left out, so that the rest can be checked further.
pub(super) fn read_part_rest<T: DeserializeOwned>(cx: &Context<'_>, node: &Node) -> Option<T> {
    let fields = fields_of::<T>();
    let own = node.entries().iter().filter(|entry| fields.contains(&&*entry.key)).cloned().collect();
    read_rest(cx, &Node::map(node.span, own)).0
}

/// Records the keys of a map that belong to none of these lists.
pub(super) fn check_keys(cx: &Context<'_>, node: &Node, lists: &[&[&str]]) {
    report_unknown(cx, node.entries(), &lists.concat());
}

/// Whether the node is a map (or nothing); records it when not.
pub(super) fn expect_map(cx: &Context<'_>, node: &Node, what: &str) -> bool {
    if matches!(node.kind, Kind::Map(_)) || node.is_null() {
        return true;
    }
    cx.error(node.span, format!("{what} needs keys with values here, not {}", node.kind_word()), None);
    false
}

/// Learns the field names of a struct or the words of an enum, and gives no value.
struct Probe<'a> {
    found: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, DeError> {
        Err(de::Error::custom("only asked for names"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        *self.found = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        *self.found = words;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}
