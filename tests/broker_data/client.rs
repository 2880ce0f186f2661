//! A small MQTT 3.1.1 client that shows every packet, and lets the test decide what is acknowledged when.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a packet; a test that needs more has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) present: bool,
    input: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish {
        qos: u8,
        id: u16,
        topic: String,
        payload: Vec<u8>,
    },
    /// Kind (first byte) and packet identifier of anything else.
    Other(u8, u16),
}

/// How far a message that is sent at QoS 2 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    Published,
    Released,
}

pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text);
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut len = body.len();
    while len > 127 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(body);
    out
}

fn publish(qos: u8, flags: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, topic.as_bytes());
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload);
    packet(0x30 | qos << 1 | flags, &body)
}

/// Messages of each QoS have topics of their own, and numbers of their own.
fn topic_of(qos: u8, number: u32) -> String {
    format!("t{qos}/{}", number % 4)
}

/// A packet identifier for a message of which at most a few hundred are open.
fn id_of(number: u32) -> u16 {
    (number % 60_000) as u16 + 1
}

impl Client {
    pub(crate) fn connect(port: u16, id: &str, clean: bool) -> io::Result<Self> {
        Self::open(port, id, u8::from(clean) << 1, &[])
    }

    pub(crate) fn connect_with_will(port: u16, id: &str, topic: &str, payload: &[u8]) -> io::Result<Self> {
        let mut will = Vec::new();
        string(&mut will, topic.as_bytes());
        string(&mut will, payload);
        Self::open(port, id, 0x0C, &will)
    }

