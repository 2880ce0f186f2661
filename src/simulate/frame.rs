//! Frames as a slave sees them: Modbus TCP, RTU and ASCII.
//!
//! Pure: bytes in, requests out; the check sums are computed here and not taken from the driver, so that
//! an error in one shows against the other. Invariant: a buffer never holds more than one largest frame.

use super::pdu::MAX_PDU;

/// How frames look on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Modbus TCP: transaction, protocol 0, length, unit.
    Tcp,
    /// RTU: unit, PDU, CRC, low byte first.
    Rtu,
    /// ASCII: colon, hexadecimal unit, PDU and LRC, CR LF.
    Ascii,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Modbus TCP's number for the exchange; 0 elsewhere.
    pub(super) transaction: u16,
    /// Who is asked.
    pub(super) unit: u8,
    /// What is asked.
    pub(super) pdu: Vec<u8>,
    /// How many characters it took on the wire.
    pub(super) length: usize,
}

/// What a look into the buffer found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole request with a valid check.
    Frame(Frame),
    /// Nothing yet.
    More,
    /// Bytes that are no frame were thrown away.
    Noise(usize),
    /// The stream cannot be followed any more (Modbus TCP): close the connection.
    Lost,
}

/// Collects bytes until they are frames.
#[derive(Debug)]
pub(super) struct Decoder {
    framing: Framing,
    buffer: Vec<u8>,
}

/// The most bytes of one frame: 1 + 2 × (1 + 253 + 1) + 2 of ASCII.
const MAX_FRAME: usize = 3 + 2 * (MAX_PDU + 2);

impl Decoder {
    /// An empty one.
    #[must_use]
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing, buffer: Vec::new() }
    }

    /// Takes bytes from the wire. What cannot belong to one frame is left out, which its check will show.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let most = match self.framing {
            // Modbus TCP allows for several requests at a time; `next` is called after each read.
            Framing::Tcp => 64 * 1024,
            Framing::Rtu | Framing::Ascii => MAX_FRAME,
        };
        let room = most.saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether a frame has begun.
    #[must_use]
    pub(super) const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets what has begun.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// The next request, if it is whole.
    pub(super) fn next_frame(&mut self) -> Found {
        match self.framing {
            Framing::Tcp => self.next_tcp(),
            Framing::Rtu => self.next_rtu(),
            Framing::Ascii => self.next_ascii(),
        }
    }

    /// Silence on the wire: what there is must be a frame (an RTU request of an unknown function) or is noise.
    pub(super) fn silence(&mut self) -> Found {
        match (self.framing, self.buffer.len()) {
            (_, 0) => Found::More,
            (Framing::Rtu, length) => self.take_rtu(length),
            // ASCII frames may pause for a second between characters (Serial Line 1.02, section 2.5.2.1).
            (Framing::Ascii | Framing::Tcp, _) => Found::More,
        }
    }

    fn next_tcp(&mut self) -> Found {
        let Some(header) = self.buffer.first_chunk::<7>() else {
            return Found::More;
        };
        let word = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        let (transaction, protocol, length, unit) = (word(0), word(2), usize::from(word(4)), header[6]);
        if protocol != 0 || !(2..=MAX_PDU + 1).contains(&length) {
            return Found::Lost;
        }
        if self.buffer.len() < 6 + length {
            return Found::More;
        }
        let frame: Vec<u8> = self.buffer.drain(..6 + length).collect();
        Found::Frame(Frame { transaction, unit, pdu: frame[7..].to_vec(), length: frame.len() })
    }

    fn next_rtu(&mut self) -> Found {
        match rtu_length(&self.buffer) {
            Some(length) if self.buffer.len() >= length => self.take_rtu(length),
            // An unknown function: only silence or a full buffer says where it ends.
            None if self.buffer.len() >= MAX_PDU + 3 => self.noise(),
            _ => Found::More,
        }
    }

    fn take_rtu(&mut self, length: usize) -> Found {
        let frame: Vec<u8> = self.buffer.drain(..length).collect();
        match frame.split_last_chunk::<2>() {
            Some(([unit, pdu @ ..], check))
                if !pdu.is_empty() && crc(&frame[..length - 2]).to_le_bytes() == *check =>
            {
                Found::Frame(Frame { transaction: 0, unit: *unit, pdu: pdu.to_vec(), length })
            }
            // What follows may be sound: a pty shows no silence between frames that were written one by one.
            _ => Found::Noise(length),
        }
    }

    fn next_ascii(&mut self) -> Found {
        let Some(colon) = self.buffer.iter().position(|byte| *byte == b':') else {
            return if self.buffer.is_empty() { Found::More } else { self.noise() };
        };
        self.buffer.drain(..colon);
        let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else {
            return if self.buffer.len() >= MAX_FRAME { self.noise() } else { Found::More };
        };
        // A colon always begins a frame anew: what stood before it was left unfinished.
        if let Some(colon) = self.buffer[1..end].iter().rposition(|byte| *byte == b':') {
            self.buffer.drain(..=colon);
            return Found::Noise(colon + 1);
        }
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let length = line.len();
        match unhex(&line[1..end]) {
            Some(bytes)
                if bytes.len() >= 3 && bytes.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)) == 0 =>
            {
                let pdu = bytes[1..bytes.len() - 1].to_vec();
                Found::Frame(Frame { transaction: 0, unit: bytes[0], pdu, length })
            }
            _ => Found::Noise(length),
        }
    }

    fn noise(&mut self) -> Found {
        let thrown = self.buffer.len();
        self.buffer.clear();
        Found::Noise(thrown)
    }
}

