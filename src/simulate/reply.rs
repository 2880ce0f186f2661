//! Data of requests into registers, registers into answers, and what a fault does to an answer's PDU.
//!
//! Invariant: an answer keeps its function code as first byte, whatever is cut off it.

use super::fault::Effects;
use super::pdu::Request;
use crate::driver::modbus::register::Table;

/// What toggles a coil of the relay boards that know it (Waveshare Modbus RTU Relay).
const TOGGLE: u16 = 0x5500;

/// Puts the data of a write into the words that it addresses; there are as many as it says.
pub(super) fn store(request: &Request<'_>, words: &mut [u16]) {
    match *request {
        Request::Read { .. } => {}
        Request::WriteCoil { on, .. } => words[0] = u16::from(on),
        Request::WriteCoilWord { word: TOGGLE, .. } => words[0] = u16::from(words[0] == 0),
        Request::WriteCoilWord { .. } => words[0] = 1,
        Request::WriteRegister { word, .. } => words[0] = word,
        Request::Mask { and, or, .. } => words[0] = (words[0] & and) | (or & !and),
        Request::WriteCoils { bits, .. } => {
            for (i, word) in words.iter_mut().enumerate() {
                *word = u16::from(bits[i / 8] >> (i % 8) & 1);
            }
        }
        Request::WriteRegisters { words: data, .. } | Request::ReadWrite { words: data, .. } => {
            for (word, bytes) in words.iter_mut().zip(data.chunks_exact(2)) {
                *word = u16::from_be_bytes([bytes[0], bytes[1]]);
            }
        }
    }
}

/// The answer to a read.
pub(super) fn contents(function: u8, table: Table, words: &[u16]) -> Vec<u8> {
    let data: Vec<u8> = if table.is_bits() {
        let pack = |eight: &[u16]| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0));
        words.chunks(8).map(pack).collect()
    } else {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    };
    let mut answer = vec![function, data.len() as u8];
    answer.extend_from_slice(&data);
    answer
}

/// The faults that show within the PDU.
pub(super) fn spoil(answer: &mut Vec<u8>, effects: &Effects) {
    let refusal = answer[0] & 0x80 != 0;
    let is_read = matches!(answer[0], 1..=4 | 23);
    if effects.wrong_echo
        && !is_read
        && !refusal
        && let Some(last) = answer.last_mut()
    {
        *last ^= 1;
    }
    if effects.short {
        // A register less, or the one byte that there is.
        let keep = if is_read && answer.len() == 3 { 2 } else { answer.len().saturating_sub(2).max(1) };
        answer.truncate(keep);
        if is_read && let Some(count) = answer.get_mut(1) {
            *count = (keep - 2) as u8;
        }
    }
    if effects.wrong_function {
        // 3 for 4 and the like: another function that looks as good.
        answer[0] ^= 7;
    }
}
