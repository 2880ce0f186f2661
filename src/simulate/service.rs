//! From a request frame to an answer frame: what a line and a connection have in common.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::{Frame, Framing};
use super::world::World;

/// The units of one channel, ready to be asked.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// The channel's name.
    pub(super) channel: Arc<str>,
    /// All devices.
    pub(super) world: Arc<World>,
    /// Those of this channel.
    pub(super) units: Range<usize>,
    /// How frames look.
    pub(super) framing: Framing,
    /// Whether it is a line, on which unit 0 is everybody.
    pub(super) is_line: bool,
    /// How long a sound device takes to begin its answer.
    pub(super) delay: Duration,
}

/// An answer as it goes to the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The frame, or what is left of it.
    pub(super) bytes: Vec<u8>,
    /// When it begins, counted from the end of the request.
    pub(super) delay: Duration,
    /// The connection ends here.
    pub(super) hang_up: bool,
}

impl Service {
    /// Asks the unit that the frame is for.
    #[must_use]
    pub(super) fn answer(&self, frame: &Frame, now: Instant) -> Option<Reply> {
        if frame.unit == 0 && self.is_line {
            self.world.broadcast(self.units.clone(), &frame.pdu, now);
            return None;
        }
        let answer = self.world.serve(self.units.clone(), frame.unit, &frame.pdu, now)?;
        let effects = answer.effects;
        let transaction = frame.transaction.wrapping_add(u16::from(effects.wrong_transaction));
        let mut bytes = self.framing.encode(transaction, answer.unit, &answer.pdu, effects.corrupt);
        if effects.cut {
            bytes.truncate(bytes.len() / 2);
        }
        Some(Reply { bytes, delay: self.delay + effects.delay, hang_up: effects.cut })
    }
}
