//! Routing: from one publication to everybody who subscribed.
//!
//! A [`Round`] is one batch of work of one task: it holds the read lock of the tree while messages are
//! routed, adds up what happened, and wakes every touched connection once at its end. It never waits.

use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, RwLockReadGuard};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::codec::QoS;
use super::config::bytes;
use super::core::Core;
use super::entry::{Entry, Sink};
use super::local::{SharedTap, TapRefusal, Tapped};
use super::message::{Incoming, Stored};
use super::pool::Pool;
use super::session::{Grant, Session, State, kept};
use super::stats::add;
use super::store::{self, How, Promise, Published, Record};
use super::sync::{lock, read};
use super::trie::Trie;
use crate::journal::Level;

/// Limits that routing looks at for every message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) queue_messages: usize,
    pub(super) queue_bytes: usize,
    pub(super) pause_bytes: usize,
    pub(super) grace: Duration,
}

impl Limits {
    pub(super) fn new(config: &super::Config) -> Self {
        Self {
            queue_messages: config.max_queue_messages,
            queue_bytes: bytes(config.max_queue_bytes),
            pause_bytes: bytes(config.pause_bytes),
            grace: config.grace(),
        }
    }
}

/// What a round did; added to the counters at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) out: u64,
    /// Payload bytes of `out`.
    pub(super) out_bytes: u64,
    /// Packets other than messages.
    pub(super) other_out: u64,
    pub(super) local_out: u64,
    pub(super) dropped_queue_full: u64,
    pub(super) dropped_too_large: u64,
    pub(super) dropped_expired: u64,
    pub(super) dropped_local: u64,
    /// Not given to a client that may not read the topic.
    pub(super) withheld: u64,
    /// Messages that a tap had no room for.
    pub(super) refused: u64,
}

/// One batch of routing.
pub(super) struct Round<'c> {
    core: &'c Core,
    routes: Option<RwLockReadGuard<'c, Trie<Entry>>>,
    pub(super) limits: &'c Limits,
    pub(super) pool: &'c Pool,
    pub(super) now: Instant,
    pub(super) tally: Tally,
    pub(super) wakes: Vec<Waker>,
    /// Sessions that were searched for expired messages in this round.
    pub(super) purged: Vec<*const State>,
    /// Kept sessions that the message in hand is for; logged with it.
    pub(super) targets: Vec<store::Target>,
    /// The message in hand came at QoS 2, from this session in the log and under this packet identifier.
    pub(super) received: Option<(u64, u16)>,
    /// Position of the last record in the log that an answer has to wait for.
    pub(super) logged: u64,
    /// Messages that the log did not take.
    pub(super) unlogged: u64,
    /// The least durability that whoever publishes is promised; `None`: what everybody is.
    pub(super) level: Option<Level>,
    /// Somebody who takes the message in hand wants it durable at once.
    pub(super) urgent: bool,
    /// Positions in the logs of taps that an answer has to wait for.
    pub(super) tapped: Vec<(SharedTap, u64)>,
    /// Sessions that publishers should wait for.
    slow: Vec<Arc<Session>>,
}

/// One subscriber of a topic with what its subscriptions say together.
pub(super) struct Target {
    sink: Sink,
    qos: QoS,
    retain_as_published: bool,
    ids: Box<[u32]>,
    checked: bool,
}

impl<'c> Round<'c> {
    pub(super) fn new(core: &'c Core, now: Instant) -> Self {
        Self {
            core,
            routes: None,
            limits: &core.limits,
            pool: &core.pool,
            now,
            tally: Tally::default(),
            wakes: Vec::new(),
            purged: Vec::new(),
            targets: Vec::new(),
            received: None,
            logged: 0,
            unlogged: 0,
            level: None,
            urgent: false,
            tapped: Vec::new(),
            slow: Vec::new(),
        }
    }

    /// Lets others change the subscriptions; the next message takes the lock again.
    pub(super) fn release(&mut self) {
        self.routes = None;
    }

