//! The older connection of a client makes way for the newer one.
//!
//! A client that says goodbye and comes back at once may be served by two threads: the goodbye, and messages
//! before it, may still lie unread in the old socket when the new CONNECT is handled. So the old connection is
//! asked first to handle what has arrived and to end. Invariant: a connection that reads without end, or not at
//! all, holds the newer one up for no longer than [`PATIENCE`]; then the session is taken from it.

use std::time::Duration;

use tokio::sync::oneshot;

use super::auth::Login;
use super::core::Core;
use super::stats::add;

/// How long the older connection may take to handle what its client sent before.
const PATIENCE: Duration = Duration::from_secs(1);

impl Core {
    /// Lets the connection that serves this client, if one does, come to its end. Only for a CONNECT that would
    /// be accepted.
    pub(super) async fn make_way(&self, client_id: &str, login: Option<&Login>) {
        let known = self.registry.lock().get(client_id).cloned();
        let Some(session) = known.filter(|session| session.belongs_to(login)) else { return };
        let (leaving, left) = oneshot::channel();
        if session.ask_to_leave(leaving) && tokio::time::timeout(PATIENCE, left).await.is_ok() {
            add(&self.counters.takeovers, 1);
        }
    }
}