impl Framing {
    /// An answer as it goes to the wire; `corrupt` spoils the check, where there is one.
    #[must_use]
    pub(super) fn encode(self, transaction: u16, unit: u8, pdu: &[u8], corrupt: bool) -> Vec<u8> {
        let mut body = vec![unit];
        body.extend_from_slice(pdu);
        match self {
            Self::Tcp => {
                let mut frame = transaction.to_be_bytes().to_vec();
                frame.extend_from_slice(&[0, 0]);
                frame.extend_from_slice(&(body.len() as u16).to_be_bytes());
                frame.extend_from_slice(&body);
                frame
            }
            Self::Rtu => {
                let check = crc(&body) ^ u16::from(corrupt);
                body.extend_from_slice(&check.to_le_bytes());
                body
            }
            Self::Ascii => {
                let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                body.push(sum.wrapping_neg() ^ u8::from(corrupt));
                let mut line = vec![b':'];
                for byte in body {
                    const HEX: &[u8; 16] = b"0123456789ABCDEF";
                    line.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                line.extend_from_slice(b"\r\n");
                line
            }
        }
    }
}

/// How long the RTU request that begins so will be; `None` when the function is not known or not there yet.
fn rtu_length(bytes: &[u8]) -> Option<usize> {
    match (bytes.get(1)?, bytes) {
        (1..=6, _) => Some(8),
        (15 | 16, [_, _, _, _, _, _, count, ..]) => Some(9 + usize::from(*count)),
        (22, _) => Some(10),
        (23, [_, _, _, _, _, _, _, _, _, _, count, ..]) => Some(13 + usize::from(*count)),
        // Long enough that `next_rtu` waits for the byte count.
        (15 | 16 | 23, _) => Some(usize::MAX),
        _ => None,
    }
}

/// CRC-16 of Modbus (Serial Line 1.02, appendix B): polynomial A001 reflected, start FFFF.
#[must_use]
pub(super) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xa001 } else { c >> 1 })
    })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    text.chunks_exact(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(framing: Framing, bytes: &[u8]) -> Found {
        let mut decoder = Decoder::new(framing);
        decoder.push(bytes);
        decoder.next_frame()
    }

    #[test]
    fn frames_from_the_standard_and_the_field() {
        // A read of two input registers of unit 1, as mbpoll sends it.
        let rtu = [1, 4, 0, 0, 0, 2, 0x71, 0xcb];
        let pdu = rtu[1..6].to_vec();
        assert_eq!(
            decode(Framing::Rtu, &rtu),
            Found::Frame(Frame { transaction: 0, unit: 1, pdu, length: 8 })
        );
        let tcp = [0x15, 1, 0, 0, 0, 6, 0xff, 4, 0, 0, 0, 1];
        let pdu = tcp[7..].to_vec();
        assert_eq!(
            decode(Framing::Tcp, &tcp),
            Found::Frame(Frame { transaction: 0x1501, unit: 255, pdu, length: 12 })
        );
        let Found::Frame(ascii) = decode(Framing::Ascii, b"xx:1103006B00037E\r\n") else {
            panic!("an ASCII frame");
        };
        assert_eq!((ascii.unit, ascii.pdu), (0x11, vec![3, 0, 0x6b, 0, 3]));
    }

    #[test]
    fn what_is_not_a_frame_is_thrown_away() {
        assert_eq!(decode(Framing::Rtu, &[1, 4, 0, 0, 0, 2, 0x71, 0xcc]), Found::Noise(8));
        assert_eq!(decode(Framing::Rtu, &[1, 4, 0, 0, 0, 2, 0x71]), Found::More);
        assert_eq!(decode(Framing::Tcp, &[0, 0, 0, 1, 0, 6, 1]), Found::Lost);
        assert_eq!(decode(Framing::Tcp, &[0, 0, 0, 0, 0, 1, 1]), Found::Lost);
        assert_eq!(decode(Framing::Ascii, b":1103006B00037F\r\n"), Found::Noise(17));
        assert_eq!(decode(Framing::Ascii, b"no colon"), Found::Noise(8));
        let mut decoder = Decoder::new(Framing::Ascii);
        decoder.push(b":1103:1103006B00037E\r\n:1103006B00037E\r\n");
        assert_eq!(decoder.next_frame(), Found::Noise(5));
        for _ in 0..2 {
            assert!(matches!(decoder.next_frame(), Found::Frame(_)));
        }
    }

    #[test]
    fn an_unknown_function_ends_with_silence() {
        let frame = Framing::Rtu.encode(0, 9, &[0x2b, 0x0e, 1, 0], false);
        let mut decoder = Decoder::new(Framing::Rtu);
        decoder.push(&frame);
        assert_eq!(decoder.next_frame(), Found::More);
        let pdu = vec![0x2b, 0x0e, 1, 0];
        assert_eq!(decoder.silence(), Found::Frame(Frame { transaction: 0, unit: 9, pdu, length: 7 }));
        assert!(decoder.is_empty());
    }

    proptest! {
        #[test]
        fn a_request_survives_any_cutting_into_pieces(
            address: u16, value: u16, unit: u8, transaction: u16, cut in 1usize..40,
            framing in prop::sample::select(vec![Framing::Tcp, Framing::Rtu, Framing::Ascii]),
        ) {
            let [a, b] = address.to_be_bytes();
            let [c, d] = value.to_be_bytes();
            for pdu in [vec![6, a, b, c, d], vec![16, a, b, 0, 2, 4, a, b, c, d]] {
                let bytes = framing.encode(transaction, unit, &pdu, false);
                let mut decoder = Decoder::new(framing);
                let mut found = Found::More;
                for piece in bytes.chunks(cut) {
                    prop_assert_eq!(found, Found::More);
                    decoder.push(piece);
                    found = decoder.next_frame();
                }
                let transaction = if framing == Framing::Tcp { transaction } else { 0 };
                prop_assert_eq!(found, Found::Frame(Frame { transaction, unit, pdu, length: bytes.len() }));
            }
        }

        #[test]
        fn a_spoilt_check_is_never_a_frame(
            pdu in prop::collection::vec(any::<u8>(), 4..5), unit: u8,
            framing in prop::sample::select(vec![Framing::Rtu, Framing::Ascii]),
        ) {
            let pdu = [vec![6], pdu].concat();
            prop_assert!(matches!(decode(framing, &framing.encode(0, unit, &pdu, true)), Found::Noise(_)));
        }

        #[test]
        fn any_bytes_end_without_a_panic(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..6),
            framing in prop::sample::select(vec![Framing::Tcp, Framing::Rtu, Framing::Ascii]),
        ) {
            let mut decoder = Decoder::new(framing);
            for piece in pieces {
                decoder.push(&piece);
                for _ in 0..1000 {
                    match decoder.next_frame() {
                        Found::Frame(frame) => prop_assert!(frame.pdu.len() <= 2 * MAX_PDU),
                        Found::Noise(_) => {}
                        Found::More | Found::Lost => break,
                    }
                }
                let _ = decoder.silence();
            }
        }
    }
}
