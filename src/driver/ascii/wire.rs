//! Lines as bytes: terminators, checks, alphabets, and what an answer says.
//!
//! Pure. Invariant: a line whose check or alphabet is wrong is never read; a line that does not end is thrown
//! away at [`MAX_LINE`] bytes, together with the rest of it.

use super::config::{Charset, Checksum, DeviceConfig, Terminator};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 4096;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A text, without check and terminator.
    Text(String),
    /// "Error", with what it said.
    Error(String),
    /// "Not now".
    Busy,
    /// Nothing that can be understood, and why.
    Noise(&'static str),
}

/// Cuts what comes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// What stood before has been thrown away; so is the rest of its line.
    overlong: bool,
}

impl Terminator {
    /// What is sent at the end of a request. Instruments that end by silence are sent a carriage return.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Crlf => b"\r\n",
            Self::Cr | Self::Silence => b"\r",
            Self::Lf => b"\n",
            Self::Nul => b"\0",
        }
    }

    /// The byte that ends a line that comes.
    const fn end(self) -> Option<u8> {
        match self {
            Self::Crlf | Self::Lf => Some(b'\n'),
            Self::Cr => Some(b'\r'),
            Self::Nul => Some(0),
            Self::Silence => None,
        }
    }
}

impl Lines {
    /// Takes in bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end; empty ones are left out.
    pub fn next(&mut self, terminator: Terminator) -> Option<Vec<u8>> {
        let end = terminator.end()?;
        loop {
            let Some(at) = self.bytes.iter().position(|byte| *byte == end) else {
                if self.bytes.len() > MAX_LINE {
                    self.bytes.clear();
                    self.overlong = true;
                }
                return None;
            };
            let mut line: Vec<u8> = self.bytes.drain(..=at).collect();
            line.pop();
            let rest_of_overlong = std::mem::take(&mut self.overlong);
            let line = trimmed(line);
            if !rest_of_overlong && !line.is_empty() && line.len() <= MAX_LINE {
                return Some(line);
            }
        }
    }

    /// Nothing has come for long enough: what is there is a line.
    pub fn silence(&mut self) -> Option<Vec<u8>> {
        let line = trimmed(std::mem::take(&mut self.bytes));
        (!line.is_empty() && line.len() <= MAX_LINE).then_some(line)
    }

    /// Whether a line has begun.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Throws away what has come.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.overlong = false;
    }
}

/// A line without ends of another kind around it: CR LF may come from an instrument that should send CR.
fn trimmed(mut line: Vec<u8>) -> Vec<u8> {
    let odd = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    let keep = line.iter().rposition(|byte| !odd(byte)).map_or(0, |last| last + 1);
    line.truncate(keep);
    let lead = line.iter().take_while(|byte| odd(byte)).count();
    line.drain(..lead);
    line
}

/// A request as it goes to the wire; `None` when the alphabet lacks one of its characters.
#[must_use]
pub fn encode(device: &DeviceConfig, text: &str) -> Option<Vec<u8>> {
    let mut bytes = match device.charset {
        Charset::Utf8 => text.as_bytes().to_vec(),
        Charset::Latin1 => {
            text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>()?
        }
    };
    match device.checksum {
        Checksum::None => {}
        Checksum::Nmea => {
            let check = format!("*{:02X}", check_of(device.checksum, &bytes));
            bytes.extend_from_slice(check.as_bytes());
        }
        Checksum::Sum | Checksum::Xor => {
            let check = format!("{:02X}", check_of(device.checksum, &bytes));
            bytes.extend_from_slice(check.as_bytes());
        }
    }
    bytes.extend_from_slice(device.terminator.bytes());
    Some(bytes)
}

/// What a line says.
#[must_use]
pub fn decode(device: &DeviceConfig, line: &[u8]) -> Said {
    let Some(body) = checked(device.checksum, line) else { return Said::Noise("its check is wrong") };
    let text = match device.charset {
        Charset::Utf8 => match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => return Said::Noise("it is not UTF-8; perhaps charset: latin-1"),
        },
        Charset::Latin1 => body.iter().map(|byte| char::from(*byte)).collect(),
    };
    let begins = |tokens: &[String]| tokens.iter().any(|token| text.starts_with(token.as_str()));
    if begins(&device.busy_replies) {
        Said::Busy
    } else if begins(&device.error_replies) {
        Said::Error(text)
    } else {
        Said::Text(text)
    }
}

/// The line without its check; `None` when that is wrong or not there.
fn checked(checksum: Checksum, line: &[u8]) -> Option<&[u8]> {
    let check_length = match checksum {
        Checksum::None => return Some(line),
        Checksum::Sum | Checksum::Xor => 2,
        Checksum::Nmea => 3,
    };
    let (body, check) = line.split_at_checked(line.len().checked_sub(check_length)?)?;
    let digits = if checksum == Checksum::Nmea { check.strip_prefix(b"*")? } else { check };
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sent = u8::from_str_radix(digits, 16).ok().filter(|_| plain)?;
    (sent == check_of(checksum, body)).then_some(body)
}

