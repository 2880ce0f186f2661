//! Messages sent to a client and not yet acknowledged, in the order they were sent.
//!
//! Packet identifiers follow the sequence of sending, so finding one is arithmetic. Invariant: the
//! front slot is occupied, or there is none; everything from `unsent` on has not been sent on the
//! current connection.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use crate::broker::codec::QoS;
use crate::broker::message::Stored;
use crate::broker::share::Group;

/// Packet identifiers run from 1 to 65,535.
const IDS: u64 = 65_535;

/// Slots from the oldest unacknowledged message to the newest; bounds what a client costs that never
/// acknowledges one message but all later ones.
const MAX_SPAN: usize = 16_384;

/// A message for one session, with what its subscriptions say about it.
#[derive(Clone)]
pub(in crate::broker) struct Outgoing {
    pub(in crate::broker) stored: Arc<Stored>,
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) ids: Ids,
    /// The group of a shared subscription that the message came by.
    pub(in crate::broker) share: Option<Weak<Group>>,
    /// Its number in the log, if the session is kept there.
    pub(in crate::broker) entry: u64,
}

/// Subscription identifiers of one delivery; nearly always none.
pub(in crate::broker) type Ids = Option<Box<[u32]>>;

/// One subscription identifier as [`Ids`].
pub(in crate::broker) fn ids_of(id: Option<NonZeroU32>) -> Ids {
    id.map(|id| Box::from([id.get()]))
}

/// How far a sent message has come.
pub(super) enum Sent {
    /// PUBLISH sent.
    Published(Outgoing),
    /// QoS 2: PUBREC received, PUBREL sent; the message itself is no longer needed. Its number in the log.
    Released(u64),
}

impl Sent {
    fn entry(&self) -> u64 {
        match self {
            Self::Published(outgoing) => outgoing.entry,
            Self::Released(entry) => *entry,
        }
    }
}

#[derive(Default)]
pub(super) struct InFlight {
    /// Sequence number of the front slot.
    first: u64,
    slots: VecDeque<Option<Sent>>,
    outstanding: usize,
    /// What the messages cost, in bytes.
    bytes: usize,
    /// Index of the first slot that was not sent on this connection.
    unsent: usize,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.outstanding
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more message fits.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < MAX_SPAN
    }

    /// Whether everything was sent on this connection.
    pub(super) fn all_sent(&self) -> bool {
        self.unsent == self.slots.len()
    }

    /// A new connection: everything must be sent again.
    pub(super) fn restart(&mut self) {
        self.unsent = 0;
    }

    /// The next slot to send again, with its packet identifier.
    pub(super) fn next_unsent(&mut self) -> Option<(u16, &Sent)> {
        while let Some(None) = self.slots.get(self.unsent) {
            self.unsent += 1;
        }
        let id = id_of(self.first + self.unsent as u64);
        self.slots.get(self.unsent).and_then(Option::as_ref).map(|sent| (id, sent))
    }

    /// The slot from [`Self::next_unsent`] was sent.
    pub(super) fn advance(&mut self) {
        self.unsent += 1;
    }

    /// The packet identifier that [`Self::push`] will use.
    pub(super) fn next_id(&self) -> u16 {
        id_of(self.first + self.slots.len() as u64)
    }

    /// Notes a message as sent, under [`Self::next_id`].
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.stored.cost();
        self.outstanding += 1;
        self.unsent += 1;
        self.slots.push_back(Some(Sent::Published(outgoing)));
    }

    fn index(&self, packet_id: u16) -> Option<usize> {
        let wanted = u64::from(packet_id).checked_sub(1)?;
        let offset = (wanted + IDS - self.first % IDS) % IDS;
        let index = usize::try_from(offset).ok()?;
        self.slots.get(index)?.as_ref().map(|_| index)
    }

    /// What is in flight under this packet identifier.
    pub(super) fn get(&self, packet_id: u16) -> Option<&Sent> {
        self.slots[self.index(packet_id)?].as_ref()
    }

    /// QoS 2, first half: the client has the message. Returns the message's number in the log.
    pub(super) fn release(&mut self, packet_id: u16) -> Option<u64> {
        let index = self.index(packet_id)?;
        let entry = self.slots[index].as_ref()?.entry();
        let before = self.slots[index].replace(Sent::Released(entry));
        self.uncharge(before.as_ref());
        Some(entry)
    }

    /// Done: frees the packet identifier. Returns the message's number in the log.
    pub(super) fn remove(&mut self, packet_id: u16) -> Option<u64> {
        let index = self.index(packet_id)?;
        let before = self.slots[index].take();
        self.uncharge(before.as_ref());
        self.outstanding -= 1;
        self.trim();
        before.map(|sent| sent.entry())
    }

    /// As it was before the program ended: nothing of it was sent on a connection of this one. `None`: done.
    pub(super) fn restored(first: u64, slots: impl Iterator<Item = Option<Sent>>) -> Self {
        let mut inflight = Self { first, slots: slots.collect(), ..Self::default() };
        for sent in inflight.slots.iter().flatten() {
            inflight.outstanding += 1;
            if let Sent::Published(outgoing) = sent {
                inflight.bytes += outgoing.stored.cost();
            }
        }
        inflight.trim();
        inflight
    }

    /// Everything that was sent and not acknowledged in any way.
    pub(super) fn published(&self) -> impl Iterator<Item = &Outgoing> {
        self.slots.iter().filter_map(|slot| match slot {
            Some(Sent::Published(outgoing)) => Some(outgoing),
            _ => None,
        })
    }

    /// Takes out the QoS 1 messages that `which` names, oldest first.
    pub(super) fn displace(&mut self, which: impl Fn(&Outgoing) -> bool, into: &mut Vec<Outgoing>) {
        for slot in &mut self.slots {
            let displaced = slot.take_if(|sent| {
                matches!(sent, Sent::Published(outgoing) if outgoing.qos == QoS::AtLeastOnce && which(outgoing))
            });
            if let Some(Sent::Published(outgoing)) = displaced {
                self.bytes -= outgoing.stored.cost();
                self.outstanding -= 1;
                into.push(outgoing);
            }
        }
        self.trim();
    }

    /// Takes out the content of messages whose topic `keep` does not name: of all of them, or of those that were not yet sent on
    /// this connection. A QoS 1 message is forgotten. A QoS 2 message was sent before, and its receiver may know its packet
    /// identifier: the exchange goes on with a PUBREL, so that both sides end it. Returns how many there were.
    /// `each` is told their numbers in the log, and their QoS.
    pub(super) fn withdraw(
        &mut self,
        all: bool,
        keep: impl Fn(&str) -> bool,
        mut each: impl FnMut(u64, QoS),
    ) -> u64 {
        let from = if all { 0 } else { self.unsent };
        let mut withdrawn = 0;
        for slot in self.slots.iter_mut().skip(from) {
            let Some(Sent::Published(outgoing)) = slot else { continue };
            if keep(&outgoing.stored.topic) {
                continue;
            }
            withdrawn += 1;
            self.bytes -= outgoing.stored.cost();
            each(outgoing.entry, outgoing.qos);
            if outgoing.qos == QoS::ExactlyOnce {
                *slot = Some(Sent::Released(outgoing.entry));
            } else {
                *slot = None;
                self.outstanding -= 1;
            }
        }
        self.trim();
        withdrawn
    }

    /// Lets go of free slots at the front.
    fn trim(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
            self.unsent = self.unsent.saturating_sub(1);
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }

    fn uncharge(&mut self, sent: Option<&Sent>) {
        if let Some(Sent::Published(outgoing)) = sent {
            self.bytes -= outgoing.stored.cost();
        }
    }
}

