//! The connection of one simulated MQTT device to its broker.
//!
//! Invariant: an unplugged device is gone without a goodbye, so that its will is published.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::device::Devices;
use super::packet::{self, Message, Packet};
use crate::simulate::listen::Place;
use crate::simulate::plug::Plug;
use crate::simulate::tcp::pause;

/// How often what has not changed is said again.
pub(super) const REPEAT: Duration = Duration::from_secs(10);

/// How often it is looked at what has changed.
const LOOK: Duration = Duration::from_millis(500);

/// How long to wait before a broker is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How long the broker may take to let the client in.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keep-alive, in seconds; something is sent at least every [`REPEAT`].
const KEEP_ALIVE_S: u16 = 30;

/// Runs until the switch says stop.
pub(super) async fn run(place: Place, devices: Arc<Devices>, device: usize) {
    let mut plug = place.switch.watch();
    let mut told = false;
    loop {
        let state = *plug.borrow_and_update();
        match state.at(Instant::now()) {
            Plug::Stop => return,
            Plug::Out(until) => pause(&mut plug, until).await,
            Plug::In => {
                let ended = tokio::select! {
                    _ = plug.changed() => continue,
                    ended = session(&place, &devices, device) => ended,
                };
                if let Err(error) = ended
                    && !std::mem::replace(&mut told, true)
                {
                    tracing::warn!(channel = %place.channel, broker = %place.address, %error, "no broker; trying again");
                }
                pause(&mut plug, Some(Instant::now() + RETRY)).await;
            }
        }
    }
}

/// One connection, until it is lost.
async fn session(place: &Place, devices: &Devices, device: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(place.address).await?;
    stream.set_nodelay(true)?;
    let availability = devices.availability(device);
    let client = format!("simulated-{}-{}", place.channel, devices.name(device));
    let will = availability.as_ref().map(|(_, gone)| gone);
    stream.write_all(&packet::connect(&client, KEEP_ALIVE_S, will)).await?;
    let mut pending = Vec::new();
    match tokio::time::timeout(PATIENCE, next(&mut stream, &mut pending)).await {
        Ok(Ok(Packet::Connack(true))) => {}
        Ok(Err(error)) => return Err(error),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the broker lets no anonymous client in",
            ));
        }
    }
    let topics = devices.set_topics(device);
    if !topics.is_empty() {
        stream.write_all(&packet::subscribe(&topics)).await?;
    }
    if let Some((here, _)) = &availability {
        stream.write_all(&packet::publish(here)).await?;
    }
    let mut teller = Teller::new(devices.period(device));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            found = next(&mut stream, &mut pending) => {
                let Packet::Publish { topic, payload } = found? else { continue };
                place.load().requests += 1;
                if !devices.take(device, &topic, &payload, Instant::now()) {
                    continue;
                }
                // A command is answered by what it led to, also where that is what was before.
                teller.repeat();
            }
        }
        let now = Instant::now();
        for bytes in teller.tell(devices.messages(device, now), now) {
            stream.write_all(&bytes).await?;
            let mut load = place.load();
            load.answers += 1;
            load.characters += bytes.len() as u64;
        }
    }
}

/// The next packet. Nothing is lost when the wait is given up.
async fn next(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Packet> {
    let mut bytes = [0; 2048];
    loop {
        let unfit = |_| io::Error::new(io::ErrorKind::InvalidData, "what the broker sends is no MQTT");
        if let Some(found) = packet::take(pending).map_err(unfit)? {
            return Ok(found);
        }
        match stream.read(&mut bytes).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => pending.extend_from_slice(&bytes[..count]),
        }
    }
}

/// Says what has changed, and from time to time everything.
struct Teller {
    period: Duration,
    last: HashMap<String, (String, Instant)>,
    spoke: Option<Instant>,
}

impl Teller {
    fn new(period: Duration) -> Self {
        Self { period, last: HashMap::new(), spoke: None }
    }

    /// Everything is said once more.
    fn repeat(&mut self) {
        self.last.clear();
    }

    /// The packets to send.
    fn tell(&mut self, messages: Vec<Message>, now: Instant) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for message in messages {
            let known = self.last.get(&message.topic);
            let same =
                known.is_some_and(|(payload, at)| *payload == message.payload && now < *at + self.period);
            if !same {
                packets.push(packet::publish(&message));
                self.last.insert(message.topic, (message.payload, now));
            }
        }
        // A device that has nothing to say is still there.
        if packets.is_empty() && self.spoke.is_none_or(|at| now >= at + REPEAT) {
            packets.push(packet::ping());
        }
        if !packets.is_empty() {
            self.spoke = Some(now);
        }
        packets
    }
}
