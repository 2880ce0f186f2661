//! SUBSCRIBE (section 3.8) and UNSUBSCRIBE (3.10).
//!
//! A filter that breaks the rules of section 4.7 makes the packet malformed, as Mosquitto has it, too: 3.1.1 section 4.8
//! and 5.0 section 4.13.1 close the connection then. Whether a well-formed one is served is answered in the SUBACK.

use std::num::NonZeroU32;

use super::property::{Properties, id};
use super::wire::Reader;
use super::{CodecError, QoS, Version};
use crate::broker::topic;

/// When retained messages are sent for a subscription (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE.
    #[default]
    Always,
    /// 1: only if the subscription is new.
    IfNew,
    /// 2: never.
    Never,
}

/// Subscriptions that a client wants.
#[derive(Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet identifier, never 0.
    pub packet_id: u16,
    /// Subscription identifier (5.0), for all filters of this packet.
    pub subscription_id: Option<NonZeroU32>,
    /// The filters, at least one.
    pub filters: Vec<SubscribeFilter<'a>>,
}

/// One filter of a SUBSCRIBE with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The topic filter: well-formed, also where it begins with `$share/`.
    pub filter: &'a str,
    /// Highest QoS the client wants.
    pub qos: QoS,
    /// Do not send the client's own messages back.
    pub no_local: bool,
    /// Keep the RETAIN flag of forwarded messages.
    pub retain_as_published: bool,
    /// Whether to send retained messages.
    pub retain_handling: RetainHandling,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        if version.is_v5() {
            let mut properties =
                Properties::new(reader.section()?, &[id::SUBSCRIPTION_ID, id::USER_PROPERTY]);
            while let Some(property) = properties.next()? {
                if property.id == id::SUBSCRIPTION_ID {
                    let number = property.value.positive("subscription identifier 0")?;
                    subscription_id = NonZeroU32::new(number);
                }
            }
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            let filter = read_filter(&mut reader)?;
            filters.push(SubscribeFilter::decode(filter, reader.u8()?, version)?);
        }
        if filters.is_empty() {
            return Err(CodecError::protocol("SUBSCRIBE without a filter"));
        }
        Ok(Self { packet_id, subscription_id, filters })
    }
}

impl<'a> SubscribeFilter<'a> {
    fn decode(filter: &'a str, options: u8, version: Version) -> Result<Self, CodecError> {
        let reserved = if version.is_v5() { 0xc0 } else { 0xfc };
        if options & reserved != 0 {
            return Err(CodecError::malformed("reserved bits in the subscription options"));
        }
        let qos = QoS::from_bits(options & 0x03).ok_or(CodecError::malformed("QoS 3"))?;
        let retain_handling = match (options >> 4) & 0x03 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(CodecError::protocol("retain handling 3")),
        };
        let no_local = options & 0x04 != 0;
        if no_local && filter.starts_with("$share/") {
            // [MQTT-3.8.3-4]
            return Err(CodecError::protocol("no-local on a shared subscription"));
        }
        Ok(Self { filter, qos, no_local, retain_as_published: options & 0x08 != 0, retain_handling })
    }
}

/// Subscriptions that a client no longer wants.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet identifier, never 0.
    pub packet_id: u16,
    /// The filters, at least one.
    pub filters: Vec<&'a str>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if version.is_v5() {
            let mut properties = Properties::new(reader.section()?, &[id::USER_PROPERTY]);
            while properties.next()?.is_some() {}
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(read_filter(&mut reader)?);
        }
        if filters.is_empty() {
            return Err(CodecError::protocol("UNSUBSCRIBE without a filter"));
        }
        Ok(Self { packet_id, filters })
    }
}

/// A filter as [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.8.2-1] and [MQTT-4.8.2-2] want it.
fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, CodecError> {
    let filter = reader.string()?;
    let selects = topic::shared(filter).map(|shared| shared.map_or(filter, |(_, selects)| selects));
    selects.and_then(topic::check_filter).map_err(CodecError::malformed)?;
    Ok(filter)
}
