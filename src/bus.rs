//! The bus: the latest value of every point (the process image) and the ways that readings take from drivers to everyone else.
//!
//! Two kinds of reader. An [`Observer`] is called in line by whoever publishes and therefore sees every
//! reading: alarms and the publisher, whose work is short and does no I/O. A [`Subscription`] has a bounded
//! queue of its own and loses its oldest readings when it is slow, counting them: the page, trends.
//! Invariant: observers see the readings of one point in the order in which its channel published them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::model::{PointId, PointTable, Quality, Reading, Reason, Stamp, Value};

/// Sees every reading, in line. Implementations must be quick and must not block.
pub trait Observer: Send + Sync {
    /// Called with each batch after the latest-value table holds it.
    fn observe(&self, readings: &[Reading]);
}

/// What is known of a point now.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// The last value that was ever read; `None` before the first.
    pub value: Option<Value>,
    /// How far to trust it now.
    pub quality: Quality,
    /// When the last reading, good or bad, came in. `None` before the first.
    pub at: Option<Stamp>,
    /// When `value` was read.
    pub value_at: Option<Stamp>,
}

impl Default for Latest {
    fn default() -> Self {
        Self { value: None, quality: Quality::Bad(Reason::NotYetRead), at: None, value_at: None }
    }
}

/// The bus. One per gateway, shared by reference count.
pub struct Bus {
    points: Arc<PointTable>,
    table: RwLock<Vec<Latest>>,
    observers: Vec<Arc<dyn Observer>>,
    queues: RwLock<Vec<Arc<Queue>>>,
    published: AtomicU64,
}

struct Queue {
    /// By point, whether it is wanted; all are when `None`.
    wanted: Option<Box<[bool]>>,
    ring: Mutex<VecDeque<Reading>>,
    capacity: usize,
    dropped: AtomicU64,
    wake: Notify,
}

/// A reader with a bounded queue. Dropping it ends the subscription.
pub struct Subscription {
    bus: Arc<Bus>,
    queue: Arc<Queue>,
}

impl Bus {
    /// A bus for these points with its in-line readers, which are called in this order.
    #[must_use]
    pub fn new(points: Arc<PointTable>, observers: Vec<Arc<dyn Observer>>) -> Arc<Self> {
        let table = RwLock::new(vec![Latest::default(); points.len()]);
        Arc::new(Self { points, table, observers, queues: RwLock::default(), published: AtomicU64::new(0) })
    }

    /// The points that this bus carries.
    #[must_use]
    pub fn points(&self) -> &Arc<PointTable> {
        &self.points
    }

    /// Takes in readings: updates the table, fills in last known values where a reading has none, and hands
    /// the batch to everyone. Readings of one point must all come from one task.
    pub fn publish(&self, readings: &mut [Reading]) {
        if readings.is_empty() {
            return;
        }
        self.store(readings);
        self.published.fetch_add(readings.len() as u64, Ordering::Relaxed);
        for observer in &self.observers {
            observer.observe(readings);
        }
        for queue in self.queues.read().unwrap_or_else(PoisonError::into_inner).iter() {
            queue.push(readings);
        }
    }

    fn store(&self, readings: &mut [Reading]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for reading in readings {
            let Some(latest) = table.get_mut(reading.point.index()) else {
                continue;
            };
            match &reading.value {
                Some(value) => {
                    latest.value = Some(value.clone());
                    latest.value_at = Some(reading.at);
                }
                None => reading.value.clone_from(&latest.value),
            }
            latest.quality = reading.quality;
            latest.at = Some(reading.at);
        }
    }

    /// What is known of one point.
    #[must_use]
    pub fn latest(&self, point: PointId) -> Latest {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(point.index()).cloned().unwrap_or_default()
    }

    /// What is known of every point, in the order of the table.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Latest> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many readings have been published since the start.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// A new reader whose queue holds at most `capacity` readings.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, capacity: usize) -> Subscription {
        self.subscribe_with(None, capacity)
    }

    /// A new reader of some points only.
    #[must_use]
    pub fn subscribe_to(
        self: &Arc<Self>,
        points: impl IntoIterator<Item = PointId>,
        capacity: usize,
    ) -> Subscription {
        let mut wanted = vec![false; self.points.len()].into_boxed_slice();
        for point in points {
            if let Some(place) = wanted.get_mut(point.index()) {
                *place = true;
            }
        }
        self.subscribe_with(Some(wanted), capacity)
    }

    fn subscribe_with(self: &Arc<Self>, wanted: Option<Box<[bool]>>, capacity: usize) -> Subscription {
        let queue = Arc::new(Queue {
            wanted,
            ring: Mutex::default(),
            capacity: capacity.max(1),
            dropped: AtomicU64::new(0),
            wake: Notify::new(),
        });
        self.queues.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&queue));
        Subscription { bus: Arc::clone(self), queue }
    }
}

