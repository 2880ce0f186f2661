//! A forwarded message as the buffer keeps it.
//!
//! Form: one byte of version, one of flags (bit 0 retain), then big-endian: 8 bytes of wall time in microseconds since
//! 1970, 4 bytes of message expiry in seconds (0: none), 2 bytes of topic length, the topic, 4 bytes of property length,
//! the encoded properties, and the payload to the end. Kept under its local topic, so that changed rules count for what
//! waits. Invariant: what cannot be read is an error and never a panic.

/// The version of the form.
const VERSION: u8 = 1;

/// Bytes in front of the topic.
const HEAD: usize = 16;

/// A message, borrowed from where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Local topic.
    pub(crate) topic: &'a str,
    /// Payload.
    pub(crate) payload: &'a [u8],
    /// Encoded MQTT 5 properties that are passed on as they came.
    pub(crate) properties: &'a [u8],
    /// The retain flag.
    pub(crate) retain: bool,
    /// Message expiry interval as it was published, in seconds.
    pub(crate) expiry_s: Option<u32>,
    /// When it was published, by the wall clock, in microseconds since 1970.
    pub(crate) unix_us: i64,
}

/// The bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no record of a bridge's buffer")]
pub(crate) struct NoRecord;

impl<'a> Record<'a> {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let topic = u16::try_from(self.topic.len()).unwrap_or(u16::MAX);
        out.reserve(HEAD + self.topic.len() + 4 + self.properties.len() + self.payload.len());
        out.extend_from_slice(&[VERSION, u8::from(self.retain)]);
        out.extend_from_slice(&self.unix_us.to_be_bytes());
        out.extend_from_slice(&self.expiry_s.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&topic.to_be_bytes());
        out.extend_from_slice(&self.topic.as_bytes()[..usize::from(topic)]);
        out.extend_from_slice(&(self.properties.len() as u32).to_be_bytes());
        out.extend_from_slice(self.properties);
        out.extend_from_slice(self.payload);
    }

    /// Only the time of a record.
    pub(crate) fn time(bytes: &[u8]) -> Option<i64> {
        let time = bytes.strip_prefix(&[VERSION])?.get(1..9)?;
        time.try_into().ok().map(i64::from_be_bytes)
    }

    /// Reads a record.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, NoRecord> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(NoRecord)?;
        let [VERSION, flags, head @ ..] = head else { return Err(NoRecord) };
        let (time, head) = head.split_first_chunk::<8>().ok_or(NoRecord)?;
        let (expiry, head) = head.split_first_chunk::<4>().ok_or(NoRecord)?;
        let length = u16::from_be_bytes(head.try_into().map_err(|_| NoRecord)?);
        let (topic, rest) = rest.split_at_checked(usize::from(length)).ok_or(NoRecord)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(NoRecord)?;
        let (properties, payload) =
            rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(NoRecord)?;
        Ok(Self {
            topic: std::str::from_utf8(topic).map_err(|_| NoRecord)?,
            payload,
            properties,
            retain: flags & 1 != 0,
            expiry_s: Some(u32::from_be_bytes(*expiry)).filter(|seconds| *seconds > 0),
            unix_us: i64::from_be_bytes(*time),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_back(topic in "[a-z/]{1,20}", payload in prop::collection::vec(any::<u8>(), 0..50), properties in prop::collection::vec(any::<u8>(), 0..20), retain: bool, expiry in prop::option::of(1u32..), unix_us: i64) {
            let record = Record { topic: &topic, payload: &payload, properties: &properties, retain, expiry_s: expiry, unix_us };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            prop_assert_eq!(Record::decode(&bytes), Ok(record));
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Record::decode(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = Record::decode(&bytes);
        }
    }
}
