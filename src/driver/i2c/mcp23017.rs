//! Microchip MCP23017: sixteen lines as inputs and outputs.
//!
//! Source: data sheet DS20001952, section 3.5 (registers in bank 0). A line is an input until it is first
//! written, which the arbiter does at start with its safe state. Invariant: a chip that has lost its set-up
//! (it lost power) is noticed with the next access; its outputs are inputs then, and nothing switches them
//! on again by itself.

use std::time::Instant;

use super::config::{Input, Quantity};
use super::wire::Wire;
use super::{Part, Step};
use crate::driver::local::Fault;
use crate::model::{Reason, Value};

const IODIR: u8 = 0x00;
const GPPU: u8 = 0x0C;
const GPIO: u8 = 0x12;
const OLAT: u8 = 0x14;

/// The chip.
pub(super) struct Mcp23017 {
    address: u8,
    /// What was set up: which lines are inputs, which have pull-ups.
    set_up: Option<(u16, u16)>,
}

impl Mcp23017 {
    pub(super) const fn new(address: u8) -> Self {
        Self { address, set_up: None }
    }

    fn get(&self, wire: &mut dyn Wire, register: u8) -> Result<u16, Fault> {
        let mut bytes = [0; 2];
        wire.transfer(self.address, &[register], &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn put(&self, wire: &mut dyn Wire, register: u8, value: u16) -> Result<(), Fault> {
        let [a, b] = value.to_le_bytes();
        wire.transfer(self.address, &[register, a, b], &mut [])
    }

    /// Sets the chip up where it is not: pull-ups first; directions stay as they are.
    fn ready(&mut self, wire: &mut dyn Wire, inputs: &[Input]) -> Result<(u16, u16), Fault> {
        let pull = inputs.iter().filter(|input| input.pull_up).filter_map(|input| bit(*input));
        let pull = pull.fold(0, |all, bit| all | bit);
        if let Some((directions, pulls)) = self.set_up {
            if self.get(wire, IODIR)? != directions {
                return Err(Fault::Malformed("the chip has lost its set-up: it was without power".into()));
            }
            if pulls & pull == pull {
                return Ok((directions, pulls));
            }
        }
        let directions = self.get(wire, IODIR)?;
        let pulls = self.get(wire, GPPU)? | pull;
        self.put(wire, GPPU, pulls)?;
        Ok(*self.set_up.insert((directions, pulls)))
    }
}

fn bit(input: Input) -> Option<u16> {
    match input.quantity {
        Quantity::Pin(pin) => Some(1 << (pin & 15)),
        _ => None,
    }
}

impl Part for Mcp23017 {
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], _: Instant) -> Result<Step, Fault> {
        self.ready(wire, inputs)?;
        let levels = self.get(wire, GPIO)?;
        Ok(Step::Done(
            inputs
                .iter()
                .map(|input| match bit(*input) {
                    Some(bit) => Ok(Value::Bool(levels & bit != 0)),
                    None => Err(Fault::NoValue(Reason::NotAvailable)),
                })
                .collect(),
        ))
    }

    fn write(&mut self, wire: &mut dyn Wire, input: Input, state: bool) -> Result<(), Fault> {
        let bit = bit(input).ok_or_else(|| Fault::Malformed("no such line".into()))?;
        let (directions, pulls) = self.ready(wire, &[input])?;
        let latch = self.get(wire, OLAT)?;
        // The latch before the direction, so that the line never shows another state.
        self.put(wire, OLAT, if state { latch | bit } else { latch & !bit })?;
        if directions & bit != 0 {
            self.put(wire, IODIR, directions & !bit)?;
            self.set_up = Some((directions & !bit, pulls));
        }
        Ok(())
    }
}
