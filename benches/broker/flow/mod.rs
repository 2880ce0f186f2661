//! A stream of messages through a broker: publishers on one thread, subscribers on another, as fast as the
//! broker takes them or at a rate.
//!
//! Everything that arrives is checked: topic, length, order, and that each message comes exactly once. A
//! flow that is not whole is an error, not a figure.

mod publishers;
mod subscribers;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::Process;
use crate::wire::Target;

/// No message for so long: some are lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who publishes what to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) qos: u8,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// Messages that a publisher sends ahead of their acknowledgements at QoS 1 and 2.
    pub(crate) window: usize,
    /// The n-th publisher's messages go to the n-th subscriber instead of to all.
    pub(crate) pairs: bool,
    /// Messages per second that all publishers send together; `None`: as many as the broker takes.
    pub(crate) rate: Option<u32>,
    /// Messages of each publisher, after which the flow ends; `None`: it ends by its time.
    pub(crate) count: Option<u64>,
    /// The subscribers' sessions outlive their connections, so that what waits for them is to be kept.
    pub(crate) kept: bool,
    /// Begins every topic, so that several flows can share a broker.
    pub(crate) prefix: &'static str,
}

/// What came of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Messages that subscribers received per second, from the first to the last one.
    pub(crate) per_s: f64,
    /// CPU time of the broker's process per received message.
    pub(crate) cpu_us: f64,
}

/// What the two threads share.
struct Shared {
    /// Messages per publisher, once all are sent.
    sent: OnceLock<Vec<u64>>,
    /// Messages that all subscribers together have received so far.
    received: AtomicU64,
    /// One thread has failed: the other one ends, too.
    failed: AtomicBool,
}

impl Shared {
    fn new(sent: OnceLock<Vec<u64>>) -> Self {
        Self { sent, received: AtomicU64::new(0), failed: AtomicBool::new(false) }
    }
}

impl Shape {
    /// One publisher and one subscriber.
    pub(crate) const fn one_to_one(qos: u8) -> Self {
        Self {
            publishers: 1,
            subscribers: 1,
            qos,
            payload: 100,
            window: 1_000,
            pairs: false,
            rate: None,
            count: None,
            kept: false,
            prefix: "bench",
        }
    }

    /// What the n-th publisher publishes to.
    pub(crate) fn topic(&self, publisher: usize) -> String {
        format!("{}/line-{publisher:03}/point", self.prefix)
    }

    /// What the n-th subscriber subscribes to, and whose messages it gets.
    fn interest(&self, subscriber: usize) -> (String, std::ops::Range<usize>) {
        match (self.pairs, self.publishers) {
            (true, _) => (self.topic(subscriber), subscriber..subscriber + 1),
            (false, 1) => (self.topic(0), 0..1),
            (false, all) => (format!("{}/#", self.prefix), 0..all),
        }
    }
}

/// Publishes for `time` and returns when everything has been delivered.
pub(crate) fn run(target: &Target, broker: &Process, shape: Shape, time: Duration) -> Outcome<Figures> {
    let shared = Shared::new(OnceLock::new());
    let subscribers = subscribers::Subscribers::open(target, shape)?;
    let publishers = publishers::Publishers::open(target, shape)?;
    let before = broker.cpu_ns()?;
    let began = Instant::now();
    let received = thread::scope(|scope| {
        let publishing = scope.spawn(|| guarded(&shared, || publishers.run(&shared, began + time)));
        let receiving = scope.spawn(|| guarded(&shared, || subscribers.run(&shared)));
        let (publishing, receiving) = (publishing.join(), receiving.join());
        publishing.map_err(|_| "the publishers' thread panicked")??;
        receiving.map_err(|_| "the subscribers' thread panicked")?
    })?;
    let cpu = broker.cpu_ns()? - before;
    Ok(Figures {
        per_s: received.messages as f64 / (received.last - began).as_secs_f64(),
        cpu_us: cpu as f64 / 1e3 / received.messages as f64,
    })
}

/// Subscribes to what somebody else publishes in this shape, and receives so many messages of each publisher.
/// `begin` starts the publishing. Returns how many came, and in what time.
pub(crate) fn receive(
    target: &Target,
    shape: Shape,
    count: u64,
    begin: impl FnOnce() -> Outcome,
) -> Outcome<(u64, Duration)> {
    let shared = Shared::new(OnceLock::from(vec![count; shape.publishers]));
    let subscribers = subscribers::Subscribers::open(target, shape)?;
    let began = Instant::now();
    begin()?;
    let received = subscribers.run(&shared)?;
    Ok((received.messages, received.last - began))
}

/// What subscribers got.
struct Received {
    messages: u64,
    last: Instant,
}

fn guarded<T>(shared: &Shared, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    work().inspect_err(|_| shared.failed.store(true, Relaxed))
}
