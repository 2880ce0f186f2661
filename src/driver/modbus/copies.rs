//! The copies of a repeated point: how far its place, and the registers beside it, move from one to the next.
//!
//! Pure. Invariant: nothing moves out of 0 … 65535.

use super::Rules;
use super::config::{DeviceConfig, PointConfig};
use super::register::{BitField, Register, Table};
use crate::driver::entry::{Shift, Surroundings};

/// The last address of a table, as it is counted from 1.
const MAX_ADDRESS: u32 = 65_536;

/// What counts for a point besides its register; the registers beside it moved to its copy.
pub(super) fn rules(config: &PointConfig, around: &Surroundings<'_, DeviceConfig>) -> Result<Rules, String> {
    let mut rules = config.rules(around.device, around.access.writable())?;
    for (mut companion, step) in config.companions(around.device)? {
        move_companion(&mut companion.register, Shift { step, ..around.shift })?;
        rules.companions.push(companion);
    }
    for (confirm, step) in rules.confirm.iter_mut().zip(&config.confirm) {
        move_companion(&mut confirm.register, Shift { step: step.step, ..around.shift })?;
    }
    Ok(rules)
}

/// How far the address of a register moves to its copy, and which lowest bit it has there where it is made of bits.
fn moved(register: &Register, shift: Shift) -> (i64, Option<u8>) {
    // Answers of functions are counted in bytes.
    let (width, size) = match register.table {
        Table::Call(_) => (register.reply_len() as i64, 8),
        _ => (i64::from(register.width()), 16),
    };
    let Some(bits) = register.bits else { return (shift.distance(width), None) };
    let bit = i64::from(bits.shift) + shift.distance(i64::from(bits.width));
    (bit.div_euclid(size), Some(bit.rem_euclid(size) as u8))
}

/// Moves a register beside a point as the point's copy is moved.
fn move_companion(register: &mut Register, shift: Shift) -> Result<(), String> {
    let (distance, low) = moved(register, shift);
    register.bits = register.bits.zip(low).map(|(bits, shift)| BitField { shift, ..bits });
    let address = i64::from(register.address) + distance;
    let address = u16::try_from(address).map_err(|_| "the registers beside the copies run past 0 … 65535")?;
    register.relocate(address);
    Ok(())
}

/// Moves the addresses, or the bits where the point is made of bits, by `step` times the number of the copy.
pub(super) fn move_to_copy(
    config: &mut PointConfig,
    around: &Surroundings<'_, DeviceConfig>,
) -> Result<(), String> {
    let (first, _) = config.register(around.device, around.access.writable())?;
    let (distance, low) = moved(&first, around.shift);
    if let Some((bits, low)) = first.bits.zip(low) {
        config.bit = config.bit.map(|_| low);
        config.bits = config.bits.map(|_| (low, low + bits.width - 1));
    }
    if config.module.is_some() {
        let first = i64::from(config.module_channel.unwrap_or(1));
        let moved =
            u16::try_from(first + distance).map_err(|_| "the channels of the copies run past the module")?;
        config.module_channel = Some(moved);
        return Ok(());
    }
    let places = [config.identification.as_mut(), config.function.map(|_| &mut config.reply_at)];
    for place in places.into_iter().flatten() {
        let moved = u8::try_from(i64::from(*place) + distance);
        *place = moved.map_err(|_| "the objects or answers of the copies run past 0 … 255")?;
    }
    let addresses = [
        &mut config.coil,
        &mut config.discrete,
        &mut config.input,
        &mut config.holding,
        &mut config.write_address,
    ];
    for address in addresses.into_iter().flatten() {
        let moved = u32::try_from(i64::from(*address) + distance).ok();
        let within = moved.filter(|moved| *moved <= MAX_ADDRESS);
        *address = within.ok_or("the addresses of the copies run past 0 … 65535")?;
    }
    Ok(())
}
