//! The client's side of MQTT 3.1.1 and 5.0: what a bridge sends, and what it understands of an upstream broker.
//!
//! Built on the parts of the broker's codec. Absent: QoS 2, topic aliases, wills and enhanced authentication, which a
//! bridge never asks for, so a broker never sends them. Invariant: arbitrary bytes give an error and never a panic.

use crate::broker::codec::{
    Ack, CodecError, Frame, Properties, Publish, PublishHead, Reader, ReasonCode, Version, property_id as id,
    put_binary, put_varint, varint_len,
};

/// What a CONNECT says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hello {
    /// Client identifier.
    pub(crate) client_id: String,
    /// User name.
    pub(crate) user: Option<String>,
    /// Password or token.
    pub(crate) password: Option<Vec<u8>>,
    /// Keep-alive in seconds.
    pub(crate) keep_alive_s: u16,
    /// Largest packet that is accepted, in bytes (5.0).
    pub(crate) max_packet: u32,
    /// Messages that may be unacknowledged towards this client (5.0).
    pub(crate) receive_maximum: u16,
}

/// A subscription that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Topic filter.
    pub(crate) filter: String,
    /// Highest QoS, 0 or 1.
    pub(crate) qos: u8,
}

/// What the broker said of itself when it let the client in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// Why the connection is refused; `SUCCESS` when it is not.
    pub(crate) code: ReasonCodeOr311,
    /// In the broker's own words.
    pub(crate) reason: Option<String>,
    /// Messages that it takes unacknowledged.
    pub(crate) receive_maximum: Option<u16>,
    /// Largest packet that it takes.
    pub(crate) max_packet: Option<u32>,
    /// Highest QoS that it takes.
    pub(crate) max_qos: Option<u8>,
    /// Whether it retains messages.
    pub(crate) retain: Option<bool>,
    /// The keep-alive that it wants, in seconds.
    pub(crate) keep_alive_s: Option<u16>,
}

/// The code of a CONNACK: 5.0 and 3.1.1 number them differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReasonCodeOr311 {
    /// The client is let in.
    #[default]
    Accepted,
    /// A code of 5.0.
    V5(ReasonCode),
    /// A code of 3.1.1 (section 3.2.2.3).
    V311(u8),
}

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The answer to the CONNECT.
    Connack(Welcome),
    /// A message.
    Publish(Publish<'a>),
    /// The answer to a QoS 1 message.
    Puback { id: u16, code: ReasonCode, reason: Option<&'a str> },
    /// The answer to a SUBSCRIBE: one code for each filter.
    Suback { id: u16, codes: &'a [u8] },
    /// The answer to a probe.
    Pingresp,
    /// The broker ends the connection (5.0).
    Disconnect { code: ReasonCode, reason: Option<&'a str> },
}

/// Appends a CONNECT that begins a new session.
pub(crate) fn put_connect(out: &mut Vec<u8>, version: Version, hello: &Hello) {
    let mut body = Vec::with_capacity(64);
    put_binary(&mut body, b"MQTT");
    body.push(if version.is_v5() { 5 } else { 4 });
    let flags = 0x02 | u8::from(hello.user.is_some()) << 7 | u8::from(hello.password.is_some()) << 6;
    body.push(flags);
    body.extend_from_slice(&hello.keep_alive_s.to_be_bytes());
    if version.is_v5() {
        let mut section = vec![id::RECEIVE_MAXIMUM];
        section.extend_from_slice(&hello.receive_maximum.to_be_bytes());
        section.push(id::MAXIMUM_PACKET_SIZE);
        section.extend_from_slice(&hello.max_packet.to_be_bytes());
        put_varint(&mut body, section.len() as u32);
        body.extend_from_slice(&section);
    }
    put_binary(&mut body, hello.client_id.as_bytes());
    if let Some(user) = &hello.user {
        put_binary(&mut body, user.as_bytes());
    }
    if let Some(password) = &hello.password {
        put_binary(&mut body, password);
    }
    put_packet(out, 0x10, &body);
}

/// Appends a SUBSCRIBE. On 5.0 with no-local, and with the retain flag as it was published.
pub(crate) fn put_subscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, wishes: &[Wish]) {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version.is_v5() {
        body.push(0);
    }
    for wish in wishes {
        put_binary(&mut body, wish.filter.as_bytes());
        body.push(if version.is_v5() { wish.qos | 0x04 | 0x08 } else { wish.qos });
    }
    put_packet(out, 0x82, &body);
}

/// Appends a PUBACK of success.
pub(crate) fn put_puback(out: &mut Vec<u8>, packet_id: u16) {
    out.extend_from_slice(&[0x40, 2]);
    out.extend_from_slice(&packet_id.to_be_bytes());
}

/// Appends a PINGREQ.
pub(crate) fn put_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xc0, 0]);
}

