//! What the driver asks of a unit, and the shape that an honest answer must have.
//!
//! Invariant: the prefix and length of [`Expect`] pin down everything about a normal answer except the
//! contents that were read.

use std::borrow::Cow;

use tokio_modbus::{Request, Response};

use crate::driver::modbus::function::{Call, IDENTIFICATION, MEI_TYPE, category, object, objects_len};
use crate::driver::modbus::register::{Register, Table};
use crate::model::Value;

/// The longest answer without unit and checksum (Application Protocol 1.1b3, section 4.1).
pub const MAX_PDU: usize = 253;

/// The exception of what is not there (section 7).
const ILLEGAL_ADDRESS: u8 = 2;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Functions 1 to 4.
    Read {
        /// From which table.
        table: Table,
        /// First wire address.
        address: u16,
        /// How many: 1 … 125 registers or 1 … 2000 bits.
        count: u16,
    },
    /// Function 5.
    WriteCoil {
        /// Wire address.
        address: u16,
        /// Its new state.
        on: bool,
    },
    /// Function 5 with a number where the standard knows on and off: toggles and durations of some relays.
    WriteCoilWord {
        /// Wire address.
        address: u16,
        /// What stands for the state.
        word: u16,
    },
    /// Function 15.
    WriteCoils {
        /// First wire address.
        address: u16,
        /// New states, 1 … 1968.
        states: Vec<bool>,
    },
    /// Function 6.
    WriteRegister {
        /// Wire address.
        address: u16,
        /// Its new contents.
        word: u16,
    },
    /// Function 16.
    WriteRegisters {
        /// First wire address.
        address: u16,
        /// New contents, 1 … 123.
        words: Vec<u16>,
    },
    /// Function 22: contents = (contents AND `and`) OR (`or` AND NOT `and`).
    MaskWrite {
        /// Wire address.
        address: u16,
        /// Ones where the register keeps its bits.
        and: u16,
        /// The new bits.
        or: u16,
    },
    /// Function 43/14: an object of the device's identification.
    Identify {
        /// Which object: 0 vendor, 1 product code, 2 revision, 3 and up what the device has.
        object: u8,
    },
    /// A function that knows no table.
    Call {
        /// The request.
        call: Call,
        /// What follows the bytes that are the same each time.
        value: Vec<u8>,
    },
    /// Function 8, sub-function 0: the unit sends back what it got and does nothing else.
    Echo {
        /// What is sent back.
        word: u16,
    },
}

/// An answer that fits its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As many registers as were asked for.
    Words(Vec<u16>),
    /// As many bits as were asked for.
    Bits(Vec<bool>),
    /// The bytes behind the function code, or those of an object.
    Bytes(Vec<u8>),
    /// The write was acknowledged.
    Done,
}

/// What tells answers apart on a line without transaction numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    function: u8,
    pdu_len: usize,
}

/// The shape of a normal answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The unit that must answer.
    pub unit: u8,
    /// Length of the answer without unit and checksum.
    pub pdu_len: usize,
    prefix: [u8; 7],
    prefix_len: usize,
    /// The answer is a list of objects, which tells its own length.
    objects: bool,
}

impl Ask {
    /// The request that reads a register and nothing else.
    #[must_use]
    pub const fn read(register: &Register) -> Self {
        Self::span(register.table, register.address, register.width())
    }

    /// The request that reads so much of a table.
    #[must_use]
    pub const fn span(table: Table, address: u16, count: u16) -> Self {
        match table {
            Table::Identity => Self::Identify { object: address as u8 },
            Table::Call(call) => Self::Call { call, value: Vec::new() },
            table => Self::Read { table, address, count },
        }
    }

