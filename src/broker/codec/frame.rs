//! The fixed header (section 2.1): where a packet ends, known before any of it is kept.
//!
//! The size limit is checked here, on the two to five bytes of the header, so a packet that is too
//! large costs no memory.

use super::{CodecError, ReasonCode};

/// A packet's fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Packet type in the high nibble, flags in the low one.
    pub first: u8,
    /// Bytes of the fixed header itself: 2 to 5.
    pub header: usize,
    /// Bytes behind the fixed header ("remaining length").
    pub body: usize,
}

impl Frame {
    /// Reads the fixed header at the front of `input`. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A remaining length of more than four bytes, or a packet larger than `max_packet` bytes
    /// (its fixed header included, as MQTT 5 section 3.1.2.11.4 counts).
    pub fn parse(input: &[u8], max_packet: usize) -> Result<Option<Self>, CodecError> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let mut body = 0usize;
        for (index, &byte) in rest.iter().take(4).enumerate() {
            body |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(CodecError::malformed("remaining length not in its shortest form"));
                }
                let frame = Self { first, header: index + 2, body };
                return if frame.len() > max_packet {
                    Err(CodecError {
                        code: ReasonCode::PACKET_TOO_LARGE,
                        what: "packet is larger than this server accepts",
                    })
                } else {
                    Ok(Some(frame))
                };
            }
        }
        if rest.len() >= 4 {
            return Err(CodecError::malformed("remaining length of more than four bytes"));
        }
        Ok(None)
    }

    /// Length of the whole packet in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a packet has at least its header")]
    pub fn len(&self) -> usize {
        self.header + self.body
    }

    /// The packet type, 0 to 15.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The four flag bits.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.first & 0x0f
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_whole_header_and_checks_the_size_first() {
        assert_eq!(Frame::parse(&[], 100), Ok(None));
        assert_eq!(Frame::parse(&[0x30, 0x80], 1000), Ok(None));
        let frame = Frame::parse(&[0x30, 0x80, 0x01], 1000).unwrap().unwrap();
        assert_eq!((frame.header, frame.body, frame.len(), frame.kind()), (3, 128, 131, 3));
        assert_eq!(Frame::parse(&[0x30, 98], 100).unwrap().unwrap().len(), 100);
        assert_eq!(Frame::parse(&[0x30, 99], 100).unwrap_err().code, ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(
            Frame::parse(&[0x10, 0xff, 0xff, 0xff, 0x7f], 1 << 20).unwrap_err().code,
            ReasonCode::PACKET_TOO_LARGE
        );
        for bad in [&[0x30, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0x80, 0x00]] {
            assert_eq!(Frame::parse(bad, 1 << 30).unwrap_err().code, ReasonCode::MALFORMED);
        }
    }
}
