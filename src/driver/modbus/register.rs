//! What one point is on the wire: table, address, number format, byte order, bits.
//!
//! Addresses are always those of the frame (0-based); a profile's 1-based numbers are turned into them
//! before they come here. Invariant: a [`Register`] always fits its table: bit tables hold one bit, and
//! `address + width` never passes 65536.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::function::Call;

/// Where a point is: in one of the four Modbus tables (Application Protocol 1.1b3, section 4.3), or behind a function
/// that knows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Coils: read by function 1, written by 5 and 15.
    Coil,
    /// Discrete inputs: read by function 2.
    Discrete,
    /// Input registers: read by function 4.
    Input,
    /// Holding registers: read by function 3, written by 6, 16 and 22.
    Holding,
    /// Objects of the device's identification, read by function 43/14: an address is an object's number.
    Identity,
    /// The answer of another function, or what it is given: an address is a byte of the answer.
    Call(Call),
}

/// The number format of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawType {
    /// A single bit: a coil, a discrete input, or one bit of a register.
    Bool,
    /// The low byte of a register, unsigned.
    U8,
    /// The low byte of a register, signed.
    I8,
    /// One register, unsigned.
    U16,
    /// One register, signed.
    I16,
    /// Two registers, unsigned.
    U32,
    /// Two registers, signed.
    I32,
    /// Four registers, unsigned.
    U64,
    /// Four registers, signed.
    I64,
    /// Two registers, IEEE 754 single.
    F32,
    /// Four registers, IEEE 754 double.
    F64,
    /// One register of four binary-coded decimal digits.
    Bcd16,
    /// Two registers of eight binary-coded decimal digits.
    Bcd32,
    /// Three bytes in two registers, unsigned; the highest byte is nothing.
    U24,
    /// Three bytes in two registers, signed.
    I24,
    /// A MAC address in three registers, as text.
    Mac,
    /// Text, two characters per register; its length stands in [`Register::text_bytes`].
    Text,
    /// Text, one character per register, in the low byte; its length stands in [`Register::text_bytes`].
    Chars,
}

/// In which order the bytes of a multi-register number arrive; `A` is the most significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// High word first, high byte first: the Modbus default.
    #[default]
    Abcd,
    /// Low word first, high byte first.
    Cdab,
    /// High word first, low byte first.
    Badc,
    /// Low word first, low byte first.
    Dcba,
}

/// Consecutive bits of a register, numbered from 0 at the least significant one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BitField {
    /// Lowest bit.
    pub shift: u8,
    /// How many.
    pub width: u8,
}

/// A point's place and form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Register {
    /// Which table.
    pub table: Table,
    /// Wire address (0-based).
    pub address: u16,
    /// Where writes go when that is another address (WAGO process images).
    pub write_address: u16,
    /// Number format. A coil that is no [`RawType::Bool`] takes numbers: its write carries them in the place of
    /// on and off.
    pub raw: RawType,
    /// Byte order.
    pub order: Order,
    /// Only these bits of it.
    pub bits: Option<BitField>,
    /// Bytes of a text, 0 for numbers.
    pub text_bytes: u16,
    /// Reading it changes it (counters and alarms that reset): it is never read along with others.
    pub read_to_clear: bool,
}

/// How a point is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMethod {
    /// Functions 5 and 6 for single coils and registers, 15 and 16 for wider points; bits of a register by read-modify-write.
    #[default]
    Auto,
    /// Always functions 15 and 16.
    Multiple,
    /// Mask write, function 22: for bits of a register on devices that know it.
    Mask,
}

impl RawType {
    /// How many registers a number of this format takes; 0 for text.
    #[must_use]
    pub const fn registers(self) -> u16 {
        match self {
            Self::Text | Self::Chars => 0,
            Self::Bool | Self::U8 | Self::I8 | Self::U16 | Self::I16 | Self::Bcd16 => 1,
            Self::U24 | Self::I24 | Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::Mac => 3,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// The word for it in configurations.
    #[must_use]
    pub fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Whether only whole numbers can be written.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        !matches!(self, Self::F32 | Self::F64) && !self.is_text()
    }

    /// Whether it is read as a text.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Chars | Self::Mac)
    }
}

impl Table {
    /// Whether the table holds bits and not registers.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether a master can write to it.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding | Self::Call(_))
    }

    /// The word for it in configurations.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
            Self::Identity => "identification",
            Self::Call(_) => "function",
        }
    }
}

impl Register {
    /// Puts it at another address, for reads and for writes.
    pub(super) const fn relocate(&mut self, address: u16) {
        self.address = address;
        self.write_address = address;
    }

    /// The table that writes go to: what is read as discrete inputs or input registers is written as coils or
    /// holding registers.
    #[must_use]
    pub const fn write_table(&self) -> Table {
        match self.table {
            Table::Discrete => Table::Coil,
            Table::Input => Table::Holding,
            table => table,
        }
    }

    /// How many addresses of its table the point takes.
    #[must_use]
    pub const fn width(&self) -> u16 {
        if self.table.is_bits() || self.is_function() {
            1
        } else if matches!(self.raw, RawType::Text) {
            self.text_bytes.div_ceil(2)
        } else if matches!(self.raw, RawType::Chars) {
            self.text_bytes
        } else {
            self.raw.registers()
        }
    }
}