impl Queue {
    fn push(&self, readings: &[Reading]) {
        match &self.wanted {
            None => self.take(readings),
            Some(wanted) => {
                let mine = |reading: &&Reading| wanted.get(reading.point.index()).is_some_and(|own| *own);
                let mine: Vec<Reading> = readings.iter().filter(mine).cloned().collect();
                if !mine.is_empty() {
                    self.take(&mine);
                }
            }
        }
    }

    fn take(&self, readings: &[Reading]) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = readings.len().saturating_sub(self.capacity);
        let fresh = &readings[skip..];
        let overflow = (ring.len() + fresh.len()).saturating_sub(self.capacity);
        ring.drain(..overflow);
        ring.extend(fresh.iter().cloned());
        drop(ring);
        self.dropped.fetch_add((skip + overflow) as u64, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

impl Subscription {
    /// Waits for readings and moves all that have gathered into `out`, oldest first.
    pub async fn recv(&self, out: &mut Vec<Reading>) {
        loop {
            let woken = self.queue.wake.notified();
            let before = out.len();
            out.extend(self.queue.ring.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
            if out.len() > before {
                return;
            }
            woken.await;
        }
    }

    /// How many readings this reader has lost by being slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut queues = self.bus.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::model::point::tests::point;

    struct Recorder(Mutex<Vec<Reading>>);

    impl Observer for Recorder {
        fn observe(&self, readings: &[Reading]) {
            self.0.lock().unwrap().extend_from_slice(readings);
        }
    }

    fn bus(observers: Vec<Arc<dyn Observer>>) -> Arc<Bus> {
        Bus::new(Arc::new(PointTable::new(vec![point("a"), point("b")])), observers)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_poll_keeps_the_last_value_and_changes_its_quality() {
        let recorder = Arc::new(Recorder(Mutex::default()));
        let bus = bus(vec![recorder.clone()]);
        let clock = Clock::system();
        assert_eq!(bus.latest(PointId(0)).quality, Quality::Bad(Reason::NotYetRead));
        let first = clock.stamp();
        bus.publish(&mut [Reading::good(PointId(0), Value::Float(1.0), first)]);
        tokio::time::advance(Duration::from_secs(1)).await;
        bus.publish(&mut [Reading::bad(PointId(0), Reason::Timeout, clock.stamp())]);
        let latest = bus.latest(PointId(0));
        assert_eq!(latest.value, Some(Value::Float(1.0)));
        assert_eq!(latest.quality, Quality::Bad(Reason::Timeout));
        assert_eq!(latest.value_at, Some(first));
        let seen = recorder.0.lock().unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].value, Some(Value::Float(1.0)));
    }

    #[tokio::test]
    async fn a_slow_reader_loses_its_oldest_and_counts_them() {
        let bus = bus(vec![]);
        let slow = bus.subscribe(3);
        let at = Clock::system().stamp();
        for i in 0..5 {
            bus.publish(&mut [Reading::good(PointId(1), Value::Int(i), at)]);
        }
        let mut got = Vec::new();
        slow.recv(&mut got).await;
        let values: Vec<_> = got.into_iter().map(|r| r.value.unwrap()).collect();
        assert_eq!(values, [Value::Int(2), Value::Int(3), Value::Int(4)]);
        assert_eq!(slow.dropped(), 2);
        let mut batch: Vec<_> = (0..10).map(|i| Reading::good(PointId(1), Value::Int(i), at)).collect();
        bus.publish(&mut batch);
        let mut got = Vec::new();
        slow.recv(&mut got).await;
        assert_eq!((got.len(), slow.dropped()), (3, 9));
        let picky = bus.subscribe_to([PointId(0)], 3);
        bus.publish(&mut [Reading::good(PointId(1), Value::Int(1), at)]);
        bus.publish(&mut [1, 0].map(|point| Reading::good(PointId(point), Value::Int(7), at)));
        let mut got = Vec::new();
        picky.recv(&mut got).await;
        assert_eq!(got, [Reading::good(PointId(0), Value::Int(7), at)]);
        drop((slow, picky));
        assert!(bus.queues.read().unwrap().is_empty());
    }
}
