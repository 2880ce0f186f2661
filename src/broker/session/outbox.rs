//! The connection's side of a session: taking what is to be written.
//!
//! Order: what was in flight before a reconnect, then queued messages, then retained messages for new
//! subscriptions. QoS 0 does not wait for any of them (MQTT 5 section 4.6 orders messages of one QoS).

use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::deliver::{encode_kept, remaining};
use super::inflight::{Outgoing, Sent, ids_of};
use super::{Gone, RetainedRef, Session, State};
use crate::broker::codec::{AckKind, PublishHead, QoS, ReasonCode, encode_ack};
use crate::broker::message::seconds_left;
use crate::broker::route::{Limits, Round};
use crate::broker::store::Record;
use crate::broker::sync::lock;

/// How much is encoded ahead of the socket; more is encoded when this has been taken.
const READY_TARGET: usize = 64 << 10;

/// What [`Session::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::broker) enum Taken {
    /// Bytes were handed over.
    Bytes,
    /// Nothing to write; the waker is called when there is.
    Nothing,
}

impl Session {
    /// Hands everything that is ready to the connection, in exchange for its empty buffer `into`.
    pub(in crate::broker) fn take(
        &self,
        epoch: u64,
        waker: &Waker,
        into: &mut Vec<u8>,
        round: &mut Round<'_>,
    ) -> Result<Taken, Gone> {
        debug_assert!(into.is_empty());
        self.own(epoch, |state| {
            let held_back = state.fill(&self.id, round);
            let Some(link) = &mut state.link else { return Taken::Nothing };
            link.taken = state.ready.len();
            let taken = if state.ready.is_empty() {
                link.idle = true;
                if !link.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    link.waker = Some(waker.clone());
                }
                round.pool.give(std::mem::take(&mut state.ready));
                Taken::Nothing
            } else {
                link.idle = false;
                std::mem::swap(into, &mut state.ready);
                Taken::Bytes
            };
            if let Some(position) = held_back
                && taken == Taken::Nothing
            {
                state.await_log(position, waker);
            }
            if state.congested.is_some() && state.backlog() <= round.limits.pause_bytes / 2 {
                state.relieve();
            }
            taken
        })
    }

    /// Keeps the waker that is called on a takeover, also while the connection has bytes to write.
    pub(in crate::broker) fn watch(&self, epoch: u64, waker: &Waker) -> Result<(), Gone> {
        self.own(epoch, |state| {
            if let Some(link) = &mut state.link {
                link.waker = Some(waker.clone());
            }
        })
    }

    /// Ready once publishers need no longer wait for this session.
    pub(in crate::broker) fn poll_relief(
        &self,
        cx: &mut Context<'_>,
        limits: &Limits,
        now: Instant,
    ) -> Poll<()> {
        let mut state = lock(&self.state);
        let waits = state.congested.is_some_and(|since| now.saturating_duration_since(since) < limits.grace);
        if !waits || state.link.is_none() {
            return Poll::Ready(());
        }
        if !state.waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            state.waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl State {
    /// Encodes what may be sent now, up to [`READY_TARGET`]. Returns the position in the log that the next message has to
    /// wait for, if it does.
    fn fill(&mut self, client: &str, round: &mut Round<'_>) -> Option<u64> {
        let mut held_back = None;
        while self.ready.len() < READY_TARGET {
            let more = if !self.inflight.all_sent() {
                self.send_again(round)
            } else if let Some(front) = self.queue.front() {
                let cost = front.stored.cost();
                held_back = self.held_back(&front.stored);
                held_back.is_none()
                    && self.may_send(round)
                    && self.queue.pop_front().is_some_and(|outgoing| {
                        self.queue_bytes -= cost;
                        self.send(outgoing, round);
                        true
                    })
            } else {
                self.send_retained(client, round)
            };
            if !more {
                break;
            }
        }
        self.log_sent();
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = std::collections::VecDeque::new();
        }
        held_back
    }

    /// Sends one message or PUBREL again after a reconnect ([MQTT-4.4.0-1]). False: nothing more now.
    fn send_again(&mut self, round: &mut Round<'_>) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Some((packet_id, sent)) = self.inflight.next_unsent() else { return true };
        match sent {
            Sent::Released(_) => {
                encode_ack(&mut self.ready, link.version, AckKind::Pubrel, packet_id, ReasonCode::SUCCESS);
                round.tally.other_out += 1;
            }
            Sent::Published(_) if link.quota == 0 => return false,
            Sent::Published(outgoing) => {
                // Its delivery had begun, so expiry no longer drops it; it has no time left to tell.
                let expiry = outgoing.stored.expires.map(|at| seconds_left(at, round.now).unwrap_or(0));
                if !encode_kept(&mut self.ready, link, outgoing, packet_id, true, expiry) {
                    round.tally.dropped_too_large += 1;
                    self.dropped += 1;
                    let entry = outgoing.entry;
                    self.inflight.remove(packet_id);
                    self.log_later(|session| Record::Acknowledged { session, entry });
                    return true;
                }
                link.quota -= 1;
            }
        }
        self.inflight.advance();
        true
    }

    /// Sends one retained message for a new subscription. False: nothing more now.
    fn send_retained(&mut self, client: &str, round: &mut Round<'_>) -> bool {
        let Some(pending) = self.retained.front() else { return false };
        if !self.permissions.may_read(&pending.slot.topic) {
            round.tally.withheld += 1;
            self.retained.pop_front();
            return true;
        }
        let may_send = self.may_send(round);
        let chosen = pending.slot.with(round.now, |kept| {
            if pending.no_local && *kept.publisher == *client {
                return None;
            }
            let qos = kept.qos.min(pending.qos);
            Some((qos, (may_send && qos > QoS::AtMostOnce).then(|| kept.store(&pending.slot.topic))))
        });
        match chosen.flatten() {
            None => {}
            Some((QoS::AtMostOnce, _)) => self.retained_now(round),
            // Waits for room in flight; the message is looked up again then.
            Some((_, None)) => return false,
            Some((qos, Some(stored))) => {
                let ids = ids_of(pending.id);
                let mut outgoing = Outgoing { stored, qos, retain: true, ids, share: None, entry: 0 };
                if self.log.is_some() {
                    self.log_retained(&mut outgoing, round.now);
                    self.queue_bytes += outgoing.stored.cost();
                    self.queue.push_back(outgoing);
                } else {
                    self.send(outgoing, round);
                }
            }
        }
        self.retained.pop_front();
        true
    }

    /// The front retained message, at QoS 0.
    fn retained_now(&mut self, round: &mut Round<'_>) {
        let (Some(link), Some(RetainedRef { slot, id, .. })) = (&mut self.link, self.retained.front()) else {
            return;
        };
        let ready = &mut self.ready;
        let encoded = slot.with(round.now, |kept| {
            let expiry = remaining(kept.expires, round).flatten();
            let id = id.map(std::num::NonZeroU32::get);
            let head = PublishHead {
                retain: true,
                expiry,
                subscription_ids: id.as_slice(),
                forward: &kept.forward,
                ..PublishHead::default()
            };
            (link.encode(ready, &head, &slot.topic, &kept.payload), kept.payload.len())
        });
        match encoded {
            Some((true, len)) => {
                self.sent += 1;
                round.tally.out += 1;
                round.tally.out_bytes += len as u64;
            }
            Some((false, _)) => {
                self.dropped += 1;
                round.tally.dropped_too_large += 1;
            }
            None => {}
        }
    }
}
