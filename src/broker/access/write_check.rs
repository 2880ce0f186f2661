//! A connection's question whether it may publish to a topic, answered from memory where that is possible.
//!
//! Most clients publish to one topic many times, so the last answer is kept. Invariant: an answer given before the
//! permissions of any session changed is not used after it.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::Permissions;
use crate::broker::core::Core;
use crate::broker::session::Session;
use crate::broker::sync::lock;

/// How often one connection's refused publications are logged at most.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// What a connection was last told.
#[derive(Default)]
pub(in crate::broker) struct WriteCheck {
    /// [`super::Access::version`] of the answer; 0: none was given.
    version: u64,
    permissions: Option<Arc<Permissions>>,
    everything: bool,
    topic: String,
    allowed: bool,
    /// The refused topic that was logged last, and when.
    logged: Option<Box<(String, Instant)>>,
}

impl WriteCheck {
    /// Whether the session's client may publish to `topic` now.
    pub(in crate::broker) fn may_write(&mut self, core: &Core, session: &Session, topic: &str) -> bool {
        let version = core.access.version();
        if self.version != version {
            let permissions = Arc::clone(&lock(&session.state).permissions);
            self.everything = permissions.writes_everything();
            self.permissions = Some(permissions);
            self.version = version;
            self.topic.clear();
        }
        if self.everything && !topic.starts_with('$') {
            return true;
        }
        if self.topic != topic {
            self.allowed = self.permissions.as_ref().is_some_and(|granted| granted.may_write(topic));
            self.topic.clear();
            self.topic.push_str(topic);
        }
        self.allowed
    }

    /// Logs a refused publication, unless one to the same topic, or any a moment ago, was.
    pub(in crate::broker) fn log_refusal(&mut self, client: &str, topic: &str, now: Instant) {
        let known = |(logged, at): &(String, Instant)| {
            logged == topic || now.saturating_duration_since(*at) < LOG_PAUSE
        };
        if self.logged.as_deref().is_some_and(known) {
            return;
        }
        self.logged = Some(Box::new((topic.to_owned(), now)));
        let topic = topic.escape_debug();
        tracing::warn!(client, %topic, "publication refused: not permitted; further ones are counted");
    }
}