    /// Ends the round. Returns what was done and for whom the publisher should wait.
    pub(super) fn finish(mut self) -> (Tally, Vec<Arc<Session>>) {
        let slow = std::mem::take(&mut self.slow);
        (self.tally, slow)
    }

    pub(super) fn wait_for(&mut self, session: &Arc<Session>) {
        if !self.slow.iter().any(|known| Arc::ptr_eq(known, session)) {
            self.slow.push(Arc::clone(session));
        }
    }

    /// Gives `message` to every subscriber. Returns how many there are.
    pub(super) fn route(&mut self, message: &Incoming<'_>) -> usize {
        // The guard moves out and back, so that delivering may borrow the round.
        let routes = self.routes.take().unwrap_or_else(|| read(&self.core.routes));
        let mut first: Option<&[Entry]> = None;
        let mut all: Vec<&Entry> = Vec::new();
        routes.select(message.topic, &mut |list| match first {
            None => first = Some(list),
            Some(_) => all.extend(list),
        });
        let mut matched = 0;
        let mut stored = None;
        let first = first.unwrap_or_default();
        if all.is_empty() {
            for entry in first.iter().filter(|entry| entry.wants(message.publisher)) {
                let id = entry.id.map(std::num::NonZeroU32::get);
                let view = View {
                    sink: &entry.sink,
                    qos: entry.qos,
                    rap: entry.retain_as_published,
                    ids: id.as_slice(),
                    checked: entry.checked,
                };
                self.deliver(view, message, &mut stored);
                matched += 1;
            }
        } else {
            all.extend(first);
            all.retain(|entry| entry.wants(message.publisher));
            for target in merge(&mut all) {
                self.deliver(target.view(), message, &mut stored);
                matched += 1;
            }
        }
        self.routes = Some(routes);
        self.log(message, stored.as_deref());
        matched
    }

    /// Puts the message into the log, with everybody who is to have it, if somebody or something in it outlives the
    /// program.
    pub(super) fn log(&mut self, message: &Incoming<'_>, stored: Option<&Stored>) {
        let Some(store) = &self.core.store else { return };
        let (received, targets) = (self.received.take(), std::mem::take(&mut self.targets));
        let urgent = std::mem::take(&mut self.urgent);
        // What the broker says of itself is said again after a start.
        let retained = message.retain && !message.topic.starts_with('$');
        if !retained && received.is_none() && targets.is_empty() {
            return;
        }
        let message_record = Arc::new(kept(message, self.now, store.log_us()));
        let how = match message.qos {
            QoS::AtMostOnce if targets.is_empty() => How::Spare,
            _ => How::Message,
        };
        let record = Record::Published(Published { message: message_record, retained, received, targets });
        let promise = Promise { level: self.level, urgent: urgent || message.urgent };
        let position = match store.put_for(&record, how, promise) {
            Ok(position) => position,
            Err(_) => {
                self.unlogged += 1;
                add(&self.core.counters.unlogged, 1);
                // It is not acknowledged; those who have it already may go on.
                1
            }
        };
        if how == How::Message && position > 1 {
            self.logged = position;
        }
        if let Some(stored) = stored {
            stored.logged.store(position, Release);
        }
    }

    /// As [`Self::route`], with the answer of the tree kept in `cache` until the tree changes.
    pub(super) fn route_cached(&mut self, message: &Incoming<'_>, cache: &mut RouteCache) -> usize {
        let routes = self.routes.take().unwrap_or_else(|| read(&self.core.routes));
        if cache.generation != routes.generation() {
            let mut all: Vec<&Entry> = Vec::new();
            routes.select(message.topic, &mut |list| all.extend(list));
            all.retain(|entry| entry.wants(message.publisher));
            let mut targets = merge(&mut all);
            // The permissions of sessions change only together with the generation.
            targets.retain_mut(|target| target.settle(message.topic));
            *cache = RouteCache { generation: routes.generation(), targets };
        }
        self.routes = Some(routes);
        let mut stored = None;
        for target in &cache.targets {
            self.deliver(target.view(), message, &mut stored);
        }
        self.log(message, stored.as_deref());
        cache.targets.len()
    }

