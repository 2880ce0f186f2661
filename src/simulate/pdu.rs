//! What masters ask, as a slave reads it: the PDU of Modbus Application Protocol 1.1b3.
//!
//! Pure, and on purpose not shared with the driver: the two sides are written from the standard one by
//! one, so that a slip in one of them shows against the other. Invariant: a [`Request`] has a lawful
//! quantity and its data has the length that the quantity asks for; addresses are not checked here.

use crate::driver::modbus::register::Table;

/// The most bytes of a PDU (section 4.1).
pub(super) const MAX_PDU: usize = 253;

/// Exception codes (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exception(pub u8);

impl Exception {
    /// The function is not known.
    pub(super) const FUNCTION: Self = Self(1);
    /// An address is not there.
    pub(super) const ADDRESS: Self = Self(2);
    /// A quantity or a value is not allowed.
    pub(super) const VALUE: Self = Self(3);
}

/// One question of a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Functions 1 to 4.
    Read {
        /// Which table.
        table: Table,
        /// First address.
        address: u16,
        /// How many bits or registers.
        count: u16,
    },
    /// Function 5.
    WriteCoil {
        /// Which coil.
        address: u16,
        /// Its new state.
        on: bool,
    },
    /// Function 6.
    WriteRegister {
        /// Which register.
        address: u16,
        /// Its new contents.
        word: u16,
    },
    /// Function 5 with a number that is neither on nor off: toggles and durations of some relays.
    WriteCoilWord {
        /// Which coil.
        address: u16,
        /// The number.
        word: u16,
    },
    /// Function 15.
    WriteCoils {
        /// First coil.
        address: u16,
        /// How many.
        count: u16,
        /// Packed states, the first in the lowest bit.
        bits: &'a [u8],
    },
    /// Function 16.
    WriteRegisters {
        /// First register.
        address: u16,
        /// Contents, two bytes each, high byte first.
        words: &'a [u8],
    },
    /// Function 22.
    Mask {
        /// Which register.
        address: u16,
        /// Bits that stay.
        and: u16,
        /// Bits that are set where they do not stay.
        or: u16,
    },
    /// Function 23: the write comes first.
    ReadWrite {
        /// First register to be read.
        read_address: u16,
        /// How many.
        read_count: u16,
        /// First register to be written.
        write_address: u16,
        /// Contents, two bytes each, high byte first.
        words: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// Reads a PDU.
    ///
    /// # Errors
    /// The exception that a slave answers: an unknown function, or a quantity or length that is not allowed.
    pub(super) fn parse(pdu: &'a [u8]) -> Result<Self, Exception> {
        let Some((function, data)) = pdu.split_first() else {
            return Err(Exception::FUNCTION);
        };
        match function {
            1 => read(Table::Coil, data, 2000),
            2 => read(Table::Discrete, data, 2000),
            3 => read(Table::Holding, data, 125),
            4 => read(Table::Input, data, 125),
            5 => match pair(data)? {
                (address, 0xff00) => Ok(Self::WriteCoil { address, on: true }),
                (address, 0x0000) => Ok(Self::WriteCoil { address, on: false }),
                (address, word) => Ok(Self::WriteCoilWord { address, word }),
            },
            6 => pair(data).map(|(address, word)| Self::WriteRegister { address, word }),
            15 => {
                let (address, count, bits) = counted(data)?;
                let fits = (1..=1968).contains(&count) && bits.len() == usize::from(count.div_ceil(8));
                fits.then_some(Self::WriteCoils { address, count, bits }).ok_or(Exception::VALUE)
            }
            16 => {
                let (address, count, words) = counted(data)?;
                let fits = (1..=123).contains(&count) && words.len() == usize::from(count) * 2;
                fits.then_some(Self::WriteRegisters { address, words }).ok_or(Exception::VALUE)
            }
            22 => {
                let (address, tail) = word(data)?;
                pair(tail).map(|(and, or)| Self::Mask { address, and, or })
            }
            23 => read_write(data),
            _ => Err(Exception::FUNCTION),
        }
    }

    /// What the request writes: table, first address, how many. `None` for reads.
    #[must_use]
    pub(super) fn written(&self) -> Option<(Table, u16, u16)> {
        match *self {
            Self::Read { .. } => None,
            Self::WriteCoil { address, .. } | Self::WriteCoilWord { address, .. } => {
                Some((Table::Coil, address, 1))
            }
            Self::WriteCoils { address, count, .. } => Some((Table::Coil, address, count)),
            Self::WriteRegister { address, .. } | Self::Mask { address, .. } => {
                Some((Table::Holding, address, 1))
            }
            Self::WriteRegisters { address, words }
            | Self::ReadWrite { write_address: address, words, .. } => {
                Some((Table::Holding, address, (words.len() / 2) as u16))
            }
        }
    }

    /// What the request reads: table, first address, how many. `None` for writes.
    #[must_use]
    pub(super) fn read(&self) -> Option<(Table, u16, u16)> {
        match *self {
            Self::Read { table, address, count } => Some((table, address, count)),
            Self::ReadWrite { read_address, read_count, .. } => {
                Some((Table::Holding, read_address, read_count))
            }
            _ => None,
        }
    }
}

