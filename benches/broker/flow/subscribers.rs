//! The receiving half of a flow: checks every message, acknowledges once per read.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{PATIENCE, Received, Shape, Shared};
use crate::Outcome;
use crate::mqtt;
use crate::readiness::Readiness;
use crate::wire::{Target, Wire};

/// Smallest buffer of a subscriber, in bytes.
const BUFFER: usize = 128 << 10;
/// Reads of one subscriber before others have their turn.
const READS: usize = 4;
/// Between two looks at whether all is there.
const LOOK: Duration = Duration::from_millis(5);

/// All subscribers.
pub(crate) struct Subscribers {
    all: Vec<Subscriber>,
    readiness: Readiness,
}

struct Subscriber {
    wire: Wire,
    /// Next number of each publisher whose messages it gets.
    next: Vec<u64>,
    publishers: Range<usize>,
    topics: Vec<String>,
    payload: usize,
    received: u64,
    buffer: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    written: usize,
    wants_room: bool,
    /// The answer to the last PINGREQ has come.
    pinged: bool,
}

impl Subscribers {
    pub(super) fn open(target: &Target, shape: Shape) -> Outcome<Self> {
        let readiness = Readiness::new()?;
        let mut all = Vec::new();
        for number in 0..shape.subscribers {
            let (filter, publishers) = shape.interest(number);
            let name = format!("{}-subscriber-{number}", shape.prefix);
            let mut wire =
                if shape.kept { Wire::open_kept(target, &name)? } else { Wire::open(target, &name, None)? };
            wire.subscribe(&filter, shape.qos)?;
            wire.socket().set_nonblocking(true)?;
            readiness.add(number, wire.socket(), false)?;
            all.push(Subscriber {
                wire,
                next: vec![0; publishers.len()],
                topics: publishers.clone().map(|number| shape.topic(number)).collect(),
                publishers,
                payload: shape.payload,
                received: 0,
                buffer: vec![0; BUFFER.max(2 * shape.payload)],
                filled: 0,
                out: Vec::new(),
                written: 0,
                wants_room: false,
                pinged: false,
            });
        }
        Ok(Self { all, readiness })
    }

    /// Receives until everything is there that was sent, and makes sure that nothing else comes.
    pub(super) fn run(mut self, shared: &Shared) -> Outcome<Received> {
        let mut last = Instant::now();
        loop {
            if self.turn()? {
                last = Instant::now();
                shared.received.store(self.received(), Relaxed);
            }
            if let Some(sent) = shared.sent.get()
                && self.all.iter().all(|subscriber| subscriber.is_complete(sent))
            {
                break;
            }
            if shared.failed.load(Relaxed) {
                return Err("the publishers failed".into());
            }
            if last.elapsed() > PATIENCE {
                return Err(self.missing(shared.sent.get()).into());
            }
        }
        self.nothing_more()?;
        Ok(Received { messages: self.all.iter().map(|subscriber| subscriber.received).sum(), last })
    }

    /// Handles what is ready. Returns whether anything came.
    fn turn(&mut self) -> Outcome<bool> {
        let mut came = false;
        for ready in self.readiness.wait(LOOK)? {
            let subscriber = &mut self.all[ready.number];
            if ready.readable {
                came |= subscriber.receive()?;
            }
            let wants = !subscriber.flush()?;
            if wants != subscriber.wants_room {
                subscriber.wants_room = wants;
                self.readiness.change(ready.number, subscriber.wire.socket(), wants)?;
            }
        }
        Ok(came)
    }

    /// A message that came twice would come before the answer to a PINGREQ.
    fn nothing_more(&mut self) -> Outcome {
        for subscriber in &mut self.all {
            subscriber.out.extend_from_slice(&mqtt::PINGREQ);
            subscriber.flush()?;
        }
        let (before, end) = (self.received(), Instant::now() + PATIENCE);
        while !self.all.iter().all(|subscriber| subscriber.pinged) {
            self.turn()?;
            if Instant::now() > end {
                return Err("no answer to a PINGREQ".into());
            }
        }
        match self.received() - before {
            0 => Ok(()),
            more => Err(format!("{more} messages more than were sent").into()),
        }
    }

    fn received(&self) -> u64 {
        self.all.iter().map(|subscriber| subscriber.received).sum()
    }

    fn missing(&self, sent: Option<&Vec<u64>>) -> String {
        let received = self.received();
        let Some(sent) = sent else { return format!("{received} messages came, then no more") };
        let of = |subscriber: &Subscriber| sent[subscriber.publishers.clone()].iter().sum::<u64>();
        let expected: u64 = self.all.iter().map(of).sum();
        format!("{received} of {expected} messages arrived")
    }
}

impl Subscriber {
    fn is_complete(&self, sent: &[u64]) -> bool {
        self.next == sent[self.publishers.clone()]
    }

    /// Reads what is there. Returns whether there was anything.
    fn receive(&mut self) -> Outcome<bool> {
        let plain = matches!(self.wire, Wire::Plain(_));
        for reads in 0.. {
            match self.wire.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err("the broker closed a subscriber's connection".into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(reads > 0),
                Err(error) => return Err(format!("subscriber: {error}").into()),
            }
            let full = self.filled == self.buffer.len();
            self.take_in()?;
            // What TLS has read ahead makes no socket readable: it must be fetched now.
            if plain && (!full || reads + 1 == READS) {
                break;
            }
        }
        Ok(true)
    }

    /// Handles every whole packet in the buffer.
    fn take_in(&mut self) -> Outcome {
        let buffer = std::mem::take(&mut self.buffer);
        let mut start = 0;
        while let Some((first, body, len)) = mqtt::frame(&buffer[start..self.filled]) {
            match first >> 4 {
                3 => self.message(first, body)?,
                // PUBREL is answered by PUBCOMP.
                6 => self.out.extend_from_slice(&mqtt::ack(7, [body[0], body[1]])),
                13 => self.pinged = true,
                other => return Err(format!("a subscriber received a packet of type {other}").into()),
            }
            start += len;
        }
        self.buffer = buffer;
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(())
    }

    fn message(&mut self, first: u8, body: &[u8]) -> Outcome {
        let message = mqtt::Received::parse(first, body).ok_or("a message that nobody sent")?;
        let index = (message.publisher as usize).wrapping_sub(self.publishers.start);
        let next = self.next.get_mut(index).ok_or("a message of another publisher")?;
        if message.number != *next || first & 0b1000 != 0 {
            let came = message.number;
            return Err(format!("publisher {index}: message {came} came instead of {next}").into());
        }
        if message.topic != self.topics[index].as_bytes() || message.payload.len() != self.payload {
            return Err("a message with another topic or length".into());
        }
        *next += 1;
        self.received += 1;
        if let Some(id) = message.id {
            let kind = if first & 0b0100 != 0 { 5 } else { 4 };
            self.out.extend_from_slice(&mqtt::ack(kind, id));
        }
        Ok(())
    }

    /// Writes acknowledgements. False: the socket takes no more.
    fn flush(&mut self) -> Outcome<bool> {
        while self.written < self.out.len() {
            match self.wire.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(format!("subscriber: {error}").into()),
            }
        }
        self.out.clear();
        self.written = 0;
        match self.wire.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }
}
