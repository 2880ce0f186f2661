//! The word under a channel's name, before it is known what stands under the word.

use std::fmt;

use serde::de::{Deserialize, Deserializer, EnumAccess, IgnoredAny, VariantAccess, Visitor};

/// One of the words of all drivers.
pub(super) struct Word(pub(super) String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("ChannelSection", super::words(), WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a driver with its settings")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Word, A::Error> {
        let (word, settings) = data.variant::<String>()?;
        // Its driver reads them.
        settings.newtype_variant::<IgnoredAny>()?;
        Ok(Word(word))
    }
}
