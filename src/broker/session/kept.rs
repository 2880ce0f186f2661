//! A session that outlives the program: what happens to it goes into the log.
//!
//! Records are appended under the session's lock, so the log has them in the order in which they happened.
//! What the client is told of waits for them: answers by [`State::logged_to`], messages by not being sent
//! before their record is durable. Invariant: messages are sent in the order of their entries, so packet
//! identifiers after a restart are those from before it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::filters::Filters;
use super::inflight::Outgoing;
use super::{State, WillMessage};
use crate::broker::codec::{QoS, SubscribeFilter};
use crate::broker::message::{Incoming, Stored, seconds_left};
use crate::broker::store::{How, Kept, Options, Owner, Published, Record, Store, Target, Will};
use crate::journal::Waiting;

/// A position that is never reached: the record was not taken, so nobody may be told.
const NEVER: u64 = u64::MAX;

/// A session's place in the log.
pub(in crate::broker) struct Logged {
    store: Arc<Store>,
    pub(in crate::broker) session: u64,
    /// Number of the next message.
    pub(in crate::broker) next_entry: u64,
    /// For the connection, while the message in front is not durable.
    waiting: Waiting,
    /// The last message that was sent for the first time and not yet noted as sent.
    sent: Option<u64>,
}

impl Logged {
    pub(in crate::broker) fn new(store: &Arc<Store>, session: u64, next_entry: u64) -> Self {
        let waiting = store.waiting();
        Self { store: Arc::clone(store), session, next_entry, waiting, sent: None }
    }

    fn later(&self, record: &Record) {
        // If it is lost, a message comes twice at QoS 1, which is what the client must expect anyway.
        let _ = self.store.put(record, How::Later);
    }
}

impl Logged {
    /// A message was taken out before it was sent.
    pub(super) fn dropped(&self, entry: u64) {
        self.later(&Record::Dropped { session: self.session, entry });
    }

    /// A subscription was taken away.
    pub(in crate::broker) fn unsubscribed(&self, filter: &str) {
        self.later(&Record::Unsubscribed { session: self.session, filter: filter.into() });
    }

    /// A message that was sent before is not sent again.
    pub(super) fn withdrawn(&self, entry: u64, qos: QoS) {
        let session = self.session;
        self.later(&match qos {
            QoS::ExactlyOnce => Record::Released { session, entry },
            _ => Record::Acknowledged { session, entry },
        });
    }
}

/// A message as the log keeps it.
pub(in crate::broker) fn kept(message: &Incoming<'_>, now: Instant, log_us: i64) -> Kept {
    Kept {
        topic: message.shared_topic.map_or_else(|| message.topic.into(), Arc::clone),
        publisher: Arc::clone(message.publisher),
        forward: message.forward.into(),
        payload: message.payload.into(),
        qos: message.qos,
        dup: message.dup,
        expiry: message.expires.map(|at| seconds_left(at, now).unwrap_or(0)),
        log_us,
    }
}

impl State {
    /// The position up to which the log must have come before the client is told of what was done.
    pub(in crate::broker) fn logged_to(&self) -> u64 {
        self.logged
    }

    /// The session's number in the log, if it is kept there.
    pub(in crate::broker) fn log_number(&self) -> Option<u64> {
        self.log.as_ref().map(|log| log.session)
    }

    /// Logs something that the client is told of.
    pub(in crate::broker) fn log_must(&mut self, record: impl FnOnce(u64) -> Record) {
        if let Some(log) = &self.log {
            self.logged = log.store.put(&record(log.session), How::Must).unwrap_or(NEVER);
        }
    }

    /// Logs something that nobody waits for.
    pub(in crate::broker) fn log_later(&self, record: impl FnOnce(u64) -> Record) {
        if let Some(log) = &self.log {
            log.later(&record(log.session));
        }
    }

    /// A client has taken the session: from now on it is logged if it outlives its connection, and no more if not.
    pub(in crate::broker) fn log_attached(&mut self, client: &Arc<str>, store: Option<&Arc<Store>>) {
        let Some(store) = store else { return };
        if self.expiry == 0 {
            self.log_end();
            return;
        }
        if self.log.is_none() {
            self.log = Some(Logged::new(store, store.number(), 0));
        }
        let log_us = store.log_us();
        let will = self.will.as_ref().map(|will| will_record(will, log_us));
        let owner = self.login.as_ref();
        let owner = owner.map(|login| Owner { user: Arc::clone(&login.user), proof: login.proof() });
        let (client, expiry) = (Arc::clone(client), self.expiry);
        self.log_must(|session| Record::Attached { session, client, owner, expiry, will });
    }

