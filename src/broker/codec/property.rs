//! MQTT 5 properties (section 2.2.2): one walker for every packet.
//!
//! Each packet names the identifiers it allows; a misplaced one is malformed, a repeated one a
//! protocol error, as sections 2.2.2.2 and 3.x say. Meaning is left to the packets.

use super::CodecError;
use super::wire::Reader;

/// Property identifiers (table 2-4).
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const AUTH_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFO: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFO: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1a;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1c;
    pub(crate) const REASON_STRING: u8 = 0x1f;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_AVAILABLE: u8 = 0x2a;
}

/// A property's value, in the type that its identifier demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Byte(u8),
    U16(u16),
    U32(u32),
    Varint(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

impl<'a> Value<'a> {
    /// The value as a number; strings count as 0 (the identifier rules them out).
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Byte(value) => u32::from(value),
            Self::U16(value) => u32::from(value),
            Self::U32(value) | Self::Varint(value) => value,
            Self::Text(_) | Self::Binary(_) | Self::Pair(..) => 0,
        }
    }

    /// A byte that may only be 0 or 1.
    pub(crate) fn flag(self) -> Result<bool, CodecError> {
        match self.number() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CodecError::protocol("property must be 0 or 1")),
        }
    }

    /// A number that may not be zero.
    pub(crate) fn positive(self, what: &'static str) -> Result<u32, CodecError> {
        match self.number() {
            0 => Err(CodecError::protocol(what)),
            value => Ok(value),
        }
    }

    pub(crate) fn text(self) -> &'a str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub(crate) fn binary(self) -> &'a [u8] {
        if let Self::Binary(bytes) = self { bytes } else { &[] }
    }
}

/// One property with the bytes it was read from, identifier included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property<'a> {
    pub(crate) id: u8,
    pub(crate) value: Value<'a>,
    pub(crate) raw: &'a [u8],
}

/// Walks one section of properties, refusing misplaced and repeated ones.
#[derive(Debug)]
pub(crate) struct Properties<'a> {
    reader: Reader<'a>,
    allowed: &'static [u8],
    seen: u64,
}

impl<'a> Properties<'a> {
    /// `allowed`: the identifiers that this packet may carry.
    pub(crate) fn new(section: Reader<'a>, allowed: &'static [u8]) -> Self {
        Self { reader: section, allowed, seen: 0 }
    }

    /// The next property, or `None` at the end of the section.
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, CodecError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let before = self.reader.rest();
        let id = u8::try_from(self.reader.varint()?).unwrap_or(u8::MAX);
        if !self.allowed.contains(&id) {
            return Err(CodecError::malformed("property is not allowed in this packet"));
        }
        let repeats = id == id::USER_PROPERTY;
        // Allowed identifiers are all below 64, so one word holds what has been seen.
        let bit = 1u64 << (id & 63);
        if !repeats && self.seen & bit != 0 {
            return Err(CodecError::protocol("property appears twice"));
        }
        self.seen |= bit;
        let value = read_value(&mut self.reader, id)?;
        let raw = &before[..before.len() - self.reader.rest().len()];
        Ok(Some(Property { id, value, raw }))
    }
}

fn read_value<'a>(reader: &mut Reader<'a>, id: u8) -> Result<Value<'a>, CodecError> {
    Ok(match id {
        id::PAYLOAD_FORMAT
        | id::REQUEST_PROBLEM_INFO
        | id::REQUEST_RESPONSE_INFO
        | id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::WILDCARD_AVAILABLE
        | id::SUBSCRIPTION_ID_AVAILABLE
        | id::SHARED_AVAILABLE => Value::Byte(reader.u8()?),
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
            Value::U16(reader.u16()?)
        }
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => {
            Value::U32(reader.u32()?)
        }
        id::SUBSCRIPTION_ID => Value::Varint(reader.varint()?),
        id::CORRELATION_DATA | id::AUTH_DATA => Value::Binary(reader.binary()?),
        id::USER_PROPERTY => Value::Pair(reader.string()?, reader.string()?),
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::ASSIGNED_CLIENT_ID
        | id::AUTH_METHOD
        | id::RESPONSE_INFORMATION
        | id::SERVER_REFERENCE
        | id::REASON_STRING => Value::Text(reader.string()?),
        _ => return Err(CodecError::malformed("unknown property")),
    })
}
