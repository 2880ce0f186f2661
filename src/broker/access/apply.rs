//! Putting a change of the rules into effect for clients that are there already.
//!
//! Invariant: after the call no session is given, and none publishes, what its client may no longer read or
//! write: subscriptions, waiting messages, retained ones still to be sent, and wills are gone.

use std::sync::Arc;

use super::Verdict;
use crate::broker::core::Core;
use crate::broker::entry::mark;
use crate::broker::session::Session;
use crate::broker::stats::add;
use crate::broker::sync::{lock, write};
use crate::broker::topic;

impl Core {
    /// After a change of the rules: gives every session what they grant it now.
    pub(in crate::broker) fn apply_access(&self) {
        let mut changed = 0_usize;
        for session in self.registry.all() {
            changed += usize::from(self.reassess(&session));
        }
        tracing::info!(sessions = changed, "the rules in force have changed");
    }

    /// Gives a session what the rules grant its client now. Returns whether that is something else than before.
    pub(in crate::broker) fn reassess(&self, session: &Arc<Session>) -> bool {
        // The tree's lock comes first; meanwhile nobody delivers to the session and none of its filters is entered.
        let mut routes = write(&self.routes);
        let mut state = lock(&session.state);
        let granted = self.access.permissions(state.login.as_ref(), &session.id);
        if state.ended || granted == state.permissions {
            return false;
        }
        let mut marks = Vec::with_capacity(state.filters.len());
        let (filters, log) = state.filters_and_log();
        filters.retain(|filter| {
            let verdict = granted.subscription(selects(filter));
            if verdict == Verdict::Nothing
                && let Some(log) = &log
            {
                log.unsubscribed(filter);
            }
            marks.push((Box::<str>::from(filter), verdict));
            verdict != Verdict::Nothing
        });
        let withheld = state.restrict(granted);
        drop(state);
        // What publishers remember of the tree was found with the old permissions.
        routes.touch();
        let subscriber = Arc::as_ptr(session) as usize;
        let mut revoked = 0;
        for (filter, verdict) in &marks {
            if *verdict == Verdict::Nothing {
                self.forget_one(&mut routes, subscriber, filter);
                revoked += 1;
            } else {
                mark(&mut routes, subscriber, filter, *verdict == Verdict::Part);
            }
        }
        drop(routes);
        self.access.changed();
        add(&self.counters.withheld, withheld);
        add(&self.counters.subscriptions_revoked, revoked);
        if revoked > 0 || withheld > 0 {
            tracing::info!(client = %session.id, subscriptions = revoked, messages = withheld, "what the client may no longer read was taken away");
        }
        true
    }
}

/// What a filter selects, without the group of a shared subscription.
pub(in crate::broker) fn selects(filter: &str) -> &str {
    match topic::shared(filter) {
        Ok(Some((_, selects))) => selects,
        _ => filter,
    }
}