/// Appends a DISCONNECT.
pub(crate) fn put_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xe0, 0]);
}

/// Appends a PUBLISH unless it is larger than `max_packet` bytes. Returns whether it was appended.
pub(crate) fn put_publish(
    out: &mut Vec<u8>,
    version: Version,
    head: &PublishHead<'_>,
    topic: &str,
    payload: &[u8],
    max_packet: usize,
) -> bool {
    head.encode(out, version, topic, payload, max_packet)
}

fn put_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.reserve(1 + varint_len(body.len()) + body.len());
    out.push(first);
    put_varint(out, body.len() as u32);
    out.extend_from_slice(body);
}

/// Decodes a packet from the broker.
///
/// # Errors
/// It is none that a broker may send to this client.
pub(crate) fn decode<'a>(frame: Frame, body: &'a [u8], version: Version) -> Result<Packet<'a>, CodecError> {
    if frame.kind() != 3 && frame.flags() != 0 {
        return Err(CodecError::malformed("wrong flags in the fixed header"));
    }
    match frame.kind() {
        2 => connack(body, version).map(Packet::Connack),
        3 => Publish::decode(frame.flags(), body, version).map(Packet::Publish),
        4 => puback(body, version),
        9 => suback(body, version),
        13 if body.is_empty() => Ok(Packet::Pingresp),
        14 if version.is_v5() => disconnect(body),
        _ => Err(CodecError::protocol("packet that this client did not ask for")),
    }
}

fn connack(body: &[u8], version: Version) -> Result<Welcome, CodecError> {
    let mut reader = Reader::new(body);
    if reader.u8()? & 0xfe != 0 {
        return Err(CodecError::malformed("reserved flags of a CONNACK"));
    }
    let code = reader.u8()?;
    let mut welcome = Welcome::default();
    if !version.is_v5() {
        reader.finish()?;
        welcome.code = if code == 0 { ReasonCodeOr311::Accepted } else { ReasonCodeOr311::V311(code) };
        return Ok(welcome);
    }
    if code != 0 {
        welcome.code = ReasonCodeOr311::V5(ReasonCode(code));
        // Brokers that know only 3.1.1 answer in their own form.
        if reader.is_empty() {
            return Ok(welcome);
        }
    }
    let mut properties = Properties::new(reader.section()?, CONNACK_PROPERTIES);
    while let Some(property) = properties.next()? {
        let value = property.value;
        match property.id {
            id::REASON_STRING => welcome.reason = Some(value.text().to_owned()),
            id::RECEIVE_MAXIMUM => {
                welcome.receive_maximum = Some(value.positive("receive maximum 0")? as u16);
            }
            id::MAXIMUM_PACKET_SIZE => welcome.max_packet = Some(value.positive("maximum packet size 0")?),
            id::MAXIMUM_QOS => welcome.max_qos = Some(u8::from(value.flag()?)),
            id::RETAIN_AVAILABLE => welcome.retain = Some(value.flag()?),
            id::SERVER_KEEP_ALIVE => welcome.keep_alive_s = Some(value.number() as u16),
            _ => {}
        }
    }
    reader.finish()?;
    Ok(welcome)
}