    /// The function code.
    #[must_use]
    pub const fn function(&self) -> u8 {
        match self {
            Self::Read { table: Table::Coil, .. } => 1,
            Self::Read { table: Table::Discrete, .. } => 2,
            Self::Read { table: Table::Holding, .. } => 3,
            Self::Read { table: Table::Input, .. } => 4,
            Self::Read { table: Table::Identity, .. } | Self::Identify { .. } => IDENTIFICATION,
            Self::Read { table: Table::Call(call), .. } | Self::Call { call, .. } => call.function,
            Self::WriteCoil { .. } | Self::WriteCoilWord { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
            Self::MaskWrite { .. } => 22,
            Self::Echo { .. } => 8,
        }
    }

    /// The request in tokio-modbus' words.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        match self {
            Self::Read { table, address, count } => match table {
                Table::Coil => Request::ReadCoils(*address, *count),
                Table::Discrete => Request::ReadDiscreteInputs(*address, *count),
                Table::Holding => Request::ReadHoldingRegisters(*address, *count),
                Table::Input => Request::ReadInputRegisters(*address, *count),
                // Made by `Ask::span` in other forms.
                Table::Identity | Table::Call(_) => Request::Custom(self.function(), Cow::Borrowed(&[])),
            },
            Self::Identify { object } => {
                Request::Custom(IDENTIFICATION, Cow::Owned(vec![MEI_TYPE, category(*object), *object]))
            }
            Self::Call { call, value } => {
                Request::Custom(call.function, Cow::Owned([call.sent(), value].concat()))
            }
            Self::WriteCoil { address, on } => Request::WriteSingleCoil(*address, *on),
            Self::WriteCoils { address, states } => {
                Request::WriteMultipleCoils(*address, Cow::Borrowed(states))
            }
            Self::WriteCoilWord { address, word } => {
                let pairs = [address.to_be_bytes(), word.to_be_bytes()];
                Request::Custom(5, Cow::Owned(pairs.concat()))
            }
            Self::WriteRegister { address, word } => Request::WriteSingleRegister(*address, *word),
            Self::WriteRegisters { address, words } => {
                Request::WriteMultipleRegisters(*address, Cow::Borrowed(words))
            }
            Self::MaskWrite { address, and, or } => Request::MaskWriteRegister(*address, *and, *or),
            Self::Echo { word } => {
                let [high, low] = word.to_be_bytes();
                Request::Custom(8, Cow::Owned(vec![0, 0, high, low]))
            }
        }
    }

    /// Length of the request without unit and checksum.
    #[must_use]
    pub fn pdu_len(&self) -> usize {
        match self {
            Self::WriteCoils { states, .. } => 6 + states.len().div_ceil(8),
            Self::WriteRegisters { words, .. } => 6 + 2 * words.len(),
            Self::MaskWrite { .. } => 7,
            Self::Identify { .. } => 4,
            Self::Call { call, value } => 1 + call.sent().len() + value.len(),
            _ => 5,
        }
    }

    /// Length of a normal answer without unit and checksum; where only the answer tells it, the most that it can be.
    #[must_use]
    pub fn answer_pdu_len(&self) -> usize {
        match self {
            Self::Identify { .. } => MAX_PDU,
            Self::Call { call, .. } => 1 + usize::from(call.reply),
            Self::Read { table, count, .. } => 2 + data_bytes(*table, *count),
            Self::MaskWrite { .. } => 7,
            _ => 5,
        }
    }

    /// What tells this request's answer from others.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { function: self.function(), pdu_len: self.answer_pdu_len() }
    }

    /// The shape of a normal answer by `unit`.
    #[must_use]
    pub fn expect(&self, unit: u8) -> Expect {
        let mut prefix = [0; 7];
        prefix[0] = self.function();
        let mut pair = |at: usize, word: u16| prefix[at..at + 2].copy_from_slice(&word.to_be_bytes());
        let prefix_len = match self {
            Self::Read { table, count, .. } => {
                prefix[1] = data_bytes(*table, *count) as u8;
                2
            }
            Self::WriteCoil { address, on } => {
                pair(1, *address);
                pair(3, if *on { 0xFF00 } else { 0 });
                5
            }
            Self::WriteRegister { address, word } | Self::WriteCoilWord { address, word } => {
                pair(1, *address);
                pair(3, *word);
                5
            }
            Self::WriteCoils { address, states } => {
                pair(1, *address);
                pair(3, states.len() as u16);
                5
            }
            Self::WriteRegisters { address, words } => {
                pair(1, *address);
                pair(3, words.len() as u16);
                5
            }
            Self::MaskWrite { address, and, or } => {
                pair(1, *address);
                pair(3, *and);
                pair(5, *or);
                7
            }
            Self::Echo { word } => {
                pair(1, 0);
                pair(3, *word);
                5
            }
            Self::Identify { object } => {
                (prefix[1], prefix[2]) = (MEI_TYPE, category(*object));
                3
            }
            Self::Call { .. } => 1,
        };
        let objects = matches!(self, Self::Identify { .. });
        Expect { unit, pdu_len: self.answer_pdu_len(), prefix, prefix_len, objects }
    }

    /// What a function that tokio-modbus does not know has brought, out of a frame's PDU; the exception's code where
    /// it is one. An object that the device does not have is one, too: it would refuse to give that one alone.
    pub(super) fn bytes(&self, pdu: &[u8]) -> Result<Answer, u8> {
        match (self, pdu) {
            (_, [function, code, ..]) if *function == self.function() | 0x80 => Err(*code),
            (Self::Identify { object: wanted }, pdu) => {
                object(pdu, *wanted).map(|own| Answer::Bytes(own.to_vec())).ok_or(ILLEGAL_ADDRESS)
            }
            (Self::Call { .. }, [_, bytes @ ..]) => Ok(Answer::Bytes(bytes.to_vec())),
            _ => Ok(Answer::Done),
        }
    }

    /// What was read, when it is what was asked for.
    #[must_use]
    pub fn answer(&self, response: Response) -> Option<Answer> {
        match (self, response) {
            (Self::Read { table: Table::Coil, count, .. }, Response::ReadCoils(mut bits))
            | (Self::Read { table: Table::Discrete, count, .. }, Response::ReadDiscreteInputs(mut bits)) => {
                // The last byte is padded: only its used bits were asked for.
                bits.truncate(usize::from(*count));
                (bits.len() == usize::from(*count)).then_some(Answer::Bits(bits))
            }
            (Self::Read { table: Table::Holding, count, .. }, Response::ReadHoldingRegisters(words))
            | (Self::Read { table: Table::Input, count, .. }, Response::ReadInputRegisters(words)) => {
                (words.len() == usize::from(*count)).then_some(Answer::Words(words))
            }
            (Self::Read { .. } | Self::Identify { .. } | Self::Call { .. }, _) => None,
            (_, response) => (response.function_code().value() == self.function()).then_some(Answer::Done),
        }
    }
}

