//! A broker's beginning from what its log holds.
//!
//! Absent clients go on being absent: what is left of their sessions' lives and of their wills' delays
//! starts where it was, by the wall clock as far as it is believable. Invariant: everything here happens
//! before the first client is served.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::time::Instant;

use super::replay::{Replay, Session as Past, Slot};
use super::{How, Kept, Published, Record, Store, Will};
use crate::broker::codec::{QoS, RetainHandling, SubscribeFilter};
use crate::broker::core::Core;
use crate::broker::message::{Incoming, Stored};
use crate::broker::session::{Logged, Outgoing, Session, WillMessage};
use crate::broker::stats::add;
use crate::broker::sync::lock;
use crate::broker::trie::FastMap;

/// Position of everything that was restored: it is durable.
const DURABLE: u64 = 1;

/// What turns records back into messages.
struct Scene {
    now: Instant,
    log_us: i64,
    /// One owned message serves everything that it waits for: those that have not all been seen yet, by address.
    shared: FastMap<usize, Arc<Stored>>,
}

impl Core {
    /// Puts the state in place.
    pub(in crate::broker) fn restore(self: &Arc<Self>, replay: Replay) {
        let Some(store) = self.store.clone() else { return };
        let mut scene = Scene { now: Instant::now(), log_us: store.log_us(), shared: FastMap::default() };
        for (topic, message) in replay.retained {
            let qos = message.qos;
            let stored = scene.stored(message);
            if stored.expires.is_some_and(|expires| expires <= scene.now) {
                self.log_forgotten(&topic);
                continue;
            }
            let incoming = Incoming { received: scene.now, ..stored.incoming(qos, true) };
            if self.retained.put(&incoming, &self.counters).is_err() {
                tracing::warn!(topic = &*topic, "a retained message was not restored: the store is full");
            }
        }
        for (number, past) in replay.sessions {
            self.restore_session(&store, number, past, &mut scene);
        }
    }

    /// Logs that a topic's retained message is gone.
    pub(in crate::broker) fn log_forgotten(&self, topic: &str) {
        let Some(store) = &self.store else { return };
        let message = Kept {
            topic: topic.into(),
            publisher: "".into(),
            forward: Box::default(),
            payload: Box::default(),
            qos: QoS::AtMostOnce,
            dup: false,
            expiry: None,
            log_us: store.log_us(),
        };
        let (message, targets) = (Arc::new(message), Vec::new());
        let record = Record::Published(Published { message, retained: true, received: None, targets });
        // If it is not taken, the message is there again after the next start.
        let _ = store.put(&record, How::Later);
    }

    fn restore_session(self: &Arc<Self>, store: &Arc<Store>, number: u64, past: Past, scene: &mut Scene) {
        let owner = past.owner.as_ref();
        let login = owner.map(|owner| self.auth.recall(&owner.user, &owner.proof));
        if let Some(None) = login {
            // As if the user had been removed while the program ran.
            tracing::info!(client = &*past.client, "the session's user is gone, and so is the session");
            let _ = store.put(&Record::Ended { session: number }, How::Later);
            return;
        }
        let session = Arc::new(Session::new(Arc::clone(&past.client)));
        let gone = past.detached_us.map_or(Duration::ZERO, |at| elapsed(scene.log_us, at));
        let filters: Vec<_> =
            past.filters.iter().map(|(filter, &options)| (filter.clone(), options)).collect();
        {
            let mut state = lock(&session.state);
            state.login = login.flatten();
            state.expiry = past.expiry;
            state.will = past.will.as_deref().map(|will| scene.will(will));
            state.received = past.received.iter().copied().collect();
            let next_entry = past.next_entry;
            let (sent, slots): (u64, Vec<_>) = (past.sent, past.slots.into_iter().collect());
            let last_known = slots.iter().rev().find(|(_, slot)| !matches!(slot, Slot::Waiting { .. }));
            let in_flight = sent.max(last_known.map_or(0, |(entry, _)| entry + 1));
            let waiting = |slot: Slot, entry: u64, scene: &mut Scene| scene.outgoing(slot, entry);
            let mut flying = Vec::new();
            let mut queue = Vec::new();
            for (entry, slot) in slots {
                match slot {
                    Slot::Released => flying.push(Some(Err(entry))),
                    Slot::Done => flying.push(None),
                    slot if entry < in_flight => {
                        flying.extend(waiting(slot, entry, scene).map(|out| Some(Ok(out))));
                    }
                    slot => queue.extend(waiting(slot, entry, scene)),
                }
            }
            state.refill(past.sequence, flying, queue);
            state.log = Some(Logged::new(store, number, next_entry));
            // The rules may be other ones than those under which all this was kept.
            let permissions = self.access.permissions(state.login.as_ref(), &session.id);
            add(&self.counters.withheld, state.restrict(permissions));
        }
        self.registry.lock().insert(Arc::clone(&session.id), Arc::clone(&session));
        add(&self.counters.sessions, 1);
        for (filter, options) in filters {
            let wanted = SubscribeFilter {
                filter: &filter,
                qos: options.qos,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retain_handling: RetainHandling::Never,
            };
            self.enter_restored(&session, &wanted, std::num::NonZeroU32::new(options.id));
        }
        self.await_return(&session, gone);
    }
}

impl Scene {
    fn stored(&mut self, message: Arc<Kept>) -> Arc<Stored> {
        let address = Arc::as_ptr(&message) as usize;
        match Arc::try_unwrap(message) {
            // For one alone, or for the last of several: a large payload is not copied.
            Ok(message) => self.shared.remove(&address).unwrap_or_else(|| Arc::new(self.make(message))),
            Err(message) => {
                if let Some(known) = self.shared.get(&address) {
                    return Arc::clone(known);
                }
                let stored = Arc::new(self.make((*message).clone()));
                self.shared.insert(address, Arc::clone(&stored));
                stored
            }
        }
    }

    fn make(&self, message: Kept) -> Stored {
        let gone = elapsed(self.log_us, message.log_us);
        let left = |expiry: u32| self.now + Duration::from_secs(expiry.into()).saturating_sub(gone);
        Stored {
            topic: message.topic,
            payload: message.payload,
            forward: message.forward,
            expires: message.expiry.map(left),
            dup: message.dup,
            // A will that comes due now was left before the start.
            kept: true,
            publisher: message.publisher,
            received: self.now.checked_sub(gone).unwrap_or(self.now),
            logged: AtomicU64::new(DURABLE),
        }
    }

    fn outgoing(&mut self, slot: Slot, entry: u64) -> Option<Outgoing> {
        let Slot::Waiting { message, qos, retain, ids } = slot else { return None };
        let ids = Some(ids).filter(|ids| !ids.is_empty());
        // Who shared a subscription with whom is not kept: it waits for its session alone.
        Some(Outgoing { stored: self.stored(message), qos, retain, ids, share: None, entry })
    }

    fn will(&self, will: &Will) -> Box<WillMessage> {
        let stored = Stored { expires: None, ..self.make(will.message.clone()) };
        let Will { message, retain, delay } = will;
        Box::new(WillMessage {
            stored,
            qos: message.qos,
            retain: *retain,
            delay: *delay,
            expiry: message.expiry,
        })
    }
}

/// The time since a record was made. A clock that stands before that was set back, and tells nothing.
fn elapsed(now_us: i64, then_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(now_us.saturating_sub(then_us)).unwrap_or(0))
}
