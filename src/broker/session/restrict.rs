//! Taking from a session what its client may no longer read or write.
//!
//! Invariant: nothing that the permissions forbid is left to be sent. What was sent on the connection that still stands
//! stays until it is acknowledged, as the protocol demands; it is not sent again on another one.

use std::sync::Arc;

use super::{State, WillMessage};
use crate::broker::access::Permissions;
use crate::broker::store::Record;

impl State {
    /// Puts other permissions in force. Returns how many waiting messages were taken out.
    pub(in crate::broker) fn restrict(&mut self, permissions: Arc<Permissions>) -> u64 {
        self.permissions = permissions;
        let permissions = &self.permissions;
        let before = self.queue.len() + self.retained.len();
        let log = &self.log;
        self.queue.retain(|waiting| {
            let kept = permissions.may_read(&waiting.stored.topic);
            if let Some(log) = log.as_ref().filter(|_| !kept) {
                log.dropped(waiting.entry);
            }
            kept
        });
        self.queue_bytes = self.queue.iter().map(|waiting| waiting.stored.cost()).sum();
        self.retained.retain(|pending| permissions.may_read(&pending.slot.topic));
        let taken = (before - self.queue.len() - self.retained.len()) as u64;
        if self.will.take_if(|will| !permissions.may_write(&will.stored.topic)).is_some() {
            self.log_later(|session| Record::WillGone { session });
        }
        taken + self.winnow() + self.withdraw_sent()
    }

    /// Takes out what was sent on an earlier connection and would be sent again on this one or the next.
    pub(super) fn withdraw_sent(&mut self) -> u64 {
        let (permissions, absent) = (&self.permissions, self.link.is_none());
        let log = &self.log;
        let readable = |topic: &str| permissions.may_read(topic);
        self.inflight.withdraw(absent, readable, |entry, qos| {
            if let Some(log) = log {
                log.withdrawn(entry, qos);
            }
        })
    }

    /// The will, if its client may still publish it.
    pub(in crate::broker) fn take_will(&mut self) -> Option<Box<WillMessage>> {
        let will = self.will.take()?;
        self.log_later(|session| Record::WillGone { session });
        let permissions = &self.permissions;
        Some(will).filter(|will| permissions.may_write(&will.stored.topic))
    }
}