fn check_of(checksum: Checksum, body: &[u8]) -> u8 {
    match checksum {
        Checksum::None => 0,
        Checksum::Sum => body.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)),
        Checksum::Xor => body.iter().fold(0, |sum, byte| sum ^ byte),
        Checksum::Nmea => body.strip_prefix(b"$").unwrap_or(body).iter().fold(0, |sum, byte| sum ^ byte),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(yaml: &str) -> DeviceConfig {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn checks_are_those_of_the_standards() {
        // DCON: "$012" ends in B7 (24h + 30h + 31h + 32h). NMEA: a sentence of the standard's own example.
        assert_eq!(encode(&device("{ checksum: sum, terminator: cr }"), "$012").unwrap(), b"$012B7\r");
        let nmea = device("{ checksum: nmea }");
        let sentence = b"$GPGLL,5300.97914,N,00259.98174,E,125926,A*28";
        assert_eq!(decode(&nmea, sentence), Said::Text("$GPGLL,5300.97914,N,00259.98174,E,125926,A".into()));
        for wrong in [&b"$GPGLL,5301.97914,N,00259.98174,E,125926,A*28"[..], b"", b"*", b"$A*+4", b"$A41"] {
            assert!(matches!(decode(&nmea, wrong), Said::Noise(_)), "{wrong:?}");
        }
        assert_eq!(encode(&device("{ checksum: xor, terminator: lf }"), "AB").unwrap(), b"AB03\n");
    }

    #[test]
    fn alphabets_and_answers_are_told_apart() {
        let scale = device("{ charset: latin-1, error-replies: [ES, ET], busy-replies: [S I] }");
        assert_eq!(decode(&scale, b"21.5 \xb0C"), Said::Text("21.5 °C".into()));
        assert_eq!(decode(&scale, b"S I"), Said::Busy);
        assert_eq!(decode(&scale, b"ES"), Said::Error("ES".into()));
        assert!(matches!(decode(&device("{}"), b"21.5 \xb0C"), Said::Noise(_)));
        assert_eq!(encode(&scale, "°").unwrap(), b"\xb0\r\n");
        assert_eq!(encode(&scale, "온도"), None);
    }

    #[test]
    fn lines_are_cut_at_their_ends_and_overlong_ones_thrown_away() {
        let mut lines = Lines::default();
        lines.push(b"half");
        assert_eq!(lines.next(Terminator::Crlf), None);
        lines.push(b" line\r\n\r\nnext\n");
        assert_eq!(lines.next(Terminator::Crlf).unwrap(), b"half line");
        assert_eq!(lines.next(Terminator::Crlf).unwrap(), b"next");
        assert_eq!(lines.next(Terminator::Crlf), None);
        lines.push(&[b'x'; MAX_LINE + 1]);
        assert_eq!(lines.next(Terminator::Cr), None);
        lines.push(b"rest\rgood\r");
        assert_eq!(lines.next(Terminator::Cr).unwrap(), b"good");
        lines.push(b"12.5");
        assert_eq!(lines.next(Terminator::Silence), None);
        assert_eq!(lines.silence().unwrap(), b"12.5");
        assert_eq!(lines.silence(), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(text in "[ -~°äöü]{1,80}", which in 0usize..4, latin: bool) {
            let checksum = ["none", "sum", "xor", "nmea"][which];
            let charset = if latin { "latin-1" } else { "utf-8" };
            let device = device(&format!("{{ checksum: {checksum}, charset: {charset}, terminator: cr }}"));
            let mut lines = Lines::default();
            lines.push(&encode(&device, &text).unwrap());
            let line = lines.next(Terminator::Cr).unwrap();
            prop_assert_eq!(decode(&device, &line), Said::Text(text));
        }

        #[test]
        fn a_damaged_line_is_noise(text in "[ -~]{1,40}", at: prop::sample::Index, bit in 0u8..7) {
            for checksum in ["sum", "xor"] {
                let device = device(&format!("{{ checksum: {checksum}, terminator: nul }}"));
                let mut bytes = encode(&device, &text).unwrap();
                bytes.pop();
                let place = at.index(text.len());
                bytes[place] ^= 1 << bit;
                prop_assert!(matches!(decode(&device, &bytes), Said::Noise(_)));
            }
        }

        #[test]
        fn no_bytes_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20), which in 0usize..4) {
            let device = device(&format!("{{ checksum: {} }}", ["none", "sum", "xor", "nmea"][which]));
            for terminator in [Terminator::Crlf, Terminator::Cr, Terminator::Lf, Terminator::Nul, Terminator::Silence] {
                let mut lines = Lines::default();
                for chunk in &chunks {
                    lines.push(chunk);
                    while let Some(line) = lines.next(terminator) {
                        prop_assert!(!line.is_empty() && line.len() <= MAX_LINE);
                        let _ = decode(&device, &line);
                    }
                }
                if let Some(line) = lines.silence() {
                    let _ = decode(&device, &line);
                }
            }
        }
    }
}