fn read(table: Table, data: &[u8], most: u16) -> Result<Request<'_>, Exception> {
    let (address, count) = pair(data)?;
    let lawful = (1..=most).contains(&count);
    lawful.then_some(Request::Read { table, address, count }).ok_or(Exception::VALUE)
}

fn read_write(data: &[u8]) -> Result<Request<'_>, Exception> {
    let (read_address, tail) = word(data)?;
    let (read_count, tail) = word(tail)?;
    let (write_address, write_count, words) = counted(tail)?;
    let lawful = (1..=125).contains(&read_count)
        && (1..=121).contains(&write_count)
        && words.len() == usize::from(write_count) * 2;
    lawful
        .then_some(Request::ReadWrite { read_address, read_count, write_address, words })
        .ok_or(Exception::VALUE)
}

fn word(data: &[u8]) -> Result<(u16, &[u8]), Exception> {
    match data {
        [high, low, tail @ ..] => Ok((u16::from_be_bytes([*high, *low]), tail)),
        _ => Err(Exception::VALUE),
    }
}

/// Two words and nothing after them.
fn pair(data: &[u8]) -> Result<(u16, u16), Exception> {
    let (first, tail) = word(data)?;
    let (second, rest) = word(tail)?;
    if rest.is_empty() { Ok((first, second)) } else { Err(Exception::VALUE) }
}

/// Address, quantity, byte count, and that many bytes.
fn counted(data: &[u8]) -> Result<(u16, u16, &[u8]), Exception> {
    let (address, tail) = word(data)?;
    let (count, tail) = word(tail)?;
    match tail.split_first() {
        Some((bytes, rest)) if usize::from(*bytes) == rest.len() => Ok((address, count, rest)),
        _ => Err(Exception::VALUE),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_of_the_standard_are_read() {
        // The examples of sections 6.1, 6.5, 6.11, 6.12, 6.16 and 6.17.
        let read = Request::Read { table: Table::Coil, address: 0x13, count: 0x13 };
        assert_eq!(Request::parse(&[1, 0, 0x13, 0, 0x13]), Ok(read));
        assert_eq!(
            Request::parse(&[5, 0, 0xac, 0xff, 0]),
            Ok(Request::WriteCoil { address: 0xac, on: true })
        );
        assert_eq!(
            Request::parse(&[15, 0, 0x13, 0, 10, 2, 0xcd, 1]),
            Ok(Request::WriteCoils { address: 0x13, count: 10, bits: &[0xcd, 1] })
        );
        assert_eq!(
            Request::parse(&[16, 0, 1, 0, 2, 4, 0, 0x0a, 1, 2]),
            Ok(Request::WriteRegisters { address: 1, words: &[0, 0x0a, 1, 2] })
        );
        assert_eq!(
            Request::parse(&[22, 0, 4, 0, 0xf2, 0, 0x25]),
            Ok(Request::Mask { address: 4, and: 0xf2, or: 0x25 })
        );
        let Ok(both) = Request::parse(&[23, 0, 3, 0, 6, 0, 14, 0, 3, 6, 0, 255, 0, 255, 0, 255]) else {
            panic!("function 23");
        };
        assert_eq!(both.read(), Some((Table::Holding, 3, 6)));
        assert_eq!(both.written(), Some((Table::Holding, 14, 3)));
    }

    #[test]
    fn what_is_not_allowed_is_refused_as_the_standard_says() {
        for (pdu, exception) in [
            (&[7_u8][..], Exception::FUNCTION),
            (&[], Exception::FUNCTION),
            (&[3, 0, 0, 0, 0], Exception::VALUE),
            (&[3, 0, 0, 0, 126], Exception::VALUE),
            (&[1, 0, 0, 7, 0xd1], Exception::VALUE),
            (&[3, 0, 0, 0], Exception::VALUE),
            (&[3, 0, 0, 0, 1, 0], Exception::VALUE),
            (&[5, 0, 0, 1], Exception::VALUE),
            (&[15, 0, 0, 0, 9, 1, 0], Exception::VALUE),
            (&[16, 0, 0, 0, 1, 3, 0, 0, 0], Exception::VALUE),
            (&[23, 0, 0, 0, 1, 0, 0, 0, 0, 0], Exception::VALUE),
        ] {
            assert_eq!(Request::parse(pdu), Err(exception), "{pdu:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_exception(pdu in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(request) = Request::parse(&pdu) {
                let count = request.read().map_or(0, |(_, _, n)| n) + request.written().map_or(0, |(_, _, n)| n);
                prop_assert!(count > 0 && count <= 2000);
            }
        }
    }
}
