//! The window of messages on their way: sent in order, acknowledged in any order, passed in order.
//!
//! Pure: knows neither sockets nor clocks. The network session is always a new one, so after a broken link everything
//! that was not acknowledged is sent again, in order. Invariants: at most `limit` entries; what is passed
//! ([`Window::pass`]) is contiguous and acknowledged; nothing is sent before everything in front of it was sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packet identifiers of messages are 1 to this; those above are for subscriptions.
pub(crate) const LAST_ID: u16 = 60_000;

/// How often the front may fail without any acknowledgement before it is looked at alone.
pub(crate) const SUSPECT_AFTER: u32 = 5;

/// How often the front may fail alone, on a link that was just proven to work, before it is given up.
pub(crate) const STRIKES: u32 = 5;

/// How many acknowledgement timeouts a single message may outlast while others are acknowledged.
const STUCK_FACTOR: u32 = 5;

/// What is on its way.
#[derive(Debug)]
struct Entry<T> {
    content: T,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not sent on this connection.
    Waiting,
    /// Sent, not acknowledged.
    Sent(Instant),
    /// Acknowledged, or given up.
    Done,
}

/// The window.
#[derive(Debug)]
pub(crate) struct Window<T> {
    entries: VecDeque<Entry<T>>,
    limit: usize,
    /// What the broker of this connection takes.
    granted: usize,
    /// Packet identifier of the front entry.
    front_id: u16,
    /// How many entries at the front were sent on this connection, or need not be.
    sent: usize,
    in_flight: usize,
    last_ack: Option<Instant>,
    acks_on_link: u64,
    fruitless: u32,
    strikes: u32,
}

impl<T> Window<T> {
    /// An empty window of at most `limit` entries.
    pub(crate) fn new(limit: u16) -> Self {
        let limit = usize::from(limit.clamp(1, LAST_ID / 2));
        Self {
            entries: VecDeque::new(),
            limit,
            granted: limit,
            front_id: 1,
            sent: 0,
            in_flight: 0,
            last_ack: None,
            acks_on_link: 0,
            fruitless: 0,
            strikes: 0,
        }
    }

