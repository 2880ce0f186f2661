//! The embedded broker as a driver sees it: messages that devices publish, and messages to them.
//!
//! A port: the gateway joins it to the broker, which drivers do not know. Absent: sockets, sessions and access
//! rules. Invariant: messages are handed over in the order in which the broker took them.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The messages of one channel. It is subscribed before the broker takes its first client.
pub trait Messages: Send + Sync {
    /// Hands over what waits, at most some hundred messages at a time; pending when there is nothing. One task
    /// waits at a time.
    fn poll_take(&self, cx: &mut Context<'_>, take: &mut dyn FnMut(&Arrived<'_>)) -> Poll<()>;

    /// How many messages were lost since this was last asked, because the queue was full.
    fn take_missed(&self) -> u64;

    /// Publishes one message; says how many clients it was given to at once.
    ///
    /// # Errors
    /// Why it could not be published.
    fn publish(&self, message: &Publication<'_>) -> Result<u64, String>;
}

/// A message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// It was published to be kept.
    pub retain: bool,
    /// It had been kept from before the start: nobody has just said it.
    pub kept: bool,
    /// When the broker took it.
    pub at: Instant,
}

/// A message to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// Its quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// After this it is given to nobody any more.
    pub expiry: Duration,
}
