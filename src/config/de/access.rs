//! How serde walks through the maps, lists and choices of a tree.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::node::{Entry, Node};
use super::super::scalar::ScalarDe;
use super::{De, DeError};

/// The entries of a map, one after the other; those that failed before are left out.
pub(super) struct Entries<'a, I> {
    pub(super) de: De<'a>,
    pub(super) entries: I,
    pub(super) value: Option<&'a Entry>,
}

impl<'a, I: Iterator<Item = &'a Entry>> MapAccess<'a> for Entries<'a, I> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let de = self.de;
        let Some(entry) = self.entries.by_ref().find(|entry| !de.has_failed(&entry.value)) else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key = ScalarDe { text: &entry.key, plain: true };
        seed.deserialize(key).map(Some).map_err(|error| de.fail(&entry.value, error, entry.key_span))
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, DeError> {
        let Some(entry) = self.value.take() else {
            return Err(DeError::text("a value without a key"));
        };
        seed.deserialize(De { node: &entry.value, cx: self.de.cx })
            .map_err(|error| self.de.fail(&entry.value, error, entry.value.span))
    }
}

/// The items of a list; those that failed before are left out.
pub(super) struct Items<'a> {
    pub(super) de: De<'a>,
    pub(super) items: &'a [Node],
    pub(super) next: usize,
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = DeError;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DeError> {
        while let Some(item) = self.items.get(self.next) {
            self.next += 1;
            if self.de.has_failed(item) {
                continue;
            }
            let result = seed.deserialize(De { node: item, cx: self.de.cx });
            return result.map(Some).map_err(|error| self.de.fail(item, error, item.span));
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// A map of one entry as a choice with its settings.
#[derive(Clone, Copy)]
pub(super) struct Variant<'a> {
    pub(super) de: De<'a>,
    pub(super) entry: &'a Entry,
}

impl<'a> de::EnumAccess<'a> for Variant<'a> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<(S::Value, Self), DeError> {
        let name = seed.deserialize(ScalarDe { text: &self.entry.key, plain: true })?;
        Ok((name, self))
    }
}

impl<'a> de::VariantAccess<'a> for Variant<'a> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        if self.entry.value.is_null() {
            return Ok(());
        }
        Err(DeError::text(format!("`{}` takes no value", self.entry.key)))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, DeError> {
        seed.deserialize(De { node: &self.entry.value, cx: self.de.cx })
    }

    fn tuple_variant<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, DeError> {
        De { node: &self.entry.value, cx: self.de.cx }.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        De { node: &self.entry.value, cx: self.de.cx }.deserialize_struct("", fields, visitor)
    }
}