    fn note_tap(&mut self, tap: &SharedTap, position: u64) {
        match self.tapped.iter_mut().find(|(known, _)| Arc::ptr_eq(known, tap)) {
            Some((_, last)) => *last = position,
            None => self.tapped.push((Arc::clone(tap), position)),
        }
    }

    fn deliver(&mut self, to: View<'_>, message: &Incoming<'_>, stored: &mut Option<Arc<Stored>>) {
        let (qos, retain) = (to.qos.min(message.qos), message.retain && to.rap);
        let grant = Grant { qos, retain, ids: to.ids, share: None, checked: to.checked };
        match to.sink {
            Sink::Session(session) => session.deliver(message, grant, stored, self),
            Sink::Local(queue) => {
                let stored = stored.get_or_insert_with(|| message.store());
                queue.push(stored, grant.qos, message.retain, false, self);
            }
            Sink::Shared(group) => group.deliver(message, stored, self),
            Sink::Tap(tap) => match tap.take(&Tapped::of(message)) {
                Ok(position) => {
                    self.tally.local_out += 1;
                    if position > 0 && message.qos > QoS::AtMostOnce {
                        self.note_tap(tap, position);
                    }
                }
                Err(TapRefusal) => self.tally.refused += 1,
            },
        }
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.routes = None;
        let (tally, counters) = (&self.tally, &self.core.counters);
        add(&counters.messages_out, tally.out);
        add(&counters.payload_bytes_out, tally.out_bytes);
        add(&counters.packets_out, tally.other_out);
        add(&counters.messages_local_out, tally.local_out);
        add(&counters.dropped_queue_full, tally.dropped_queue_full);
        add(&counters.dropped_too_large, tally.dropped_too_large);
        add(&counters.dropped_expired, tally.dropped_expired);
        add(&counters.dropped_local, tally.dropped_local);
        add(&counters.withheld, tally.withheld);
        add(&counters.refused_taps, tally.refused);
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
    }
}

/// The subscribers of one topic, as the tree knew them at `generation`.
#[derive(Default)]
pub(super) struct RouteCache {
    generation: u64,
    targets: Vec<Target>,
}

#[derive(Clone, Copy)]
struct View<'a> {
    sink: &'a Sink,
    qos: QoS,
    rap: bool,
    ids: &'a [u32],
    checked: bool,
}

impl Target {
    fn view(&self) -> View<'_> {
        let (rap, checked) = (self.retain_as_published, self.checked);
        View { sink: &self.sink, qos: self.qos, rap, ids: &self.ids, checked }
    }

    /// Finds out once whether the subscriber may read the topic. Returns the answer.
    fn settle(&mut self, topic: &str) -> bool {
        match &self.sink {
            Sink::Session(session) if std::mem::take(&mut self.checked) => {
                lock(&session.state).permissions.may_read(topic)
            }
            _ => true,
        }
    }
}

/// One target per subscriber: the highest QoS and all subscription identifiers of its overlapping
/// subscriptions ([MQTT-3.3.4-2], [MQTT-3.3.4-3]).
fn merge(entries: &mut [&Entry]) -> Vec<Target> {
    entries.sort_by_key(|entry| entry.sink.address());
    entries
        .chunk_by(|a, b| a.sink.address() == b.sink.address())
        .map(|same| Target {
            sink: same[0].sink.clone(),
            qos: same.iter().map(|entry| entry.qos).max().unwrap_or_default(),
            retain_as_published: same.iter().any(|entry| entry.retain_as_published),
            // What one of its subscriptions gives without a look, none of the others takes away.
            checked: same.iter().all(|entry| entry.checked),
            ids: same.iter().filter_map(|entry| entry.id).map(std::num::NonZeroU32::get).collect(),
        })
        .collect()
}
