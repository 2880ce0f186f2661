//! A message in several parts: for brokers that take less than a message has.
//!
//! Pure. With MQTT 5 the parts are the bytes as they are, each with the property `part` as `2/3`; otherwise each is a JSON
//! object with its bytes as base64. All parts have the number of the message and stay in order. Invariant: put together
//! in the order of their parts, the bytes are the message's.

use super::sequence::StreamId;
use crate::broker::codec::{property_id, put_binary};

/// The most parts that a message is cut into.
pub(crate) const MOST_PARTS: usize = 1_000;

/// The shortest part, in bytes: below it, cutting would never end.
const SHORTEST: usize = 64;

/// Bytes of the JSON around the base64 of a part, at most.
const ENVELOPE: usize = 120;

/// Bytes that the property `part` adds.
pub(crate) const PROPERTY: usize = 24;

/// Appends the user property that tells which part this is.
pub(crate) fn put_property(out: &mut Vec<u8>, part: usize, parts: usize) {
    out.push(property_id::USER_PROPERTY);
    put_binary(out, b"part");
    put_binary(out, format!("{part}/{parts}").as_bytes());
}

/// The bytes of each part, `most` at most; `None` when they would be too many or too small.
pub(crate) fn plain(payload: &[u8], most: usize) -> Option<Vec<&[u8]>> {
    let parts =
        (most >= SHORTEST && !payload.is_empty()).then(|| payload.chunks(most).collect::<Vec<_>>())?;
    (parts.len() <= MOST_PARTS).then_some(parts)
}

/// Each part as JSON, `most` bytes at most; `None` when they would be too many or too small.
pub(crate) fn json(payload: &[u8], most: usize, stream: StreamId, seq: u64) -> Option<Vec<Vec<u8>>> {
    // Four characters stand for three bytes.
    let parts = plain(payload, most.checked_sub(ENVELOPE)? / 4 * 3)?;
    let count = parts.len();
    let part = |(index, bytes): (usize, &&[u8])| {
        let text = data_encoding::BASE64.encode(bytes);
        let number = index + 1;
        format!("{{\"stream\":\"{stream}\",\"seq\":{seq},\"part\":{number},\"parts\":{count},\"base64\":\"{text}\"}}")
            .into_bytes()
    };
    Some(parts.iter().enumerate().map(part).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_the_whole(payload in prop::collection::vec(any::<u8>(), 1..2000), most in 0usize..600, seq: u64) {
            if let Some(parts) = plain(&payload, most) {
                prop_assert!(parts.iter().all(|part| part.len() <= most));
                prop_assert_eq!(parts.concat(), payload.clone());
            } else {
                prop_assert!(most < SHORTEST);
            }
            let Some(parts) = json(&payload, most, StreamId(u64::MAX), seq) else { return Ok(()) };
            let mut whole = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(part.len() <= most, "{} of {most}", part.len());
                let read: serde_json::Value = serde_json::from_slice(part).unwrap();
                prop_assert_eq!((read["part"].as_u64(), read["parts"].as_u64()), (Some(index as u64 + 1), Some(parts.len() as u64)));
                whole.extend(data_encoding::BASE64.decode(read["base64"].as_str().unwrap().as_bytes()).unwrap());
            }
            prop_assert_eq!(whole, payload);
        }
    }

    #[test]
    fn what_would_be_too_many_parts_is_none() {
        assert_eq!(plain(&vec![0; SHORTEST * MOST_PARTS + 1], SHORTEST), None);
        assert_eq!(plain(&[], 100), None);
        let mut property = Vec::new();
        put_property(&mut property, MOST_PARTS, MOST_PARTS);
        assert!(property.len() <= PROPERTY);
    }
}
