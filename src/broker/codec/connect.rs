//! CONNECT (section 3.1).
//!
//! Credentials are handed on, not judged.

use super::property::{Properties, id};
use super::publish::FORWARDED;
use super::wire::Reader;
use super::{CodecError, QoS, ReasonCode, Version};

/// A client's first packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol version asked for.
    pub version: Version,
    /// Clean session (3.x) or clean start (5.0): forget what was kept for this client.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0: unlimited.
    pub keep_alive: u16,
    /// Client identifier; may be empty.
    pub client_id: &'a str,
    /// Message to publish when the client vanishes.
    pub will: Option<Will<'a>>,
    /// User name, if sent.
    pub username: Option<&'a str>,
    /// Password, if sent.
    pub password: Option<&'a [u8]>,
    /// Seconds to keep the session after the connection ends (5.0); `u32::MAX`: for ever.
    pub session_expiry: u32,
    /// How many unacknowledged QoS 1 and 2 messages the client takes (5.0), 65,535 unless said.
    pub receive_maximum: u16,
    /// Largest packet the client takes in bytes (5.0), `u32::MAX` unless said.
    pub max_packet: u32,
    /// How many topic aliases the client takes (5.0).
    pub topic_alias_maximum: u16,
    /// The server may say in words why something failed, in any packet (5.0).
    pub wants_problems: bool,
    /// The client asks where it may have its answers (5.0).
    pub wants_response_information: bool,
    /// Name of an enhanced authentication method (5.0).
    pub auth_method: Option<&'a str>,
    /// What that method has to say (5.0).
    pub auth_data: Option<&'a [u8]>,
}

/// A will message.
#[derive(Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to publish it.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its QoS.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// Seconds between the end of the connection and the publication (5.0).
    pub delay: u32,
    /// Message expiry interval in seconds (5.0).
    pub expiry: Option<u32>,
    /// Properties that subscribers get as they are, encoded (5.0).
    pub forward: Vec<u8>,
    /// Number of user properties.
    pub user_properties: u32,
}

/// Decodes the body of a CONNECT.
///
/// # Errors
/// What is wrong, and the version to answer in, where it was recognisable.
pub fn decode_connect(body: &[u8]) -> Result<Connect<'_>, (CodecError, Option<Version>)> {
    let mut reader = Reader::new(body);
    let version = read_version(&mut reader)?;
    decode_rest(&mut reader, version).map_err(|error| (error, Some(version)))
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, (CodecError, Option<Version>)> {
    let name = reader.binary().map_err(|error| (error, None))?;
    let level = reader.u8().map_err(|error| (error, None))?;
    // What a client of an unknown version understands best: its own family's CONNACK.
    let answer_in = match (name, level) {
        (b"MQIsdp", 3) => return Ok(Version::V3),
        (b"MQTT", 4) => return Ok(Version::V4),
        (b"MQTT", 5) => return Ok(Version::V5),
        (b"MQTT", 6..) => Some(Version::V5),
        (b"MQTT" | b"MQIsdp", _) => Some(Version::V4),
        _ => None,
    };
    let what = "protocol name or level is not MQTT 3.1, 3.1.1 or 5.0";
    Err((CodecError { code: ReasonCode::UNSUPPORTED_VERSION, what }, answer_in))
}

fn decode_rest<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Connect<'a>, CodecError> {
    let flags = reader.u8()?;
    check_flags(flags, version)?;
    let mut connect = Connect {
        version,
        clean_start: flags & 0x02 != 0,
        keep_alive: reader.u16()?,
        client_id: "",
        will: None,
        username: None,
        password: None,
        session_expiry: 0,
        receive_maximum: u16::MAX,
        max_packet: u32::MAX,
        topic_alias_maximum: 0,
        wants_problems: true,
        wants_response_information: false,
        auth_method: None,
        auth_data: None,
    };
    if version.is_v5() {
        read_properties(reader, &mut connect)?;
    } else if !connect.clean_start {
        connect.session_expiry = u32::MAX;
    }
    connect.client_id = reader.string()?;
    if flags & 0x04 != 0 {
        connect.will = Some(read_will(reader, flags, version)?);
    }
    if flags & 0x80 != 0 {
        connect.username = Some(reader.string()?);
    }
    if flags & 0x40 != 0 {
        connect.password = Some(reader.binary()?);
    }
    reader.finish()?;
    Ok(connect)
}