fn id_of(sequence: u64) -> u16 {
    (sequence % IDS + 1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::time::Instant;

    fn outgoing() -> Outgoing {
        let stored = Stored {
            topic: "t".into(),
            payload: Box::default(),
            forward: Box::default(),
            expires: None,
            dup: false,
            kept: false,
            publisher: Arc::from("p"),
            received: Instant::now(),
            logged: std::sync::atomic::AtomicU64::new(0),
        };
        let (stored, qos) = (Arc::new(stored), QoS::AtLeastOnce);
        Outgoing { stored, qos, retain: false, ids: None, share: None, entry: 0 }
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(start in 0u64..200_000, steps in proptest::collection::vec((0u8..4, any::<proptest::sample::Index>()), 1..200)) {
            let mut inflight = InFlight { first: start, ..InFlight::default() };
            let mut model: Vec<u16> = Vec::new();
            for (what, which) in steps {
                if what < 2 || model.is_empty() {
                    let id = inflight.next_id();
                    prop_assert!(id != 0 && !model.contains(&id));
                    inflight.push(outgoing());
                    model.push(id);
                } else {
                    let id = model[which.index(model.len())];
                    if what == 2 {
                        inflight.remove(id);
                        model.retain(|&other| other != id);
                        prop_assert!(inflight.get(id).is_none());
                    } else {
                        inflight.release(id);
                        prop_assert!(matches!(inflight.get(id), Some(Sent::Released(_))));
                    }
                }
                prop_assert_eq!(inflight.len(), model.len());
                prop_assert!(inflight.all_sent());
            }
            inflight.restart();
            let mut again = Vec::new();
            while let Some((id, _)) = inflight.next_unsent() {
                again.push(id);
                inflight.advance();
            }
            prop_assert_eq!(&again, &model);
            for id in model {
                inflight.remove(id);
            }
            prop_assert_eq!(inflight.bytes(), 0);
        }
    }

    #[test]
    fn unknown_identifiers_are_not_found() {
        let mut inflight = InFlight::default();
        assert!(inflight.get(1).is_none() && inflight.get(0).is_none());
        inflight.push(outgoing());
        assert!(inflight.get(1).is_some() && inflight.get(2).is_none());
        inflight.remove(2);
        assert_eq!(inflight.len(), 1);
    }
}
