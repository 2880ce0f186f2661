//! What is on its way upstream, and what cannot go there.
//!
//! Pure. Absent: how it is made (`prepare`).

use super::backlog::Place;
use super::lane::Lane;
use super::sequence::Gap;

/// Something in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its number; of a gap: the first number that is missing.
    pub(crate) seq: u64,
    /// The place behind it.
    pub(crate) after: Place,
    /// Which way it goes.
    pub(crate) lane: Lane,
    /// The local topic, for the dead-letter topic.
    pub(crate) local: Box<str>,
    /// Topic upstream.
    pub(crate) topic: Box<str>,
    /// Payload upstream.
    pub(crate) payload: Box<[u8]>,
    /// Encoded properties (5.0).
    pub(crate) properties: Box<[u8]>,
    /// Message expiry interval in seconds (5.0).
    pub(crate) expiry_s: Option<u32>,
    /// 0 or 1.
    pub(crate) qos: u8,
    /// Retain flag.
    pub(crate) retain: bool,
    /// What it carries.
    pub(crate) load: Load,
    /// The last gap that it declares.
    pub(crate) gap: Option<Gap>,
}

/// How much something in the window carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Messages that end with it: several in a batch, none in a part that others follow.
    pub(crate) messages: u64,
    /// Payload bytes.
    pub(crate) bytes: u64,
    /// Gaps that it declares.
    pub(crate) gaps: u64,
    /// How many numbers they miss.
    pub(crate) missing: u64,
}

impl Load {
    /// Adds another one.
    pub(crate) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.gaps += more.gaps;
        self.missing += more.missing;
    }
}

impl Outgoing {
    /// Whether it declares a gap and carries nothing else.
    pub(crate) fn is_gap(&self) -> bool {
        self.load.gaps > 0 && self.load.messages == 0
    }
}

/// What becomes of an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It is sent.
    Send(Outgoing),
    /// It is sent in these parts, in this order.
    Parts(Vec<Outgoing>),
    /// The message cannot be sent: it goes to the dead-letter topic, and its number is declared.
    Dead(DeadLetter, Outgoing),
    /// No rule forwards it any longer, or it cannot be read: nothing is sent, and its number is declared.
    Unwanted(Outgoing),
}

/// A message that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Its number.
    pub(crate) seq: u64,
    /// The local topic.
    pub(crate) topic: Box<str>,
    /// The payload.
    pub(crate) payload: Box<[u8]>,
    /// Why, in words.
    pub(crate) reason: String,
}
