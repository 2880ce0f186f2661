//! What a bridge sends and how it takes the answers, apart from sockets.
//!
//! Holds everything that outlives a connection: window, feed, purses, the way in. Invariants: nothing is taken from the
//! backlog before the link is up and the window has room; the cursor follows what was acknowledged without a hole; every
//! message that the broker refuses is put onto the dead-letter topic and its number declared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use std::collections::VecDeque;

use super::backlog::{Arrival, Backlog, Item, Place};
use super::client::error::LinkError;
use super::config::{Config, Version};
use super::deadletter::DeadLetters;
use super::downlink::Downlink;
use super::lane::{Feed, Lane, Next};
use super::outgoing::{DeadLetter, Load, Outgoing, Prepared};
use super::pace::Purse;
use super::prepare::Preparer;
use super::sequence::Gap;
use super::status::Status;
use super::window::Window;
use crate::bridge::client::packet::{self, Welcome};
use crate::broker::codec::{self, PublishHead, QoS, ReasonCode};

/// Bytes that are put together before they are handed to the socket.
const BATCH: usize = 64 << 10;

/// How long reading the backlog rests after an error.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The state of a bridge between its backlog and its connections.
pub(crate) struct Pump {
    backlog: Arc<dyn Backlog>,
    preparer: Preparer,
    window: Window<Outgoing>,
    feed: Feed,
    /// Read from the backlog, and had no place in the batch before it.
    held: Option<(Lane, Item)>,
    /// Further parts of a message whose first one is in the window.
    parts: VecDeque<Outgoing>,
    pub(crate) downlink: Downlink,
    letters: DeadLetters,
    pub(crate) status: Arc<Status>,
    messages: Option<Purse>,
    bytes: Option<Purse>,
    terms: Terms,
    /// How far everything was acknowledged when the cursor was last set.
    passed: Place,
    read_again: Option<Instant>,
    /// A limit on messages or bytes per second holds sending up.
    paced: bool,
}

/// What holds for one connection.
#[derive(Debug, Clone, Copy)]
struct Terms {
    version: codec::Version,
    max_packet: usize,
    max_qos: u8,
    retain: bool,
}

/// What a bridge is made of.
pub(crate) struct Make<'a> {
    pub(crate) config: &'a Config,
    pub(crate) backlog: Arc<dyn Backlog>,
    pub(crate) preparer: Preparer,
    pub(crate) downlink: Downlink,
    pub(crate) letters: DeadLetters,
    pub(crate) status: Arc<Status>,
}

impl Pump {
    /// A pump that goes on at the backlog's cursor.
    pub(crate) fn new(make: Make<'_>) -> Self {
        let Make { config, backlog, preparer, downlink, letters, status } = make;
        let limits = config.limits();
        let passed = backlog.cursor();
        Self {
            preparer,
            window: Window::new(config.window.min(limits.in_flight)),
            feed: Feed::new(&*backlog, config.backfill),
            held: None,
            parts: VecDeque::new(),
            downlink,
            letters,
            status,
            messages: limits.rate.map(|rate| Purse::strict(rate.into(), 1)),
            bytes: limits.bytes_rate.map(|rate| Purse::strict(rate, limits.payload)),
            terms: Terms {
                version: wire(config.version()),
                max_packet: usize::MAX,
                max_qos: 1,
                retain: true,
            },
            passed,
            backlog,
            read_again: None,
            paced: false,
        }
    }

    /// The link is up.
    pub(crate) fn connected(&mut self, welcome: &Welcome) {
        self.terms.max_packet = welcome.max_packet.map_or(usize::MAX, |most| most as usize);
        self.terms.max_qos = welcome.max_qos.unwrap_or(2);
        self.terms.retain = welcome.retain.unwrap_or(true);
        self.window.connected(welcome.receive_maximum.unwrap_or(u16::MAX));
        self.feed.link_up(&*self.backlog);
    }

    /// Whether the message in front is suspected of ending every connection.
    pub(crate) fn suspects_front(&self) -> bool {
        self.window.suspects_front()
    }

    /// When the link counts as dead unless an acknowledgement comes.
    pub(crate) fn ack_deadline(&self, timeout: Duration) -> Option<Instant> {
        self.window.ack_deadline(timeout)
    }

    /// The link is down.
    pub(crate) fn disconnected(&mut self, proven: bool, why: &str) {
        self.status.resent.add(self.window.in_flight() as u64);
        if !self.window.disconnected(proven) {
            return;
        }
        if let Some(front) = self.window.front() {
            let reason = format!("every connection ends when it is sent: {why}");
            let declaration = self.preparer.instead(front);
            self.letters.put(&letter(front, reason), &self.status);
            self.window.replace_front(declaration);
        }
    }

