//! From what people wrote to plan parts: every mistake is named together with its remedy.
//!
//! Pure. Invariant: a [`Register`] that leaves here fits its table, its device's limits and the address
//! space. Absent: checks across points (overlapping writes, equal topics), which need the whole plan.

use super::Rules;
use super::config::{AddressBase, DeviceConfig, PointConfig};
use super::register::{BitField, RawType, Register, Table, WriteMethod};
use super::settings::{check_pause, check_wait};
use super::sunspec::{Binding, Membership};

/// The most registers that function 16 can write (Application Protocol 1.1b3, section 6.12).
pub(super) const MAX_WRITE_REGISTERS: u16 = 123;

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=125).contains(&self.max_registers) {
            problems.push(format!("max-registers {}: a read carries 1 … 125 registers", self.max_registers));
        }
        if !(1..=2000).contains(&self.max_bits) {
            problems.push(format!("max-bits {}: a read carries 1 … 2000 bits", self.max_bits));
        }
        if self.max_gap > 123 {
            problems.push(format!(
                "max-gap {}: a read of 125 registers has room for 123 between two",
                self.max_gap
            ));
        }
        if let Some(timeout) = self.timeout {
            check_wait(&mut problems, "timeout", timeout);
        }
        check_pause(&mut problems, "pause", self.pause);
        if let Some(wake) = &self.wake {
            problems.extend(wake.problem());
        }
        problems.extend(self.modules_problem());
        problems.extend(self.probes().err());
        problems.extend(self.writes(&self.setup, "setup").err());
        problems
    }

    /// The address in a frame of a number as the configuration has it.
    pub(super) fn wire_address(&self, word: &str, number: u32) -> Result<u16, String> {
        let wire = wire_address(word, number, self.address_base)?;
        let moved = i32::from(wire).checked_add(self.address_offset);
        moved.and_then(|moved| u16::try_from(moved).ok()).ok_or_else(|| {
            format!("{word} {number}: with address-offset {} it lies outside 0 … 65535", self.address_offset)
        })
    }
}

