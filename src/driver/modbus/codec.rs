//! Register contents to raw values and back: every number format, byte order, bit field, BCD and text.
//!
//! Pure. Absent: scaling, ranges and enumerations, which are [`Conversion`](crate::model::Conversion)'s.
//! Invariant: `decode(encode(v)) == v` for every value that `encode` takes; a value that does not fit is
//! refused and never truncated.

use std::sync::Arc;

use super::register::{BitField, Order, RawType, Register};
use crate::model::Value;

/// Register contents that are no value of the point's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

/// The part of a register that a bit field covers, and what it shall become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedWord {
    /// Ones where the field is.
    pub mask: u16,
    /// The new bits, in place; zero outside the mask.
    pub bits: u16,
}

impl MaskedWord {
    /// The register with the field changed and everything else kept.
    #[must_use]
    pub const fn apply(self, current: u16) -> u16 {
        (current & !self.mask) | self.bits
    }
}

impl Order {
    const fn swaps_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    const fn low_word_first(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    const fn word(self, word: u16) -> u16 {
        if self.swaps_bytes() { word.swap_bytes() } else { word }
    }

    /// The registers as one number, the last one of [`Order::Abcd`] being the least significant.
    fn join(self, words: &[u16]) -> u64 {
        let push = |sum: u64, word: &u16| (sum << 16) | u64::from(self.word(*word));
        if self.low_word_first() { words.iter().rev().fold(0, push) } else { words.iter().fold(0, push) }
    }

    fn split(self, number: u64, registers: u16) -> Vec<u16> {
        let word = |i: u16| self.word((number >> (16 * i)) as u16);
        if self.low_word_first() {
            (0..registers).map(word).collect()
        } else {
            (0..registers).rev().map(word).collect()
        }
    }
}

impl BitField {
    /// Ones in the lowest `width` bits.
    const fn ones(self) -> u16 {
        if self.width >= 16 { u16::MAX } else { (1 << self.width) - 1 }
    }

    /// The number whose two's complement the lowest `width` bits are.
    fn signed(self, bits: u16) -> i64 {
        let unused = u32::from(16 - self.width.min(16));
        i64::from((bits << unused) as i16 >> unused)
    }
}

impl Register {
    /// Reads the point's own registers, exactly [`Register::width`] of them.
    ///
    /// # Errors
    /// When the contents are no number of this format (a BCD digit above 9) or the count is wrong.
    pub fn decode(&self, words: &[u16]) -> Result<Value, Undecodable> {
        if words.len() != usize::from(self.width()) {
            return Err(Undecodable);
        }
        match self.raw {
            RawType::Text => return Ok(decode_text(words, self.order)),
            RawType::Chars => {
                let pairs: Vec<u16> = words.chunks(2).map(low_bytes).collect();
                return Ok(decode_text(&pairs, Order::Abcd));
            }
            RawType::Mac => return Ok(decode_mac(words, self.order)),
            _ => {}
        }
        let all = self.order.join(words);
        if let Some(field) = self.bits {
            let bits = (all >> field.shift) as u16 & field.ones();
            return Ok(match self.raw {
                RawType::Bool => Value::Bool(bits != 0),
                RawType::I8 | RawType::I16 => Value::Int(field.signed(bits)),
                _ => Value::Int(i64::from(bits)),
            });
        }
        Ok(match self.raw {
            RawType::Bool => Value::Bool(all != 0),
            RawType::U8 => Value::Int(i64::from(all as u8)),
            RawType::I8 => Value::Int(i64::from(all as u8 as i8)),
            RawType::U16 | RawType::U32 | RawType::U64 => Value::from(all),
            RawType::I16 => Value::Int(i64::from(all as u16 as i16)),
            RawType::I32 => Value::Int(i64::from(all as u32 as i32)),
            RawType::I64 => Value::Int(all as i64),
            RawType::F32 => Value::Float(widen(f32::from_bits(all as u32))),
            RawType::F64 => Value::Float(f64::from_bits(all)),
            RawType::Bcd16 => Value::Int(decode_bcd(all, 4).ok_or(Undecodable)?),
            RawType::Bcd32 => Value::Int(decode_bcd(all, 8).ok_or(Undecodable)?),
            RawType::U24 => Value::Int((all & 0xFF_FFFF) as i64),
            RawType::I24 => Value::Int(i64::from((all << 8) as u32 as i32 >> 8)),
            RawType::Text | RawType::Chars | RawType::Mac => return Err(Undecodable),
        })
    }