impl Answer {
    /// The raw value of a register that lies `from` addresses behind the first one that was asked for; `None`
    /// where the contents are none.
    #[must_use]
    pub fn raw(&self, register: &Register, from: usize) -> Option<Value> {
        match self {
            Self::Words(words) => {
                let own = words.get(from..from + usize::from(register.width()))?;
                register.decode(own).ok()
            }
            Self::Bits(bits) => bits.get(from).map(|bit| Value::Bool(*bit)),
            Self::Bytes(bytes) => register.reply_value(bytes),
            Self::Done => None,
        }
    }
}

impl Expect {
    /// Whether `pdu`, as much of it as is there, can be the beginning of the answer or of an exception.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self, pdu: &[u8]) -> Result<(), String> {
        let Some(function) = pdu.first() else { return Ok(()) };
        if *function == self.prefix[0] | 0x80 {
            return Ok(());
        }
        let known = pdu.len().min(self.prefix_len);
        let differs = pdu[..known].iter().zip(&self.prefix).position(|(got, wanted)| got != wanted);
        match differs {
            None => Ok(()),
            Some(0) => Err(format!("function {function} answers function {}", self.prefix[0])),
            Some(at) => Err(format!(
                "byte {at} of the answer is {:#04x}, the request calls for {:#04x}",
                pdu[at], self.prefix[at]
            )),
        }
    }

    /// How long the answer must be that begins like this; `None` while that cannot be told yet.
    ///
    /// # Errors
    /// When it says of itself that it is longer than any answer can be.
    pub fn len(&self, pdu: &[u8]) -> Result<Option<usize>, String> {
        if pdu.first().is_some_and(|function| *function == self.prefix[0] | 0x80) {
            return Ok(Some(2));
        }
        if !self.objects {
            return Ok(Some(self.pdu_len));
        }
        match objects_len(pdu) {
            Some(len) if len > MAX_PDU => {
                Err(format!("the objects take {len} bytes, more than an answer has"))
            }
            None if pdu.len() >= MAX_PDU => Err("the objects do not end".into()),
            len => Ok(len),
        }
    }
}

/// How many bytes hold `count` registers or bits.
fn data_bytes(table: Table, count: u16) -> usize {
    if table.is_bits() { usize::from(count).div_ceil(8) } else { 2 * usize::from(count) }
}

#[cfg(test)]
impl Expect {
    /// The bytes of the answer that are known beforehand.
    pub(super) fn prefix_for_tests(&self) -> Vec<u8> {
        self.prefix[..self.prefix_len].to_vec()
    }
}
