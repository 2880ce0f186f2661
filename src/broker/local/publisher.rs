//! A publisher inside the program.
//!
//! Messages are gathered in a batch and routed under one read lock when it is committed; every
//! subscriber is woken once. Committing never waits: [`LocalPublisher::ready`] is where a publisher
//! gives slow subscribers their time.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::{InvalidTopic, properties};
use crate::broker::awaited::Awaited;
use crate::broker::codec::QoS;
use crate::broker::core::Core;
use crate::broker::message::Incoming;
use crate::broker::retained::Slot;
use crate::broker::route::{Round, RouteCache};
use crate::broker::session::Session;
use crate::broker::stats::add;
use crate::broker::sync::lock;
use crate::broker::topic;

/// Publishes messages without a socket. One per task; made by [`Broker::publisher`](crate::broker::Broker::publisher).
pub struct LocalPublisher {
    core: Arc<Core>,
    origin: Arc<str>,
    staged: Vec<Staged>,
    bytes: Vec<u8>,
    slow: Vec<Arc<Session>>,
    /// What must come before that which was committed is as durable as the broker promises.
    awaited: Awaited,
    /// Some of it was not taken.
    unkept: bool,
}

/// What was published may be lost: the log did not take it, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker's log did not keep what was published")]
pub struct NotKept;

/// A topic that was checked once. It remembers who subscribes to it and where its retained message is
/// kept, so publishing to it looks nothing up. Cheap to clone.
#[derive(Clone)]
pub struct TopicHandle(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    route: Mutex<RouteCache>,
    slot: OnceLock<Arc<Slot>>,
}

/// How a message is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Highest QoS at which it is delivered.
    pub qos: QoS,
    /// Keep it for later subscribers; with an empty payload: forget what was kept.
    pub retain: bool,
    /// When it loses its meaning.
    pub expiry: Option<Duration>,
    /// Content type, for subscribers that speak MQTT 5.
    pub content_type: Option<&'a str>,
    /// Where an answer is expected; a topic name.
    pub response_topic: Option<&'a str>,
    /// What the answer must carry.
    pub correlation: Option<&'a [u8]>,
    /// User properties.
    pub user: &'a [(&'a str, &'a str)],
    /// The broker's log makes it durable at once, whatever `sync-interval` says: for alarms and answers to commands.
    pub urgent: bool,
    /// Its sender marked it as sent before.
    pub dup: bool,
    /// It reached the publisher as a retained message from elsewhere: it is older than this publication, which those who
    /// take commands must know even where [`Self::retain`] is not set.
    pub kept: bool,
}

struct Staged {
    topic: TopicHandle,
    payload: Range<usize>,
    forward: Range<usize>,
    qos: QoS,
    retain: bool,
    expiry: Option<Duration>,
    urgent: bool,
    dup: bool,
    kept: bool,
}

/// What [`Batch::commit`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Messages in the batch.
    pub messages: u64,
    /// Messages given to subscribers at once; those that a session keeps for later are not counted.
    pub delivered: u64,
    /// Deliveries dropped because a subscriber's queue was full.
    pub dropped: u64,
    /// Retained messages refused because the store is full; they were delivered all the same.
    pub retained_refused: u64,
    /// Some subscriber does not keep up: await [`LocalPublisher::ready`] before the next batch.
    pub wait: bool,
}

impl LocalPublisher {
    pub(in crate::broker) fn new(core: Arc<Core>, origin: &str) -> Self {
        let awaited = Awaited::new(core.store.as_ref(), None);
        Self {
            core,
            origin: origin.into(),
            staged: Vec::new(),
            bytes: Vec::new(),
            slow: Vec::new(),
            awaited,
            unkept: false,
        }
    }

    /// Checks a topic once, for publishing to it often.
    ///
    /// # Errors
    /// The name is no topic name.
    pub fn topic(&self, name: &str) -> Result<TopicHandle, InvalidTopic> {
        topic::check_name(name).map_err(|what| InvalidTopic::new(name, what))?;
        Ok(TopicHandle(Arc::new(Inner { name: name.into(), route: Mutex::default(), slot: OnceLock::new() })))
    }

