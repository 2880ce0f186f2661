//! Answers that wait for the log: what a client is told of must be as durable as the broker promises.
//!
//! Two batches: one that waits for a known position, and one that still gathers behind it, so that a client
//! that never stops sending is answered all the same, one sync after the other. Invariants: answers leave
//! in the order in which they were made; without a log nothing waits.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::broker::awaited::Awaited;
use crate::broker::local::SharedTap;
use crate::broker::store::Store;
use crate::journal::Level;

/// The answers of one connection.
pub(super) struct Held {
    logs: Awaited,
    waiting: Vec<u8>,
    /// The CONNACK is among them.
    opening: bool,
}

impl Held {
    /// `first`: what the CONNACK waits for. `level`: the promise of the listener, if it has its own.
    pub(super) fn new(store: Option<&Arc<Store>>, first: u64, level: Option<Level>) -> Self {
        let mut logs = Awaited::new(store, level);
        logs.own(first);
        Self { logs, waiting: Vec::new(), opening: first > 0 }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the CONNACK waits.
    pub(super) fn is_opening(&self) -> bool {
        self.opening
    }

    /// The answers made last wait until the broker's log has come so far.
    pub(super) fn gate(&mut self, position: u64) {
        self.logs.own(position);
    }

    /// The answers made last wait until the logs of taps have come so far.
    pub(super) fn gate_taps(&mut self, positions: Vec<(SharedTap, u64)>) {
        self.logs.taps(positions);
    }

    /// Moves to `out`, which is empty, what of the answers may leave. The task is woken when there is more.
    pub(super) fn release(&mut self, cx: &mut Context<'_>, answers: &mut Vec<u8>, out: &mut Vec<u8>) {
        if self.waiting.is_empty() {
            if self.logs.is_idle() {
                return std::mem::swap(answers, out);
            }
            std::mem::swap(answers, &mut self.waiting);
            self.logs.turn();
        }
        // A log that has ended makes nothing durable any more: the answers never leave.
        if self.logs.poll(cx) == Poll::Ready(Ok(())) {
            std::mem::swap(&mut self.waiting, out);
            self.opening = false;
        }
    }

    /// The connection ends: drops the answers that may not leave, and gives back those that may.
    pub(super) fn settle(&mut self, answers: &mut Vec<u8>) {
        if !self.logs.has_all_come() {
            answers.clear();
        }
        let mut first = std::mem::take(&mut self.waiting);
        if !self.logs.has_come() {
            first.clear();
            answers.clear();
        }
        self.logs.forget();
        first.append(answers);
        *answers = first;
    }
}
