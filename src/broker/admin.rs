//! What the operator may do: send a client away, forget a session, delete retained messages.
//!
//! Who the operator is, the callers decide. Invariant: a client that is sent away finds that it no longer
//! owns its session, exactly as after a takeover, and is told another reason.

use std::sync::Arc;

use tokio::time::Instant;

use super::core::Core;
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
        tracing::info!(client = client_id, "client sent away by the operator");
        true
    }

    /// Ends a session with its subscriptions and everything that waits in it, and its connection if there is
    /// one. A will that waits is published. Returns whether there was a session.
    pub fn clear_session(&self, client_id: &str) -> bool {
        let cleared = self.core.clear(client_id);
        if cleared {
            tracing::info!(client = client_id, "session cleared by the operator");
        }
        cleared
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
        }
        tracing::info!(filter, deleted = topics.len(), "retained messages deleted by the operator");
        Ok(topics.len())
    }
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
    fn get(&self, client_id: &str) -> Option<Arc<Session>> {
        self.lock().get(client_id).cloned()
    }
}
