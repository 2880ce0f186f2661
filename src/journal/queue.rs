//! Where appends wait for the writer: one buffer of encoded records behind one lock.
//!
//! Appending costs a lock, a checksum and a copy; the writer is woken only if it sleeps. Invariant:
//! records are in the buffer in the order of their positions, and none is missing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lock;

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Encoded records.
    pub(super) frames: Vec<u8>,
    /// Position of the next record.
    pub(super) next: u64,
    /// The last position that must be synced.
    pub(super) sync: u64,
    /// The last position whose sync must not wait.
    pub(super) urgent: u64,
    pub(super) closing: bool,
    /// There is something for the writer to look at.
    pub(super) kicked: bool,
    asleep: bool,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<u8>,
    /// Position behind its last record.
    pub(super) end: u64,
}

impl Queue {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// To be called by whoever changed the state, with its lock.
    pub(super) fn wake(&self, mut state: MutexGuard<'_, State>) {
        state.kicked = true;
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.arrived.notify_one();
        }
    }

    /// Sleeps until there is something to look at.
    pub(super) fn sleep(&self, limit: Option<Duration>) {
        let mut state = self.lock();
        if !state.kicked {
            state.asleep = true;
            state = match limit {
                Some(limit) => {
                    self.arrived.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.asleep = false;
        }
        state.kicked = false;
    }

    /// Takes what waits, leaving an empty buffer of the writer's behind.
    pub(super) fn take(&self, batch: &mut Batch) {
        let mut state = self.lock();
        batch.frames.clear();
        std::mem::swap(&mut state.frames, &mut batch.frames);
        batch.end = state.next;
    }
}
