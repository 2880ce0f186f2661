//! MQTT 3.1.1, the client's side, as far as a small device needs it. Pure.
//!
//! Invariant: arbitrary bytes give a packet, "more", or [`Unfit`], and never a panic.

/// The longest packet that is taken, in bytes.
const MAX_PACKET: usize = 1 << 20;

/// What came cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The client is let in, or not.
    Connack(bool),
    /// A message.
    Publish { topic: String, payload: String },
    /// Anything else.
    Other,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) retain: bool,
}

/// CONNECT with a clean session (section 3.1); the will is published at QoS 0 when the connection is lost.
pub(super) fn connect(client: &str, keep_alive_s: u16, will: Option<&Message>) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    let flags = will.map_or(0, |will| 0x04 | u8::from(will.retain) << 5);
    body.extend_from_slice(&[4, 0x02 | flags]);
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    text(&mut body, client);
    if let Some(will) = will {
        text(&mut body, &will.topic);
        text(&mut body, &will.payload);
    }
    packet(0x10, &body)
}

/// SUBSCRIBE at QoS 0 (section 3.8).
pub(super) fn subscribe(topics: &[String]) -> Vec<u8> {
    let mut body = vec![0, 1];
    for topic in topics {
        text(&mut body, topic);
        body.push(0);
    }
    packet(0x82, &body)
}

/// PUBLISH at QoS 0 (section 3.3).
pub(super) fn publish(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, &message.topic);
    body.extend_from_slice(message.payload.as_bytes());
    packet(0x30 | u8::from(message.retain), &body)
}

/// PINGREQ (section 3.12).
pub(super) fn ping() -> Vec<u8> {
    packet(0xc0, &[])
}

/// Takes the first whole packet off what has come.
pub(super) fn take(bytes: &mut Vec<u8>) -> Result<Option<Packet>, Unfit> {
    let (mut length, mut head) = (0_usize, 1);
    loop {
        let Some(byte) = bytes.get(head) else { return Ok(None) };
        if head > 4 {
            return Err(Unfit);
        }
        length |= usize::from(byte & 0x7f) << (7 * (head - 1));
        head += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_PACKET {
        return Err(Unfit);
    }
    if bytes.len() < head + length {
        return Ok(None);
    }
    let whole: Vec<u8> = bytes.drain(..head + length).collect();
    let (first, body) = (whole[0], &whole[head..]);
    match first >> 4 {
        2 => Ok(Some(Packet::Connack(body.get(1) == Some(&0)))),
        3 => message(first, body).map(Some).ok_or(Unfit),
        _ => Ok(Some(Packet::Other)),
    }
}

fn message(first: u8, body: &[u8]) -> Option<Packet> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    // Above QoS 0 a packet identifier stands there.
    let payload = if first & 0x06 == 0 { rest } else { rest.get(2..)? };
    let topic = String::from_utf8(topic.to_vec()).ok()?;
    Some(Packet::Publish { topic, payload: String::from_utf8_lossy(payload).into_owned() })
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Topics and words of a plan are far shorter.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let more = left >> 7;
        out.push((left & 0x7f) as u8 | if more > 0 { 0x80 } else { 0 });
        left = more;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_look_as_the_standard_shows_them() {
        // Table 3.3 to figure 3.6 of MQTT 3.1.1, without user name and password.
        let will = Message { topic: "w".into(), payload: "off".into(), retain: true };
        let connect = connect("d", 10, Some(&will));
        assert_eq!(connect, b"\x10\x15\x00\x04MQTT\x04\x26\x00\x0a\x00\x01d\x00\x01w\x00\x03off");
        assert_eq!(subscribe(&["a/b".into()]), b"\x82\x08\x00\x01\x00\x03a/b\x00");
        let mut bytes = b"\x20\x02\x00\x00\x30\x07\x00\x03a/b10\x90".to_vec();
        assert_eq!(take(&mut bytes), Ok(Some(Packet::Connack(true))));
        let message = Packet::Publish { topic: "a/b".into(), payload: "10".into() };
        assert_eq!(take(&mut bytes), Ok(Some(message)));
        assert_eq!(take(&mut bytes), Ok(None));
        assert_eq!(take(&mut vec![0x30, 0xff, 0xff, 0xff, 0xff, 1]), Err(Unfit));
    }

    proptest! {
        #[test]
        fn what_is_published_is_read(topic in "[a-z/]{1,40}", payload in ".{0,300}") {
            let mut bytes = publish(&Message { topic: topic.clone(), payload: payload.clone(), retain: false });
            prop_assert_eq!(take(&mut bytes), Ok(Some(Packet::Publish { topic, payload })));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            while let Ok(Some(_)) = take(&mut bytes) {}
        }
    }
}