impl PointConfig {
    /// The point's place on the wire and how it is written.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn register(&self, device: &DeviceConfig, writable: bool) -> Result<(Register, WriteMethod), String> {
        let channel = self.channel_place(device, writable)?;
        let (table, number) = match channel {
            Some((table, address, _)) => (table, u32::from(address)),
            None => self.table()?,
        };
        if channel.is_some() && (self.table().is_ok() || self.write_address.is_some()) {
            return Err(
                "module tells the address: remove coil, discrete, input, holding and write-address".into()
            );
        }
        if matches!(table, Table::Identity | Table::Call(_)) {
            return self.function_register(table, number as u16, device, writable);
        }
        let within_model = |number: u32| {
            u16::try_from(number)
                .map_err(|_| format!("{} {number}: a model has 65535 registers", table.word()))
        };
        let address = match (channel, self.model.is_empty()) {
            (Some((_, address, _)), _) => address,
            (None, true) => device.wire_address(table.word(), number)?,
            (None, false) => within_model(number)?,
        };
        let write_address = match (channel, self.write_address) {
            (Some((_, _, written)), _) => written,
            (None, Some(number)) => device.wire_address("write-address", number)?,
            (None, None) => address,
        };
        self.check_model(table)?;
        let (raw, bits) = self.format(table)?;
        let register = Register {
            table,
            address,
            write_address,
            raw,
            order: self.order.unwrap_or(device.order),
            bits,
            text_bytes: self.length.unwrap_or(0),
            read_to_clear: self.read_to_clear,
        };
        check_width(&register, device)?;
        let write = self.write_method(&register, writable)?;
        Ok((Register { table: self.read_table(table)?, ..register }, write))
    }

    /// The table that reads go to: some devices show what is written under the function of the other one.
    fn read_table(&self, table: Table) -> Result<Table, String> {
        match (table, self.read_function) {
            (table, None) | (table @ Table::Coil, Some(1)) | (table @ Table::Holding, Some(3)) => Ok(table),
            (Table::Coil, Some(2)) => Ok(Table::Discrete),
            (Table::Holding, Some(4)) => Ok(Table::Input),
            (Table::Coil, Some(other)) => {
                Err(format!("read-function {other}: a coil is read by function 1, or 2 where its device wants that"))
            }
            (Table::Holding, Some(other)) => {
                Err(format!("read-function {other}: a holding register is read by function 3, or 4 where its device wants that"))
            }
            (_, Some(_)) => Err("read-function belongs to coil and holding: name the point's place by input or discrete instead".into()),
        }
    }

    /// The same for a point behind a function that knows no table.
    fn function_register(
        &self,
        table: Table,
        address: u16,
        device: &DeviceConfig,
        writable: bool,
    ) -> Result<(Register, WriteMethod), String> {
        if self.write.is_some()
            || self.write_address.is_some()
            || !self.model.is_empty()
            || self.exponent.is_some()
        {
            return Err("write, write-address, model and exponent belong to registers: remove them".into());
        }
        if writable && table == Table::Identity {
            return Err("identification cannot be written: use access: r".into());
        }
        let raw = self.function_format(table, writable)?;
        let bits = self.bit_field()?;
        check_length(raw, self.length, table == Table::Identity)?;
        let register = Register {
            table,
            address,
            write_address: address,
            raw,
            order: self.order.unwrap_or(device.order),
            bits,
            text_bytes: self.length.unwrap_or(0),
            read_to_clear: self.read_to_clear,
        };
        Ok((register, WriteMethod::Auto))
    }

    /// What counts for the point besides its register, without the companions.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn rules(&self, device: &DeviceConfig, writable: bool) -> Result<Rules, String> {
        let plain = self.accepts.is_empty() && self.before.is_empty() && self.after.is_empty();
        if !(writable || plain && self.lead.is_empty() && self.confirm.is_empty()) {
            return Err("accepts, before, after, lead and confirm belong to outputs: add access: rw or w, or remove them".into());
        }
        if self.exponent.is_some() && matches!(self.raw, Some(RawType::F32 | RawType::F64)) {
            return Err("exponent is for whole numbers: remove it".into());
        }
        let model = (!self.model.is_empty()).then(|| Membership {
            models: self.model.clone(),
            instance: self.instance.unwrap_or(1),
            state: Binding::Unknown,
        });
        self.check_lead()?;
        Ok(Rules {
            companions: Vec::new(),
            model,
            accepts: self.accepts.clone(),
            before: device.writes(&self.before, "before")?,
            after: device.writes(&self.after, "after")?,
            lead: self.lead.clone(),
            confirm: self.confirmations(device)?,
            count: self.count(writable)?,
        })
    }

    fn check_model(&self, table: Table) -> Result<(), String> {
        match (self.model.is_empty(), self.instance) {
            (true, Some(_)) => Err("instance belongs to model: name the model, or remove it".into()),
            (false, Some(0)) => Err("instance 0: the first model of a number is instance 1".into()),
            (false, _) if table != Table::Holding => {
                Err("model: SunSpec models are in holding registers: name the point's place by holding"
                    .into())
            }
            (false, _) if self.write_address.is_some() => {
                Err("write-address has no meaning in a SunSpec model: remove it".into())
            }
            _ => Ok(()),
        }
    }

    fn table(&self) -> Result<(Table, u32), String> {
        let named = [
            (Table::Coil, self.coil),
            (Table::Discrete, self.discrete),
            (Table::Input, self.input),
            (Table::Holding, self.holding),
        ];
        let function = self.function_place()?.map(|(table, number)| (table, u32::from(number)));
        let mut found =
            named.into_iter().filter_map(|(table, number)| Some((table, number?))).chain(function);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => {
                Err("name where the point is: coil, discrete, input or holding, with its address".into())
            }
            (Some((first, _)), Some((second, _))) => Err(format!(
                "a point is in one table only, but both {} and {} are named; remove one",
                first.word(),
                second.word()
            )),
        }
    }

    fn format(&self, table: Table) -> Result<(RawType, Option<BitField>), String> {
        let word = table.word();
        if table.is_bits() {
            if self.bit.is_some() || self.bits.is_some() {
                return Err(format!(
                    "bit and bits pick from registers; a {word} is one bit already: remove them"
                ));
            }
            if self.order.is_some() || self.length.is_some() {
                return Err(format!(
                    "order and length belong to registers; a {word} is one bit: remove them"
                ));
            }
            return match self.raw {
                None | Some(RawType::Bool) => Ok((RawType::Bool, None)),
                // Toggles and durations: the number stands where on and off do.
                Some(RawType::U16) if table == Table::Coil => Ok((RawType::U16, None)),
                Some(other) => Err(format!("a {word} is one bit: remove type {}", other.word())),
            };
        }
        let bits = self.bit_field()?;
        let raw = match (self.raw, bits, self.bit) {
            (None, Some(_), Some(_)) => RawType::Bool,
            (None, _, _) => RawType::U16,
            (Some(RawType::Bool), None, _) => {
                return Err(format!("type bool in a {word} register: say which bit, such as bit: 0"));
            }
            // Of part of a register, the type only says whether its highest bit is a sign.
            (
                Some(raw @ (RawType::Bool | RawType::U8 | RawType::U16 | RawType::I8 | RawType::I16)),
                Some(_),
                _,
            ) => raw,
            (Some(other), Some(_), _) => {
                let written = other.word();
                return Err(format!(
                    "bits are picked from one 16-bit register: remove type {written}, or say i16 where the highest is a sign"
                ));
            }
            (Some(raw), None, _) => raw,
        };
        if raw == RawType::Bool && bits.is_some_and(|field| field.width != 1) {
            return Err("type bool is one bit: use bit, or leave the type out".into());
        }
        check_length(raw, self.length, false)?;
        Ok((raw, bits))
    }

    fn bit_field(&self) -> Result<Option<BitField>, String> {
        let beyond = |bit: u8| {
            format!("bit {bit}: a register has bits 0 … 15; for higher ones name the next register")
        };
        match (self.bit, self.bits) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("bit and bits exclude each other: remove one".into()),
            (Some(bit), None) if bit > 15 => Err(beyond(bit)),
            (Some(bit), None) => Ok(Some(BitField { shift: bit, width: 1 })),
            (None, Some((low, high))) if high < low => {
                Err(format!("bits [{low}, {high}]: write the lowest bit first: [{high}, {low}]"))
            }
            (None, Some((_, high))) if high > 15 => Err(beyond(high)),
            (None, Some((low, high))) => Ok(Some(BitField { shift: low, width: high - low + 1 })),
        }
    }

    fn write_method(&self, register: &Register, writable: bool) -> Result<WriteMethod, String> {
        let word = register.table.word();
        if !writable {
            return if self.write.is_some() || self.write_address.is_some() {
                Err("write and write-address need access: rw or w".into())
            } else {
                Ok(WriteMethod::Auto)
            };
        }
        if !register.table.is_writable() {
            return Err(format!(
                "points of the table `{word}` cannot be written: use access: r, or name a coil or holding register"
            ));
        }
        if register.width() > MAX_WRITE_REGISTERS {
            let width = register.width();
            return Err(format!(
                "{width} registers cannot be written at once; the most is {MAX_WRITE_REGISTERS}"
            ));
        }
        if self.read_to_clear && register.bits.is_some() && self.write != Some(WriteMethod::Mask) {
            return Err("writing bits of this register would read, and so clear, it: use write: mask".into());
        }
        match self.write.unwrap_or_default() {
            WriteMethod::Mask if register.bits.is_none() => {
                Err("write: mask is for bits of a holding register: remove it, or name bit or bits".into())
            }
            method => Ok(method),
        }
    }
}