fn check_flags(flags: u8, version: Version) -> Result<(), CodecError> {
    if flags & 0x01 != 0 {
        return Err(CodecError::malformed("reserved connect flag is set"));
    }
    if flags & 0x04 == 0 && flags & 0x38 != 0 {
        return Err(CodecError::malformed("will QoS or retain without a will"));
    }
    if flags & 0x18 == 0x18 {
        return Err(CodecError::malformed("will QoS 3"));
    }
    if !version.is_v5() && flags & 0xc0 == 0x40 {
        return Err(CodecError::malformed("password without a user name"));
    }
    Ok(())
}

fn read_properties<'a>(reader: &mut Reader<'a>, connect: &mut Connect<'a>) -> Result<(), CodecError> {
    let mut properties = Properties::new(
        reader.section()?,
        &[
            id::SESSION_EXPIRY,
            id::RECEIVE_MAXIMUM,
            id::MAXIMUM_PACKET_SIZE,
            id::TOPIC_ALIAS_MAXIMUM,
            id::REQUEST_RESPONSE_INFO,
            id::REQUEST_PROBLEM_INFO,
            id::USER_PROPERTY,
            id::AUTH_METHOD,
            id::AUTH_DATA,
        ],
    );
    while let Some(property) = properties.next()? {
        let value = property.value;
        match property.id {
            id::SESSION_EXPIRY => connect.session_expiry = value.number(),
            id::RECEIVE_MAXIMUM => {
                connect.receive_maximum = value.positive("receive maximum 0")? as u16;
            }
            id::MAXIMUM_PACKET_SIZE => {
                connect.max_packet = value.positive("maximum packet size 0")?;
            }
            id::TOPIC_ALIAS_MAXIMUM => connect.topic_alias_maximum = value.number() as u16,
            id::REQUEST_RESPONSE_INFO => connect.wants_response_information = value.flag()?,
            id::REQUEST_PROBLEM_INFO => connect.wants_problems = value.flag()?,
            id::AUTH_METHOD => connect.auth_method = Some(value.text()),
            id::AUTH_DATA => connect.auth_data = Some(value.binary()),
            _ => {}
        }
    }
    if connect.auth_data.is_some() && connect.auth_method.is_none() {
        return Err(CodecError::protocol("authentication data without a method"));
    }
    Ok(())
}

fn read_will<'a>(reader: &mut Reader<'a>, flags: u8, version: Version) -> Result<Will<'a>, CodecError> {
    let qos = QoS::from_bits((flags >> 3) & 0x03).ok_or(CodecError::malformed("will QoS 3"))?;
    let mut will = Will {
        topic: "",
        payload: &[],
        qos,
        retain: flags & 0x20 != 0,
        delay: 0,
        expiry: None,
        forward: Vec::new(),
        user_properties: 0,
    };
    if version.is_v5() {
        let allowed = &[
            id::WILL_DELAY,
            id::MESSAGE_EXPIRY,
            id::PAYLOAD_FORMAT,
            id::CONTENT_TYPE,
            id::RESPONSE_TOPIC,
            id::CORRELATION_DATA,
            id::USER_PROPERTY,
        ];
        let mut properties = Properties::new(reader.section()?, allowed);
        while let Some(property) = properties.next()? {
            match property.id {
                id::WILL_DELAY => will.delay = property.value.number(),
                id::MESSAGE_EXPIRY => will.expiry = Some(property.value.number()),
                id::PAYLOAD_FORMAT => {
                    property.value.flag()?;
                }
                id::RESPONSE_TOPIC => super::publish::check_response_topic(property.value.text())?,
                id::USER_PROPERTY => will.user_properties += 1,
                _ => {}
            }
            if FORWARDED.contains(&property.id) {
                will.forward.extend_from_slice(property.raw);
            }
        }
    }
    will.topic = reader.string()?;
    crate::broker::topic::check_name(will.topic)
        .map_err(|what| CodecError { code: ReasonCode::TOPIC_INVALID, what })?;
    will.payload = reader.binary()?;
    Ok(will)
}
