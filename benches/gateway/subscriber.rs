//! A counting MQTT 3.1.1 subscriber that costs next to nothing: one blocking thread, frames counted in place.
//!
//! QoS 1 messages are acknowledged in one write per read. Absent: QoS 2, reconnecting, keep-alive (it is
//! switched off). Invariant: every PUBLISH frame of the stream is counted exactly once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// How long a broker may take to answer CONNECT and SUBSCRIBE.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect to a broker that is still starting.
const RETRY: Duration = Duration::from_micros(200);

/// One received message.
pub(crate) struct Message<'a> {
    /// Its topic.
    pub(crate) topic: &'a [u8],
    /// Its payload.
    pub(crate) payload: &'a [u8],
    /// Whether it was stored before the subscription.
    pub(crate) retained: bool,
    /// When the read that held it returned.
    pub(crate) at: Instant,
}

/// A running subscriber; it disconnects when dropped.
pub(crate) struct Subscriber {
    stream: TcpStream,
    received: Arc<AtomicU64>,
}

impl Subscriber {
    /// Connects, trying again until `patience` is over, subscribes and counts.
    pub(crate) fn count(broker: SocketAddr, filter: &str, qos: u8, patience: Duration) -> Outcome<Self> {
        Self::watch(broker, filter, qos, patience, |_| {})
    }

    /// Connects, trying again until `patience` is over, subscribes, counts and shows every message.
    pub(crate) fn watch(
        broker: SocketAddr,
        filter: &str,
        qos: u8,
        patience: Duration,
        show: impl FnMut(&Message<'_>) + Send + 'static,
    ) -> Outcome<Self> {
        let mut stream = connect(broker, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&connect_packet())?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        if connack != [0x20, 2, 0, 0] {
            return Err(format!("the broker at {broker} refused the subscriber: {connack:?}").into());
        }
        stream.write_all(&subscribe_packet(filter, qos))?;
        stream.set_read_timeout(None)?;
        let received = Arc::new(AtomicU64::new(0));
        let (reader, counter) = (stream.try_clone()?, Arc::clone(&received));
        thread::spawn(move || receive(reader, &counter, show));
        Ok(Self { stream, received })
    }

    /// Messages received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until at least `count` messages have come in, and fails when they do not.
    pub(crate) fn wait_for(&self, count: u64, patience: Duration) -> Outcome {
        let end = Instant::now() + patience;
        while self.received() < count {
            if Instant::now() > end {
                return Err(format!("{} of {count} messages came in {patience:?}", self.received()).into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.stream.write_all(&[0xE0, 0]);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn connect(broker: SocketAddr, patience: Duration) -> Outcome<TcpStream> {
    let end = Instant::now() + patience;
    loop {
        match TcpStream::connect(broker) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > end => return Err(format!("{broker}: {error}").into()),
            Err(_) => thread::sleep(RETRY),
        }
    }
}

/// CONNECT: MQTT 3.1.1, clean session, no keep-alive, client identifier `bench`.
fn connect_packet() -> Vec<u8> {
    let mut packet = vec![0x10, 17, 0, 4];
    packet.extend_from_slice(b"MQTT");
    packet.extend_from_slice(&[4, 2, 0, 0, 0, 5]);
    packet.extend_from_slice(b"bench");
    packet
}

/// SUBSCRIBE to one filter of at most 100 bytes.
fn subscribe_packet(filter: &str, qos: u8) -> Vec<u8> {
    let length = filter.len() as u8;
    let mut packet = vec![0x82, length + 5, 0, 1, 0, length];
    packet.extend_from_slice(filter.as_bytes());
    packet.push(qos);
    packet
}

fn receive(mut stream: TcpStream, received: &AtomicU64, mut show: impl FnMut(&Message<'_>)) {
    let mut buffer = vec![0u8; READ_BYTES];
    let mut acks = Vec::new();
    let mut held = 0;
    while let Ok(got @ 1..) = stream.read(&mut buffer[held..]) {
        held += got;
        let at = Instant::now();
        let mut start = 0;
        let mut count = 0;
        while let Some((header, body, length)) = frame(&buffer[start..held]) {
            if header >> 4 == 3 {
                count += 1;
                if let Some(message) = message(header, body, at, &mut acks) {
                    show(&message);
                }
            }
            start += length;
        }
        buffer.copy_within(start..held, 0);
        held -= start;
        received.fetch_add(count, Ordering::Relaxed);
        if !acks.is_empty() && stream.write_all(&acks).is_err() {
            return;
        }
        acks.clear();
    }
}

/// The first byte, the body and the whole length of the first frame, once all of it is there.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let mut remaining = 0usize;
    for index in 0..4 {
        let byte = *bytes.get(index + 1)?;
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let start = index + 2;
            return Some((bytes[0], bytes.get(start..start + remaining)?, start + remaining));
        }
    }
    None
}

/// Takes a PUBLISH apart and notes what is to be acknowledged.
fn message<'a>(header: u8, body: &'a [u8], at: Instant, acks: &mut Vec<u8>) -> Option<Message<'a>> {
    let (length, rest) = body.split_at_checked(2)?;
    let (topic, mut payload) =
        rest.split_at_checked(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
    if header & 0b0110 != 0 {
        let (id, after) = payload.split_at_checked(2)?;
        acks.extend_from_slice(&[0x40, 2, id[0], id[1]]);
        payload = after;
    }
    Some(Message { topic, payload, retained: header & 1 == 1, at })
}
