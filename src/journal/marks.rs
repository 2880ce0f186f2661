//! How far the log has come, and who waits for it to come further.
//!
//! Two numbers that only grow: written up to, synced up to. Whoever waits has one slot, whatever it waits
//! for, so a step of the log costs one look per slot and one call of its waker. Invariant: a slot that
//! waits is in the list, so its waker is called once its mark is reached, or the log has ended.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use super::lock;
use super::options::Level;

/// The log has ended without reaching the mark: what was waited for may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log was closed before this was durable")]
pub struct Ended;

#[derive(Debug, Default)]
pub(super) struct Marks {
    written: AtomicU64,
    synced: AtomicU64,
    ended: AtomicBool,
    waiting: Mutex<Vec<Arc<Slot>>>,
    /// For threads that wait.
    changed: Condvar,
    gate: Mutex<()>,
}

#[derive(Debug, Default)]
struct Slot {
    wish: Mutex<Option<(Level, u64, Waker)>>,
}

impl Marks {
    pub(super) fn start(&self, last: u64) {
        self.written.store(last, Release);
        self.synced.store(last, Release);
    }

    /// The last position that is as durable as `level` says. At `None` nothing is waited for.
    pub(super) fn reached(&self, level: Level) -> u64 {
        match level {
            Level::None => u64::MAX,
            Level::Process => self.written.load(Acquire),
            Level::Power => self.synced.load(Acquire),
        }
    }

    pub(super) fn set_written(&self, position: u64) {
        self.written.store(position, Release);
        self.wake();
    }

    pub(super) fn set_synced(&self, position: u64) {
        self.synced.store(position, Release);
        self.wake();
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Release);
        self.wake();
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    fn done(&self, level: Level, position: u64) -> Poll<Result<(), Ended>> {
        // In this order: what was reached before the end counts.
        let ended = self.ended();
        if self.reached(level) >= position {
            Poll::Ready(Ok(()))
        } else if ended {
            Poll::Ready(Err(Ended))
        } else {
            Poll::Pending
        }
    }

    fn wake(&self) {
        drop(lock(&self.gate));
        self.changed.notify_all();
        let mut due = Vec::new();
        lock(&self.waiting).retain(|slot| {
            let mut wish = lock(&slot.wish);
            let waits =
                wish.as_ref().is_some_and(|(level, position, _)| self.done(*level, *position).is_pending());
            if !waits {
                due.extend(wish.take().map(|(_, _, waker)| waker));
            }
            waits
        });
        // Outside of the locks: a waker may run code of others.
        due.into_iter().for_each(Waker::wake);
    }

    /// Blocks the thread until the mark is reached.
    pub(super) fn wait(&self, level: Level, position: u64) -> Result<(), Ended> {
        let mut gate = lock(&self.gate);
        loop {
            if let Poll::Ready(done) = self.done(level, position) {
                return done;
            }
            gate = self.changed.wait(gate).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// One waiter's place: as many as there are tasks that wait, not as there are records.
#[derive(Debug)]
pub struct Waiting {
    marks: Arc<Marks>,
    slot: Arc<Slot>,
}

impl Waiting {
    pub(super) fn new(marks: Arc<Marks>) -> Self {
        Self { marks, slot: Arc::default() }
    }

    /// Whether the position is as durable as the level says.
    #[must_use]
    pub fn is_reached(&self, level: Level, position: u64) -> bool {
        self.marks.reached(level) >= position
    }

    /// Ready once the position is as durable as the level says; until then the task is woken when it is. A
    /// new wish takes the place of the one before.
    ///
    /// # Errors
    /// The log has ended before.
    pub fn poll(&self, cx: &mut Context<'_>, level: Level, position: u64) -> Poll<Result<(), Ended>> {
        let done = self.marks.done(level, position);
        if done.is_ready() {
            return done;
        }
        let before = lock(&self.slot.wish).replace((level, position, cx.waker().clone()));
        if before.is_none() {
            lock(&self.marks.waiting).push(Arc::clone(&self.slot));
        }
        // It may have been reached before the slot was in the list.
        self.marks.done(level, position)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *lock(&self.slot.wish) = None;
    }
}
