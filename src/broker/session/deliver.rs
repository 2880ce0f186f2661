//! Giving a session a message: encoded at once where possible, kept where it must be.
//!
//! Runs in the publisher's task under the session's lock. QoS 0 goes straight into the bytes that the
//! connection writes next: one copy. QoS 1 and 2 share one owned message between all sessions.

use std::sync::Arc;

use super::inflight::Outgoing;
use super::{Ids, Link, Session, State};
use crate::broker::codec::{PublishHead, QoS, Version};
use crate::broker::message::{Incoming, Stored, seconds_left};
use crate::broker::route::Round;
use crate::broker::share::{Group, Need};
use crate::broker::store::Target;
use crate::broker::sync::lock;

/// What a client's subscriptions make of one message.
#[derive(Clone, Copy)]
pub(in crate::broker) struct Grant<'a> {
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) ids: &'a [u32],
    /// The group that gets the message back if this session cannot deliver it.
    pub(in crate::broker) share: Option<&'a Arc<Group>>,
    /// Whether the client may read the topic is looked up.
    pub(in crate::broker) checked: bool,
}

impl Session {
    /// Gives the session a message. `stored` is the owned copy, made by the first session that needs it.
    pub(in crate::broker) fn deliver(
        self: &Arc<Self>,
        message: &Incoming<'_>,
        grant: Grant<'_>,
        stored: &mut Option<Arc<Stored>>,
        round: &mut Round<'_>,
    ) {
        self.offer(Need::Alive, message, grant, stored, round);
    }

    /// As [`Self::deliver`], if the session is what it needs to be. Returns whether it was.
    pub(in crate::broker) fn offer(
        self: &Arc<Self>,
        need: Need,
        message: &Incoming<'_>,
        grant: Grant<'_>,
        stored: &mut Option<Arc<Stored>>,
        round: &mut Round<'_>,
    ) -> bool {
        let mut state = lock(&self.state);
        let fits = match need {
            Need::Alive => !state.ended,
            Need::Connected => state.link.is_some(),
            Need::Ready => state.link.is_some() && state.backlog() <= round.limits.pause_bytes,
        };
        if !fits {
            return false;
        }
        if grant.checked && !state.permissions.may_read(message.topic) {
            round.tally.withheld += 1;
            return false;
        }
        if grant.qos == QoS::AtMostOnce {
            state.deliver_now(message, grant, round);
        } else {
            let stored = stored.get_or_insert_with(|| message.store());
            state.deliver_kept(stored, grant, round);
        }
        state.after_push(self, round);
        true
    }
}

impl State {
    /// QoS 0: for a connected client only.
    fn deliver_now(&mut self, message: &Incoming<'_>, grant: Grant<'_>, round: &mut Round<'_>) {
        let held = self.held();
        let Some(link) = &mut self.link else { return };
        let len = message.topic.len() + message.payload.len() + message.forward.len();
        if held + len > round.limits.queue_bytes {
            self.dropped += 1;
            round.tally.dropped_queue_full += 1;
            return;
        }
        let Some(expiry) = remaining(message.expires, round) else {
            round.tally.dropped_expired += 1;
            return;
        };
        let head = PublishHead {
            retain: grant.retain,
            expiry,
            subscription_ids: grant.ids,
            forward: message.forward,
            ..PublishHead::default()
        };
        if self.ready.capacity() == 0 {
            self.ready = round.pool.take();
        }
        if link.encode(&mut self.ready, &head, message.topic, message.payload) {
            self.sent += 1;
            round.tally.out += 1;
            round.tally.out_bytes += message.payload.len() as u64;
        } else {
            self.dropped += 1;
            round.tally.dropped_too_large += 1;
        }
    }

    /// QoS 1 and 2: sent if there is room in flight, queued otherwise.
    fn deliver_kept(&mut self, stored: &Arc<Stored>, grant: Grant<'_>, round: &mut Round<'_>) {
        if !self.make_room(stored.cost(), round) {
            self.dropped += 1;
            round.tally.dropped_queue_full += 1;
            return;
        }
        let ids: Ids = if grant.ids.is_empty() { None } else { Some(grant.ids.into()) };
        let share = grant.share.map(Arc::downgrade);
        let entry = self.next_entry();
        if let Some((entry, session)) = entry.zip(self.log_number()) {
            let Grant { qos, retain, .. } = grant;
            round.targets.push(Target { session, entry, qos, retain, ids: grant.ids.into() });
        }
        let outgoing = Outgoing {
            stored: Arc::clone(stored),
            qos: grant.qos,
            retain: grant.retain,
            ids,
            share,
            entry: entry.unwrap_or(0),
        };
        // What is logged waits until it is durable.
        if entry.is_none() && self.queue.is_empty() && self.may_send(round) {
            self.send(outgoing, round);
        } else {
            self.queue_bytes += outgoing.stored.cost();
            self.queue.push_back(outgoing);
        }
    }

