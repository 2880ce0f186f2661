//! One connection to an upstream broker: its bytes in and out, and its timers.
//!
//! Reading and writing go on side by side, so that neither side waits for the other's acknowledgements. Invariants:
//! messages are sent only after the CONNACK; a link that is silent where it should answer is given up after
//! `ack-timeout`.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::dial::Io;
use super::client::error::{LinkError, is_about_quota};
use super::client::packet::{self, Hello, Packet, ReasonCodeOr311, Welcome, Wish};
use super::downlink::MAX_PACKET;
use super::pump::Pump;
use super::window::LAST_ID;
use crate::broker::NotKept;
use crate::broker::codec::{Frame, QoS, ReasonCode, Version};
use crate::clock::Clock;

/// How long the answer to a CONNECT may take.
const CONNACK_PATIENCE: Duration = Duration::from_secs(15);

/// What is read at once, in bytes.
const READ: usize = 64 << 10;

/// So much may wait to be written before nothing more is read, in bytes.
const MOST_UNWRITTEN: usize = 1 << 20;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a link ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The bridge is stopped.
    Stopped,
    /// Its token is about to expire.
    Renew,
}

/// A connection that the broker has accepted.
pub(crate) struct Link {
    reader: ReadHalf<Box<dyn Io>>,
    writer: WriteHalf<Box<dyn Io>>,
    input: BytesMut,
    version: Version,
    /// What the broker said of itself.
    pub(crate) welcome: Welcome,
}

/// How a link is run.
pub(crate) struct Manner<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) keep_alive: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) filters_at_once: usize,
    pub(crate) renew_after: Option<Duration>,
    pub(crate) stop: &'a CancellationToken,
}

impl Link {
    /// Says hello on a new connection and waits for the answer.
    pub(crate) async fn open(
        stream: Box<dyn Io>,
        version: Version,
        hello: &Hello,
    ) -> Result<Self, LinkError> {
        let (reader, writer) = tokio::io::split(stream);
        let input = BytesMut::with_capacity(READ);
        let mut link = Self { reader, writer, input, version, welcome: Welcome::default() };
        let mut out = Vec::new();
        packet::put_connect(&mut out, version, hello);
        let greet = async {
            write_all(&mut link.writer, &mut out, &mut 0).await?;
            link.connack().await
        };
        let welcome = timeout(CONNACK_PATIENCE, greet).await;
        let welcome =
            welcome.map_err(|_| LinkError::Timeout { what: "the broker's answer to the CONNECT" })??;
        if let Some(refusal) = welcome.code.refusal() {
            let words = welcome.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
            let what = format!("{refusal}{words}");
            return Err(match (welcome.code.is_about_rights(), welcome.code) {
                (true, _) => LinkError::NotAuthorised { what },
                (_, ReasonCodeOr311::V5(code)) if is_about_quota(code) => LinkError::Quota { what },
                _ => LinkError::NotNow { what },
            });
        }
        link.welcome = welcome;
        Ok(link)
    }

    /// What the broker said of itself, for people.
    pub(crate) fn told(&self) -> String {
        let said = &self.welcome;
        let mut text = format!("MQTT {}: let in", self.version.text());
        let mut add = |name: &str, value: Option<u32>| {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {value}"));
            }
        };
        add("in flight", said.receive_maximum.map(u32::from));
        add("largest packet", said.max_packet);
        add("highest QoS", said.max_qos.map(u32::from));
        add("keep-alive", said.keep_alive_s.map(u32::from));
        if said.retain == Some(false) {
            text.push_str(", retains nothing");
        }
        text
    }

    async fn connack(&mut self) -> Result<Welcome, LinkError> {
        loop {
            if let Some(frame) = whole(&mut self.input)? {
                let answer = match packet::decode(frame, &self.input[frame.header..frame.len()], self.version)
                {
                    Ok(Packet::Connack(welcome)) => Ok(welcome),
                    Ok(_) => Err(protocol("something else than an answer to the CONNECT")),
                    Err(error) => Err(protocol(error.what)),
                };
                self.input.advance(frame.len());
                return answer;
            }
            if self.reader.read_buf(&mut self.input).await.map_err(LinkError::broken)? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }

    /// Leaves in order.
    pub(crate) async fn leave(mut self) {
        let mut out = Vec::new();
        packet::put_disconnect(&mut out);
        let farewell = async {
            write_all(&mut self.writer, &mut out, &mut 0).await?;
            self.writer.shutdown().await.map_err(LinkError::broken)
        };
        // The other side may be gone already.
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Carries messages until the link fails or is to end.
    pub(crate) async fn run(mut self, pump: &mut Pump, manner: &Manner<'_>) -> Result<Ended, LinkError> {
        let mut turn = Turn::new(&self, pump, manner);
        let ended = turn.run(&mut self, pump, manner).await;
        pump.settle();
        // A quota that is used up says nothing of the message that was sent.
        let proven = turn.proof == Proof::Given && !matches!(ended, Err(LinkError::Quota { .. }));
        let why = ended.as_ref().map_or_else(ToString::to_string, |_| String::new());
        pump.disconnected(proven, &why);
        if ended.is_ok() {
            self.leave().await;
        }
        ended
    }
}

/// Whether the link was shown to work before a suspected message was sent on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Nothing is suspected.
    NotNeeded,
    /// A probe was sent; nothing else is, before its answer.
    Awaited,
    /// The probe was answered.
    Given,
}