    /// Appends what can be sent now. Returns when to look again, if it is a matter of time.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, now: Instant) -> Option<Instant> {
        self.paced = false;
        while out.len() < BATCH {
            if self.window.next_to_send().is_none() {
                // Taken no sooner than it can be sent: what waits meanwhile may go in the same batch.
                if let Err(at) = self.affords(1, now) {
                    self.paced = true;
                    return self.window.has_room().then_some(at);
                }
                match self.take(now) {
                    Taken::Something => continue,
                    Taken::Nothing => return None,
                    Taken::Later(at) => return Some(at),
                }
            }
            if let Err(at) = self.send_next(out, now) {
                self.paced = true;
                return Some(at);
            }
        }
        None
    }

    /// Whether one more message of this size keeps to the limits; if not: when it will.
    fn affords(&mut self, bytes: u64, now: Instant) -> Result<(), Instant> {
        for (purse, cost) in [(&mut self.messages, 1), (&mut self.bytes, bytes)] {
            if let Some(purse) = purse {
                purse.ready(cost, now)?;
            }
        }
        Ok(())
    }

    /// Takes the next message from the backlog into the window.
    fn take(&mut self, now: Instant) -> Taken {
        if !self.window.has_room() {
            return Taken::Nothing;
        }
        if let Some(part) = self.parts.pop_front() {
            self.window.push(part);
            return Taken::Something;
        }
        let (lane, item) = match self.next_item(now) {
            Ok(found) => found,
            Err(none) => return none,
        };
        if let Some(batch) = self.batch(lane, &item, now) {
            self.window.push(batch);
            return Taken::Something;
        }
        let outgoing = match self.preparer.prepare(lane, item, self.terms.max_packet) {
            Prepared::Send(outgoing) | Prepared::Unwanted(outgoing) => outgoing,
            Prepared::Parts(parts) => {
                self.parts.extend(parts);
                return self.take(now);
            }
            Prepared::Dead(dead, outgoing) => {
                self.letters.put(&dead, &self.status);
                outgoing
            }
        };
        self.window.push(outgoing);
        Taken::Something
    }

    /// What lies next, or why nothing does.
    fn next_item(&mut self, now: Instant) -> Result<(Lane, Item), Taken> {
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        if let Some(at) = self.read_again.filter(|at| *at > now) {
            return Err(Taken::Later(at));
        }
        self.read_again = None;
        // Older messages leave half of the window to live ones.
        match self.feed.next(now, self.window.has_room_for_older()) {
            Ok(Next::Item(lane, item)) => Ok((lane, item)),
            Ok(Next::Later(at)) => Err(Taken::Later(at)),
            Ok(Next::Nothing) => Err(Taken::Nothing),
            Err(error) => {
                if self.status.warn(format!("the buffer cannot be read: {error}")) {
                    tracing::error!(%error, "the buffer of a bridge cannot be read");
                }
                let at = now + READ_AGAIN;
                self.read_again = Some(at);
                Err(Taken::Later(at))
            }
        }
    }

    /// A batch that begins with this item; `None` when there are none, or it has no place in one.
    fn batch(&mut self, lane: Lane, first: &Item, now: Instant) -> Option<Outgoing> {
        let entry = self.preparer.entry(lane, first)?;
        let (mut batch, most, bytes) = self.preparer.begin(first.seq, lane, self.terms.max_packet);
        if !batch.takes(first.seq, lane, &entry, bytes) {
            return None;
        }
        batch.push(&entry, first.after);
        while batch.len() < most
            && let Ok((lane, item)) = self.next_item(now)
        {
            let entry = self.preparer.entry(lane, &item);
            let fits = entry.filter(|entry| {
                batch.takes(item.seq, lane, entry, bytes) && self.feed.is_one_stretch(batch.first, item.seq)
            });
            let Some(entry) = fits else {
                self.held = Some((lane, item));
                break;
            };
            batch.push(&entry, item.after);
        }
        Some(self.preparer.finish(batch))
    }

    /// Sends the next message of the window; `Err`: not before this moment.
    fn send_next(&mut self, out: &mut Vec<u8>, now: Instant) -> Result<(), Instant> {
        let terms = self.terms;
        let Some((id, outgoing)) = self.window.next_to_send() else { return Ok(()) };
        let cost = (outgoing.topic.len() + outgoing.payload.len()) as u64;
        for (purse, cost) in [(&mut self.messages, 1), (&mut self.bytes, cost)] {
            if let Some(purse) = purse {
                purse.ready(cost, now)?;
            }
        }
        let qos = outgoing.qos.min(terms.max_qos);
        let head = PublishHead {
            qos: if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            retain: outgoing.retain && terms.retain,
            packet_id: id,
            expiry: outgoing.expiry_s,
            forward: &outgoing.properties,
            ..PublishHead::default()
        };
        if !packet::put_publish(
            out,
            terms.version,
            &head,
            &outgoing.topic,
            &outgoing.payload,
            terms.max_packet,
        ) {
            let reason = format!("larger than the {} bytes that the broker takes", terms.max_packet);
            return self.give_up(id, reason);
        }
        let outgoing = &*outgoing;
        self.downlink.note_sent(&outgoing.topic, &outgoing.payload);
        self.status.sent.add(1);
        for (purse, cost) in [(&mut self.messages, 1), (&mut self.bytes, cost)] {
            if let Some(purse) = purse {
                purse.spend(cost);
            }
        }
        let (load, gap) = (outgoing.load, outgoing.gap);
        if qos > 0 {
            self.window.mark_sent(now);
        } else {
            self.count(load, gap);
            self.window.mark_done();
            self.settle();
        }
        Ok(())
    }

    /// What is next to be sent cannot be: its number is declared in its place; a declaration is given up.
    fn give_up(&mut self, id: u16, reason: String) -> Result<(), Instant> {
        let Some((_, outgoing)) = self.window.next_to_send() else { return Ok(()) };
        let outgoing = outgoing.clone();
        if outgoing.is_gap() {
            self.undeclared(&reason);
            self.window.mark_done();
            self.settle();
        } else {
            self.letters.put(&letter(&outgoing, reason), &self.status);
            self.window.send_instead(id, self.preparer.instead(&outgoing));
        }
        Ok(())
    }

    fn undeclared(&self, reason: &str) {
        if self.status.warn(format!("a gap cannot be declared: {reason}")) {
            tracing::warn!(reason, "the upstream broker does not take the declaration of a gap");
        }
    }

    /// An acknowledgement came.
    ///
    /// # Errors
    /// The broker takes no more for now: what it did not take is sent again over the next link.
    pub(crate) fn acknowledged(
        &mut self,
        id: u16,
        code: ReasonCode,
        words: Option<&str>,
        now: Instant,
    ) -> Result<(), LinkError> {
        if code == ReasonCode::QUOTA_EXCEEDED {
            let what =
                words.map_or_else(|| code.text().to_owned(), |words| format!("{}: {words}", code.text()));
            return Err(LinkError::Quota { what });
        }
        // Of an earlier message under the same identifier, or invented: upstream is not trusted.
        let Some(outgoing) = self.window.acknowledge(id, now) else { return Ok(()) };
        let (load, gap) = (outgoing.load, outgoing.gap);
        if !code.is_failure() {
            self.count(load, gap);
            return Ok(());
        }
        let outgoing = outgoing.clone();
        let reason =
            words.map_or_else(|| code.text().to_owned(), |words| format!("{}: {words}", code.text()));
        if outgoing.is_gap() {
            self.undeclared(&reason);
            return Ok(());
        }
        let declaration = self.preparer.instead(&outgoing);
        self.letters.put(&letter(&outgoing, reason), &self.status);
        self.window.send_instead(id, declaration);
        Ok(())
    }

    fn count(&self, load: Load, gap: Option<Gap>) {
        if let Some(gap) = gap {
            self.status.declared(gap);
        }
        self.status.gaps.add(load.gaps);
        self.status.missing.add(load.missing);
        self.status.acknowledged.add(load.messages);
        self.status.acknowledged_bytes.add(load.bytes);
    }

    /// Moves the cursor over what was acknowledged without a hole.
    pub(crate) fn settle(&mut self) {
        let mut passed = self.passed;
        while let Some(outgoing) = self.window.pass() {
            passed = self.feed.pass(outgoing.lane, outgoing.seq, outgoing.after);
        }
        if passed != self.passed {
            self.passed = passed;
            self.backlog.pass(passed);
        }
    }

    /// Ends once there is something new to send.
    pub(crate) fn arrived(&self) -> Arrival {
        self.backlog.arrived(self.feed.live_place())
    }

    /// Whether something that arrives in the backlog could be taken at once.
    pub(crate) fn has_room(&self) -> bool {
        !self.paced && self.window.has_room()
    }
}

enum Taken {
    Something,
    Nothing,
    Later(Instant),
}

fn letter(outgoing: &Outgoing, reason: String) -> DeadLetter {
    let (topic, payload) = (outgoing.local.clone(), outgoing.payload.clone());
    DeadLetter { seq: outgoing.seq, topic, payload, reason }
}

/// The version as the codec knows it.
pub(crate) fn wire(version: Version) -> codec::Version {
    match version {
        Version::V311 => codec::Version::V4,
        Version::V5 => codec::Version::V5,
    }
}
