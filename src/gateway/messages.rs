//! Joins channels to the broker: what devices publish goes to their channel, and setpoints to the devices.
//!
//! One subscription per channel, made before the broker serves its first client and kept over restarts of the
//! channel's task, so that nothing is missed between them. Absent: what messages mean, which the driver knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::broker::{Broker, InvalidTopic, LocalPublisher, LocalSubscription, PublishOptions, QoS};
use crate::config::Plan;
use crate::driver::Messages;
use crate::driver::messages::{Arrived, Publication};

/// The most messages of one channel that wait to be looked at; the oldest are lost then, and counted.
const MAX_WAITING: usize = 4096;

/// The most messages that are handed over at a time, so that commands and clocks have their turn.
const AT_ONCE: usize = 256;

/// What clients see as the publisher of setpoints for devices.
const ORIGIN: &str = "iogate-devices";

/// What the broker is to one channel.
struct ChannelMessages {
    incoming: Mutex<LocalSubscription>,
    outgoing: Mutex<LocalPublisher>,
}

/// Subscribes for every channel that listens to devices.
pub(super) fn subscribe(
    broker: &Broker,
    plan: &Plan,
) -> Result<Vec<Option<Arc<dyn Messages>>>, InvalidTopic> {
    let of = |topics: Option<Vec<Arc<str>>>| {
        let Some(topics) = topics else { return Ok(None) };
        let filters: Vec<(&str, QoS)> = topics.iter().map(|topic| (&**topic, QoS::ExactlyOnce)).collect();
        let incoming = Mutex::new(broker.subscribe(&filters, MAX_WAITING)?);
        let outgoing = Mutex::new(broker.publisher(ORIGIN));
        Ok(Some(Arc::new(ChannelMessages { incoming, outgoing }) as Arc<dyn Messages>))
    };
    plan.channels.iter().map(|channel| of(channel.driver.topics())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Messages for ChannelMessages {
    fn poll_take(&self, cx: &mut Context<'_>, take: &mut dyn FnMut(&Arrived<'_>)) -> Poll<()> {
        let mut incoming = lock(&self.incoming);
        let mut taken = 0;
        while taken < AT_ONCE
            && let Poll::Ready(message) = incoming.poll_recv(cx)
        {
            taken += 1;
            take(&Arrived {
                topic: message.topic(),
                payload: message.payload(),
                retain: message.retain,
                kept: message.from_store,
                at: message.received().into_std(),
            });
        }
        if taken == 0 { Poll::Pending } else { Poll::Ready(()) }
    }

    fn take_missed(&self) -> u64 {
        lock(&self.incoming).take_missed()
    }

    fn publish(&self, message: &Publication<'_>) -> Result<u64, String> {
        let qos = match message.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let options = PublishOptions {
            qos,
            retain: message.retain,
            expiry: Some(message.expiry),
            ..PublishOptions::default()
        };
        let done = lock(&self.outgoing).publish(message.topic, message.payload, &options);
        done.map(|done| done.delivered).map_err(|refused| refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::config::{Surroundings, load_str};

    #[test]
    fn a_queue_that_is_full_loses_its_oldest_and_says_how_many() {
        let yaml = "site: s\nchannels: { devices: { mqtt: {} } }\n\
                    devices: { d: { channel: devices, mqtt-max-age: off, points: { p: { mqtt: d/p } } } }";
        let plan = load_str(yaml, "test.yaml", &Surroundings::none()).unwrap();
        let broker = Broker::open(plan.broker.clone()).unwrap();
        let messages = subscribe(&broker, &plan).unwrap().remove(0).unwrap();
        let mut publisher = broker.publisher("device");
        let sent = MAX_WAITING + 100;
        for number in 0..sent {
            publisher.publish("d/p", number.to_string().as_bytes(), &PublishOptions::default()).unwrap();
        }
        let mut taken = Vec::new();
        let mut take =
            |message: &Arrived<'_>| taken.push(String::from_utf8(message.payload.to_vec()).unwrap());
        let mut cx = Context::from_waker(Waker::noop());
        while messages.poll_take(&mut cx, &mut take).is_ready() {}
        assert_eq!((messages.take_missed(), messages.take_missed()), (100, 0));
        assert_eq!((taken.len(), taken[0].as_str()), (MAX_WAITING, "100"));
    }
}
