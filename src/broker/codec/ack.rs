//! PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4-3.7) and DISCONNECT (3.14) from a client.

use super::property::{Properties, id};
use super::wire::Reader;
use super::{AckKind, CodecError, ReasonCode, Version};

/// The codes of PUBACK and PUBREC (sections 3.4.2.1 and 3.5.2.1).
const OF_MESSAGES: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

/// The codes of PUBREL and PUBCOMP (sections 3.6.2.1 and 3.7.2.1).
const OF_RELEASES: [u8; 2] = [0x00, 0x92];

/// The codes that a client's DISCONNECT may carry (section 3.14.2.1).
const OF_FAREWELLS: [u8; 14] =
    [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

/// An acknowledgement of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier, never 0.
    pub packet_id: u16,
    /// Always success before 5.0.
    pub code: ReasonCode,
}

impl Ack {
    pub(super) fn decode(kind: AckKind, body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut code = ReasonCode::SUCCESS;
        if version.is_v5() && !reader.is_empty() {
            code = match kind {
                AckKind::Puback | AckKind::Pubrec => listed(&mut reader, &OF_MESSAGES)?,
                AckKind::Pubrel | AckKind::Pubcomp => listed(&mut reader, &OF_RELEASES)?,
            };
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
            disconnect.code = listed(&mut reader, &OF_FAREWELLS)?;
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

/// A reason code that the packet may have ([MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1],
/// [MQTT-3.14.2-1]).
fn listed(reader: &mut Reader<'_>, codes: &[u8]) -> Result<ReasonCode, CodecError> {
    let code = reader.u8()?;
    if codes.contains(&code) {
        Ok(ReasonCode(code))
    } else {
        Err(CodecError::protocol("reason code that this packet does not have"))
    }
}