/// The state of a running link.
struct Turn {
    out: Vec<u8>,
    /// How much of `out` is written.
    written: usize,
    keep_alive: Duration,
    heard: Instant,
    spoken: Instant,
    /// When the probe was sent that awaits its answer.
    probed: Option<Instant>,
    renew_at: Option<Instant>,
    proof: Proof,
    /// Messages of upstream that are acknowledged once they are kept here.
    owed: Vec<u16>,
    /// Filters asked for, in the order of their SUBSCRIBE packets.
    asked: Vec<Vec<Wish>>,
}

impl Turn {
    fn new(link: &Link, pump: &Pump, manner: &Manner<'_>) -> Self {
        let now = manner.clock.mono();
        let wanted = link.welcome.keep_alive_s.map(|seconds| Duration::from_secs(seconds.into()));
        let keep_alive =
            wanted.filter(|wanted| !wanted.is_zero()).map_or(manner.keep_alive, |w| w.min(manner.keep_alive));
        let mut turn = Self {
            out: Vec::new(),
            written: 0,
            keep_alive,
            heard: now,
            spoken: now,
            probed: None,
            renew_at: manner.renew_after.map(|after| now + after),
            proof: Proof::NotNeeded,
            owed: Vec::new(),
            asked: Vec::new(),
        };
        let wishes = pump.downlink.wishes();
        for (index, some) in wishes.chunks(manner.filters_at_once.clamp(1, 64)).enumerate() {
            let id = LAST_ID + 1 + index as u16;
            packet::put_subscribe(&mut turn.out, link.version, id, some);
            turn.asked.push(some.to_vec());
        }
        if pump.suspects_front() {
            turn.proof = Proof::Awaited;
            turn.probe(now);
        }
        turn
    }

    fn probe(&mut self, now: Instant) {
        packet::put_pingreq(&mut self.out);
        (self.probed, self.spoken) = (Some(now), now);
    }

    async fn run(
        &mut self,
        link: &mut Link,
        pump: &mut Pump,
        manner: &Manner<'_>,
    ) -> Result<Ended, LinkError> {
        loop {
            let now = manner.clock.mono();
            let later = if self.proof == Proof::Awaited { None } else { self.fill(pump, now) };
            if let Some(ended) = self.check_times(pump, manner, now)? {
                return Ok(ended);
            }
            let wake = self.next_wake(pump, manner, later);
            let may_take = self.proof != Proof::Awaited && pump.has_room();
            let arrived = pump.arrived();
            tokio::select! {
                read = link.reader.read_buf(&mut link.input), if self.out.len() < MOST_UNWRITTEN => {
                    if read.map_err(LinkError::broken)? == 0 {
                        return Err(LinkError::Closed);
                    }
                    self.heard = manner.clock.mono();
                    self.take_in(link, pump)?;
                }
                written = write_all(&mut link.writer, &mut self.out, &mut self.written), if !self.out.is_empty() => written?,
                kept = pump.downlink.kept(), if !self.owed.is_empty() => self.acknowledge(kept)?,
                () = arrived, if may_take => {}
                () = tokio::time::sleep_until(wake.into()) => {}
                () = manner.stop.cancelled() => return Ok(Ended::Stopped),
            }
        }
    }

    fn fill(&mut self, pump: &mut Pump, now: Instant) -> Option<Instant> {
        let before = self.out.len();
        let suspected = pump.suspects_front();
        let later = pump.fill(&mut self.out, now);
        if self.out.len() > before {
            self.spoken = now;
            if suspected && self.probed.is_none() {
                // Its answer proves that the broker has come past the message.
                self.probe(now);
            }
        }
        later
    }

    /// Probes a silent link; gives a dead one up.
    fn check_times(
        &mut self,
        pump: &Pump,
        manner: &Manner<'_>,
        now: Instant,
    ) -> Result<Option<Ended>, LinkError> {
        if self.renew_at.is_some_and(|at| at <= now) {
            return Ok(Some(Ended::Renew));
        }
        if pump.ack_deadline(manner.ack_timeout).is_some_and(|at| at <= now) {
            return Err(LinkError::Timeout { what: "an acknowledgement" });
        }
        if self.probed.is_some_and(|at| at.max(self.heard) + manner.ack_timeout <= now) {
            return Err(LinkError::Timeout { what: "the answer to a probe" });
        }
        if self.probed.is_none() && self.probe_at() <= now {
            self.probe(now);
        }
        Ok(None)
    }

