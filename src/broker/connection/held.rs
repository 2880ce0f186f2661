//! Answers that wait for the log: what a client is told of must be as durable as the broker promises.
//!
//! Two batches: one that waits for a known position, and one that still gathers behind it, so that a client
//! that never stops sending is answered all the same, one sync after the other. Invariants: answers leave
//! in the order in which they were made; without a log nothing waits.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::broker::store::Store;
use crate::journal::{Level, Waiting};

/// The answers of one connection.
pub(super) struct Held {
    log: Option<(Waiting, Level)>,
    /// Waits for `until`.
    waiting: Vec<u8>,
    until: u64,
    /// What the answers behind it wait for.
    next: u64,
    /// The CONNACK is among them.
    opening: bool,
}

impl Held {
    /// `first`: what the CONNACK waits for.
    pub(super) fn new(store: Option<&Arc<Store>>, first: u64) -> Self {
        let log = store.map(|store| (store.waiting(), store.level()));
        Self { log, waiting: Vec::new(), until: 0, next: first, opening: first > 0 }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the CONNACK waits.
    pub(super) fn is_opening(&self) -> bool {
        self.opening
    }

    /// The answers made last wait until the log has come so far.
    pub(super) fn gate(&mut self, position: u64) {
        self.next = self.next.max(position);
    }

    /// Moves to `out`, which is empty, what of the answers may leave. The task is woken when there is more.
    pub(super) fn release(&mut self, cx: &mut Context<'_>, answers: &mut Vec<u8>, out: &mut Vec<u8>) {
        let Some((waiting, level)) = &self.log else { return std::mem::swap(answers, out) };
        if self.waiting.is_empty() {
            if self.next == 0 {
                return std::mem::swap(answers, out);
            }
            std::mem::swap(answers, &mut self.waiting);
            self.until = std::mem::take(&mut self.next);
        }
        if waiting.poll(cx, *level, self.until) == Poll::Ready(Ok(())) {
            std::mem::swap(&mut self.waiting, out);
            self.opening = false;
        }
    }

    /// The connection ends: drops the answers that may not leave, and gives back those that may.
    pub(super) fn settle(&mut self, answers: &mut Vec<u8>) {
        let Some((waiting, level)) = &self.log else { return };
        let reached = |position: u64| waiting.is_reached(*level, position);
        if !reached(self.next) {
            answers.clear();
        }
        if self.waiting.is_empty() {
            return;
        }
        let mut first = std::mem::take(&mut self.waiting);
        if !reached(self.until) {
            first.clear();
            answers.clear();
        }
        first.append(answers);
        *answers = first;
        (self.until, self.next) = (0, 0);
    }
}
