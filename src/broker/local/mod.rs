//! Publishing and subscribing inside the program, without a socket.
//!
//! Publishers batch; subscriptions are bounded queues that say what they missed; taps take in line. None passes the
//! access rules for clients: who holds the broker may do anything.

mod properties;
mod publisher;
mod subscription;
mod tap;

pub use publisher::{Batch, Committed, LocalPublisher, NotKept, PublishOptions, TopicHandle};
pub(super) use subscription::LocalQueue;
pub use subscription::LocalSubscription;
pub(super) use tap::SharedTap;
pub use tap::{Tap, TapHandle, TapRefusal, Tapped};

/// A topic or filter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {what}")]
pub struct InvalidTopic {
    /// What was passed.
    pub text: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl InvalidTopic {
    pub(in crate::broker) fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(256).collect(), what }
    }
}
