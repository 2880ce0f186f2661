//! Functions beside those that read and write the four tables: device identification (43/14), exception status (7),
//! and functions that only one vendor knows.
//!
//! Pure: from the configuration's keys to a request, and from answers to values. Absent: functions whose answers
//! have a length that nothing tells (on a serial line their end could not be seen). Invariant: what [`Call::sent`]
//! and the reply's length say is all that is assumed of a vendor's function.

use super::codec::text_of;
use super::config::PointConfig;
use super::register::{RawType, Register, Table};
use crate::model::{Access, Value};

/// Read device identification (Application Protocol 1.1b3, section 6.21).
pub const IDENTIFICATION: u8 = 43;

/// The kind of encapsulated interface that identification is (section 6.20).
pub const MEI_TYPE: u8 = 14;

/// Read exception status (section 6.7); its answer has one byte.
const EXCEPTION_STATUS: u8 = 7;

/// The most bytes of a request behind its function code that are the same each time.
pub const MAX_SENT: usize = 12;

/// The most bytes of an answer behind its function code.
const MAX_REPLY: u8 = 252;

/// Where the list of objects begins in an answer to a request for identification.
const OBJECTS_AT: usize = 7;

/// The functions that tables are read and written by, or that this driver needs itself.
const TAKEN: [u8; 12] = [1, 2, 3, 4, 5, 6, 8, 15, 16, 22, 23, 24];

/// A request by a function that knows no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The function code, 1 … 127.
    pub function: u8,
    sent: [u8; MAX_SENT],
    sent_len: u8,
    /// How many bytes of an answer follow the function code.
    pub reply: u8,
}

impl Call {
    /// The request of a point.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn new(function: u8, bytes: &[u8], reply: Option<u8>) -> Result<Self, String> {
        if function == IDENTIFICATION {
            return Err(
                "function 43 is read by identification: 0 (vendor), 1 (product code), 2 (revision)".into()
            );
        }
        if TAKEN.contains(&function) {
            return Err(format!(
                "function {function} belongs to the tables: name coil, discrete, input or holding with an address"
            ));
        }
        if !(1..=127).contains(&function) {
            return Err(format!("function {function}: function codes are 1 … 127"));
        }
        if bytes.len() > MAX_SENT {
            return Err(format!("function-data has {} bytes; the most is {MAX_SENT}", bytes.len()));
        }
        let reply = match (reply, function) {
            (Some(reply), _) if reply <= MAX_REPLY => reply,
            (Some(reply), _) => {
                return Err(format!("reply-bytes {reply}: an answer carries at most {MAX_REPLY}"));
            }
            (None, EXCEPTION_STATUS) => 1,
            (None, _) => {
                return Err("function needs reply-bytes: how many bytes of the answer follow the function code, 0 where none do".into());
            }
        };
        let mut sent = [0; MAX_SENT];
        sent[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { function, sent, sent_len: bytes.len() as u8, reply })
    }

    /// The bytes behind the function code that are the same each time.
    #[must_use]
    pub fn sent(&self) -> &[u8] {
        &self.sent[..usize::from(self.sent_len)]
    }
}

impl PointConfig {
    /// The function that the point is read or written by, where it is in no table: its table, and the address there.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn function_place(&self) -> Result<Option<(Table, u16)>, String> {
        match (self.identification, self.function) {
            (Some(_), Some(_)) => Err("a point is read in one way: remove identification or function".into()),
            (Some(object), None) => Ok(Some((Table::Identity, u16::from(object)))),
            (None, Some(function)) => {
                let call = Call::new(function, &self.function_data, self.reply_bytes)?;
                Ok(Some((Table::Call(call), u16::from(self.reply_at))))
            }
            (None, None) if self.reply_bytes.is_some() || self.reply_at != 0 || !self.function_data.is_empty() => {
                Err("function-data, reply-bytes and reply-at belong to function: name the function, or remove them".into())
            }
            (None, None) => Ok(None),
        }
    }

    /// The number format of a point that is in no table.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn function_format(&self, table: Table, writable: bool) -> Result<RawType, String> {
        let one_bit = self.bit.is_some() || self.bits.is_some();
        match (table, self.raw) {
            (Table::Identity, None | Some(RawType::Text)) if !one_bit && self.length.is_none() => {
                Ok(RawType::Text)
            }
            (Table::Identity, _) => {
                Err("identification is a text as long as it is: remove type, length, bit and bits".into())
            }
            (_, None) if writable => Ok(RawType::Bool),
            (_, None) if self.bit.is_some() => Ok(RawType::Bool),
            (_, Some(raw)) if one_bit && !matches!(raw, RawType::Bool | RawType::U8) => {
                Err("bits are picked from one byte of an answer: remove the type".into())
            }
            (_, Some(RawType::Bool)) if !one_bit && !writable => {
                Err("type bool in an answer: say which bit of its byte, such as bit: 0".into())
            }
            (_, raw) => Ok(raw.unwrap_or(RawType::U8)),
        }
    }
}

impl Register {
    /// Whether it is a place that a function of its own reads or writes.
    #[must_use]
    pub const fn is_function(&self) -> bool {
        matches!(self.table, Table::Identity | Table::Call(_))
    }

