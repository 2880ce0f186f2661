//! A message on its way: borrowed while it is routed, owned once somebody must keep it.
//!
//! One owned copy serves every session that keeps the message; it never changes after it was made.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::Instant;

use super::codec::{QoS, property_id, walk_forwarded};

/// A publication while it is routed: nothing is copied unless a subscriber must keep it.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) topic: &'a str,
    /// The same name where its publisher keeps it to be shared: storing the message then copies no name.
    pub(super) shared_topic: Option<&'a Arc<str>>,
    pub(super) payload: &'a [u8],
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// It is older than this publication: see [`super::PublishOptions::kept`].
    pub(super) kept: bool,
    /// Encoded properties that subscribers get as they are.
    pub(super) forward: &'a [u8],
    /// When the message loses its meaning.
    pub(super) expires: Option<Instant>,
    /// Client identifier or origin of whoever published it.
    pub(super) publisher: &'a Arc<str>,
    pub(super) received: Instant,
    /// The sync that its durability needs does not wait for `sync-interval`.
    pub(super) urgent: bool,
}

/// A message that somebody keeps.
pub(super) struct Stored {
    pub(super) topic: Arc<str>,
    pub(super) payload: Box<[u8]>,
    pub(super) forward: Box<[u8]>,
    pub(super) expires: Option<Instant>,
    pub(super) dup: bool,
    /// In no record: what is restored was kept.
    pub(super) kept: bool,
    pub(super) publisher: Arc<str>,
    pub(super) received: Instant,
    /// Position of its record in the log; 0: it has none.
    pub(super) logged: AtomicU64,
}

impl Incoming<'_> {
    /// The owned copy, made when the first subscriber needs it and shared with the others.
    pub(super) fn store(&self) -> Arc<Stored> {
        Arc::new(Stored {
            topic: self.shared_topic.map_or_else(|| self.topic.into(), Arc::clone),
            payload: self.payload.into(),
            forward: self.forward.into(),
            expires: self.expires,
            dup: self.dup,
            kept: self.kept,
            publisher: Arc::clone(self.publisher),
            received: self.received,
            logged: AtomicU64::new(0),
        })
    }
}

impl Stored {
    /// The kept message on its way once more, at this QoS and with this retain flag.
    pub(super) fn incoming(&self, qos: QoS, retain: bool) -> Incoming<'_> {
        Incoming {
            topic: &self.topic,
            shared_topic: Some(&self.topic),
            payload: &self.payload,
            qos,
            retain,
            dup: self.dup,
            kept: self.kept,
            forward: &self.forward,
            expires: self.expires,
            publisher: &self.publisher,
            received: self.received,
            urgent: false,
        }
    }

    /// What a session is charged for keeping it, in bytes.
    pub(super) fn cost(&self) -> usize {
        ENTRY_COST + self.topic.len() + self.payload.len() + self.forward.len()
    }
}

/// Bookkeeping of one kept message besides its bytes: the queue entry and the shared header.
const ENTRY_COST: usize = 128;

/// Seconds left until `expires`, rounded up so that a message is never sent with 0 before its time.
/// `None`: it has expired.
pub(super) fn seconds_left(expires: Instant, now: Instant) -> Option<u32> {
    let left = expires.checked_duration_since(now)?;
    if left.is_zero() {
        return None;
    }
    Some(u32::try_from(left.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX))
}

/// A message that a subscription inside the program received.
#[derive(Clone)]
pub struct Message {
    pub(super) stored: Arc<Stored>,
    /// QoS of the delivery: the lower one of publication and subscription.
    pub qos: QoS,
    /// Retained: kept from earlier, or published with the flag.
    pub retain: bool,
    /// The flag came from the store at subscription, not from a publication that was just made.
    pub from_store: bool,
}

impl Message {
    /// Topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.stored.topic
    }

    /// Payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.stored.payload
    }

    /// Whether the publisher marked it as sent before.
    #[must_use]
    pub fn dup(&self) -> bool {
        self.stored.dup
    }

    /// Whether it is older than its publication here, whatever flags it has: its publisher had it as a retained message
    /// from elsewhere, or it is a will that was left before the broker's start.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.stored.kept
    }

    /// Client identifier, or origin of a publisher inside the program.
    #[must_use]
    pub fn publisher(&self) -> &Arc<str> {
        &self.stored.publisher
    }

    /// When the broker took it in (monotonic).
    #[must_use]
    pub fn received(&self) -> Instant {
        self.stored.received
    }

    /// When it loses its meaning, by its message expiry interval.
    #[must_use]
    pub fn expires(&self) -> Option<Instant> {
        self.stored.expires
    }

    /// Properties of MQTT 5; all empty for older publishers.
    #[must_use]
    pub fn properties(&self) -> MessageProperties<'_> {
        let mut properties = MessageProperties::default();
        walk_forwarded(&self.stored.forward, |property| match property.id {
            property_id::PAYLOAD_FORMAT => properties.utf8 = property.value.number() == 1,
            property_id::CONTENT_TYPE => properties.content_type = Some(property.value.text()),
            property_id::RESPONSE_TOPIC => properties.response_topic = Some(property.value.text()),
            property_id::CORRELATION_DATA => properties.correlation = Some(property.value.binary()),
            _ => {
                if let super::codec::PropertyValue::Pair(key, value) = property.value {
                    properties.user.push((key, value));
                }
            }
        });
        properties
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("bytes", &self.payload().len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

/// Properties of a [`Message`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties<'a> {
    /// The publisher declared the payload to be UTF-8 text.
    pub utf8: bool,
    /// Content type.
    pub content_type: Option<&'a str>,
    /// Where an answer is expected.
    pub response_topic: Option<&'a str>,
    /// What the answer must carry.
    pub correlation: Option<&'a [u8]>,
    /// User properties in their order.
    pub user: Vec<(&'a str, &'a str)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn seconds_are_rounded_up_until_the_moment_comes() {
        let now = Instant::now();
        assert_eq!(seconds_left(now + Duration::from_millis(1500), now), Some(2));
        assert_eq!(seconds_left(now + Duration::from_secs(2), now), Some(2));
        assert_eq!(seconds_left(now, now), None);
        assert_eq!(seconds_left(now, now + Duration::from_secs(1)), None);
    }
}
