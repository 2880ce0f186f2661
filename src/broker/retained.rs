//! Retained messages: the last message of each topic that asked to be kept.
//!
//! A tree by topic level, because subscriptions select by filter. Each topic has a slot that whoever
//! publishes to it may hold on to: replacing a message then locks that slot alone. Invariant: a slot is
//! taken out of the tree only while nobody else holds it, so no message is ever put into a lost slot.

mod expire;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::codec::QoS;
use super::config::{Config, bytes};
use super::message::{Incoming, Stored};
use super::stats::{Counters, add, sub};
use super::sync::{lock, read, write};
use super::trie::FastMap;

/// How often a full store is searched for expired messages.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Place of one topic's retained message.
pub(super) struct Slot {
    pub(super) topic: Box<str>,
    kept: Mutex<Option<Kept>>,
}

/// A retained message.
pub(super) struct Kept {
    pub(super) payload: Vec<u8>,
    pub(super) forward: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) expires: Option<Instant>,
    pub(super) publisher: Arc<str>,
    pub(super) received: Instant,
}

#[derive(Default)]
struct Node {
    children: Option<Box<FastMap<Box<str>, Node>>>,
    slot: Option<Arc<Slot>>,
}

/// All retained messages.
pub(super) struct Retained {
    tree: RwLock<Node>,
    swept: Mutex<Option<Instant>>,
    /// A message with an end may be kept.
    fading: AtomicBool,
    max_messages: u64,
    max_bytes: u64,
}

/// The store is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Slot {
    /// Runs `look` on the message, if there is one that has not expired.
    pub(super) fn with<R>(&self, now: Instant, look: impl FnOnce(&Kept) -> R) -> Option<R> {
        let kept = lock(&self.kept);
        kept.as_ref().filter(|kept| !kept.expired(now)).map(look)
    }
}

impl Kept {
    fn new(message: &Incoming<'_>) -> Self {
        Self {
            payload: message.payload.to_vec(),
            forward: message.forward.to_vec(),
            qos: message.qos,
            expires: message.expires,
            publisher: Arc::clone(message.publisher),
            received: message.received,
        }
    }

    /// Takes over a newer message in place: no allocation while sizes stay alike.
    fn replace(&mut self, message: &Incoming<'_>) {
        refill(&mut self.payload, message.payload);
        refill(&mut self.forward, message.forward);
        self.qos = message.qos;
        self.expires = message.expires;
        self.received = message.received;
        if !Arc::ptr_eq(&self.publisher, message.publisher) {
            self.publisher = Arc::clone(message.publisher);
        }
    }

    fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// An owned copy for a session that must keep it.
    pub(super) fn store(&self, topic: &str) -> Arc<Stored> {
        Arc::new(Stored {
            topic: topic.into(),
            payload: self.payload.as_slice().into(),
            forward: self.forward.as_slice().into(),
            expires: self.expires,
            dup: false,
            kept: true,
            publisher: Arc::clone(&self.publisher),
            received: self.received,
            logged: AtomicU64::new(0),
        })
    }
}

fn refill(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    if buffer.capacity() > 64 + 4 * bytes.len() {
        buffer.shrink_to(bytes.len());
    }
    buffer.extend_from_slice(bytes);
}

fn size(topic: &str, payload: &[u8], forward: &[u8]) -> u64 {
    (topic.len() + payload.len() + forward.len()) as u64
}

