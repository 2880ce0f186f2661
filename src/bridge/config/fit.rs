//! How messages are made to fit a broker that takes few, short or shallow ones.
//!
//! Absent: the forms themselves (`batch`, `split`).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::units::ByteSize;

/// Several messages in one: `{ messages: 100, bytes: 64KiB }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BatchConfig {
    /// The most messages of one batch.
    #[schemars(range(min = 2, max = 10_000))]
    pub messages: u16,
    /// The most bytes of one batch; never more than the broker takes.
    pub bytes: ByteSize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { messages: 100, bytes: ByteSize(64 << 10) }
    }
}

impl BatchConfig {
    /// What is wrong, one sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(2..=10_000).contains(&self.messages) {
            problems.push("batch: `messages` must be 2 … 10000".into());
        }
        if !(1 << 10..=16 << 20).contains(&self.bytes.0) {
            problems.push("batch: `bytes` must be 1KiB … 16MiB".into());
        }
        problems
    }
}

/// What becomes of a message that is larger than the broker takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Oversize {
    /// It goes to the dead-letter topic.
    #[default]
    DeadLetter,
    /// It is sent in parts, which a consumer puts together again.
    Split,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_sane_sizes() {
        let problems = |yaml: &str| serde_yaml::from_str::<BatchConfig>(yaml).unwrap().problems().join("; ");
        assert_eq!(problems("{}"), "");
        assert_eq!(problems("{ messages: 10, bytes: 128KiB }"), "");
        assert!(problems("{ messages: 1 }").contains("2 … 10000"));
        assert!(problems("{ bytes: 10 }").contains("1KiB … 16MiB"));
        assert_eq!(serde_yaml::from_str::<Oversize>("split").unwrap(), Oversize::Split);
    }
}
