//! MQTT 3.1.1 at packet level, as much as a load generator needs, written for it and apart from the
//! broker's own codec.
//!
//! A message's payload begins with the number of its publisher and its place in that publisher's sequence;
//! a subscriber can tell from them what is missing, doubled or out of order.

/// Bytes at the start of a payload: publisher (4) and sequence number (8).
pub(crate) const STAMP: usize = 12;

/// What fills the rest of a payload.
const FILL: u8 = b'x';

/// Highest packet identifier.
pub(crate) const IDS: u64 = 65_535;

/// CONNECT without keep-alive; with a clean session or one that is kept; user name and password if there are any.
pub(crate) fn connect(id: &str, login: Option<(&str, &str)>, kept: bool) -> Vec<u8> {
    let mut body = vec![0, 4];
    body.extend_from_slice(b"MQTT");
    body.extend_from_slice(&[4, if login.is_some() { 0xc0 } else { 0 } | if kept { 0 } else { 2 }, 0, 0]);
    put_text(&mut body, id);
    if let Some((user, password)) = login {
        put_text(&mut body, user);
        put_text(&mut body, password);
    }
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter, with packet identifier 1.
pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    put_text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// An acknowledgement: 4 PUBACK, 5 PUBREC, 6 PUBREL, 7 PUBCOMP.
pub(crate) fn ack(kind: u8, id: [u8; 2]) -> [u8; 4] {
    [kind << 4 | if kind == 6 { 2 } else { 0 }, 2, id[0], id[1]]
}

/// PINGREQ: its answer proves that everything before it was handled.
pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let more = if left > 0x7f { 0x80 } else { 0 };
        packet.push((left & 0x7f) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A PUBLISH that is written again and again with other numbers in it.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the packet identifier stands; QoS 0 has none.
    id: Option<usize>,
    stamp: usize,
}

impl Template {
    pub(crate) fn new(topic: &str, publisher: u32, qos: u8, payload: usize) -> Self {
        let mut body = Vec::new();
        put_text(&mut body, topic);
        let id = (qos > 0).then_some(body.len());
        body.extend_from_slice(if qos > 0 { &[0, 1] } else { &[] });
        let stamp = body.len();
        body.extend_from_slice(&publisher.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
        body.resize(stamp + payload.max(STAMP), FILL);
        let bytes = packet(0x30 | qos << 1, &body);
        let head = bytes.len() - body.len();
        Self { bytes, id: id.map(|at| head + at), stamp: head + stamp }
    }

    /// Bytes of the packet.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the message with this number.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if let Some(at) = self.id {
            packet[at..at + 2].copy_from_slice(&id_of(number).to_be_bytes());
        }
        packet[self.stamp + 4..self.stamp + STAMP].copy_from_slice(&number.to_be_bytes());
    }
}

/// The packet identifier of a publisher's message.
pub(crate) fn id_of(number: u64) -> u16 {
    (number % IDS + 1) as u16
}

/// The first whole packet: its first byte, what is behind its fixed header, and its length in all.
pub(crate) fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let mut body = 0usize;
    for index in 0..4 {
        let byte = *bytes.get(index + 1)?;
        body |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let start = index + 2;
            return Some((bytes[0], bytes.get(start..start + body)?, start + body));
        }
    }
    None
}

/// A received PUBLISH.
pub(crate) struct Received<'a> {
    pub(crate) topic: &'a [u8],
    /// QoS 0 has none.
    pub(crate) id: Option<[u8; 2]>,
    pub(crate) publisher: u32,
    pub(crate) number: u64,
    pub(crate) payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// Takes the body of a PUBLISH apart; `None` if it is none of the generator's.
    pub(crate) fn parse(first: u8, body: &'a [u8]) -> Option<Self> {
        let (len, rest) = body.split_first_chunk::<2>()?;
        let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let (id, payload) = match first & 0b0110 {
            0 => (None, rest),
            _ => rest.split_first_chunk::<2>().map(|(id, payload)| (Some(*id), payload))?,
        };
        let (publisher, rest) = payload.split_first_chunk::<4>()?;
        let (number, filling) = rest.split_first_chunk::<8>()?;
        let whole = filling.last().is_none_or(|&last| last == FILL);
        whole.then_some(Self {
            topic,
            id,
            publisher: u32::from_be_bytes(*publisher),
            number: u64::from_be_bytes(*number),
            payload,
        })
    }
}
