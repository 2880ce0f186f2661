//! What a log is told when it is opened, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Longest time between two syncs that a configuration may ask for: acknowledgements wait as long.
pub const MAX_SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// How durable something must be before it counts as done.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is waited for.
    None,
    /// Handed to the system: survives the end of the process in any way.
    #[default]
    Process,
    /// Synced to the disk: survives a power cut.
    Power,
}

/// What happens when a limit is reached, or the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// What comes is refused.
    #[default]
    Refuse,
    /// The oldest segment goes; readers that were not past it are told of the gap.
    DropOldest,
}

/// How a log behaves. Every limit has a counter in [`Stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Up to which mark readers read: what they have seen is never taken back. With `Power`, records that a
    /// power cut takes are records that nobody saw.
    pub readers: Level,
    /// Shortest time between two syncs, for flash; urgent appends do not wait for it. Zero: none.
    pub sync_interval: Duration,
    /// Size from which on a segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// Records are packed and compressed before they are written: less wear, and after damage in the middle of a
    /// segment more records missing.
    pub pack: bool,
    /// Bytes of all segments together.
    pub max_bytes: u64,
    /// Age at which segments go, whoever still reads them; `None`: never.
    pub max_age: Option<Duration>,
    /// What happens beyond `max_bytes`, or when the disk is full.
    pub on_full: OnFull,
    /// Bytes that may wait to be written. What comes beyond is refused, whatever it is. From an eighth of it on the log
    /// counts as crowded.
    pub max_pending_bytes: usize,
    /// Bytes written and not synced, from which on they are synced unasked: they are kept in memory until
    /// then, to be written again if the sync fails.
    pub max_unsynced_bytes: usize,
    /// Which boot of the machine this is; another one than a file's: the power may have failed since.
    pub boot: [u8; 16],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: Level::Process,
            sync_interval: Duration::ZERO,
            segment_bytes: 16 << 20,
            pack: true,
            max_bytes: 1 << 30,
            max_age: None,
            on_full: OnFull::Refuse,
            max_pending_bytes: 8 << 20,
            max_unsynced_bytes: 4 << 20,
            boot: boot_id(),
        }
    }
}

/// The system's name for this boot; zeros where it has none, which counts as one long boot.
fn boot_id() -> [u8; 16] {
    let mut id = [0; 16];
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let value = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = value.unwrap_or_default();
    }
    id
}

/// Size of a page of the system, for the estimate of what a disk writes.
const PAGE: u64 = 4096;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The live counters.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        /// What the log has done since it was opened, and how it stands.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Bytes of all segments now.
            pub bytes: u64,
            /// Segments now.
            pub segments: u64,
            /// Position of the last record appended.
            pub last: u64,
            /// Position of the last record written.
            pub written: u64,
            /// Position of the last record synced.
            pub synced: u64,
            /// 0: all is well; 1: the disk is full; 2: it fails.
            pub trouble: u64,
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* ..Stats::default() }
            }
        }
    };
}

counters! {
    /// Records appended.
    records,
    /// Bytes of their payloads.
    payload_bytes,
    /// Bytes written to segments, with what surrounds the payloads and what was written again.
    bytes_written,
    /// Bytes written to snapshots.
    snapshot_bytes_written,
    /// What a disk writes for it at least: every page of 4 KiB touched between two syncs counts once.
    page_bytes_written,
    /// Writes.
    writes,
    /// Syncs of segments.
    syncs,
    /// Writes that failed.
    write_failures,
    /// Syncs that failed; what they covered was written again.
    sync_failures,
    /// Appends refused because of `max_bytes`, or because the disk was full.
    refused_full,
    /// Appends refused because the disk failed.
    refused_failing,
    /// Appends refused because too much waited to be written.
    refused_busy,
    /// Segments removed because everybody was past them.
    segments_removed,
    /// Segments removed because of a limit.
    segments_dropped,
    /// Records in those.
    records_dropped,
    /// Removals of files that failed; they are tried again.
    remove_failures,
    /// Gaps that readers were told of.
    gaps_read,
    /// Snapshots written.
    snapshots,
    /// Snapshots that could not be written.
    snapshot_failures,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}

/// Bytes of the pages that lie between two places of a file.
pub(super) fn pages(from: u64, to: u64) -> u64 {
    if to > from { (to.div_ceil(PAGE) - from / PAGE) * PAGE } else { 0 }
}
