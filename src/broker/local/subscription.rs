//! A subscription inside the program: a bounded queue.
//!
//! When the queue is full the oldest message makes room, and the subscription says how many it missed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::broker::codec::QoS;
use crate::broker::core::Core;
use crate::broker::message::{Message, Stored};
use crate::broker::route::Round;
use crate::broker::sync::lock;

/// Receives messages without a socket. Dropping it ends the subscription.
pub struct LocalSubscription {
    core: Arc<Core>,
    queue: Arc<LocalQueue>,
    filters: Vec<Box<str>>,
}

/// The queue behind a [`LocalSubscription`].
pub(in crate::broker) struct LocalQueue {
    inner: Mutex<Inner>,
    capacity: usize,
    /// What comes here is made durable at once.
    urgent: AtomicBool,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    missed: u64,
    waker: Option<Waker>,
}

impl LocalQueue {
    pub(in crate::broker) fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), capacity: capacity.max(1), urgent: AtomicBool::new(false) }
    }

    /// Adds a message, dropping the oldest one if there is no room.
    pub(in crate::broker) fn push(
        &self,
        stored: &Arc<Stored>,
        qos: QoS,
        retain: bool,
        from_store: bool,
        round: &mut Round<'_>,
    ) {
        round.urgent |= self.urgent.load(Relaxed);
        let mut inner = lock(&self.inner);
        if inner.messages.len() >= self.capacity {
            inner.messages.pop_front();
            inner.missed += 1;
            round.tally.dropped_local += 1;
        }
        inner.messages.push_back(Message { stored: Arc::clone(stored), qos, retain, from_store });
        round.tally.local_out += 1;
        round.wakes.extend(inner.waker.take());
    }
}

impl LocalSubscription {
    pub(in crate::broker) fn new(core: Arc<Core>, queue: Arc<LocalQueue>, filters: Vec<Box<str>>) -> Self {
        Self { core, queue, filters }
    }

    /// From now on what comes here is made durable at once, whatever `sync-interval` says: for commands, whose senders
    /// wait for the acknowledgement.
    #[must_use]
    pub fn urgently(self) -> Self {
        self.queue.urgent.store(true, Relaxed);
        self
    }

    /// The next message. Cancel safe: a message is either returned or still in the queue.
    pub async fn recv(&mut self) -> Message {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`Self::recv`], for use in a hand-written future.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        let mut inner = lock(&self.queue.inner);
        match inner.messages.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                inner.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        lock(&self.queue.inner).messages.pop_front()
    }

    /// How many messages were missed since this was last asked, because the queue was full.
    pub fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut lock(&self.queue.inner).missed)
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        self.core.forget(Arc::as_ptr(&self.queue) as usize, &self.filters);
    }
}