/// What a CONNACK may carry (section 3.2.2.3).
const CONNACK_PROPERTIES: &[u8] = &[
    id::SESSION_EXPIRY,
    id::RECEIVE_MAXIMUM,
    id::MAXIMUM_QOS,
    id::RETAIN_AVAILABLE,
    id::MAXIMUM_PACKET_SIZE,
    id::ASSIGNED_CLIENT_ID,
    id::TOPIC_ALIAS_MAXIMUM,
    id::REASON_STRING,
    id::USER_PROPERTY,
    id::WILDCARD_AVAILABLE,
    id::SUBSCRIPTION_ID_AVAILABLE,
    id::SHARED_AVAILABLE,
    id::SERVER_KEEP_ALIVE,
    id::RESPONSE_INFORMATION,
    id::SERVER_REFERENCE,
    id::AUTH_METHOD,
    id::AUTH_DATA,
];

/// The reason in words, in the properties that a packet ends with.
fn reason<'a>(reader: &mut Reader<'a>, allowed: &'static [u8]) -> Result<Option<&'a str>, CodecError> {
    let mut reason = None;
    if !reader.is_empty() {
        let mut properties = Properties::new(reader.section()?, allowed);
        while let Some(property) = properties.next()? {
            if property.id == id::REASON_STRING {
                reason = Some(property.value.text());
            }
        }
    }
    reader.finish()?;
    Ok(reason)
}

fn puback(body: &[u8], version: Version) -> Result<Packet<'_>, CodecError> {
    let mut reader = Reader::new(body);
    let ack = Ack { packet_id: reader.packet_id()?, code: ReasonCode::SUCCESS };
    if !version.is_v5() || reader.is_empty() {
        reader.finish()?;
        return Ok(Packet::Puback { id: ack.packet_id, code: ack.code, reason: None });
    }
    let code = ReasonCode(reader.u8()?);
    let reason = reason(&mut reader, &[id::REASON_STRING, id::USER_PROPERTY])?;
    Ok(Packet::Puback { id: ack.packet_id, code, reason })
}

fn suback(body: &[u8], version: Version) -> Result<Packet<'_>, CodecError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if version.is_v5() {
        let mut properties = Properties::new(reader.section()?, &[id::REASON_STRING, id::USER_PROPERTY]);
        while properties.next()?.is_some() {}
    }
    Ok(Packet::Suback { id: packet_id, codes: reader.rest() })
}

fn disconnect(body: &[u8]) -> Result<Packet<'_>, CodecError> {
    let mut reader = Reader::new(body);
    if reader.is_empty() {
        return Ok(Packet::Disconnect { code: ReasonCode::SUCCESS, reason: None });
    }
    let code = ReasonCode(reader.u8()?);
    let allowed = &[id::SESSION_EXPIRY, id::REASON_STRING, id::USER_PROPERTY, id::SERVER_REFERENCE];
    let reason = reason(&mut reader, allowed)?;
    Ok(Packet::Disconnect { code, reason })
}

