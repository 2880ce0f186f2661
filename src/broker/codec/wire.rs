//! The primitive types of MQTT (section 1.5): integers, strings, binary data.
//!
//! Reading never panics and never reads past its slice; every string it returns is free of U+0000.

use super::{CodecError, ReasonCode};

/// The largest value of a variable byte integer.
pub(crate) const MAX_VARINT: u32 = 268_435_455;

/// Reads primitives off the front of a packet's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier: never zero.
    pub(crate) fn packet_id(&mut self) -> Result<u16, CodecError> {
        match self.u16()? {
            0 => Err(CodecError::protocol("packet identifier 0")),
            id => Ok(id),
        }
    }

    /// A variable byte integer in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u32, CodecError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(CodecError::malformed("variable byte integer not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(CodecError::malformed("variable byte integer of more than four bytes"))
    }

    /// Binary data: two bytes of length, then the bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], CodecError> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// A UTF-8 string. Surrogates and overlong forms are refused by Rust's own check.
    pub(crate) fn string(&mut self) -> Result<&'a str, CodecError> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| CodecError::malformed("string is not well-formed UTF-8"))?;
        if text.as_bytes().contains(&0) {
            return Err(CodecError::malformed("string contains U+0000"));
        }
        Ok(text)
    }

    /// A section of properties: its length, then that many bytes.
    pub(crate) fn section(&mut self) -> Result<Reader<'a>, CodecError> {
        let len = self.varint()?;
        self.bytes(len as usize).map(Reader::new)
    }

    /// Refuses bytes behind the last field.
    pub(crate) fn finish(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::malformed("bytes behind the last field of the packet"))
        }
    }
}

const TRUNCATED: CodecError =
    CodecError { code: ReasonCode::MALFORMED, what: "packet ends in the middle of a field" };

/// Appends a variable byte integer; values above [`MAX_VARINT`] do not occur, because packets are
/// limited below it.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    debug_assert!(value <= MAX_VARINT);
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Length of a variable byte integer.
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a string or binary data with its two bytes of length. What is longer than 65,535 bytes
/// is cut there: callers only pass what came in with such a length or was limited before.
pub(crate) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(len)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varint_round_trips(value in 0..=MAX_VARINT) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value as usize));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn binary_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_binary(&mut out, &bytes);
            prop_assert_eq!(Reader::new(&out).binary(), Ok(&bytes[..]));
        }
    }

    #[test]
    fn strings_refuse_what_the_standard_refuses() {
        for bad in [&[0u8, 1, 0][..], &[0, 3, 0xed, 0xa0, 0x80], &[0, 2, 0xc0, 0x80], &[0, 4, b'a']] {
            assert_eq!(Reader::new(bad).string().unwrap_err().code, ReasonCode::MALFORMED, "{bad:?}");
        }
        assert_eq!(Reader::new(&[0, 3, 0xef, 0xbb, 0xbf]).string(), Ok("\u{feff}"));
    }

    #[test]
    fn varint_refuses_long_forms() {
        assert!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 1]).varint().is_err());
        assert!(Reader::new(&[0x80, 0x00]).varint().is_err());
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0x7f]).varint(), Ok(MAX_VARINT));
    }
}
