//! PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4-3.7) and DISCONNECT (3.14) from a client.

use super::property::{Properties, id};
use super::wire::Reader;
use super::{CodecError, ReasonCode, Version};

/// An acknowledgement of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier, never 0.
    pub packet_id: u16,
    /// Always success before 5.0.
    pub code: ReasonCode,
}

impl Ack {
    pub(super) fn decode(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut code = ReasonCode::SUCCESS;
        if version.is_v5() && !reader.is_empty() {
            code = ReasonCode(reader.u8()?);
            if !reader.is_empty() {
                let section = reader.section()?;
                let mut properties = Properties::new(section, &[id::REASON_STRING, id::USER_PROPERTY]);
                while properties.next()?.is_some() {}
            }
        }
        reader.finish()?;
        Ok(Self { packet_id, code })
    }
}

/// The client's farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why it leaves; anything but success publishes the will.
    pub code: ReasonCode,
    /// A new session expiry interval in seconds, if it names one.
    pub session_expiry: Option<u32>,
}

impl Disconnect {
    pub(super) fn decode(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let mut disconnect = Self { code: ReasonCode::SUCCESS, session_expiry: None };
        if version.is_v5() && !reader.is_empty() {
            disconnect.code = ReasonCode(reader.u8()?);
            if !reader.is_empty() {
                let section = reader.section()?;
                let allowed = &[id::SESSION_EXPIRY, id::REASON_STRING, id::USER_PROPERTY];
                let mut properties = Properties::new(section, allowed);
                while let Some(property) = properties.next()? {
                    if property.id == id::SESSION_EXPIRY {
                        disconnect.session_expiry = Some(property.value.number());
                    }
                }
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }
}
