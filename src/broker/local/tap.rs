//! A tap: takes every message that its filters select, in line, while it is routed.
//!
//! Unlike a subscription it has no queue of its own: what it took is taken when routing returns, so an acknowledgement
//! that leaves afterwards covers it; where it keeps messages in a log, acknowledgements wait for that. A tap must not
//! block, and it may refuse.

use std::sync::Arc;

use tokio::time::Instant;

use super::InvalidTopic;
use crate::broker::Broker;
use crate::broker::codec::QoS;
use crate::broker::core::Core;
use crate::broker::entry::{Entry, Sink};
use crate::broker::message::{Incoming, seconds_left};
use crate::broker::stats::add;
use crate::broker::sync::write;
use crate::broker::topic;
use crate::journal::{Level, Waiting};

/// Takes messages in line.
pub trait Tap: Send + Sync {
    /// Takes one message, in the order in which its publisher sent it, and returns up to where the tap's log must come
    /// before the publisher may be told; 0: at once. Called under a lock of the broker: it must be quick, and may not
    /// publish or subscribe.
    ///
    /// # Errors
    /// It does not take the message, for want of room.
    fn take(&self, message: &Tapped<'_>) -> Result<u64, TapRefusal>;

    /// A place where one task waits for the tap's log, and the level that it waits for; `None`: it has no log.
    fn waiting(&self) -> Option<(Waiting, Level)> {
        None
    }
}

/// A tap as it stands in the tree.
pub(in crate::broker) type SharedTap = Arc<Arc<dyn Tap>>;

/// A tap did not take a message, for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for the message")]
pub struct TapRefusal;

/// A message on its way past a tap.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Encoded MQTT 5 properties that subscribers get as they came.
    pub properties: &'a [u8],
    /// Published with the retain flag, or kept from earlier.
    pub retain: bool,
    /// What is left of the message expiry interval, in seconds.
    pub expiry_s: Option<u32>,
    /// Client identifier, or origin of a publisher inside the program.
    pub publisher: &'a str,
    /// It is to be made durable at once.
    pub urgent: bool,
}

/// A tap in place. Dropping it takes the tap away.
pub struct TapHandle {
    core: Arc<Core>,
    sink: Sink,
    filters: Vec<Box<str>>,
}

impl<'a> Tapped<'a> {
    pub(in crate::broker) fn of(message: &Incoming<'a>) -> Self {
        Self {
            topic: message.topic,
            payload: message.payload,
            properties: message.forward,
            retain: message.retain,
            expiry_s: message.expires.map(|expires| seconds_left(expires, message.received).unwrap_or(1)),
            publisher: message.publisher,
            urgent: message.urgent,
        }
    }
}

impl Broker {
    /// Puts a tap in place. With `retained` it is given what is retained first.
    ///
    /// # Errors
    /// One of the filters is no topic filter.
    pub fn tap(
        &self,
        filters: &[&str],
        tap: Arc<dyn Tap>,
        retained: bool,
    ) -> Result<TapHandle, InvalidTopic> {
        for filter in filters {
            topic::check_filter(filter).map_err(|what| InvalidTopic::new(filter, what))?;
        }
        let sink = Sink::Tap(Arc::new(tap));
        {
            let mut routes = write(&self.core.routes);
            for &filter in filters {
                let entry = Entry {
                    sink: sink.clone(),
                    qos: QoS::ExactlyOnce,
                    no_local: false,
                    retain_as_published: true,
                    id: None,
                    checked: false,
                };
                routes.edit(filter, |list| list.push(entry));
            }
            add(&self.core.counters.subscriptions, filters.len() as u64);
        }
        let filters = filters.iter().map(|&filter| filter.into()).collect();
        let handle = TapHandle { core: Arc::clone(&self.core), sink, filters };
        if retained {
            handle.give_retained();
        }
        Ok(handle)
    }
}

impl TapHandle {
    fn give_retained(&self) {
        let Sink::Tap(tap) = &self.sink else { return };
        let now = Instant::now();
        for filter in &self.filters {
            self.core.retained.select(filter, &mut |slot| {
                if let Some((stored, qos)) = slot.with(now, |kept| (kept.store(&slot.topic), kept.qos)) {
                    // What it has no room for, it counts.
                    let _ = tap.take(&Tapped::of(&stored.incoming(qos, true)));
                }
            });
        }
    }
}

impl Drop for TapHandle {
    fn drop(&mut self) {
        self.core.forget(self.sink.address(), &self.filters);
    }
}