    /// Begins a batch. What is staged but not committed is forgotten.
    pub fn batch(&mut self) -> Batch<'_> {
        self.staged.clear();
        self.bytes.clear();
        Batch { publisher: self }
    }

    /// Publishes one message.
    ///
    /// # Errors
    /// The name is no topic name.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        options: &PublishOptions<'_>,
    ) -> Result<Committed, InvalidTopic> {
        let handle = self.topic(topic)?;
        let mut batch = self.batch();
        batch.publish(&handle, payload, options);
        Ok(batch.commit())
    }

    /// Waits until everything that was committed at QoS 1 or 2, and is to be kept for a session or as a retained message,
    /// is as durable as the broker promises; the same for what taps took. Returns at once where nothing is kept. Dropped
    /// before its end, it may be called again.
    ///
    /// # Errors
    /// Something was not kept: it may be published again.
    pub async fn kept(&mut self) -> Result<(), NotKept> {
        self.awaited.turn();
        let done = poll_fn(|cx| self.awaited.poll(cx)).await;
        let unkept = std::mem::take(&mut self.unkept);
        if unkept || done.is_err() { Err(NotKept) } else { Ok(()) }
    }

    /// Waits until the subscribers that the last batches found behind have caught up, or have used up
    /// their grace time. Returns at once if none was behind.
    pub async fn ready(&mut self) {
        if self.slow.is_empty() {
            return;
        }
        add(&self.core.counters.pauses, 1);
        let Self { core, slow, .. } = self;
        let relieved = poll_fn(|cx| {
            let now = Instant::now();
            slow.retain(|session| session.poll_relief(cx, &core.limits, now).is_pending());
            if slow.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        // At the end of the grace time the sessions count as slow and are no longer waited for.
        let _ = tokio::time::timeout(core.limits.grace, relieved).await;
        slow.clear();
    }
}

/// Messages that are published together.
pub struct Batch<'p> {
    publisher: &'p mut LocalPublisher,
}

impl Batch<'_> {
    /// Adds a message. It is copied; nobody sees it before [`Self::commit`].
    pub fn publish(&mut self, topic: &TopicHandle, payload: &[u8], options: &PublishOptions<'_>) {
        let bytes = &mut self.publisher.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        let middle = bytes.len();
        properties::encode(bytes, options);
        self.publisher.staged.push(Staged {
            topic: topic.clone(),
            payload: start..middle,
            forward: middle..bytes.len(),
            qos: options.qos,
            retain: options.retain,
            expiry: options.expiry,
            urgent: options.urgent,
            dup: options.dup,
            kept: options.kept,
        });
    }

    /// Messages added so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.publisher.staged.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publisher.staged.is_empty()
    }

    /// Routes all messages in their order and wakes each subscriber once.
    pub fn commit(self) -> Committed {
        let LocalPublisher { core, origin, staged, bytes, slow, awaited, unkept } = self.publisher;
        let now = Instant::now();
        let mut round = Round::new(core, now);
        let mut done = Committed { messages: staged.len() as u64, ..Committed::default() };
        for staged in staged.drain(..) {
            let topic = &staged.topic.0;
            let message = Incoming {
                topic: &topic.name,
                shared_topic: Some(&topic.name),
                payload: &bytes[staged.payload],
                qos: staged.qos,
                retain: staged.retain,
                dup: staged.dup,
                kept: staged.kept,
                forward: &bytes[staged.forward],
                expires: staged.expiry.map(|expiry| now + expiry),
                publisher: origin,
                received: now,
                urgent: staged.urgent,
            };
            if staged.retain {
                let slot = topic.slot.get_or_init(|| core.retained.slot(&topic.name));
                done.retained_refused +=
                    u64::from(core.retained.put_slot(slot, &message, &core.counters).is_err());
            }
            round.route_cached(&message, &mut lock(&topic.route));
        }
        awaited.own(round.logged);
        awaited.taps(std::mem::take(&mut round.tapped));
        *unkept |= round.unlogged > 0 || round.tally.refused > 0;
        let (tally, behind) = round.finish();
        add(&core.counters.messages_local, done.messages);
        *slow = behind;
        done.delivered = tally.out + tally.local_out;
        done.dropped = tally.dropped_queue_full + tally.dropped_local;
        done.wait = !slow.is_empty();
        done
    }
}
