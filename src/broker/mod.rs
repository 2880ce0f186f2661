//! The embedded MQTT broker: 3.1, 3.1.1 and 5.0 over TCP, TLS and Unix sockets, and publishing and subscribing without a socket.
//!
//! Own codec; state behind short locks; no task per message. A connection reads what is there, handles
//! every complete packet, routes under a read lock into the subscribers' queues and wakes each of them
//! once; each writes what has gathered in one go. Sessions and retained messages live in memory.
//! Invariants: an acknowledgement leaves only after its message was routed; nobody waits
//! for a slow subscriber longer than a grace time; every queue has a limit and a counter.

pub mod access;
mod admin;
pub mod auth;
mod awaited;
mod clients;
pub mod codec;
mod config;
mod connection;
mod core;
mod entry;
pub mod listen;
mod local;
mod message;
mod places;
mod pool;
mod registry;
mod retained;
mod route;
mod server;
mod session;
mod share;
mod stats;
mod store;
mod sync;
mod sys;
mod takeover;
pub mod topic;
mod trie;
mod watched;

use std::sync::Arc;

use tokio::time::Instant;

pub use admin::{RetainedInfo, RetainedPage};
pub use clients::{ClientInfo, ClientState, ConnectionInfo};
pub use codec::{QoS, Version};
pub use config::Config;
pub use listen::{ListenError, Listeners};
pub use local::{
    Batch, Committed, InvalidTopic, LocalPublisher, LocalSubscription, NotKept, PublishOptions, Tap,
    TapHandle, TapRefusal, Tapped, TopicHandle,
};
pub use message::{Message, MessageProperties};
pub use server::Taken;
pub use stats::Stats;
pub use store::StoreError;
use store::{Store, Times};

use self::core::Core;
use self::entry::{Entry, Sink};
use crate::clock::Clock;
use local::LocalQueue;
use route::Round;
use sync::write;
use watched::Look;

/// The broker. Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub struct Broker {
    core: Arc<Core>,
}

impl Broker {
    /// A broker without listeners, whose state is in memory, whatever `data` says; `serve` adds listeners.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { core: Arc::new(Core::new(config, None)) }
    }

    /// A broker without listeners, with what is in its `data` directory, if it is to have one. To be called inside of a
    /// runtime, in which absent clients' sessions end when their time has come.
    ///
    /// # Errors
    /// The directory cannot be used, or the users or the rules, by which it is decided what of it still counts.
    pub fn open(config: Config) -> Result<Self, StoreError> {
        Self::open_by(config, Times::system())
    }

    /// [`Self::open`] on a machine that was booted anew and has this wall clock, which tells how long the program was not
    /// running.
    ///
    /// # Errors
    /// As those of [`Self::open`].
    pub fn open_at(config: Config, clock: Clock) -> Result<Self, StoreError> {
        Self::open_by(config, Times::of_wall(clock))
    }

    fn open_by(config: Config, times: Times) -> Result<Self, StoreError> {
        let Some(dir) = config.data.clone() else { return Ok(Self::new(config)) };
        let (store, replay) = Store::open(&dir, &config, times)?;
        let core = Arc::new(Core::new(config, Some(store)));
        core.auth.reload(Look::Asked)?;
        core.access.reload(Look::Asked)?;
        core.restore(replay);
        Ok(Self { core })
    }

    /// A publisher inside the program. `origin` is what subscribers see as the publisher.
    #[must_use]
    pub fn publisher(&self, origin: &str) -> LocalPublisher {
        LocalPublisher::new(Arc::clone(&self.core), origin)
    }

    /// Subscribes inside the program; retained messages come first. `capacity`: messages that may wait.
    /// Live messages keep their retain flag; [`Message::from_store`] tells the two apart.
    ///
    /// # Errors
    /// One of the filters is no topic filter.
    pub fn subscribe(
        &self,
        filters: &[(&str, QoS)],
        capacity: usize,
    ) -> Result<LocalSubscription, InvalidTopic> {
        for (filter, _) in filters {
            topic::check_filter(filter)
                .and_then(|()| match filter.starts_with("$share/") {
                    true => Err("shared subscriptions are for clients"),
                    false => Ok(()),
                })
                .map_err(|what| InvalidTopic { text: filter.chars().take(256).collect(), what })?;
        }
        let queue = Arc::new(LocalQueue::new(capacity));
        {
            let mut routes = write(&self.core.routes);
            for &(filter, qos) in filters {
                let sink = Sink::Local(Arc::clone(&queue));
                let entry =
                    Entry { sink, qos, no_local: false, retain_as_published: true, id: None, checked: false };
                routes.edit(filter, |list| list.push(entry));
            }
            stats::add(&self.core.counters.subscriptions, filters.len() as u64);
        }
        self.send_retained(filters, &queue);
        let filters = filters.iter().map(|&(filter, _)| filter.into()).collect();
        Ok(LocalSubscription::new(Arc::clone(&self.core), queue, filters))
    }

    fn send_retained(&self, filters: &[(&str, QoS)], queue: &LocalQueue) {
        let now = Instant::now();
        let mut round = Round::new(&self.core, now);
        for &(filter, qos) in filters {
            self.core.retained.select(filter, &mut |slot| {
                let kept = slot.with(now, |kept| (kept.store(&slot.topic), kept.qos.min(qos)));
                if let Some((stored, qos)) = kept {
                    queue.push(&stored, qos, true, true, &mut round);
                }
            });
        }
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.counters.snapshot()
    }

    /// The section this broker was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.core.config
    }
}