    fn open(port: u16, id: &str, flags: u8, will: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut body = b"\x00\x04MQTT\x04".to_vec();
        body.extend_from_slice(&[flags, 0, 60]);
        string(&mut body, id.as_bytes());
        body.extend_from_slice(will);
        stream.write_all(&packet(0x10, &body))?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "refused");
        Ok(Self { stream, present: connack[2] == 1, input: Vec::new() })
    }

    pub(crate) fn disconnect(mut self) {
        self.stream.write_all(&[0xE0, 0]).unwrap();
        assert_eq!(self.stream.read(&mut [0; 1]).unwrap(), 0);
    }

    /// Takes a whole packet out of what was read.
    fn take(&mut self) -> Option<Packet> {
        let (mut len, mut shift, mut at) = (0usize, 0, 1);
        loop {
            let byte = *self.input.get(at)?;
            len |= usize::from(byte & 0x7f) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = self.input.get(at..at + len)?.to_vec();
        let first = self.input[0];
        self.input.drain(..at + len);
        let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        if first >> 4 != 3 {
            return Some(Packet::Other(first, number(0)));
        }
        let (qos, end) = (first >> 1 & 3, 2 + usize::from(number(0)));
        let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
        let (id, start) = if qos > 0 { (number(end), end + 2) } else { (0, end) };
        Some(Packet::Publish { qos, id, topic, payload: body[start..].to_vec() })
    }

    pub(crate) fn packet(&mut self) -> io::Result<Packet> {
        loop {
            if let Some(packet) = self.take() {
                return Ok(packet);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next packet that is no message.
    fn answer(&mut self, first: u8, id: u16) -> io::Result<()> {
        assert_eq!(self.packet()?, Packet::Other(first, id));
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut body = vec![0, 9];
        string(&mut body, filter.as_bytes());
        body.push(qos);
        self.stream.write_all(&packet(0x82, &body))?;
        self.answer(0x90, 9)
    }

    /// Publishes a message and waits until the broker has taken it.
    pub(crate) fn publish_acked(
        &mut self,
        qos: u8,
        topic: &str,
        payload: &[u8],
        retain: bool,
    ) -> io::Result<()> {
        self.stream.write_all(&publish(qos, retain.into(), 5, topic, payload))?;
        if qos == 1 {
            return self.answer(0x40, 5);
        }
        self.answer(0x50, 5)?;
        self.stream.write_all(&[0x62, 2, 0, 5])?;
        self.answer(0x70, 5)
    }

    /// The next message, acknowledged to its end.
    pub(crate) fn receive(&mut self) -> io::Result<(String, Vec<u8>)> {
        let Packet::Publish { qos, id, topic, payload } = self.packet()? else { panic!("no message") };
        let [high, low] = id.to_be_bytes();
        match qos {
            1 => self.stream.write_all(&[0x40, 2, high, low])?,
            2 => {
                self.stream.write_all(&[0x50, 2, high, low])?;
                self.answer(0x62, id)?;
                self.stream.write_all(&[0x70, 2, high, low])?;
            }
            _ => {}
        }
        Ok((topic, payload))
    }

    /// Publishes numbered messages at QoS 1, with a window, and tells which were acknowledged, until `enough`.
    pub(crate) fn flood(
        &mut self,
        next: &mut u32,
        window: usize,
        mut enough: impl FnMut(Option<u32>) -> bool,
    ) -> io::Result<()> {
        let mut open: BTreeMap<u16, u32> = BTreeMap::new();
        let mut stop = enough(None);
        while !(stop && open.is_empty()) {
            let mut out = Vec::new();
            while !stop && open.len() < window {
                out.extend(publish(1, 0, id_of(*next), &topic_of(1, *next), next.to_string().as_bytes()));
                open.insert(id_of(*next), *next);
                *next += 1;
            }
            self.stream.write_all(&out)?;
            match self.packet()? {
                Packet::Other(0x40, id) => stop |= enough(Some(open.remove(&id).unwrap())),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    /// One step of sending at QoS 2: starts new messages up to the window, and takes the answer that comes next.
    pub(crate) fn exchange(
        &mut self,
        next: &mut u32,
        open: &mut BTreeMap<u32, Open>,
        window: usize,
    ) -> io::Result<()> {
        let mut out = Vec::new();
        while open.len() < window {
            out.extend(publish(2, 0, id_of(*next), &topic_of(2, *next), next.to_string().as_bytes()));
            open.insert(*next, Open::Published);
            *next += 1;
        }
        self.stream.write_all(&out)?;
        if open.is_empty() {
            return Ok(());
        }
        let answer = self.packet()?;
        let Packet::Other(first, id) = answer else { panic!("{answer:?}") };
        let number = *open.keys().find(|number| id_of(**number) == id).unwrap();
        match (first, open[&number]) {
            (0x50, _) => {
                open.insert(number, Open::Released);
                let [high, low] = id.to_be_bytes();
                self.stream.write_all(&[0x62, 2, high, low])?;
            }
            (0x70, Open::Released) => {
                open.remove(&number);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    /// Sends again what was not completed, in its order ([MQTT-4.4.0-1]).
    pub(crate) fn resend(&mut self, open: &BTreeMap<u32, Open>) -> io::Result<()> {
        for (&number, state) in open {
            let [high, low] = id_of(number).to_be_bytes();
            let bytes = match state {
                Open::Published => {
                    publish(2, 8, id_of(number), &topic_of(2, number), number.to_string().as_bytes())
                }
                Open::Released => vec![0x62, 2, high, low],
            };
            self.stream.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Takes everything that is there, or waits for it, and acknowledges it: at QoS 2 a message counts when its
    /// identifier is new. `seen` gets QoS and number, in the order of their coming.
    pub(crate) fn take_exactly_once(
        &mut self,
        wait: bool,
        seen: &mut Vec<(u8, u32)>,
        held: &mut BTreeSet<u16>,
    ) -> io::Result<()> {
        self.stream.set_nonblocking(!wait)?;
        let mut buffer = [0; 16 << 10];
        let read = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false)?;
        match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.input.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !wait => {}
            Err(error) => return Err(error),
        }
        let mut out = Vec::new();
        while let Some(packet) = self.take() {
            let (answer, id) = match packet {
                Packet::Publish { qos, id, payload, topic } => {
                    let number = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                    assert_eq!(topic, topic_of(qos, number));
                    if qos == 1 || held.insert(id) {
                        seen.push((qos, number));
                    }
                    (if qos == 1 { 0x40 } else { 0x50 }, id)
                }
                Packet::Other(0x62, id) => {
                    held.remove(&id);
                    (0x70, id)
                }
                other => panic!("{other:?}"),
            };
            let [high, low] = id.to_be_bytes();
            out.extend([answer, 2, high, low]);
        }
        self.stream.write_all(&out)
    }

    /// Takes messages until all of these have come. Returns them in the order of their coming, with those that came
    /// besides.
    pub(crate) fn take_all(&mut self, mut wanted: BTreeSet<(u8, u32)>) -> io::Result<Vec<(u8, u32)>> {
        let (mut seen, mut held, mut from) = (Vec::new(), BTreeSet::new(), 0);
        while !(wanted.is_empty() && held.is_empty()) {
            self.take_exactly_once(true, &mut seen, &mut held)?;
            for message in &seen[from..] {
                wanted.remove(message);
            }
            from = seen.len();
        }
        Ok(seen)
    }
}
