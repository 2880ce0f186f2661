//! What the operator may do: send a client away, forget a session, look at and delete retained messages.
//!
//! Who the operator is, the callers decide, and they log who it was. Invariant: a client that is sent away finds that it no longer
//! owns its session, exactly as after a takeover, and is told another reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::codec::QoS;
use super::core::Core;
use super::retained::Slot;
use super::session::Session;
use super::stats::add;
use super::sync::lock;
use super::{Broker, InvalidTopic, topic};

impl Broker {
    /// Ends a client's connection: 0x98 to an MQTT 5 client. Its will is published, and its session is kept
    /// for as long as it asked. Returns whether the client was connected.
    pub fn kick(&self, client_id: &str) -> bool {
        let Some(session) = self.core.registry.get(client_id) else { return false };
        let Some(epoch) = evict(&session) else { return false };
        self.core.detach(&session, epoch, true, None);
        add(&self.core.counters.kicked, 1);
        true
    }

    /// Ends a session with its subscriptions and everything that waits in it, and its connection if there is
    /// one. A will that waits is published. Returns whether there was a session.
    pub fn clear_session(&self, client_id: &str) -> bool {
        self.core.clear(client_id)
    }

    /// Deletes the retained messages that a filter selects; subscribers are not told. Returns how many
    /// there were.
    ///
    /// # Errors
    /// The filter is none.
    pub fn delete_retained(&self, filter: &str) -> Result<usize, InvalidTopic> {
        topic::check_filter(filter).map_err(|what| InvalidTopic::new(filter, what))?;
        let (core, now) = (&self.core, Instant::now());
        let mut topics = Vec::new();
        core.retained.select(filter, &mut |slot| {
            topics.extend(slot.with(now, |_| slot.topic.clone()));
        });
        for topic in &topics {
            core.retained.delete(topic, &core.counters);
            core.log_forgotten(topic);
        }
        Ok(topics.len())
    }

    /// The retained messages that a filter selects, sorted by topic: `limit` of them from the one with this
    /// index on. `preview`: bytes of each payload that are wanted.
    ///
    /// # Errors
    /// The filter is none.
    pub fn retained(
        &self,
        filter: &str,
        offset: usize,
        limit: usize,
        preview: usize,
    ) -> Result<RetainedPage, InvalidTopic> {
        topic::check_filter(filter).map_err(|what| InvalidTopic::new(filter, what))?;
        let (retained, now) = (&self.core.retained, Instant::now());
        let mut page = RetainedPage::default();
        let mut slots = Vec::new();
        retained.select(filter, &mut |slot| {
            if let Some(bytes) = slot.with(now, |kept| kept.payload.len()) {
                page.bytes += bytes as u64;
                slots.push(Arc::clone(slot));
            }
        });
        page.matched = slots.len();
        slots.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        let wanted = slots.iter().skip(offset).take(limit);
        page.messages = wanted.filter_map(|slot| look(slot, now, preview)).collect();
        Ok(page)
    }
}

/// Some of the retained messages that a filter selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetainedPage {
    /// How many there are in all.
    pub matched: usize,
    /// Bytes of all their payloads.
    pub bytes: u64,
    /// Those that were asked for.
    pub messages: Vec<RetainedInfo>,
}

/// One retained message, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedInfo {
    /// Its topic.
    pub topic: String,
    /// Bytes of its payload.
    pub bytes: usize,
    /// The first bytes of its payload.
    pub preview: Vec<u8>,
    /// The QoS that it was published with.
    pub qos: QoS,
    /// How long ago it came.
    pub age: Duration,
    /// When it will be gone, if it expires.
    pub expires: Option<Duration>,
    /// Client identifier or origin of whoever published it.
    pub publisher: Arc<str>,
}

fn look(slot: &Slot, now: Instant, preview: usize) -> Option<RetainedInfo> {
    slot.with(now, |kept| RetainedInfo {
        topic: slot.topic.to_string(),
        bytes: kept.payload.len(),
        preview: kept.payload[..kept.payload.len().min(preview)].to_vec(),
        qos: kept.qos,
        age: now.saturating_duration_since(kept.received),
        expires: kept.expires.map(|at| at.saturating_duration_since(now)),
        publisher: Arc::clone(&kept.publisher),
    })
}

/// Notes that the connection is sent away. Returns its epoch; `None`: there is none.
fn evict(session: &Session) -> Option<u64> {
    let mut state = lock(&session.state);
    state.link.as_ref()?;
    state.evicted = state.epoch;
    Some(state.epoch)
}

impl Core {
    fn clear(&self, client_id: &str) -> bool {
        let (ended, will, connected) = {
            let mut sessions = self.registry.lock();
            let Some(session) = sessions.remove(client_id) else { return false };
            let connected = evict(&session).is_some();
            let will = lock(&session.state).take_will();
            (self.end(&session), will, connected)
        };
        add(&self.counters.kicked, u64::from(connected));
        self.clean_up(&ended);
        if let Some(will) = will {
            self.publish_will(&will);
        }
        true
    }
}

impl super::registry::Registry {
    /// The session of a client.
    pub(super) fn get(&self, client_id: &str) -> Option<Arc<Session>> {
        self.lock().get(client_id).cloned()
    }
}
