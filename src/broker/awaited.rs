//! What somebody who published waits for: positions in the broker's log and in those of taps.
//!
//! Two positions for each log: one that is waited for now, and one that still grows behind it. Invariant: positions only
//! grow until they were waited for; nothing is waited for twice.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::local::SharedTap;
use super::store::Store;
use crate::journal::{Ended, Level, Waiting};

/// The logs that one task waits for.
#[derive(Default)]
pub(super) struct Awaited {
    logs: Vec<Log>,
}

struct Log {
    /// Whose log it is; `None`: the broker's own.
    tap: Option<SharedTap>,
    waiting: Waiting,
    level: Level,
    /// Waited for now; 0: nothing is.
    until: u64,
    /// Waited for next; 0: nothing is.
    next: u64,
}

impl Awaited {
    /// `level`: what is promised here; `None`: what the broker promises.
    pub(super) fn new(store: Option<&Arc<Store>>, level: Option<Level>) -> Self {
        let own = |store: &Arc<Store>| {
            let (waiting, level) = (store.waiting(), level.unwrap_or_else(|| store.level()));
            Log { tap: None, waiting, level, until: 0, next: 0 }
        };
        let mut logs = Vec::new();
        logs.extend(store.map(own));
        Self { logs }
    }

    /// The broker's log has to come so far; 0: nothing is to be waited for.
    pub(super) fn own(&mut self, position: u64) {
        if let Some(log) = self.logs.iter_mut().find(|log| log.tap.is_none()) {
            log.next = log.next.max(position);
        }
    }

    /// The logs of taps have to come so far.
    pub(super) fn taps(&mut self, positions: Vec<(SharedTap, u64)>) {
        for (tap, position) in positions {
            let known = |log: &&mut Log| log.tap.as_ref().is_some_and(|known| Arc::ptr_eq(known, &tap));
            if let Some(log) = self.logs.iter_mut().find(known) {
                log.next = log.next.max(position);
            } else if let Some((waiting, level)) = tap.waiting() {
                self.logs.push(Log { tap: Some(tap), waiting, level, until: 0, next: position });
            }
        }
    }

    /// Whether there is anything to wait for next.
    pub(super) fn is_idle(&self) -> bool {
        self.logs.iter().all(|log| log.next == 0)
    }

    /// From now on what was to come next is waited for, too.
    pub(super) fn turn(&mut self) {
        for log in &mut self.logs {
            log.until = log.until.max(std::mem::take(&mut log.next));
        }
    }

    /// Ready once everything that is waited for is as durable as was promised; the task is woken for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        for log in self.logs.iter_mut().filter(|log| log.until > 0) {
            ready!(log.waiting.poll(cx, log.level, log.until))?;
            log.until = 0;
        }
        // A tap that was taken away is forgotten with its last position.
        self.logs.retain(|log| log.next > 0 || log.tap.as_ref().is_none_or(|tap| Arc::strong_count(tap) > 1));
        Poll::Ready(Ok(()))
    }

    /// Nothing is waited for any more.
    pub(super) fn forget(&mut self) {
        self.logs.iter_mut().for_each(|log| (log.until, log.next) = (0, 0));
    }

    /// Whether what is waited for now has come.
    pub(super) fn has_come(&self) -> bool {
        self.logs.iter().all(|log| log.waiting.is_reached(log.level, log.until))
    }

    /// Whether also what was to come next has.
    pub(super) fn has_all_come(&self) -> bool {
        self.logs.iter().all(|log| log.waiting.is_reached(log.level, log.until.max(log.next)))
    }
}