    /// What speaks against a place in an answer, or in a request of a function of its own.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub(super) fn check_function(&self, access: Access) -> Result<(), String> {
        let Table::Call(call) = self.table else { return Ok(()) };
        if access.readable() && access.writable() {
            return Err("a function either asks or commands: use access: r or w".into());
        }
        if self.bits.is_some_and(|bits| bits.shift + bits.width > 8) {
            return Err("bits are picked from one byte of an answer: 0 … 7; reply-at says which byte".into());
        }
        if access.writable() {
            return Ok(());
        }
        let end = usize::from(self.address) + self.reply_len();
        if end > usize::from(call.reply) {
            return Err(format!("the value ends at byte {end} of an answer of {} (reply-bytes)", call.reply));
        }
        Ok(())
    }

    /// How many bytes of an answer the value takes.
    #[must_use]
    pub fn reply_len(&self) -> usize {
        match self.raw {
            RawType::Bool | RawType::U8 | RawType::I8 => 1,
            RawType::U24 | RawType::I24 => 3,
            RawType::Text | RawType::Chars => usize::from(self.text_bytes),
            other => 2 * usize::from(other.registers()),
        }
    }

    /// The raw value in the bytes of an answer; `None` where they are none.
    #[must_use]
    pub fn reply_value(&self, bytes: &[u8]) -> Option<Value> {
        if self.table == Table::Identity {
            return Some(text_of(bytes));
        }
        let from = usize::from(self.address);
        let own = bytes.get(from..from + self.reply_len())?;
        if matches!(self.raw, RawType::Text | RawType::Chars) {
            return Some(text_of(own));
        }
        let padded = if own.len().is_multiple_of(2) { own.to_vec() } else { [&[0], own].concat() };
        let words: Vec<u16> =
            padded.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        // As if the bytes stood in registers of their own.
        Self { table: Table::Holding, ..*self }.decode(&words).ok()
    }

    /// The bytes that carry `raw` in a request: none for a command that is only given.
    ///
    /// # Errors
    /// Says why the value cannot be carried.
    pub fn request_bytes(&self, raw: &Value) -> Result<Vec<u8>, String> {
        match (self.raw, raw) {
            (RawType::Bool, raw) if raw.as_bool() == Some(true) => return Ok(Vec::new()),
            (RawType::Bool, raw) => return Err(format!("the command is given by on, not by {raw}")),
            (RawType::Text | RawType::Chars, Value::Text(text)) => {
                let most = usize::from(self.text_bytes);
                if text.len() > most {
                    return Err(format!("the text takes {} bytes, the request has {most}", text.len()));
                }
                let mut bytes = text.as_bytes().to_vec();
                bytes.resize(most, 0);
                return Ok(bytes);
            }
            _ => {}
        }
        let bytes: Vec<u8> = self.encode(raw)?.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(bytes[bytes.len().saturating_sub(self.reply_len())..].to_vec())
    }
}

impl Register {
    /// The raw value in the bytes that a command carries; `None` where they are none. For simulated devices.
    #[must_use]
    pub fn given(&self, bytes: &[u8]) -> Option<Value> {
        let whole = bytes.len() == self.reply_len();
        whole.then(|| Self { address: 0, ..*self }.reply_value(bytes)).flatten()
    }

    /// Puts a raw value where it stands in an answer; one that does not fit is left out. For simulated devices.
    pub fn put_in_reply(&self, raw: &Value, reply: &mut [u8]) {
        let at = usize::from(self.address);
        let Some(place) = reply.get_mut(at..at + self.reply_len()) else { return };
        if let (Some(_), Ok(part)) = (self.bits, self.encode_bits(raw)) {
            place[0] = (place[0] & !(part.mask as u8)) | part.bits as u8;
        } else if let Ok(bytes) = self.request_bytes(raw)
            && bytes.len() == place.len()
        {
            place.copy_from_slice(&bytes);
        }
    }
}

/// The category of identification that an object is asked by: basic, regular or extended, as a stream that begins
/// with it. Every device that knows the function knows streams; access to single objects it may lack (section 6.21).
#[must_use]
pub const fn category(object: u8) -> u8 {
    match object {
        0..=2 => 1,
        3..=0x7F => 2,
        _ => 3,
    }
}

/// How long an answer with objects is, function code included; `None` while too little of it is there to tell.
#[must_use]
pub fn objects_len(pdu: &[u8]) -> Option<usize> {
    let count = *pdu.get(OBJECTS_AT - 1)?;
    let mut at = OBJECTS_AT;
    for _ in 0..count {
        at += 2 + usize::from(*pdu.get(at + 1)?);
    }
    Some(at)
}

/// The contents of an object in a whole answer.
#[must_use]
pub fn object(pdu: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut at = OBJECTS_AT;
    while let [id, len, rest @ ..] = pdu.get(at..)? {
        let contents = rest.get(..usize::from(*len))?;
        if *id == wanted {
            return Some(contents);
        }
        at += 2 + contents.len();
    }
    None
}

/// An answer with these objects, as many as fit: for simulated devices.
#[must_use]
pub fn objects_answer(category: u8, objects: &[(u8, Vec<u8>)]) -> Vec<u8> {
    const MOST: usize = 253;
    let mut pdu = vec![IDENTIFICATION, MEI_TYPE, category, category, 0, 0, 0];
    for (id, contents) in objects {
        if pdu.len() + 2 + contents.len() > MOST {
            (pdu[4], pdu[5]) = (0xFF, *id);
            break;
        }
        pdu.extend([*id, contents.len() as u8]);
        pdu.extend(contents);
        pdu[6] += 1;
    }
    pdu
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