    /// Whether a message of this cost may be kept; drops expired ones first if need be.
    fn make_room(&mut self, cost: usize, round: &mut Round<'_>) -> bool {
        let limits = round.limits;
        let fits = |state: &Self| {
            state.held() + cost <= limits.queue_bytes && state.queue.len() < limits.queue_messages
        };
        if fits(self) {
            return true;
        }
        // Looking through a full queue costs its length, so it is done once per batch at most.
        if round.purged.iter().any(|&purged| std::ptr::eq(purged, self)) {
            return false;
        }
        round.purged.push(self);
        let before = self.queue.len();
        let now = round.now;
        let log = &self.log;
        self.queue.retain(|waiting| {
            let kept = waiting.stored.expires.is_none_or(|expires| expires > now);
            if let Some(log) = log.as_ref().filter(|_| !kept) {
                log.dropped(waiting.entry);
            }
            kept
        });
        self.queue_bytes = self.queue.iter().map(|waiting| waiting.stored.cost()).sum();
        round.tally.dropped_expired += (before - self.queue.len()) as u64;
        fits(self)
    }

    /// Whether a new QoS 1 or 2 message may go out now. What is in flight may fill half of what a session
    /// may hold; the rest is for the queue, by which publishers notice that they should wait.
    pub(super) fn may_send(&self, round: &Round<'_>) -> bool {
        let open = self.link.as_ref().is_some_and(|link| link.quota > 0);
        let light = self.inflight.len() == 0 || self.inflight.bytes() < round.limits.queue_bytes / 2;
        open && light && self.inflight.all_sent() && self.inflight.has_room()
    }

    /// Sends a QoS 1 or 2 message for the first time. Only while [`Self::may_send`].
    pub(super) fn send(&mut self, outgoing: Outgoing, round: &mut Round<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(expiry) = remaining(outgoing.stored.expires, round) else {
            self.dropped += 1;
            round.tally.dropped_expired += 1;
            self.log_dropped(&outgoing);
            return;
        };
        if self.ready.capacity() == 0 {
            self.ready = round.pool.take();
        }
        if encode_kept(&mut self.ready, link, &outgoing, self.inflight.next_id(), false, expiry) {
            link.quota -= 1;
            round.tally.out_bytes += outgoing.stored.payload.len() as u64;
            let entry = outgoing.entry;
            self.inflight.push(outgoing);
            self.note_sent(entry);
            self.sent += 1;
            round.tally.out += 1;
        } else {
            self.dropped += 1;
            round.tally.dropped_too_large += 1;
            self.log_dropped(&outgoing);
        }
    }

    /// Wakes the connection if it waits, and notes the session if publishers should wait for it.
    fn after_push(&mut self, session: &Arc<Session>, round: &mut Round<'_>) {
        let backlog = self.backlog();
        let Some(link) = &mut self.link else { return };
        if link.idle {
            link.idle = false;
            round.wakes.extend(link.waker.clone());
        }
        if backlog > round.limits.pause_bytes {
            let since = *self.congested.get_or_insert(round.now);
            if round.now.saturating_duration_since(since) < round.limits.grace {
                round.wait_for(session);
            }
        }
    }
}

/// What is left of a message's life: `Some(None)` if it has no end, `None` if it is over.
#[allow(clippy::option_option, reason = "the three cases are the point, and only used in this module")]
pub(super) fn remaining(expires: Option<tokio::time::Instant>, round: &Round<'_>) -> Option<Option<u32>> {
    match expires {
        None => Some(None),
        Some(expires) => seconds_left(expires, round.now).map(Some),
    }
}

/// Appends a QoS 1 or 2 PUBLISH; false if it is larger than the client takes.
pub(super) fn encode_kept(
    out: &mut Vec<u8>,
    link: &mut Link,
    outgoing: &Outgoing,
    packet_id: u16,
    dup: bool,
    expiry: Option<u32>,
) -> bool {
    let Stored { topic, payload, forward, .. } = &*outgoing.stored;
    let head = PublishHead {
        dup,
        qos: outgoing.qos,
        retain: outgoing.retain,
        packet_id,
        expiry,
        subscription_ids: outgoing.ids.as_deref().unwrap_or_default(),
        forward,
        ..PublishHead::default()
    };
    debug_assert!(link.version != Version::V5 || packet_id != 0);
    link.encode(out, &head, topic, payload)
}