    /// The registers that hold `raw`. Not for bit fields, which are part of a register: see
    /// [`Register::encode_bits`].
    ///
    /// # Errors
    /// Says why the format cannot hold the value.
    pub fn encode(&self, raw: &Value) -> Result<Vec<u16>, String> {
        match self.raw {
            RawType::Text => return encode_text(raw, self.text_bytes, self.order),
            RawType::Chars => {
                let pairs = encode_text(raw, self.text_bytes, Order::Abcd)?;
                let bytes = pairs.iter().flat_map(|pair| pair.to_be_bytes()).map(u16::from);
                return Ok(bytes.take(usize::from(self.text_bytes)).collect());
            }
            RawType::Mac => return encode_mac(raw, self.order),
            _ => {}
        }
        let number = match self.raw {
            RawType::F32 => u64::from(encode_f32(raw)?.to_bits()),
            RawType::F64 => finite(raw)?.to_bits(),
            RawType::Bcd16 => encode_bcd(whole(raw, 0, 9_999)?),
            RawType::Bcd32 => encode_bcd(whole(raw, 0, 99_999_999)?),
            other => {
                let (low, high) = integer_range(other);
                whole(raw, low, high)? as u64
            }
        };
        let number = if self.raw == RawType::I24 { number & 0xFF_FFFF } else { number };
        Ok(self.order.split(number, self.raw.registers()))
    }

    /// What a bit field becomes.
    ///
    /// # Errors
    /// Says why the field cannot hold the value.
    pub fn encode_bits(&self, raw: &Value) -> Result<MaskedWord, String> {
        let field = self.bits.unwrap_or(BitField { shift: 0, width: 16 });
        let number = match raw {
            Value::Bool(state) => i128::from(*state),
            other if matches!(self.raw, RawType::I8 | RawType::I16) => {
                let half = 1 << (field.width - 1);
                whole(other, -half, half - 1)?
            }
            other => whole(other, 0, i128::from(field.ones()))?,
        };
        let place = |bits: u16| self.order.word(bits << field.shift);
        Ok(MaskedWord { mask: place(field.ones()), bits: place(number as u16 & field.ones()) })
    }

    /// The words that stand for `raw` where nothing else is in the register.
    ///
    /// # Errors
    /// Says why the register cannot hold the value.
    pub fn holding(&self, raw: &Value) -> Result<Vec<u16>, String> {
        if self.table.is_bits() {
            return self.encode_coil(raw).map(|on| vec![u16::from(on)]);
        }
        match self.bits {
            Some(_) => self.encode_bits(raw).map(|part| vec![part.bits]),
            None => self.encode(raw),
        }
    }

    /// The number that takes the place of on and off in a write to a coil of numbers.
    ///
    /// # Errors
    /// When the value is no number that fits.
    pub fn encode_coil_word(&self, raw: &Value) -> Result<u16, String> {
        whole(raw, 0, i128::from(u16::MAX)).map(|number| number as u16)
    }

    /// What a coil becomes.
    ///
    /// # Errors
    /// When the value is neither a truth value nor 0 or 1.
    pub fn encode_coil(&self, raw: &Value) -> Result<bool, String> {
        raw.as_bool().ok_or_else(|| format!("a coil is on or off, not {raw}"))
    }
}

/// The number with the fewest digits that means this single: 23.4 and not 23.399999618530273.
fn widen(single: f32) -> f64 {
    if !single.is_finite() || single.fract() == 0.0 {
        return f64::from(single);
    }
    ryu::Buffer::new().format_finite(single).parse().unwrap_or(f64::from(single))
}

/// The low bytes of two registers as one.
fn low_bytes(pair: &[u16]) -> u16 {
    let byte = |at: usize| pair.get(at).map_or(0, |word| word & 0xFF);
    (byte(0) << 8) | byte(1)
}

fn decode_mac(words: &[u16], order: Order) -> Value {
    let bytes: Vec<String> =
        order.join(words).to_be_bytes()[2..].iter().map(|byte| format!("{byte:02x}")).collect();
    Value::Text(bytes.join(":").into())
}

fn encode_mac(raw: &Value, order: Order) -> Result<Vec<u16>, String> {
    let wrong = || format!("a MAC address such as 00:c0:3d:01:02:03 is needed, not {raw}");
    let Value::Text(text) = raw else { return Err(wrong()) };
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()
        .map_err(|_| wrong())?;
    let bytes: [u8; 6] = bytes.try_into().map_err(|_| wrong())?;
    Ok(order.split(bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)), 3))
}

