//! What waits for the upstream broker, and how it is sent after an outage.
//!
//! Absent: the log that holds it (`backlog`).

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::url::read_from_text;
use crate::journal::Level;
use crate::model::units::{ByteSize, Period};

/// What waits for the upstream broker: `{ size: 2GiB, age: 30d, on-full: drop-oldest }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Buffer {
    /// Where it lies, an absolute path; `bridges/<name>` in the service's state directory when nothing is said. Where there is none either, what waits is in memory and ends with the program.
    pub directory: Option<PathBuf>,
    /// When a message counts as kept: `process` when it survives the end of the program, `power` when it survives a power cut, too. Only what is kept is sent.
    pub durability: Level,
    /// Time between two syncs at `power`, which spares the flash memory: what is published waits so long at most before it
    /// is acknowledged and sent; alarms do not wait. With 0 a sync begins as soon as the last has ended.
    pub sync_interval: Period,
    /// How many bytes may wait.
    pub size: ByteSize,
    /// How long a message may wait; older ones are dropped and declared as a gap.
    pub age: Period,
    /// What happens when `size` is reached.
    pub on_full: OnFull,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            directory: None,
            durability: Level::Process,
            sync_interval: Period::from_secs(0),
            size: ByteSize(1 << 30),
            age: Period::from_secs(30 * 86_400),
            on_full: OnFull::DropOldest,
        }
    }
}

/// What happens when the buffer is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// The oldest messages are dropped and declared as a gap.
    #[default]
    DropOldest,
    /// New messages are not taken: MQTT 5 publishers are told that the quota is exceeded, and what other publishers lose is declared as a gap.
    Refuse,
    /// From half full on, only every second message of a topic is taken, later every fourth, eighth …; what is left out is declared as a gap. When all is full, the oldest go.
    Thin,
}

/// What is sent first after an outage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backfill {
    /// All in the order in which it was published.
    #[default]
    OldestFirst,
    /// What is published from the return of the link on goes at once; what waited follows beside it, marked as historical.
    LiveFirst(LiveFirst),
}

/// How what waited is sent beside what is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LiveFirst {
    /// The most messages per second that are sent of what waited.
    pub rate: Rate,
}

/// Messages per second: `500/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_suffix("/s").map(str::trim);
        let rate =
            number.and_then(|number| number.parse().ok()).filter(|rate| (1..=1_000_000).contains(rate));
        rate.map(Self).ok_or_else(|| format!("`{text}` is no rate; write messages per second, such as 500/s"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

read_from_text!(Rate, "Rate", r"^\d+\s*/s$", "Messages per second, such as 500/s.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_read_as_written() {
        let buffer: Buffer = serde_yaml::from_str("{ size: 2GiB, on-full: thin }").unwrap();
        assert_eq!(
            (buffer.size.0, buffer.on_full, buffer.age),
            (2 << 30, OnFull::Thin, Period::from_secs(2_592_000))
        );
        assert_eq!(serde_yaml::from_str::<Backfill>("oldest-first").unwrap(), Backfill::OldestFirst);
        let live = serde_yaml::from_str::<Backfill>("live-first: { rate: 500/s }").unwrap();
        assert_eq!(live, Backfill::LiveFirst(LiveFirst { rate: Rate(500) }));
        for wrong in ["500", "0/s", "x/s", "2000000/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        assert_eq!(Rate(7).to_string().parse(), Ok(Rate(7)));
    }
}
