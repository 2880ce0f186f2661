//! Latency: one publisher sends at a steady pace, one subscriber notes when each message arrives.
//!
//! Both run on threads of their own and block. The next message is sent on time even if the last one
//! has not arrived.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::mqtt::{self, Template};
use crate::wire::{Target, Wire};

/// Messages per second.
pub(crate) const PACE: u32 = 500;
const TOPIC: &str = "probe/line-1/point";
const QOS: u8 = 1;
const PAYLOAD: usize = 100;

/// Sends for so long and returns the microseconds that each message took from the write to the read.
pub(crate) fn run(target: &Target, time: Duration) -> Outcome<Vec<f64>> {
    let count = (time.as_secs_f64() * f64::from(PACE)) as u64;
    let mut subscriber = Wire::open(target, "probe-subscriber", None)?;
    subscriber.subscribe(TOPIC, QOS)?;
    let publisher = Wire::open(target, "probe-publisher", None)?;
    let sent: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
    let epoch = Instant::now();
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(publisher, &sent, epoch));
        let delays = receive(&mut subscriber, &sent, epoch);
        publishing.join().map_err(|_| "the publisher's thread panicked")??;
        delays
    })
}

fn publish(mut wire: Wire, sent: &[AtomicU64], epoch: Instant) -> Outcome {
    let template = Template::new(TOPIC, 0, QOS, PAYLOAD);
    let mut packet = Vec::new();
    // Acknowledgements are read and not looked at: a broker waits for nobody who does not read them.
    let mut acks = wire.socket().try_clone()?;
    let discarding = thread::spawn(move || {
        let mut scratch = [0; 4096];
        while matches!(acks.read(&mut scratch), Ok(1..)) {}
    });
    for (number, at) in (0..).zip(sent) {
        let due = epoch + Duration::from_secs(number) / PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        packet.clear();
        template.put(&mut packet, number);
        at.store(epoch.elapsed().as_nanos() as u64, Relaxed);
        wire.send(&packet)?;
    }
    wire.send(&[0xe0, 0])?;
    discarding.join().map_err(|_| "the thread that reads acknowledgements panicked".into())
}

fn receive(wire: &mut Wire, sent: &[AtomicU64], epoch: Instant) -> Outcome<Vec<f64>> {
    let mut delays = Vec::with_capacity(sent.len());
    let mut buffer = Vec::new();
    let mut scratch = [0; 4096];
    while delays.len() < sent.len() {
        let count = wire.read(&mut scratch)?;
        let now = epoch.elapsed().as_nanos() as u64;
        if count == 0 {
            return Err("the broker closed the connection".into());
        }
        buffer.extend_from_slice(&scratch[..count]);
        let mut acks = Vec::new();
        let mut done = 0;
        while let Some((first, body, len)) = mqtt::frame(&buffer[done..]) {
            let message = mqtt::Received::parse(first, body).ok_or("not a message of the probe")?;
            if message.number != delays.len() as u64 {
                return Err(format!("message {} came instead of {}", message.number, delays.len()).into());
            }
            delays.push((now - sent[delays.len()].load(Relaxed)) as f64 / 1e3);
            acks.extend(message.id.map(|id| mqtt::ack(4, id)).iter().flatten());
            done += len;
        }
        buffer.drain(..done);
        wire.send(&acks)?;
    }
    Ok(delays)
}
