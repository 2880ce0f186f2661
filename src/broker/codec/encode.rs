//! Packets a server sends. Every function appends one whole packet to a buffer.

use std::num::NonZeroU16;

use super::property::id;
use super::wire::{put_binary, put_varint, varint_len};
use super::{AckKind, QoS, ReasonCode, Version};

/// What a CONNACK tells a 5.0 client. `None` leaves the property out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// Session expiry in seconds, where the server uses another one than was asked for.
    pub session_expiry: Option<u32>,
    /// How many unacknowledged messages the server takes.
    pub receive_maximum: Option<u16>,
    /// Largest packet the server takes, in bytes.
    pub max_packet: Option<u32>,
    /// Client identifier chosen by the server.
    pub assigned_client_id: Option<&'a str>,
    /// How many topic aliases the server takes.
    pub topic_alias_maximum: Option<u16>,
    /// Why the connection is refused.
    pub reason: Option<&'a str>,
    /// Keep-alive in seconds that the client must use instead of its own.
    pub server_keep_alive: Option<u16>,
    /// Whether `$share/...` filters are served.
    pub shared_available: Option<bool>,
    /// Highest QoS that is served, where that is not 2.
    pub maximum_qos: Option<QoS>,
    /// Beginning of the topics at which the client may have its answers.
    pub response_information: Option<&'a str>,
    /// Method of enhanced authentication, if the client named one ([MQTT-4.12.0-5]).
    pub auth_method: Option<&'a str>,
    /// What that method says last.
    pub auth_data: Option<&'a [u8]>,
}

/// CONNACK (section 3.2).
pub fn encode_connack(
    out: &mut Vec<u8>,
    version: Version,
    session_present: bool,
    code: ReasonCode,
    properties: &ConnackProperties<'_>,
) {
    if !version.is_v5() {
        out.extend_from_slice(&[0x20, 2, u8::from(session_present), code.connack_v3()]);
        return;
    }
    let mut section = Vec::new();
    put_u32(&mut section, id::SESSION_EXPIRY, properties.session_expiry);
    put_u16(&mut section, id::RECEIVE_MAXIMUM, properties.receive_maximum);
    put_u32(&mut section, id::MAXIMUM_PACKET_SIZE, properties.max_packet);
    put_text(&mut section, id::ASSIGNED_CLIENT_ID, properties.assigned_client_id);
    put_u16(&mut section, id::TOPIC_ALIAS_MAXIMUM, properties.topic_alias_maximum);
    put_text(&mut section, id::REASON_STRING, properties.reason);
    put_u16(&mut section, id::SERVER_KEEP_ALIVE, properties.server_keep_alive);
    put_text(&mut section, id::RESPONSE_INFORMATION, properties.response_information);
    put_text(&mut section, id::AUTH_METHOD, properties.auth_method);
    if let Some(data) = properties.auth_data {
        section.push(id::AUTH_DATA);
        put_binary(&mut section, data);
    }
    if let Some(qos) = properties.maximum_qos {
        section.extend_from_slice(&[id::MAXIMUM_QOS, qos as u8]);
    }
    if let Some(available) = properties.shared_available {
        section.extend_from_slice(&[id::SHARED_AVAILABLE, u8::from(available)]);
    }
    out.push(0x20);
    put_varint(out, (2 + varint_len(section.len()) + section.len()) as u32);
    out.extend_from_slice(&[u8::from(session_present), code.0]);
    put_varint(out, section.len() as u32);
    out.extend_from_slice(&section);
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP that tells a 5.0 client in words why.
pub fn encode_refusal(out: &mut Vec<u8>, kind: AckKind, packet_id: u16, code: ReasonCode, reason: &str) {
    let mut section = Vec::new();
    put_text(&mut section, id::REASON_STRING, Some(reason));
    out.push(kind.first_byte());
    put_varint(out, (3 + varint_len(section.len()) + section.len()) as u32);
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.push(code.0);
    put_varint(out, section.len() as u32);
    out.extend_from_slice(&section);
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP. A reason code other than success is only sent on 5.0.
pub fn encode_ack(out: &mut Vec<u8>, version: Version, kind: AckKind, packet_id: u16, code: ReasonCode) {
    let [high, low] = packet_id.to_be_bytes();
    if version.is_v5() && code != ReasonCode::SUCCESS {
        out.extend_from_slice(&[kind.first_byte(), 3, high, low, code.0]);
    } else {
        out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
    }
}

/// SUBACK (section 3.9): one code per filter; on 5.0 with a reason in words, if there is one.
pub fn encode_suback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    codes: &[ReasonCode],
    reason: Option<&str>,
) {
    put_codes_head(out, 0x90, version, packet_id, codes.len(), reason);
    out.extend(codes.iter().map(|code| match version {
        // [MQTT-3.9.3-2] of 3.1.1 knows one failure.
        Version::V3 | Version::V4 if code.is_failure() => 0x80,
        _ => code.0,
    }));
}

/// UNSUBACK (section 3.11): one code per filter on 5.0, none before; with a reason as in a SUBACK.
pub fn encode_unsuback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    codes: &[ReasonCode],
    reason: Option<&str>,
) {
    let count = if version.is_v5() { codes.len() } else { 0 };
    put_codes_head(out, 0xb0, version, packet_id, count, reason);
    out.extend(codes[..count].iter().map(|code| code.0));
}

