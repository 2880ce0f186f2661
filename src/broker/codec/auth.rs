//! AUTH (section 3.15): enhanced authentication of MQTT 5.0, both ways.
//!
//! The data is handed on as it is; which method says what is the business of `auth`. Invariant: a decoded
//! AUTH has a method, as section 3.15.2.2.2 demands.

use super::property::{Properties, id};
use super::wire::{Reader, put_binary, put_varint, varint_len};
use super::{CodecError, ReasonCode};

/// One step of an authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// 0x18 or 0x19; 0x00 only from a server.
    pub code: ReasonCode,
    /// Name of the method.
    pub method: &'a str,
    /// What the method has to say, if anything.
    pub data: Option<&'a [u8]>,
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let code = if reader.is_empty() { ReasonCode::SUCCESS } else { ReasonCode(reader.u8()?) };
        // [MQTT-3.15.2-1]: one of the three of its table; success is for the server to say.
        if !matches!(
            code,
            ReasonCode::SUCCESS | ReasonCode::CONTINUE_AUTHENTICATION | ReasonCode::REAUTHENTICATE
        ) {
            return Err(CodecError::protocol("AUTH with a reason code that it does not have"));
        }
        let (mut method, mut data) = (None, None);
        if !reader.is_empty() {
            let allowed = &[id::AUTH_METHOD, id::AUTH_DATA, id::REASON_STRING, id::USER_PROPERTY];
            let mut properties = Properties::new(reader.section()?, allowed);
            while let Some(property) = properties.next()? {
                match property.id {
                    id::AUTH_METHOD => method = Some(property.value.text()),
                    id::AUTH_DATA => data = Some(property.value.binary()),
                    _ => {}
                }
            }
        }
        reader.finish()?;
        let method = method.ok_or(CodecError::protocol("AUTH without an authentication method"))?;
        Ok(Self { code, method, data })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut section = Vec::new();
        section.push(id::AUTH_METHOD);
        put_binary(&mut section, self.method.as_bytes());
        if let Some(data) = self.data {
            section.push(id::AUTH_DATA);
            put_binary(&mut section, data);
        }
        out.push(0xf0);
        put_varint(out, (1 + varint_len(section.len()) + section.len()) as u32);
        out.push(self.code.0);
        put_varint(out, section.len() as u32);
        out.extend_from_slice(&section);
    }
}

#[cfg(test)]
mod tests {
    use mqtt_protocol_core::mqtt::packet::{self as oracle, Property};
    use mqtt_protocol_core::mqtt::result_code::AuthReasonCode;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::codec::{Frame, Packet, Version, decode};

    fn ours(bytes: &[u8]) -> Result<Packet<'_>, CodecError> {
        let frame = Frame::parse(bytes, usize::MAX)?.unwrap();
        decode(frame, &bytes[frame.header..], Version::V5)
    }

    proptest! {
        #[test]
        fn an_independent_codec_reads_and_writes_the_same(
            method in "[A-Z0-9-]{1,30}", data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
            again in any::<bool>(),
        ) {
            let code = if again { ReasonCode::REAUTHENTICATE } else { ReasonCode::CONTINUE_AUTHENTICATION };
            let auth = Auth { code, method: &method, data: data.as_deref() };
            let mut bytes = Vec::new();
            auth.encode(&mut bytes);
            prop_assert_eq!(ours(&bytes), Ok(Packet::Auth(auth)));
            let mut properties =
                vec![Property::AuthenticationMethod(oracle::AuthenticationMethod::new(&method).unwrap())];
            if let Some(data) = &data {
                let data = oracle::AuthenticationData::new(data.clone()).unwrap();
                properties.push(Property::AuthenticationData(data));
            }
            let reason = if again { AuthReasonCode::ReAuthenticate } else { AuthReasonCode::ContinueAuthentication };
            let theirs = oracle::v5_0::Auth::builder()
                .reason_code(reason).props(properties).build().unwrap().to_continuous_buffer();
            prop_assert_eq!(theirs, bytes);
        }

        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(auth) = Auth::decode(&body) {
                prop_assert!(body.len() > 4 && auth.code.0 < 0x80);
            }
        }
    }

    #[test]
    fn what_the_section_forbids_is_refused() {
        let code = |body: &[u8]| Auth::decode(body).unwrap_err().code.0;
        for (name, body, expected) in [
            ("no method", &[][..], 0x82),
            ("no method", &[0x18], 0x82),
            ("no method", &[0x18, 0], 0x82),
            ("data without a method", &[0x18, 4, 0x16, 0, 1, b'x'], 0x82),
            ("code", &[0x87, 4, 0x15, 0, 1, b'x'], 0x82),
            ("method twice", &[0x18, 8, 0x15, 0, 1, b'x', 0x15, 0, 1, b'x'], 0x82),
            ("misplaced property", &[0x18, 6, 0x15, 0, 1, b'x', 0x23, 0], 0x81),
            ("bytes behind", &[0x18, 4, 0x15, 0, 1, b'x', 0], 0x81),
            ("truncated", &[0x18, 9, 0x15, 0, 1, b'x'], 0x81),
        ] {
            assert_eq!(code(body), expected, "{name}");
        }
    }
}
