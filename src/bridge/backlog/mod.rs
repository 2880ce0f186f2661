//! What waits for an upstream broker: numbered messages behind a cursor.
//!
//! The bridge knows this trait and not where the messages lie: in memory (`memory`), or in a log on the disk.
//! Invariants: numbers grow by one; a reader is given everything from its place on, in order, and where something is
//! missing, a [`What::Gap`] that says which numbers and why; the cursor only grows.

mod gauge;
mod journal;
mod memory;

use std::io;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use journal::Journal;
pub(crate) use memory::Memory;

use super::config::Buffer;
use super::sequence::{StreamId, Why};
use crate::clock::Clock;
use crate::journal::{Level, Waiting};

/// Opens the backlog in a directory, or makes one in memory.
pub(crate) fn open(
    directory: Option<&Path>,
    limits: &Buffer,
    clock: &Clock,
) -> Result<Arc<dyn Backlog>, BufferError> {
    let stream = StreamId(fastrand::u64(1..));
    match directory {
        Some(directory) => Ok(Arc::new(Journal::open(directory, limits, stream, clock)?)),
        None => Ok(Arc::new(Memory::new(stream, limits.clone(), clock.clone()))),
    }
}

/// Why a buffer cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BufferError(String);

/// A place in a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Where the next record lies; its meaning is the backlog's.
    pub(crate) position: u64,
    /// The number of the next message, from 1 on.
    pub(crate) seq: u64,
}

/// Something that a reader came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its number; of a gap: the first number that is missing.
    pub(crate) seq: u64,
    /// The place behind it.
    pub(crate) after: Place,
    /// What it is.
    pub(crate) what: What,
}

/// What lies at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A message, as `record` encodes it.
    Message(Vec<u8>),
    /// So many numbers are missing.
    Gap(u64, Why),
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the oldest was taken in, by the wall clock, in microseconds since 1970.
    pub oldest_us: Option<i64>,
}

/// The backlog takes nothing now: it is full, or its disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is full")]
pub(crate) struct Full;

/// Waits for something to read.
pub(crate) type Arrival = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where messages wait.
pub(crate) trait Backlog: Send + Sync {
    /// The stream that its numbers belong to.
    fn stream(&self) -> StreamId;

    /// Takes in a message and returns its place. `urgent`: the sync that its durability needs does not wait.
    fn append(&self, bytes: &[u8], urgent: bool) -> Result<Place, Full>;

    /// A place where one task waits until what was taken in is as durable as the buffer's level; `None`: it is in memory.
    fn waiting(&self) -> Option<(Waiting, Level)> {
        None
    }

    /// Counts messages that were not taken in. `even_when_full` for what must not be forgotten: it is small.
    fn leave_out(&self, count: u64, why: Why, even_when_full: bool) -> Result<(), Full>;

    /// Where the bridge goes on: everything before it was acknowledged.
    fn cursor(&self) -> Place;

    /// Everything before this place was acknowledged or declared.
    fn pass(&self, place: Place);

    /// The place behind the last message.
    fn end(&self) -> Place;

    /// Reads on from a place.
    fn reader(&self, from: Place) -> Box<dyn Reader>;

    /// How much waits.
    fn depth(&self) -> Depth;

    /// How full it is, 0 to 1.
    fn fullness(&self) -> f64;

    /// Ends once something can be read at this place or behind it.
    fn arrived(&self, from: Place) -> Arrival;

    /// Called now and then, where it may wait for the disk.
    fn maintain(&self) {}
}

/// Reads a backlog in order.
pub(crate) trait Reader: Send {
    /// What lies next; `None`: nothing yet.
    fn next(&mut self) -> io::Result<Option<Item>>;

    /// The place of what is read next.
    fn place(&self) -> Place;
}
