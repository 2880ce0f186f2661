//! PUBLISH (section 3.3), as a client sends it.
//!
//! The properties that subscribers get untouched stay encoded: forwarding them is one copy.

use std::borrow::Cow;

use super::property::{Properties, Property, id};
use super::wire::Reader;
use super::{CodecError, QoS, ReasonCode, Version};
use crate::broker::topic;

/// Identifiers of the properties that a server passes on unaltered (section 3.3.2.3).
pub(crate) const FORWARDED: &[u8] =
    &[id::PAYLOAD_FORMAT, id::CONTENT_TYPE, id::RESPONSE_TOPIC, id::CORRELATION_DATA, id::USER_PROPERTY];

/// What a client's PUBLISH may carry. Not the subscription identifier: only a server sends that.
const ALLOWED: &[u8] = &[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::TOPIC_ALIAS,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
    id::SUBSCRIPTION_ID,
];

/// An application message from a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The client sent it before.
    pub dup: bool,
    /// Delivery guarantee.
    pub qos: QoS,
    /// Keep it for later subscribers.
    pub retain: bool,
    /// Topic name; empty only where a topic alias stands for it.
    pub topic: &'a str,
    /// Packet identifier; 0 at QoS 0.
    pub packet_id: u16,
    /// Properties (5.0).
    pub properties: PublishProperties<'a>,
    /// The message itself.
    pub payload: &'a [u8],
}

/// Properties of a PUBLISH.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// What subscribers get as it came, still encoded.
    pub forward: Cow<'a, [u8]>,
    /// Message expiry interval in seconds.
    pub expiry: Option<u32>,
    /// Topic alias, not checked against any maximum.
    pub alias: Option<u16>,
    /// Number of user properties.
    pub user_properties: u32,
}

impl<'a> Publish<'a> {
    /// Decodes the body of a PUBLISH whose fixed header carries `flags`.
    ///
    /// # Errors
    /// What is wrong and the reason code that answers it.
    pub fn decode(flags: u8, body: &'a [u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let qos = QoS::from_bits((flags >> 1) & 0x03).ok_or(CodecError::malformed("QoS 3"))?;
        let dup = flags & 0x08 != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(CodecError::malformed("DUP set at QoS 0"));
        }
        let topic = reader.string()?;
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { reader.packet_id()? };
        let properties = if version.is_v5() {
            PublishProperties::decode(reader.section()?)?
        } else {
            PublishProperties::default()
        };
        if topic.is_empty() {
            if properties.alias.is_none() {
                return Err(CodecError::protocol("empty topic name without a topic alias"));
            }
        } else {
            topic::check_name(topic).map_err(|what| CodecError { code: ReasonCode::TOPIC_INVALID, what })?;
        }
        Ok(Self { dup, qos, retain: flags & 0x01 != 0, topic, packet_id, properties, payload: reader.rest() })
    }
}

impl<'a> PublishProperties<'a> {
    fn decode(section: Reader<'a>) -> Result<Self, CodecError> {
        let whole = section.rest();
        let mut decoded = Self::default();
        if whole.is_empty() {
            return Ok(decoded);
        }
        // Most messages carry nothing but forwarded properties: borrow until one is not.
        let mut forward = Cow::Borrowed(&whole[..0]);
        let mut properties = Properties::new(section, ALLOWED);
        let mut offset = 0;
        while let Some(property) = properties.next()? {
            if decoded.take(&property)? {
                match &mut forward {
                    Cow::Borrowed(slice) if slice.len() == offset => {
                        *slice = &whole[..offset + property.raw.len()];
                    }
                    other => other.to_mut().extend_from_slice(property.raw),
                }
            }
            offset += property.raw.len();
        }
        decoded.forward = forward;
        Ok(decoded)
    }

    /// Notes one property; says whether subscribers get it as it is.
    fn take(&mut self, property: &Property<'a>) -> Result<bool, CodecError> {
        match property.id {
            id::MESSAGE_EXPIRY => self.expiry = Some(property.value.number()),
            id::TOPIC_ALIAS => self.alias = Some(property.value.number() as u16),
            id::SUBSCRIPTION_ID => {
                return Err(CodecError::protocol("subscription identifier in a client's PUBLISH"));
            }
            id::PAYLOAD_FORMAT => {
                property.value.flag()?;
            }
            id::RESPONSE_TOPIC => check_response_topic(property.value.text())?,
            id::USER_PROPERTY => self.user_properties += 1,
            _ => {}
        }
        Ok(FORWARDED.contains(&property.id))
    }
}

/// [MQTT-3.3.2-14]: a response topic is a topic name.
pub(super) fn check_response_topic(topic: &str) -> Result<(), CodecError> {
    topic::check_name(topic).map_err(|_| CodecError::protocol("response topic is not a topic name"))
}

/// Calls `each` for every property in `forward`, which was validated when it came in.
pub(crate) fn walk_forwarded<'a>(forward: &'a [u8], mut each: impl FnMut(Property<'a>)) {
    let mut properties = Properties::new(Reader::new(forward), FORWARDED);
    while let Ok(Some(property)) = properties.next() {
        each(property);
    }
}
