//! The publishing half of a flow: batches, and at QoS 1 and 2 a window of unacknowledged messages.

use std::io::{self, Read, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{PATIENCE, Shape, Shared};
use crate::Outcome;
use crate::mqtt::{self, Template, id_of};
use crate::readiness::{Readiness, Ready};
use crate::wire::{Target, Wire};

/// Bytes that are prepared at once.
const BATCH: usize = 64 << 10;
/// Messages that may be on their way to all subscribers at QoS 0, where nothing acknowledges them: more than any broker
/// delivers in a [`TICK`], and not so many that a slow one has seconds of work left at the end.
const AHEAD: u64 = 200_000;
/// Between two looks at the clock and at what was received.
const TICK: Duration = Duration::from_millis(1);

/// All publishers.
pub(crate) struct Publishers {
    all: Vec<Publisher>,
    readiness: Readiness,
    rate: Option<u32>,
    /// Subscribers that receive each message.
    fan_out: u64,
    /// Messages after which a publisher has done its part.
    count: u64,
}

struct Publisher {
    wire: Wire,
    template: Template,
    qos: u8,
    window: usize,
    /// Number of the next message.
    next: u64,
    /// Messages that may be sent so far.
    allowed: u64,
    /// Number of the message whose PUBACK or PUBREC is due next, and of the next one that is done.
    answered: u64,
    done: u64,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// The socket took not all; TLS and WebSocket may keep the rest themselves.
    pending: bool,
    wants_room: bool,
}

impl Publishers {
    pub(super) fn open(target: &Target, shape: Shape) -> Outcome<Self> {
        let readiness = Readiness::new()?;
        let mut all = Vec::new();
        for number in 0..shape.publishers {
            let wire = Wire::open(target, &format!("{}-publisher-{number}", shape.prefix), None)?;
            wire.socket().set_nonblocking(true)?;
            readiness.add(number, wire.socket(), true)?;
            let template = Template::new(&shape.topic(number), number as u32, shape.qos, shape.payload);
            all.push(Publisher {
                wire,
                template,
                qos: shape.qos,
                window: shape.window,
                next: 0,
                allowed: 0,
                answered: 0,
                done: 0,
                out: Vec::new(),
                written: 0,
                input: Vec::new(),
                pending: false,
                wants_room: true,
            });
        }
        let fan_out = if shape.pairs { 1 } else { shape.subscribers as u64 };
        let count = shape.count.unwrap_or(u64::MAX);
        Ok(Self { all, readiness, rate: shape.rate, fan_out, count })
    }

    /// Publishes until `end`, then waits for the last acknowledgement and tells the subscribers how much it was.
    pub(super) fn run(mut self, shared: &Shared, end: Instant) -> Outcome {
        let began = Instant::now();
        let mut progress = began;
        loop {
            let now = Instant::now();
            let over = now >= end || self.all.iter().all(|publisher| publisher.next >= self.count);
            self.allow(now.min(end) - began, shared.received.load(Relaxed));
            let ready = self.readiness.wait(TICK)?;
            if !ready.is_empty() {
                progress = now;
            }
            for ready in ready {
                self.all[ready.number].act(ready, over)?;
            }
            for (number, publisher) in self.all.iter_mut().enumerate() {
                publisher.send(over)?;
                publisher.watch(&self.readiness, number, over)?;
            }
            if over && self.all.iter().all(Publisher::finished) {
                let sent = self.all.iter().map(|publisher| publisher.next).collect();
                return shared.sent.set(sent).map_err(|_| "sent twice".into());
            }
            if shared.failed.load(Relaxed) {
                return Err("the subscribers failed".into());
            }
            if now - progress > PATIENCE {
                return Err("the broker takes nothing from its publishers any more".into());
            }
        }
    }

    /// How much may be sent so long after the beginning, when so many messages have been received: what the
    /// rate and the count allow, and at QoS 0 no more ahead of the subscribers than [`AHEAD`].
    fn allow(&mut self, after: Duration, received: u64) {
        let count = self.all.len() as u64;
        let due = self.rate.map_or(u64::MAX, |rate| (after.as_secs_f64() * f64::from(rate)) as u64);
        let credit = (received + AHEAD) / self.fan_out;
        for (number, publisher) in (0..).zip(&mut self.all) {
            let due = due.min(if publisher.qos == 0 { credit } else { u64::MAX });
            publisher.allowed = self.count.min(due.saturating_add(count - 1 - number) / count);
        }
    }
}

impl Publisher {
    fn act(&mut self, ready: Ready, over: bool) -> Outcome {
        if ready.readable {
            self.read()?;
        }
        if ready.writable && self.qos == 0 {
            // The socket has room: more than one batch fits.
            self.send(over)?;
        }
        Ok(())
    }

    /// Everything is written and acknowledged.
    fn finished(&self) -> bool {
        self.out.is_empty() && !self.pending && (self.qos == 0 || self.done == self.next)
    }

    /// Prepares a batch if little of the last one is left, and writes.
    fn send(&mut self, over: bool) -> Outcome {
        if !over && self.out.len() - self.written < BATCH / 2 {
            self.prepare();
        }
        match self.flush() {
            Ok(()) => {
                self.out.clear();
                self.written = 0;
                self.pending = false;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.pending = true;
                Ok(())
            }
            Err(error) => Err(format!("publisher: {error}").into()),
        }
    }

    fn prepare(&mut self) {
        let open = if self.qos == 0 { 0 } else { (self.next - self.done) as usize };
        let most = (BATCH / self.template.len()).max(1);
        let room = if self.qos == 0 { most } else { (self.window - open).min(most) };
        let count = (room as u64).min(self.allowed.saturating_sub(self.next));
        for number in self.next..self.next + count {
            self.template.put(&mut self.out, number);
        }
        self.next += count;
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            self.written += self.wire.write(&self.out[self.written..])?;
        }
        self.wire.flush()
    }

    /// Watches for room to write only while there is something to write.
    fn watch(&mut self, readiness: &Readiness, number: usize, over: bool) -> io::Result<()> {
        let more = self.qos == 0 && self.next < self.allowed && !over;
        let wants = self.pending || more;
        if wants != self.wants_room {
            self.wants_room = wants;
            readiness.change(number, self.wire.socket(), wants)?;
        }
        Ok(())
    }

    fn read(&mut self) -> Outcome {
        let mut scratch = [0; 16 << 10];
        loop {
            match self.wire.read(&mut scratch) {
                Ok(0) => return Err("the broker closed a publisher's connection".into()),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("publisher: {error}").into()),
            }
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..];
            while let Some((first, body, len)) = mqtt::frame(rest) {
                self.answer(first >> 4, body)?;
                rest = &rest[len..];
            }
            self.input = rest.to_vec();
        }
    }

    /// Acknowledgements come in the order of the messages.
    fn answer(&mut self, kind: u8, body: &[u8]) -> Outcome {
        let id: [u8; 2] = body.try_into().map_err(|_| "an acknowledgement with a reason")?;
        let due = match (kind, self.qos) {
            (4, 1) | (7, 2) => &mut self.done,
            (5, 2) => &mut self.answered,
            _ => return Err(format!("a publisher received a packet of type {kind}").into()),
        };
        if id != id_of(*due).to_be_bytes() {
            return Err(format!("acknowledgement {id:?} is not that of message {due}").into());
        }
        *due += 1;
        if kind == 5 {
            self.out.extend_from_slice(&mqtt::ack(6, id));
        }
        Ok(())
    }
}