    /// The connection has ended, and the session goes on.
    pub(in crate::broker) fn log_detached(&mut self) {
        let (expiry, will) = (self.expiry, self.will.is_some());
        let log_us = self.log.as_ref().map_or(0, |log| log.store.log_us());
        self.log_must(|session| Record::Detached { session, expiry, will, log_us });
    }

    /// Both at once, for a walk through the filters.
    pub(in crate::broker) fn filters_and_log(&mut self) -> (&mut Filters, &Option<Logged>) {
        (&mut self.filters, &self.log)
    }

    /// The client has subscribed, or has changed a subscription.
    pub(in crate::broker) fn log_subscribed(&mut self, wanted: &SubscribeFilter<'_>, id: Option<NonZeroU32>) {
        let options = Options {
            qos: wanted.qos,
            no_local: wanted.no_local,
            retain_as_published: wanted.retain_as_published,
            id: id.map_or(0, NonZeroU32::get),
        };
        self.log_must(|session| Record::Subscribed { session, filter: wanted.filter.into(), options });
    }

    /// The session is over, or no longer one that is kept.
    pub(in crate::broker) fn log_end(&mut self) {
        self.log_must(|session| Record::Ended { session });
        self.log = None;
    }

    /// The number under which the log knows the next message, if the session is kept there.
    pub(super) fn next_entry(&mut self) -> Option<u64> {
        let log = self.log.as_mut()?;
        log.next_entry += 1;
        Some(log.next_entry - 1)
    }

    /// A message was taken out before it was sent.
    pub(super) fn log_dropped(&self, outgoing: &Outgoing) {
        if let Some(log) = &self.log {
            log.dropped(outgoing.entry);
        }
    }

    /// A message was sent for the first time.
    pub(super) fn note_sent(&mut self, entry: u64) {
        if let Some(log) = &mut self.log {
            log.sent = Some(entry);
        }
    }

    /// Logs how far sending has come.
    pub(super) fn log_sent(&mut self) {
        if let Some(entry) = self.log.as_mut().and_then(|log| log.sent.take()) {
            self.log_later(|session| Record::Sent { session, entry });
        }
    }

    /// The position for which the message has to wait, if it does; 0: it is just being logged.
    pub(super) fn held_back(&self, stored: &Stored) -> Option<u64> {
        let log = self.log.as_ref()?;
        let position = stored.logged.load(Acquire);
        (position == 0 || !log.store.is_reached(position)).then_some(position)
    }

    /// Sees to it that the connection is called when a message that was held back for this position may be sent; at once,
    /// if it has become durable since.
    pub(in crate::broker) fn await_log(&self, position: u64, waker: &Waker) {
        let Some(log) = &self.log else { return };
        let mut cx = Context::from_waker(waker);
        let now = match position {
            // Whoever published it is between two steps and does not wait for anything.
            0 => true,
            position => log.waiting.poll(&mut cx, log.store.level(), position) == Poll::Ready(Ok(())),
        };
        if now {
            waker.wake_by_ref();
        }
    }

    /// Logs a retained message for a new subscription as one that waits, which it does from now on.
    pub(super) fn log_retained(&mut self, outgoing: &mut Outgoing, now: Instant) {
        let Some(entry) = self.next_entry() else { return };
        outgoing.entry = entry;
        let Some(log) = &self.log else { return };
        let Outgoing { stored, qos, retain, ids, .. } = &*outgoing;
        let message = Arc::new(kept(&stored.incoming(*qos, *retain), now, log.store.log_us()));
        let ids = ids.clone().unwrap_or_default();
        let target = Target { session: log.session, entry, qos: *qos, retain: *retain, ids };
        let published = Published { message, retained: false, received: None, targets: vec![target] };
        // If the log does not take it, it is sent all the same: a retained message is not lost by that.
        let position = log.store.put(&Record::Published(published), How::Must).unwrap_or(1);
        stored.logged.store(position, Release);
    }
}

/// A will as the log keeps it.
fn will_record(will: &WillMessage, log_us: i64) -> Box<Will> {
    let incoming = will.stored.incoming(will.qos, will.retain);
    let message = Kept { expiry: will.expiry, ..kept(&incoming, will.stored.received, log_us) };
    Box::new(Will { message, retain: will.retain, delay: will.delay })
}