    /// Whether one more entry fits.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < self.limit
    }

    /// Whether one more entry fits that should leave half of the window to others.
    pub(crate) fn has_room_for_older(&self) -> bool {
        self.entries.len() < (self.granted / 2).max(1)
    }

    /// How many entries there are; passed ones not counted.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Messages sent and not acknowledged.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Adds an entry behind all others; the caller asked [`Self::has_room`].
    pub(crate) fn push(&mut self, content: T) {
        debug_assert!(self.has_room());
        self.entries.push_back(Entry { content, state: State::Waiting });
    }

    /// A connection is up that takes `granted` unacknowledged messages.
    pub(crate) fn connected(&mut self, granted: u16) {
        self.granted = usize::from(granted.max(1)).min(self.limit);
        self.acks_on_link = 0;
        self.last_ack = None;
    }

    /// Whether the front is suspected: it is then sent alone, behind a proof that the link works.
    pub(crate) fn suspects_front(&self) -> bool {
        self.fruitless >= SUSPECT_AFTER && !self.entries.is_empty()
    }

    /// The next entry to send, and the identifier to send it under.
    pub(crate) fn next_to_send(&mut self) -> Option<(u16, &mut T)> {
        while self.entries.get(self.sent).is_some_and(|entry| entry.state != State::Waiting) {
            self.sent += 1;
        }
        let most = if self.suspects_front() { 1 } else { self.granted };
        if self.in_flight >= most || self.sent >= self.entries.len() {
            return None;
        }
        let id = id_at(self.front_id, self.sent);
        Some((id, &mut self.entries.get_mut(self.sent)?.content))
    }

    /// The entry that [`Self::next_to_send`] named was sent and awaits its acknowledgement.
    pub(crate) fn mark_sent(&mut self, now: Instant) {
        if let Some(entry) = self.entries.get_mut(self.sent) {
            entry.state = State::Sent(now);
            self.sent += 1;
            self.in_flight += 1;
        }
    }

    /// The entry that [`Self::next_to_send`] named is done without an acknowledgement: sent at QoS 0, or not to be sent.
    pub(crate) fn mark_done(&mut self) {
        if let Some(entry) = self.entries.get_mut(self.sent) {
            entry.state = State::Done;
            self.sent += 1;
        }
    }

    /// An acknowledgement came. Returns what it is for; `None` when nothing in flight has this identifier.
    pub(crate) fn acknowledge(&mut self, id: u16, now: Instant) -> Option<&T> {
        let index = index_of(self.front_id, id)?;
        let entry = self.entries.get_mut(index).filter(|entry| matches!(entry.state, State::Sent(_)))?;
        entry.state = State::Done;
        self.in_flight -= 1;
        self.last_ack = Some(now);
        self.acks_on_link += 1;
        (self.fruitless, self.strikes) = (0, 0);
        Some(&entry.content)
    }

    /// What the broker has just acknowledged by a refusal is sent once more as something else, in its place.
    pub(crate) fn send_instead(&mut self, id: u16, content: T) {
        if let Some(index) = index_of(self.front_id, id) {
            self.replace(index, content);
        }
    }

    /// Something else is sent in the place of the front.
    pub(crate) fn replace_front(&mut self, content: T) {
        self.replace(0, content);
    }

    fn replace(&mut self, index: usize, content: T) {
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry { content, state: State::Waiting };
            self.sent = self.sent.min(index);
        }
    }

    /// Takes the front away once it is done.
    pub(crate) fn pass(&mut self) -> Option<T> {
        if self.entries.front()?.state != State::Done {
            return None;
        }
        self.sent = self.sent.saturating_sub(1);
        self.front_id = id_at(self.front_id, 1);
        self.entries.pop_front().map(|entry| entry.content)
    }

    /// When the link counts as dead unless an acknowledgement comes.
    pub(crate) fn ack_deadline(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.entries.iter().find_map(|entry| match entry.state {
            State::Sent(at) => Some(at),
            _ => None,
        })?;
        let progress = self.last_ack.map_or(oldest, |ack| ack.max(oldest)) + timeout;
        Some(progress.min(oldest + timeout * STUCK_FACTOR))
    }

    /// The link is gone: what was not acknowledged waits to be sent again. `proven` tells that the broker had been
    /// heard behind the front and still did not acknowledge it. Returns whether the front should be given up, by
    /// [`Self::replace_front`].
    pub(crate) fn disconnected(&mut self, proven: bool) -> bool {
        let had_sent = self.in_flight > 0;
        if had_sent && self.acks_on_link == 0 {
            if self.suspects_front() && proven {
                self.strikes += 1;
            }
            self.fruitless = self.fruitless.saturating_add(1);
        }
        for entry in &mut self.entries {
            if let State::Sent(_) = entry.state {
                entry.state = State::Waiting;
            }
        }
        (self.sent, self.in_flight, self.acks_on_link) = (0, 0, 0);
        if self.strikes < STRIKES {
            return false;
        }
        (self.strikes, self.fruitless) = (0, 0);
        true
    }

    /// The content of the front.
    pub(crate) fn front(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.content)
    }
}

/// The identifier `offset` entries behind `front`.
fn id_at(front: u16, offset: usize) -> u16 {
    let zero_based = (usize::from(front) - 1 + offset) % usize::from(LAST_ID);
    zero_based as u16 + 1
}

/// How far behind `front` an identifier lies.
fn index_of(front: u16, id: u16) -> Option<usize> {
    let (front, id, all) = (usize::from(front), usize::from(id), usize::from(LAST_ID));
    (1..=all).contains(&id).then(|| (id + all - front) % all)
}

#[cfg(test)]
mod tests;