fn decode_bcd(packed: u64, digits: u32) -> Option<i64> {
    (0..digits).rev().try_fold(0, |sum, place| {
        let digit = (packed >> (4 * place)) & 0xf;
        (digit <= 9).then_some(sum * 10 + digit as i64)
    })
}

fn encode_bcd(number: i128) -> u64 {
    let (mut rest, mut packed, mut place) = (number as u64, 0, 0);
    while rest > 0 {
        packed |= (rest % 10) << place;
        rest /= 10;
        place += 4;
    }
    packed
}

fn decode_text(words: &[u16], order: Order) -> Value {
    let bytes: Vec<u8> = words.iter().flat_map(|word| order.word(*word).to_be_bytes()).collect();
    text_of(&bytes)
}

/// Text ends at the first NUL; trailing spaces are padding. What is not UTF-8 is read as Latin-1.
pub(super) fn text_of(bytes: &[u8]) -> Value {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text: Arc<str> = match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.trim_end_matches(' ').into(),
        Err(_) => {
            let latin: String = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
            latin.trim_end_matches(' ').into()
        }
    };
    Value::Text(text)
}

fn encode_text(raw: &Value, text_bytes: u16, order: Order) -> Result<Vec<u16>, String> {
    let Value::Text(text) = raw else {
        return Err(format!("a text is needed, not {raw}"));
    };
    if text.len() > usize::from(text_bytes) {
        return Err(format!("the text takes {} bytes, the register has {text_bytes}", text.len()));
    }
    if text.contains('\0') {
        return Err("a text cannot hold NUL characters: they end it".into());
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(usize::from(text_bytes.div_ceil(2)) * 2, 0);
    Ok(bytes.chunks_exact(2).map(|pair| order.word(u16::from_be_bytes([pair[0], pair[1]]))).collect())
}

const fn integer_range(raw: RawType) -> (i128, i128) {
    match raw {
        RawType::Bool => (0, 1),
        RawType::U8 => (0, u8::MAX as i128),
        RawType::I8 => (i8::MIN as i128, i8::MAX as i128),
        RawType::I16 => (i16::MIN as i128, i16::MAX as i128),
        RawType::U24 => (0, 0xFF_FFFF),
        RawType::I24 => (-0x80_0000, 0x7F_FFFF),
        RawType::U32 => (0, u32::MAX as i128),
        RawType::I32 => (i32::MIN as i128, i32::MAX as i128),
        RawType::U64 => (0, u64::MAX as i128),
        RawType::I64 => (i64::MIN as i128, i64::MAX as i128),
        _ => (0, u16::MAX as i128),
    }
}

fn whole(raw: &Value, low: i128, high: i128) -> Result<i128, String> {
    let number = match raw {
        Value::Bool(state) => i128::from(*state),
        Value::Int(int) => i128::from(*int),
        Value::UInt(int) => i128::from(*int),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e19 => *float as i128,
        other => return Err(format!("a whole number is needed, not {other}")),
    };
    if (low..=high).contains(&number) {
        Ok(number)
    } else {
        Err(format!("raw {number} does not fit the register, which holds {low} … {high}"))
    }
}

fn finite(raw: &Value) -> Result<f64, String> {
    match raw {
        Value::Bool(_) | Value::Text(_) => None,
        number => number.as_f64(),
    }
    .filter(|number| number.is_finite())
    .ok_or_else(|| format!("a number is needed, not {raw}"))
}

fn encode_f32(raw: &Value) -> Result<f32, String> {
    let wide = finite(raw)?;
    let single = wide as f32;
    if single.is_finite() { Ok(single) } else { Err(format!("{wide} does not fit a 32-bit real number")) }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
