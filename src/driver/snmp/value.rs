//! From an SNMP value to the text that `driver::text` reads, or to the reason why there is none.
//!
//! Pure. Every type becomes a text, so that `as`, `missing`, `regex` and the like mean the same for an INTEGER
//! as for a device that writes its temperature as "23,5". Invariant: nothing here panics, whatever was sent.

use std::borrow::Cow;

use async_snmp::Value;

use crate::model::Reason;

/// The longest octet string that is looked at, in bytes.
pub(super) const MAX_OCTETS: usize = 4096;

/// The tag under which net-snmp wraps a float in an Opaque, and that of a double (its extension of BER).
pub(super) const FLOAT: [u8; 3] = [0x9f, 0x78, 4];
pub(super) const DOUBLE: [u8; 3] = [0x9f, 0x79, 8];

/// The text of a value.
///
/// # Errors
/// Why there is none.
pub(super) fn text(value: &Value) -> Result<Cow<'_, str>, Reason> {
    Ok(match value {
        Value::Integer(number) => Cow::Owned(number.to_string()),
        Value::Counter32(number)
        | Value::Gauge32(number)
        | Value::UInteger32(number)
        | Value::TimeTicks(number) => Cow::Owned(number.to_string()),
        Value::Counter64(number) => Cow::Owned(number.to_string()),
        Value::OctetString(octets) | Value::Nsap(octets) => characters(octets)?,
        Value::Opaque(octets) => Cow::Owned(real(octets).ok_or(Reason::Undecodable)?.to_string()),
        Value::ObjectIdentifier(oid) => Cow::Owned(oid.to_string()),
        Value::IpAddress([a, b, c, d]) => Cow::Owned(format!("{a}.{b}.{c}.{d}")),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {
            return Err(Reason::NotAvailable);
        }
        // A tag that SNMP does not have, and whatever the library may learn.
        _ => return Err(Reason::Undecodable),
    })
}

/// The count of a counter, and at what it begins anew.
///
/// # Errors
/// Why there is none.
pub(super) fn count(value: &Value) -> Result<(u64, u32), Reason> {
    match value {
        Value::Counter32(count) | Value::Gauge32(count) | Value::UInteger32(count) => {
            Ok((u64::from(*count), 32))
        }
        Value::Counter64(count) => Ok((*count, 64)),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {
            Err(Reason::NotAvailable)
        }
        _ => Err(Reason::Undecodable),
    }
}

/// UTF-8 where it is that, otherwise Latin-1, in which old devices write their degree sign.
fn characters(octets: &[u8]) -> Result<Cow<'_, str>, Reason> {
    if octets.len() > MAX_OCTETS {
        return Err(Reason::Undecodable);
    }
    Ok(match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(octets.iter().map(|octet| char::from(*octet)).collect()),
    })
}

/// A real number as net-snmp sends it.
fn real(octets: &[u8]) -> Option<f64> {
    if let Some(bytes) = octets.strip_prefix(&FLOAT) {
        return Some(f64::from(f32::from_be_bytes(bytes.try_into().ok()?)));
    }
    let bytes = octets.strip_prefix(&DOUBLE)?;
    Some(f64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_becomes_the_text_that_people_expect() {
        let octets = |bytes: &'static [u8]| Bytes::from_static(bytes);
        for (value, expected) in [
            (Value::Integer(-5), Ok("-5")),
            (Value::Gauge32(u32::MAX), Ok("4294967295")),
            (Value::TimeTicks(360_000), Ok("360000")),
            (Value::Counter64(u64::MAX), Ok("18446744073709551615")),
            (Value::OctetString(octets(b"23,5")), Ok("23,5")),
            (Value::OctetString(octets(b"23,5 \xb0C")), Ok("23,5 °C")),
            (Value::OctetString(octets("23,5 °C".as_bytes())), Ok("23,5 °C")),
            (Value::OctetString(octets(b"")), Ok("")),
            (Value::Opaque(octets(b"\x9f\x78\x04\x3f\xc0\x00\x00")), Ok("1.5")),
            (Value::Opaque(octets(b"\x9f\x79\x08\xbf\xf8\0\0\0\0\0\0")), Ok("-1.5")),
            (Value::Opaque(octets(b"\x9f\x78\x04\x3f")), Err(Reason::Undecodable)),
            (Value::IpAddress([192, 0, 2, 1]), Ok("192.0.2.1")),
            (Value::Null, Err(Reason::NotAvailable)),
            (Value::NoSuchObject, Err(Reason::NotAvailable)),
            (Value::NoSuchInstance, Err(Reason::NotAvailable)),
            (Value::EndOfMibView, Err(Reason::NotAvailable)),
        ] {
            assert_eq!(text(&value).as_deref(), expected.as_ref().copied(), "{value:?}");
        }
        assert_eq!(text(&Value::OctetString(vec![b'1'; MAX_OCTETS + 1].into())), Err(Reason::Undecodable));
    }

    #[test]
    fn only_counters_count() {
        assert_eq!(count(&Value::Counter32(7)), Ok((7, 32)));
        assert_eq!(count(&Value::Counter64(u64::MAX)), Ok((u64::MAX, 64)));
        assert_eq!(count(&Value::Integer(7)), Err(Reason::Undecodable));
        assert_eq!(count(&Value::NoSuchInstance), Err(Reason::NotAvailable));
    }

    proptest! {
        #[test]
        fn no_octets_break_it(octets in prop::collection::vec(any::<u8>(), 0..5000)) {
            let octets = Bytes::from(octets);
            let _ = text(&Value::OctetString(octets.clone()));
            let _ = text(&Value::Opaque(octets));
        }
    }
}
