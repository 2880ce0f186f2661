//! The MQTT codec, server side: 3.1 (`MQIsdp`), 3.1.1 and 5.0.
//!
//! Decodes what a client may send, encodes what a server may send. Borrows from the input and does
//! no I/O; whether a packet is allowed *now* (second CONNECT, unknown packet identifier) is the
//! connection's business. Arbitrary bytes never panic and never allocate more than they are long.

mod ack;
mod auth;
mod connect;
mod encode;
mod frame;
#[cfg(test)]
mod oracle;
mod packet;
mod property;
mod publish;
mod reason;
mod subscribe;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use wire::{Reader, put_binary, put_varint, varint_len};

pub use ack::{Ack, Disconnect};
pub use auth::Auth;
pub use connect::{Connect, Will, decode_connect};
pub(crate) use encode::PublishHead;
pub use encode::{
    ConnackProperties, encode_ack, encode_connack, encode_disconnect, encode_pingresp, encode_refusal,
    encode_suback, encode_unsuback,
};
pub use frame::Frame;
pub use packet::{AckKind, Packet, decode};
pub use publish::{Publish, PublishProperties};
pub use reason::ReasonCode;
pub use subscribe::{RetainHandling, Subscribe, SubscribeFilter, Unsubscribe};

pub(crate) use property::{Properties, Value as PropertyValue, id as property_id};
pub(crate) use publish::walk_forwarded;

/// Protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1, `MQIsdp` level 3.
    V3,
    /// MQTT 3.1.1, `MQTT` level 4.
    V4,
    /// MQTT 5.0, `MQTT` level 5.
    V5,
}

impl Version {
    /// Whether packets carry properties and reason codes.
    #[must_use]
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }

    /// As people write it: `3.1`, `3.1.1`, `5.0`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::V3 => "3.1",
            Self::V4 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// Delivery guarantee of a message or subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0: no acknowledgement.
    #[default]
    AtMostOnce = 0,
    /// 1: PUBACK; may arrive twice.
    AtLeastOnce = 1,
    /// 2: PUBREC, PUBREL, PUBCOMP; arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// From the two bits on the wire; 3 is no QoS.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// Why bytes are not an acceptable packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {code}")]
pub struct CodecError {
    /// The code for the DISCONNECT or CONNACK that answers it.
    pub code: ReasonCode,
    /// What is wrong, in words.
    pub what: &'static str,
}

impl CodecError {
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self { code: ReasonCode::MALFORMED, what }
    }

    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self { code: ReasonCode::PROTOCOL_ERROR, what }
    }
}
