//! Texas Instruments ADS1115: one conversion per input, the inputs of a poll one after the other.
//!
//! Source: data sheet SBAS444, sections 8.3 and 8.6. Invariant: a result is taken only while the chip's
//! configuration is still what was asked for, so that nobody else's input is taken for ours.

use std::time::{Duration, Instant};

use super::config::{FULL_SCALES, Input, Quantity};
use super::wire::Wire;
use super::{Part, Step};
use crate::driver::local::{Fault, Raw};
use crate::model::{Reason, Value};

/// One conversion at 128 samples per second takes 7.8 ms, 10 % more at worst.
const WAIT: Duration = Duration::from_millis(9);

/// How often it is asked again whether it still converts.
const MAX_WAITS: u8 = 5;

/// Bit 15: start when written; idle when read.
const START: u16 = 0x8000;

/// The chip.
pub(super) struct Ads1115 {
    address: u8,
    done: Vec<Raw>,
    /// What was started, and how often it was waited for.
    running: Option<(u16, u8)>,
}

/// The configuration word: the input, its gain, single shot, 128 samples per second, no comparator.
pub(super) const fn word(mux: u8, gain: u8) -> u16 {
    ((mux as u16) << 12) | ((gain as u16) << 9) | 0x0100 | 0x0080 | 0x0003
}

/// The voltage of a result; the ends of the scale say that the input lies beyond it.
pub(super) fn volts(raw: i16, gain: u8) -> Raw {
    match raw {
        i16::MAX => Err(Fault::NoValue(Reason::SensorOver)),
        i16::MIN => Err(Fault::NoValue(Reason::SensorUnder)),
        raw => {
            Ok(Value::Float(f64::from(raw) * FULL_SCALES[usize::from(gain) % FULL_SCALES.len()] / 32768.0))
        }
    }
}

impl Ads1115 {
    pub(super) const fn new(address: u8) -> Self {
        Self { address, done: Vec::new(), running: None }
    }

    /// Takes the result of what runs, or says how long to wait.
    fn finish(&mut self, wire: &mut dyn Wire, gain: u8) -> Result<Option<Duration>, Fault> {
        let Some((asked, waits)) = self.running else { return Ok(None) };
        let mut bytes = [0; 2];
        wire.transfer(self.address, &[0x01], &mut bytes)?;
        let config = u16::from_be_bytes(bytes);
        if config & !START != asked {
            return Err(Fault::Malformed("the chip was set up by somebody else, or reset".into()));
        }
        if config & START == 0 {
            if waits >= MAX_WAITS {
                return Err(Fault::Late("the conversion does not end".into()));
            }
            self.running = Some((asked, waits + 1));
            return Ok(Some(WAIT));
        }
        wire.transfer(self.address, &[0x00], &mut bytes)?;
        self.done.push(volts(i16::from_be_bytes(bytes), gain));
        self.running = None;
        Ok(None)
    }
}

impl Part for Ads1115 {
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], _: Instant) -> Result<Step, Fault> {
        if let Some(input) = inputs.get(self.done.len())
            && let Some(wait) = self.finish(wire, input.gain)?
        {
            return Ok(Step::Later(wait));
        }
        let Some(Input { quantity: Quantity::Mux(mux), gain, .. }) = inputs.get(self.done.len()).copied()
        else {
            return Ok(Step::Done(std::mem::take(&mut self.done)));
        };
        let asked = word(mux, gain);
        let [high, low] = (asked | START).to_be_bytes();
        wire.transfer(self.address, &[0x01, high, low], &mut [])?;
        self.running = Some((asked, 0));
        Ok(Step::Later(WAIT))
    }
}