impl ReasonCodeOr311 {
    /// The code in words; `None` when the client was let in.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Accepted => None,
            Self::V5(code) => Some(code.text()),
            Self::V311(1) => Some("unacceptable protocol version"),
            Self::V311(2) => Some("identifier rejected"),
            Self::V311(3) => Some("server unavailable"),
            Self::V311(4) => Some("bad user name or password"),
            Self::V311(5) => Some("not authorised"),
            // AWS IoT Core answers so.
            Self::V311(7) => Some("not authorised (code 7)"),
            Self::V311(_) => Some("refused with an unknown code"),
        }
    }

    /// Whether user, password or permission are at fault: trying again soon makes no sense.
    pub(crate) fn is_about_rights(self) -> bool {
        match self {
            Self::V5(code) => matches!(
                code,
                ReasonCode::BAD_USER_NAME_OR_PASSWORD
                    | ReasonCode::NOT_AUTHORIZED
                    | ReasonCode::BAD_AUTHENTICATION_METHOD
            ),
            Self::V311(code) => matches!(code, 4 | 5 | 7),
            Self::Accepted => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::broker::codec::{self, ConnackProperties, QoS};

    /// Decodes one whole packet.
    fn read(bytes: &[u8], version: Version) -> Result<Packet<'_>, CodecError> {
        let frame = Frame::parse(bytes, 1 << 20)?.unwrap();
        decode(frame, &bytes[frame.header..], version)
    }

    #[test]
    fn the_own_broker_understands_what_is_sent() {
        for version in [Version::V4, Version::V5] {
            let mut out = Vec::new();
            let hello = Hello {
                client_id: "c".into(),
                user: Some("u".into()),
                password: Some(b"p".to_vec()),
                keep_alive_s: 60,
                max_packet: 1000,
                receive_maximum: 9,
            };
            put_connect(&mut out, version, &hello);
            let frame = Frame::parse(&out, 1000).unwrap().unwrap();
            let codec::Packet::Connect(connect) =
                codec::decode(frame, &out[frame.header..], version).unwrap()
            else {
                panic!("no CONNECT");
            };
            assert_eq!((connect.client_id, connect.keep_alive, connect.clean_start), ("c", 60, true));
            out.clear();
            put_subscribe(&mut out, version, 7, &[Wish { filter: "a/#".into(), qos: 1 }]);
            let frame = Frame::parse(&out, 1000).unwrap().unwrap();
            let subscribe = codec::decode(frame, &out[frame.header..], version).unwrap();
            assert!(format!("{subscribe:?}").contains("a/#"), "{subscribe:?}");
        }
    }

    #[test]
    fn what_the_own_broker_says_is_understood() {
        let mut out = Vec::new();
        let properties = ConnackProperties {
            receive_maximum: Some(10),
            max_packet: Some(5000),
            reason: Some("quota"),
            maximum_qos: Some(QoS::AtLeastOnce),
            ..ConnackProperties::default()
        };
        codec::encode_connack(&mut out, Version::V5, false, ReasonCode::QUOTA_EXCEEDED, &properties);
        let Packet::Connack(welcome) = read(&out, Version::V5).unwrap() else { panic!("no CONNACK") };
        assert_eq!(
            (welcome.receive_maximum, welcome.max_packet, welcome.max_qos),
            (Some(10), Some(5000), Some(1))
        );
        assert_eq!(
            (welcome.code.refusal(), welcome.reason.as_deref()),
            (Some("quota exceeded"), Some("quota"))
        );
        out.clear();
        codec::encode_connack(&mut out, Version::V4, false, ReasonCode::NOT_AUTHORIZED, &properties);
        let Packet::Connack(welcome) = read(&out, Version::V4).unwrap() else { panic!("no CONNACK") };
        assert!(welcome.code.is_about_rights() && welcome.code.refusal() == Some("not authorised"));
        out.clear();
        codec::encode_refusal(&mut out, codec::AckKind::Puback, 3, ReasonCode::NOT_AUTHORIZED, "no");
        let wanted = Packet::Puback { id: 3, code: ReasonCode::NOT_AUTHORIZED, reason: Some("no") };
        assert_eq!(read(&out, Version::V5), Ok(wanted));
        assert_eq!(read(&[0x90, 4, 0, 7, 0, 1], Version::V5), Ok(Packet::Suback { id: 7, codes: &[1] }));
        assert_eq!(read(&[0xd0, 0], Version::V4), Ok(Packet::Pingresp));
        assert!(read(&[0xc0, 0], Version::V4).is_err(), "a PINGREQ is for brokers");
        assert!(read(&[0xe0, 0], Version::V4).is_err(), "3.1.1 knows no DISCONNECT from a broker");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0u8..=15, body in prop::collection::vec(any::<u8>(), 0..40), v5: bool) {
            let version = if v5 { Version::V5 } else { Version::V4 };
            let mut bytes = vec![kind << 4, body.len() as u8];
            bytes.extend(body);
            let _ = read(&bytes, version);
        }
    }
}
