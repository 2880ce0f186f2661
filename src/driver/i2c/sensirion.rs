//! Sensirion's SHT3x, SHT4x and SCD4x: commands out, words with checksums back.
//!
//! Sources: data sheets SHT3x-DIS (version 5), SHT4x, SCD4x (version 1.3). Invariant: a word whose checksum
//! is wrong is never looked at.

use std::time::{Duration, Instant};

use super::config::{Input, Quantity};
use super::wire::Wire;
use super::{Part, Step};
use crate::driver::local::{Fault, Raw};
use crate::model::{Reason, Value};

/// The longest conversion at high repeatability: SHT3x 15.5 ms, SHT4x 8.3 ms, and some air.
const SHT3X_WAIT: Duration = Duration::from_millis(18);
const SHT4X_WAIT: Duration = Duration::from_millis(10);

/// The time between a command of the SCD4x and its answer.
const SCD4X_PAUSE: Duration = Duration::from_millis(1);

/// How long the SCD4x takes to stop measuring, and between two measurements.
const SCD4X_STOP: Duration = Duration::from_millis(500);
const SCD4X_PERIOD: Duration = Duration::from_secs(5);

/// After so many periods without a measurement the SCD4x has failed.
const SCD4X_PATIENCE: u32 = 3;

/// Sensirion's checksum of a word: polynomial 0x31 from 0xFF.
pub(super) fn crc(word: &[u8]) -> u8 {
    word.iter().fold(0xFF, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x31 })
    })
}

/// The words of an answer, each checked.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> Result<[u16; N], Fault> {
    let mut words = [0; N];
    let mut count = 0;
    for (word, part) in words.iter_mut().zip(bytes.chunks_exact(3)) {
        if crc(&part[..2]) != part[2] {
            return Err(Fault::Malformed("the checksum is wrong".into()));
        }
        *word = u16::from_be_bytes([part[0], part[1]]);
        count += 1;
    }
    if count == N { Ok(words) } else { Err(Fault::Malformed("the answer is too short".into())) }
}

fn share(word: u16, of: f64) -> f64 {
    f64::from(word) / of
}

/// A thermo-hygrometer.
pub(super) struct Sht {
    address: u8,
    command: &'static [u8],
    wait: Duration,
    humidity: fn(u16) -> f64,
    converting: bool,
}

impl Sht {
    pub(super) fn sht3x(address: u8) -> Self {
        let humidity = |word| 100.0 * share(word, 65535.0);
        Self { address, command: &[0x24, 0x00], wait: SHT3X_WAIT, humidity, converting: false }
    }

    pub(super) fn sht4x(address: u8) -> Self {
        // The formula runs past both ends; the data sheet tells to crop it.
        let humidity = |word| (-6.0 + 125.0 * share(word, 65535.0)).clamp(0.0, 100.0);
        Self { address, command: &[0xFD], wait: SHT4X_WAIT, humidity, converting: false }
    }
}

impl Part for Sht {
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], _: Instant) -> Result<Step, Fault> {
        if !self.converting {
            wire.transfer(self.address, self.command, &mut [])?;
            self.converting = true;
            return Ok(Step::Later(self.wait));
        }
        self.converting = false;
        let mut answer = [0; 6];
        wire.transfer(self.address, &[], &mut answer)?;
        let [temperature, humidity] = words(&answer)?;
        let temperature = -45.0 + 175.0 * share(temperature, 65535.0);
        Ok(Step::Done(
            inputs
                .iter()
                .map(|input| match input.quantity {
                    Quantity::Temperature => Ok(Value::Float(temperature)),
                    Quantity::Humidity => Ok(Value::Float((self.humidity)(humidity))),
                    _ => Err(Fault::NoValue(Reason::NotAvailable)),
                })
                .collect(),
        ))
    }
}

/// A CO2 sensor, which measures by itself every five seconds.
pub(super) struct Scd4x {
    address: u8,
    state: Scd,
}

#[derive(Debug, Clone, Copy)]
enum Scd {
    /// Not known to measure.
    New,
    /// Told to stop, so that it can be told to start.
    Stopping,
    /// Measures; with the last measurement and when that, or the start, was.
    Measuring { last: Option<[u16; 3]>, since: Instant },
}

impl Scd4x {
    pub(super) const fn new(address: u8) -> Self {
        Self { address, state: Scd::New }
    }

    fn ask<const N: usize>(&self, wire: &mut dyn Wire, command: u16) -> Result<[u16; N], Fault> {
        wire.transfer(self.address, &command.to_be_bytes(), &mut [])?;
        std::thread::sleep(SCD4X_PAUSE);
        let mut answer = [0; 9];
        wire.transfer(self.address, &[], &mut answer[..3 * N])?;
        words(&answer[..3 * N])
    }

    fn measured(&mut self, wire: &mut dyn Wire, now: Instant) -> Result<Option<[u16; 3]>, Fault> {
        let Scd::Measuring { last, since } = self.state else { return Ok(None) };
        let [ready] = self.ask(wire, 0xE4B8)?;
        // The lower eleven bits are zero while there is nothing new.
        if ready & 0x07FF != 0 {
            let new = self.ask(wire, 0xEC05)?;
            self.state = Scd::Measuring { last: Some(new), since: now };
            return Ok(Some(new));
        }
        if now.saturating_duration_since(since) > SCD4X_PERIOD * SCD4X_PATIENCE {
            return Err(Fault::Late("the sensor does not measure".into()));
        }
        Ok(last)
    }
}

impl Part for Scd4x {
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], now: Instant) -> Result<Step, Fault> {
        match self.state {
            Scd::New => {
                // It may measure already, from a former run: then it takes no other command than this.
                wire.transfer(self.address, &0x3F86_u16.to_be_bytes(), &mut [])?;
                self.state = Scd::Stopping;
                return Ok(Step::Later(SCD4X_STOP));
            }
            Scd::Stopping => {
                wire.transfer(self.address, &0x21B1_u16.to_be_bytes(), &mut [])?;
                self.state = Scd::Measuring { last: None, since: now };
            }
            Scd::Measuring { .. } => {}
        }
        let measured = self.measured(wire, now)?;
        Ok(Step::Done(inputs.iter().map(|input| scd4x(measured, input.quantity)).collect()))
    }
}

fn scd4x(measured: Option<[u16; 3]>, quantity: Quantity) -> Raw {
    let Some([co2, temperature, humidity]) = measured else { return Err(Fault::NoValue(Reason::NotYetRead)) };
    match quantity {
        Quantity::Co2 => Ok(Value::Float(f64::from(co2))),
        Quantity::Temperature => Ok(Value::Float(-45.0 + 175.0 * share(temperature, 65536.0))),
        Quantity::Humidity => Ok(Value::Float(100.0 * share(humidity, 65536.0))),
        _ => Err(Fault::NoValue(Reason::NotAvailable)),
    }
}