fn put_codes_head(
    out: &mut Vec<u8>,
    first: u8,
    version: Version,
    packet_id: u16,
    codes: usize,
    reason: Option<&str>,
) {
    let mut properties = Vec::new();
    if version.is_v5() {
        let mut section = Vec::new();
        put_text(&mut section, id::REASON_STRING, reason);
        put_varint(&mut properties, section.len() as u32);
        properties.extend_from_slice(&section);
    }
    out.push(first);
    put_varint(out, (2 + properties.len() + codes) as u32);
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(&properties);
}

/// PINGRESP (section 3.13).
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// DISCONNECT (section 3.14). Before 5.0 a server has no such packet: nothing is appended.
pub fn encode_disconnect(out: &mut Vec<u8>, version: Version, code: ReasonCode, reason: Option<&str>) {
    if !version.is_v5() {
        return;
    }
    let mut section = Vec::new();
    put_text(&mut section, id::REASON_STRING, reason);
    out.push(0xe0);
    put_varint(out, (1 + varint_len(section.len()) + section.len()) as u32);
    out.push(code.0);
    put_varint(out, section.len() as u32);
    out.extend_from_slice(&section);
}

/// A PUBLISH on its way to one subscriber: everything but topic and payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PublishHead<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Ignored at QoS 0.
    pub(crate) packet_id: u16,
    /// What is left of the message expiry interval, in seconds.
    pub(crate) expiry: Option<u32>,
    pub(crate) subscription_ids: &'a [u32],
    /// Topic alias; the topic is left empty once the client knows it.
    pub(crate) alias: Option<NonZeroU16>,
    /// Encoded properties that are passed on as they came.
    pub(crate) forward: &'a [u8],
}

impl PublishHead<'_> {
    /// Length of the property section's content on a 5.0 connection.
    fn section_len(&self) -> usize {
        let ids: usize = self.subscription_ids.iter().map(|&id| 1 + varint_len(id as usize)).sum();
        let alias = if self.alias.is_some() { 3 } else { 0 };
        ids + alias + self.forward.len() + if self.expiry.is_some() { 5 } else { 0 }
    }

    /// Lengths of the property section (0 before 5.0) and of everything behind the fixed header.
    fn lengths(&self, version: Version, topic: &str, payload: &[u8]) -> (usize, usize) {
        let section = if version.is_v5() { self.section_len() } else { 0 };
        let around = if version.is_v5() { varint_len(section) } else { 0 };
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        (section, 2 + topic.len() + packet_id + around + section + payload.len())
    }

    /// Appends the packet, unless it would be larger than `max_packet` bytes. Returns whether it
    /// was appended.
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        version: Version,
        topic: &str,
        payload: &[u8],
        max_packet: usize,
    ) -> bool {
        let (section, body) = self.lengths(version, topic, payload);
        let len = 1 + varint_len(body) + body;
        if len > max_packet || body > super::wire::MAX_VARINT as usize {
            return false;
        }
        out.reserve(len);
        let flags = u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain);
        out.push(0x30 | flags);
        put_varint(out, body as u32);
        put_binary(out, topic.as_bytes());
        if self.qos != QoS::AtMostOnce {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if version.is_v5() {
            put_varint(out, section as u32);
            put_u32(out, id::MESSAGE_EXPIRY, self.expiry);
            put_u16(out, id::TOPIC_ALIAS, self.alias.map(NonZeroU16::get));
            for &subscription in self.subscription_ids {
                out.push(id::SUBSCRIPTION_ID);
                put_varint(out, subscription);
            }
            out.extend_from_slice(self.forward);
        }
        out.extend_from_slice(payload);
        true
    }
}

fn put_u16(out: &mut Vec<u8>, id: u8, value: Option<u16>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn put_u32(out: &mut Vec<u8>, id: u8, value: Option<u32>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, id: u8, value: Option<&str>) {
    if let Some(value) = value {
        out.push(id);
        put_binary(out, value.as_bytes());
    }
}