    /// When a silent link is probed: well before the broker would miss a sign of life.
    fn probe_at(&self) -> Instant {
        self.spoken.min(self.heard) + self.keep_alive.mul_f64(0.75)
    }

    fn next_wake(&self, pump: &Pump, manner: &Manner<'_>, later: Option<Instant>) -> Instant {
        let probe = match self.probed {
            Some(at) => at.max(self.heard) + manner.ack_timeout,
            None => self.probe_at(),
        };
        let ack = pump.ack_deadline(manner.ack_timeout);
        [later, ack, self.renew_at].into_iter().flatten().fold(probe, Instant::min)
    }

    /// Takes in every whole packet that has come.
    fn take_in(&mut self, link: &mut Link, pump: &mut Pump) -> Result<(), LinkError> {
        while let Some(frame) = whole(&mut link.input)? {
            let bytes = link.input.split_to(frame.len());
            let read = packet::decode(frame, &bytes[frame.header..], link.version);
            self.take_packet(read.map_err(|error| protocol(error.what))?, pump)?;
        }
        link.input.reserve(READ / 2);
        pump.settle();
        Ok(())
    }

    fn take_packet(&mut self, packet: Packet<'_>, pump: &mut Pump) -> Result<(), LinkError> {
        match packet {
            Packet::Puback { id, code, reason } => pump.acknowledged(id, code, reason, self.heard)?,
            Packet::Publish(publish) => {
                if publish.qos == QoS::ExactlyOnce {
                    return Err(protocol("a message at QoS 2, which was not asked for"));
                }
                pump.downlink.take(&publish, &pump.status, self.heard);
                if publish.qos == QoS::AtLeastOnce {
                    self.owed.push(publish.packet_id);
                }
            }
            Packet::Suback { id, codes } => self.check_suback(id, codes, pump),
            Packet::Pingresp => {
                self.probed = None;
                if self.proof == Proof::Awaited {
                    self.proof = Proof::Given;
                }
            }
            Packet::Disconnect { code, reason } => {
                let what = reason.map_or_else(|| code.to_string(), |reason| format!("{code} ({reason})"));
                return Err(if is_about_quota(code) {
                    LinkError::Quota { what }
                } else {
                    LinkError::Dismissed { what }
                });
            }
            Packet::Connack(_) => return Err(protocol("a second CONNACK")),
        }
        Ok(())
    }

    /// Acknowledges what upstream sent, or gives the link up: upstream sends again what was not acknowledged.
    fn acknowledge(&mut self, kept: Result<(), NotKept>) -> Result<(), LinkError> {
        kept.map_err(|error| LinkError::NotKept { what: error.to_string() })?;
        for packet_id in self.owed.drain(..) {
            packet::put_puback(&mut self.out, packet_id);
        }
        Ok(())
    }

    fn check_suback(&self, id: u16, codes: &[u8], pump: &Pump) {
        let asked = id.checked_sub(LAST_ID + 1).and_then(|index| self.asked.get(usize::from(index)));
        let refused = asked.into_iter().flatten().zip(codes).filter(|(_, code)| **code >= 0x80);
        for (wish, code) in refused {
            let words = ReasonCode(*code).text();
            if pump.status.warn(format!("`{}` cannot be subscribed: {words}", wish.filter)) {
                tracing::warn!(
                    filter = wish.filter,
                    reason = words,
                    "the upstream broker refuses a subscription"
                );
            }
        }
    }
}

/// The packet at the front of what was read, once it is whole.
fn whole(input: &mut BytesMut) -> Result<Option<Frame>, LinkError> {
    let frame = Frame::parse(input, MAX_PACKET).map_err(|error| protocol(error.what))?;
    if let Some(missing) = frame.and_then(|frame| frame.len().checked_sub(input.len())) {
        input.reserve(missing);
    }
    Ok(frame.filter(|frame| frame.len() <= input.len()))
}

fn protocol(what: &str) -> LinkError {
    LinkError::Protocol { what: what.to_owned() }
}

/// Writes what is there and flushes it. Cancel safe: `written` tells how far it came.
async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    out: &mut Vec<u8>,
    written: &mut usize,
) -> Result<(), LinkError> {
    while *written < out.len() {
        match writer.write(&out[*written..]).await.map_err(LinkError::broken)? {
            0 => return Err(LinkError::Closed),
            count => *written += count,
        }
    }
    writer.flush().await.map_err(LinkError::broken)?;
    out.clear();
    *written = 0;
    Ok(())
}
