//! Any packet a client may send once it is connected, and CONNECT itself.

use super::wire::Reader;
use super::{
    Ack, Auth, CodecError, Connect, Disconnect, Frame, Publish, ReasonCode, Subscribe, Unsubscribe, Version,
    decode_connect,
};

/// Which of the four acknowledgements of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Answers QoS 1.
    Puback,
    /// First answer to QoS 2.
    Pubrec,
    /// The sender releases a QoS 2 packet identifier.
    Pubrel,
    /// Last answer of QoS 2.
    Pubcomp,
}

impl AckKind {
    /// First byte of the packet on the wire.
    #[must_use]
    pub fn first_byte(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
        }
    }
}

/// A packet from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// First packet of every connection.
    Connect(Box<Connect<'a>>),
    /// An application message.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(AckKind, Ack),
    /// Subscriptions wanted.
    Subscribe(Subscribe<'a>),
    /// Subscriptions no longer wanted.
    Unsubscribe(Unsubscribe<'a>),
    /// A sign of life.
    Pingreq,
    /// The client leaves.
    Disconnect(Disconnect),
    /// A step of enhanced authentication (5.0 only).
    Auth(Auth<'a>),
}

/// Decodes one packet whose fixed header is `frame` and whose remaining bytes are `body`.
///
/// # Errors
/// What is wrong and the reason code that answers it. Packets that only a server sends are a
/// protocol error.
pub fn decode<'a>(frame: Frame, body: &'a [u8], version: Version) -> Result<Packet<'a>, CodecError> {
    let kind = frame.kind();
    check_flags(frame, version)?;
    let ack = |kind| Ack::decode(kind, body, version).map(|ack| Packet::Ack(kind, ack));
    match kind {
        1 => decode_connect(body).map(|c| Packet::Connect(Box::new(c))).map_err(|(error, _)| error),
        3 => Publish::decode(frame.flags(), body, version).map(Packet::Publish),
        4 => ack(AckKind::Puback),
        5 => ack(AckKind::Pubrec),
        6 => ack(AckKind::Pubrel),
        7 => ack(AckKind::Pubcomp),
        8 => Subscribe::decode(body, version).map(Packet::Subscribe),
        10 => Unsubscribe::decode(body, version).map(Packet::Unsubscribe),
        12 => Reader::new(body).finish().map(|()| Packet::Pingreq),
        14 => Disconnect::decode(body, version).map(Packet::Disconnect),
        15 if version.is_v5() => Auth::decode(body).map(Packet::Auth),
        2 | 9 | 11 | 13 => Err(CodecError::protocol("packet that only a server sends")),
        _ => Err(CodecError { code: ReasonCode::MALFORMED, what: "reserved packet type" }),
    }
}

/// Table 2-2: PUBLISH uses the flags, three packets demand 0b0010, the others 0. MQTT 3.1 allows
/// the DUP bit on those three.
fn check_flags(frame: Frame, version: Version) -> Result<(), CodecError> {
    let flags = frame.flags();
    let fits = match frame.kind() {
        3 => true,
        6 | 8 | 10 if version == Version::V3 => flags & !0x08 == 0x02,
        6 | 8 | 10 => flags == 0x02,
        _ => flags == 0,
    };
    if fits { Ok(()) } else { Err(CodecError::malformed("wrong flags in the fixed header")) }
}
