//! Frames of the three kinds: Modbus TCP header, RTU checksum, ASCII hexadecimal.
//!
//! Pure: bytes in, verdict out. Invariant: [`Framing::parse`] calls a frame complete only when every byte
//! of it that the request determines is right, its checksum holds, and nothing follows it.

use super::ask::{Expect, MAX_PDU};

/// How a PDU is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Transaction number and length in front (Messaging on TCP/IP 1.0b, section 3.1.3).
    Tcp,
    /// Unit in front, CRC-16 behind (Serial Line 1.02, section 2.5.1).
    Rtu,
    /// `:`, hexadecimal, LRC, CR LF (Serial Line 1.02, section 2.5.2).
    Ascii,
}

/// The longest frame: 513 characters of ASCII.
pub const MAX_FRAME: usize = 513;

/// The verdict on the bytes that have come so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Right so far; more must come.
    More,
    /// The whole answer, in the form that tokio-modbus reads.
    Complete(Vec<u8>),
    /// Cannot be the answer.
    Malformed(String),
}

impl Framing {
    /// Length of a frame around a PDU of this length.
    #[must_use]
    pub const fn frame_len(self, pdu_len: usize) -> usize {
        match self {
            Self::Tcp => pdu_len + 7,
            Self::Rtu => pdu_len + 3,
            Self::Ascii => 2 * pdu_len + 7,
        }
    }

    /// How many bytes stand in front of the PDU in the form that tokio-modbus reads.
    #[must_use]
    pub const fn head(self) -> usize {
        match self {
            Self::Tcp => 7,
            Self::Rtu | Self::Ascii => 1,
        }
    }

    /// How many bytes stand behind the PDU in that form.
    #[must_use]
    pub const fn tail(self) -> usize {
        match self {
            Self::Tcp => 0,
            Self::Rtu | Self::Ascii => 2,
        }
    }

    /// The bytes that go to the line for a frame that tokio-modbus has written.
    #[must_use]
    pub fn outgoing(self, frame: &[u8]) -> Vec<u8> {
        match self {
            Self::Tcp | Self::Rtu => frame.to_vec(),
            Self::Ascii => to_ascii(&frame[..frame.len().saturating_sub(2)]),
        }
    }

    /// Judges what has come in answer to `request`, the frame as it went out.
    #[must_use]
    pub fn parse(self, expect: &Expect, request: &[u8], bytes: &[u8]) -> Progress {
        let verdict = match self {
            Self::Tcp => parse_tcp(expect, request, bytes),
            Self::Rtu => parse_rtu(expect, bytes),
            Self::Ascii => parse_ascii(expect, bytes),
        };
        match verdict {
            Ok(Some(frame)) => Progress::Complete(frame),
            Ok(None) => Progress::More,
            Err(reason) => Progress::Malformed(reason),
        }
    }
}

type Verdict = Result<Option<Vec<u8>>, String>;

fn check_unit(expect: &Expect, unit: u8) -> Result<(), String> {
    if unit == expect.unit { Ok(()) } else { Err(format!("unit {unit} answers for unit {}", expect.unit)) }
}

fn parse_tcp(expect: &Expect, request: &[u8], bytes: &[u8]) -> Verdict {
    let known = bytes.len().min(4);
    if bytes[..known] != request[..known] {
        return Err("the transaction number or protocol is not the request's".into());
    }
    if let Some(unit) = bytes.get(6) {
        check_unit(expect, *unit)?;
    }
    let Some(pdu) = bytes.get(7..).filter(|pdu| !pdu.is_empty()) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    expect.check(pdu)?;
    let Some(wanted) = expect.len(pdu)? else { return Ok(None) };
    if length != wanted + 1 {
        return Err(format!("the header says {length} bytes, the request calls for {}", wanted + 1));
    }
    complete(bytes, 7 + wanted)
}

fn parse_rtu(expect: &Expect, bytes: &[u8]) -> Verdict {
    let Some(unit) = bytes.first() else { return Ok(None) };
    check_unit(expect, *unit)?;
    if bytes.len() < 2 {
        return Ok(None);
    }
    let wanted = expect.len(&bytes[1..])?;
    let pdu = &bytes[1..bytes.len().min(1 + wanted.unwrap_or(MAX_PDU))];
    expect.check(pdu)?;
    let Some(wanted) = wanted else { return Ok(None) };
    let Some(frame) = complete(bytes, wanted + 3)? else { return Ok(None) };
    let (body, sum) = frame.split_at(frame.len() - 2);
    if crc16(body).to_le_bytes() != sum {
        return Err("the checksum is wrong".into());
    }
    Ok(Some(frame))
}

fn parse_ascii(expect: &Expect, bytes: &[u8]) -> Verdict {
    // What comes before the colon belongs to no frame (Serial Line 1.02, section 2.5.2.1).
    let Some(start) = bytes.iter().position(|byte| *byte == b':') else {
        return if bytes.len() < MAX_FRAME { Ok(None) } else { Err("no frame begins".into()) };
    };
    let text = &bytes[start + 1..];
    let Some(end) = text.iter().position(|byte| *byte == b'\r') else {
        return if text.len() < MAX_FRAME { Ok(None) } else { Err("the frame does not end".into()) };
    };
    match &text[end + 1..] {
        [] => return Ok(None),
        [b'\n'] => {}
        _ => return Err("something other than a line feed follows the frame".into()),
    }
    let body = from_hex(&text[..end]).ok_or("the frame is not hexadecimal")?;
    let [unit, pdu @ .., sum] = &body[..] else {
        return Err("the frame is too short".into());
    };
    if lrc(&body[..body.len() - 1]) != *sum {
        return Err("the checksum is wrong".into());
    }
    check_unit(expect, *unit)?;
    expect.check(pdu)?;
    if expect.len(pdu)? != Some(pdu.len()) {
        return Err(format!("an answer of {} bytes does not fit the request", pdu.len()));
    }
    let mut frame = body[..body.len() - 1].to_vec();
    frame.extend_from_slice(&crc16(&frame).to_le_bytes());
    Ok(Some(frame))
}

/// The frame once all of it is there; more than all of it is no frame.
fn complete(bytes: &[u8], len: usize) -> Verdict {
    match bytes.len() {
        have if have < len => Ok(None),
        have if have == len => Ok(Some(bytes.to_vec())),
        have => Err(format!("{} bytes follow the answer", have - len)),
    }
}

/// CRC-16 of RTU frames (Serial Line 1.02, section 6.2.2); sent low byte first.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| (sum >> 8) ^ CRC_TABLE[usize::from((sum as u8) ^ byte)])
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut sum, mut bit) = (i as u16, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xA001 } else { sum >> 1 };
            bit += 1;
        }
        table[i] = sum;
        i += 1;
    }
    table
};

/// Longitudinal redundancy check of ASCII frames (Serial Line 1.02, section 6.2.1).
#[must_use]
pub fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

fn to_ascii(body: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Vec::with_capacity(2 * body.len() + 5);
    text.push(b':');
    for byte in body.iter().chain([&lrc(body)]) {
        text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    text.extend(b"\r\n");
    text
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