fn wire_address(word: &str, number: u32, base: AddressBase) -> Result<u16, String> {
    let below = match base {
        AddressBase::Zero => Some(number),
        AddressBase::One => number.checked_sub(1),
    };
    let Some(wire) = below else {
        return Err(format!("{word} 0: with address-base 1, addresses start at 1"));
    };
    u16::try_from(wire).map_err(|_| {
        let last = if base == AddressBase::One { 65_536 } else { 65_535 };
        format!(
            "{word} {number}: addresses end at {last}; a manual's 400001 is the table and number 1: holding: {}",
            if base == AddressBase::One { 1 } else { 0 }
        )
    })
}

/// Texts have a length, and nothing else has; `telling` are those that come with theirs.
fn check_length(raw: RawType, length: Option<u16>, telling: bool) -> Result<(), String> {
    match (raw, length) {
        (RawType::Text | RawType::Chars, None) if !telling => {
            Err("type text: give its length in characters, such as length: 16".into())
        }
        (RawType::Text | RawType::Chars, Some(0)) => {
            Err("length 0: a text has at least one character".into())
        }
        (RawType::Text | RawType::Chars, _) | (_, None) => Ok(()),
        (_, Some(_)) => Err("length belongs to type text: remove it, or say type: text".into()),
    }
}

fn check_width(register: &Register, device: &DeviceConfig) -> Result<(), String> {
    let width = register.width();
    let end = |from: u16| u32::from(from) + u32::from(width);
    if end(register.address.max(register.write_address)) > 65_536 {
        let from = register.address.max(register.write_address);
        return Err(format!(
            "a point of {width} registers at wire address {from} passes the last address, 65535"
        ));
    }
    if !register.table.is_bits() && width > device.max_registers {
        let most = device.max_registers;
        return Err(format!("the point takes {width} registers, but max-registers of its device is {most}"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