impl Retained {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            tree: RwLock::default(),
            swept: Mutex::new(None),
            fading: AtomicBool::new(false),
            max_messages: config.max_retained as u64,
            max_bytes: bytes(config.max_retained_bytes) as u64,
        }
    }

    /// The slot of a topic, made if there is none.
    pub(super) fn slot(&self, topic: &str) -> Arc<Slot> {
        if let Some(slot) = read(&self.tree).find(topic) {
            return Arc::clone(slot);
        }
        let mut tree = write(&self.tree);
        let node = topic.split('/').fold(&mut *tree, |node, level| {
            node.children.get_or_insert_default().entry(level.into()).or_default()
        });
        let slot =
            node.slot.get_or_insert_with(|| Arc::new(Slot { topic: topic.into(), kept: Mutex::new(None) }));
        Arc::clone(slot)
    }

    /// Keeps a message; an empty payload deletes what was kept ([MQTT-3.3.1-6]).
    pub(super) fn put(&self, message: &Incoming<'_>, counters: &Counters) -> Result<(), Full> {
        if message.payload.is_empty() {
            self.delete(message.topic, counters);
            return Ok(());
        }
        let slot = self.slot(message.topic);
        let result = self.put_slot(&slot, message, counters);
        drop(slot);
        if result.is_err() {
            // Topics that were refused must not leave their slots behind.
            write(&self.tree).prune(Some(message.topic));
        }
        result
    }

    /// As [`Self::put`], into a slot that the caller holds.
    pub(super) fn put_slot(
        &self,
        slot: &Slot,
        message: &Incoming<'_>,
        counters: &Counters,
    ) -> Result<(), Full> {
        if message.payload.is_empty() {
            clear(slot, counters, |_| true);
            return Ok(());
        }
        let new = size(&slot.topic, message.payload, message.forward);
        if self.try_put(slot, message, new, counters) {
            return Ok(());
        }
        self.sweep(message.received, counters);
        if self.try_put(slot, message, new, counters) {
            return Ok(());
        }
        add(&counters.retained_refused, 1);
        Err(Full)
    }

    fn try_put(&self, slot: &Slot, message: &Incoming<'_>, new: u64, counters: &Counters) -> bool {
        let mut kept = lock(&slot.kept);
        let old = kept.as_ref().map(|kept| size(&slot.topic, &kept.payload, &kept.forward));
        let grows = new.saturating_sub(old.unwrap_or(0));
        if grows > 0 && counters.retained_bytes.load(Relaxed) + grows > self.max_bytes {
            return false;
        }
        match &mut *kept {
            Some(kept) => kept.replace(message),
            None if counters.retained.load(Relaxed) >= self.max_messages => return false,
            none => {
                *none = Some(Kept::new(message));
                add(&counters.retained, 1);
            }
        }
        add(&counters.retained_bytes, grows);
        sub(&counters.retained_bytes, old.unwrap_or(0).saturating_sub(new));
        if message.expires.is_some() {
            self.fading.store(true, Relaxed);
        }
        true
    }

    /// Deletes what is kept for a topic.
    pub(super) fn delete(&self, topic: &str, counters: &Counters) {
        let found = read(&self.tree).find(topic).is_some_and(|slot| {
            clear(slot, counters, |_| true);
            true
        });
        if found {
            write(&self.tree).prune(Some(topic));
        }
    }

    /// Removes expired messages and unused slots, at most once per [`SWEEP_PAUSE`].
    fn sweep(&self, now: Instant, counters: &Counters) {
        {
            let mut swept = lock(&self.swept);
            if swept.is_some_and(|last| now.saturating_duration_since(last) < SWEEP_PAUSE) {
                return;
            }
            *swept = Some(now);
        }
        write(&self.tree).sweep(now, counters);
    }

    /// Calls `each` with the slot of every topic that `filter` selects; some may be empty.
    pub(super) fn select(&self, filter: &str, each: &mut impl FnMut(&Arc<Slot>)) {
        read(&self.tree).select(Some(filter), true, each);
    }
}

/// Removes the message of a slot if it is one that `which` names. Returns whether it did.
fn clear(slot: &Slot, counters: &Counters, which: impl Fn(&Kept) -> bool) -> bool {
    let Some(kept) = lock(&slot.kept).take_if(|kept| which(kept)) else { return false };
    sub(&counters.retained, 1);
    sub(&counters.retained_bytes, size(&slot.topic, &kept.payload, &kept.forward));
    true
}

impl Node {
    fn find(&self, topic: &str) -> Option<&Arc<Slot>> {
        let mut node = self;
        for level in topic.split('/') {
            node = node.children.as_ref()?.get(level)?;
        }
        node.slot.as_ref()
    }

    fn is_empty(&self) -> bool {
        self.slot.is_none() && self.children.is_none()
    }

    /// Drops the slot if it is empty and nobody else holds it.
    fn drop_slot(&mut self) {
        let unused = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1 && lock(&slot.kept).is_none();
        if self.slot.as_ref().is_some_and(unused) {
            self.slot = None;
        }
    }

    fn prune(&mut self, levels: Option<&str>) {
        let Some(levels) = levels else { return self.drop_slot() };
        let (level, rest) =
            levels.split_once('/').map_or((levels, None), |(level, rest)| (level, Some(rest)));
        let Some(children) = &mut self.children else { return };
        if let Some(child) = children.get_mut(level) {
            child.prune(rest);
            if child.is_empty() {
                children.remove(level);
            }
        }
        if children.is_empty() {
            self.children = None;
        }
    }

    fn sweep(&mut self, now: Instant, counters: &Counters) {
        if let Some(slot) = &self.slot {
            let expired = clear(slot, counters, |kept| kept.expired(now));
            add(&counters.retained_expired, u64::from(expired));
        }
        self.drop_slot();
        if let Some(children) = &mut self.children {
            children.retain(|_, child| {
                child.sweep(now, counters);
                !child.is_empty()
            });
            if children.is_empty() {
                self.children = None;
            }
        }
    }

    fn select(&self, filter: Option<&str>, top: bool, each: &mut impl FnMut(&Arc<Slot>)) {
        let Some(filter) = filter else {
            if let Some(slot) = &self.slot {
                each(slot);
            }
            return;
        };
        let (level, rest) =
            filter.split_once('/').map_or((filter, None), |(level, rest)| (level, Some(rest)));
        let children = || self.children.iter().flat_map(|children| children.iter());
        // [MQTT-4.7.2-1]: a leading wildcard does not select names that begin with `$`.
        let hidden = |name: &str| top && name.starts_with('$');
        match level {
            "#" => {
                if let Some(slot) = &self.slot {
                    each(slot);
                }
                for (_, child) in children().filter(|(name, _)| !hidden(name)) {
                    child.select(Some("#"), false, each);
                }
            }
            "+" => {
                for (_, child) in children().filter(|(name, _)| !hidden(name)) {
                    child.select(rest, false, each);
                }
            }
            _ => {
                if let Some(child) = self.children.as_ref().and_then(|children| children.get(level)) {
                    child.select(rest, false, each);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
