//! The task of a channel whose queue of messages was too short.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::bus::{Bus, Subscription};
use crate::driver::entry::Attached;
use crate::driver::messages::Arrived;
use crate::driver::mqtt::MqttConfig;
use crate::model::PointTable;
use crate::model::point::tests::point;

/// A queue that is filled by hand and loses what it is told to.
#[derive(Default)]
struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    messages: VecDeque<(&'static str, &'static str)>,
    missed: u64,
    waker: Option<Waker>,
}

impl Queue {
    fn put(&self, missed: u64, messages: &[(&'static str, &'static str)]) {
        let mut inner = self.0.lock().unwrap();
        inner.missed += missed;
        inner.messages.extend(messages);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

impl Messages for Queue {
    fn poll_take(&self, cx: &mut Context<'_>, take: &mut dyn FnMut(&Arrived<'_>)) -> Poll<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.messages.is_empty() {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (topic, payload) in inner.messages.drain(..) {
            let at = Instant::now();
            take(&Arrived { topic, payload: payload.as_bytes(), retain: false, kept: false, at });
        }
        Poll::Ready(())
    }

    fn take_missed(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap().missed)
    }

    fn publish(&self, _: &Publication<'_>) -> Result<u64, String> {
        Err("nothing is written here".into())
    }
}

async fn until(bus: &Bus, news: &Subscription, place: u32, value: f64, quality: Quality) {
    let mut batch = Vec::new();
    let reached = async {
        loop {
            let latest = bus.latest(PointId(place));
            if latest.value == Some(Value::Float(value)) && latest.quality == quality {
                return;
            }
            batch.clear();
            news.recv(&mut batch).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(waited.is_ok(), "point {place}: {:?}", bus.latest(PointId(place)));
}

#[tokio::test]
async fn what_was_lost_is_counted_and_makes_values_doubtful_until_they_are_said_again() {
    let config = "{ mqtt-name: d, mqtt-max-age: off }";
    let points = [("{ mqtt: a }", "{}"), ("{ mqtt: b }", "{}"), ("{ mqtt: c }", "{}")];
    let devices: Vec<Attached<_, _>> = vec![crate::driver::mqtt::engine::tests::device(config, &points, 0)];
    let plan = Arc::new(Plan { name: "c".into(), config: MqttConfig::default(), devices });
    let bus = Bus::new(Arc::new(PointTable::new(vec![point("a"), point("b"), point("c")])), Vec::new());
    let news = bus.subscribe(1000);
    let mut context = ChannelContext::plain(Arc::clone(&bus), "c", ["d".into()]);
    let queue = Arc::new(Queue::default());
    context.services.messages = Some(Arc::clone(&queue) as Arc<dyn Messages>);
    let task = tokio::spawn(run(plan, context.clone()));

    queue.put(0, &[("a", "1"), ("b", "1")]);
    until(&bus, &news, 1, 1.0, Quality::Good).await;
    // Seven were lost; what still waits came after them.
    queue.put(7, &[("a", "2")]);
    until(&bus, &news, 0, 2.0, Quality::Good).await;
    until(&bus, &news, 1, 1.0, Quality::Uncertain(Reason::Stale)).await;
    assert_eq!(bus.latest(PointId(2)).quality, Quality::Bad(Reason::NotYetRead));
    assert_eq!(context.stats.missed_polls.load(Ordering::Relaxed), 7);
    queue.put(0, &[("b", "3")]);
    until(&bus, &news, 1, 3.0, Quality::Good).await;
    context.shutdown.cancel();
    task.await.unwrap();
}
