//! Bosch BME280: raw numbers, the calibration of the single chip, and the formulas that join them.
//!
//! Source: data sheet BST-BME280-DS002, tables 16 and 18 and section 4.2.3 (formulas in double precision,
//! appendix 8.1). Invariant: nothing is computed with a calibration that was not read from this chip.

use std::time::{Duration, Instant};

use super::config::{Input, Quantity};
use super::wire::Wire;
use super::{Part, Step};
use crate::driver::local::{Fault, Raw};
use crate::model::{Reason, Value};

/// The longest measurement with every quantity once: 9.3 ms (section 9.1).
const WAIT: Duration = Duration::from_millis(10);

/// How often it is asked again whether it still measures.
const MAX_WAITS: u8 = 5;

/// What the identity register says.
const BME280: u8 = 0x60;

/// The trimming words of one chip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    pub(super) t: [f64; 3],
    pub(super) p: [f64; 9],
    pub(super) h: [f64; 6],
}

/// The chip.
pub(super) struct Bme280 {
    address: u8,
    calibration: Option<Calibration>,
    /// How often it has been waited for, while it measures.
    waits: Option<u8>,
}

impl Calibration {
    /// From the registers 0x88 … 0xA1 and 0xE1 … 0xE7.
    pub(super) fn new(first: &[u8; 26], second: &[u8; 7]) -> Self {
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([first[at], first[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([first[at], first[at + 1]]));
        let high = |byte: u8| i16::from(byte.cast_signed()) * 16;
        let mut p = [unsigned(6), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (place, word) in p.iter_mut().enumerate().skip(1) {
            *word = signed(6 + 2 * place);
        }
        Self {
            t: [unsigned(0), signed(2), signed(4)],
            p,
            h: [
                f64::from(first[25]),
                f64::from(i16::from_le_bytes([second[0], second[1]])),
                f64::from(second[2]),
                f64::from(high(second[3]) | i16::from(second[4] & 0x0F)),
                f64::from(high(second[5]) | i16::from(second[4] >> 4)),
                f64::from(second[6].cast_signed()),
            ],
        }
    }

    /// The fine temperature, which the other formulas take; /5120 it is °C.
    pub(super) fn fine(&self, raw: f64) -> f64 {
        let [t1, t2, t3] = self.t;
        let low = (raw / 16384.0 - t1 / 1024.0) * t2;
        let difference = raw / 131_072.0 - t1 / 8192.0;
        low + difference * difference * t3
    }

    /// Pa; `None` where the calibration makes no sense.
    pub(super) fn pressure(&self, raw: f64, fine: f64) -> Option<f64> {
        let [p1, p2, p3, p4, p5, p6, p7, p8, p9] = self.p;
        let a = fine / 2.0 - 64000.0;
        let b = a * a * p6 / 32768.0 + a * p5 * 2.0;
        let b = b / 4.0 + p4 * 65536.0;
        let a = (p3 * a * a / 524_288.0 + p2 * a) / 524_288.0;
        let a = (1.0 + a / 32768.0) * p1;
        if a == 0.0 {
            return None;
        }
        let p = (1_048_576.0 - raw - b / 4096.0) * 6250.0 / a;
        Some(p + (p9 * p * p / 2_147_483_648.0 + p * p8 / 32768.0 + p7) / 16.0)
    }

    /// % relative, cropped as the data sheet tells.
    pub(super) fn humidity(&self, raw: f64, fine: f64) -> f64 {
        let [h1, h2, h3, h4, h5, h6] = self.h;
        let x = fine - 76800.0;
        let x = (raw - (h4 * 64.0 + h5 / 16384.0 * x))
            * (h2 / 65536.0 * (1.0 + h6 / 67_108_864.0 * x * (1.0 + h3 / 67_108_864.0 * x)));
        (x * (1.0 - h1 * x / 524_288.0)).clamp(0.0, 100.0)
    }
}

/// A quantity out of the registers 0xF7 … 0xFE.
pub(super) fn compensate(calibration: &Calibration, data: &[u8; 8], quantity: Quantity) -> Raw {
    let wide = |at: usize| u32::from_be_bytes([0, data[at], data[at + 1], data[at + 2]]) >> 4;
    let (pressure, temperature) = (wide(0), wide(3));
    let humidity = u16::from_be_bytes([data[6], data[7]]);
    // The values after a reset, and of what was not measured (section 5.4.7).
    let missing = |is: bool| if is { Err(Fault::NoValue(Reason::NotAvailable)) } else { Ok(()) };
    missing(temperature == 0x80000)?;
    let fine = calibration.fine(f64::from(temperature));
    match quantity {
        Quantity::Temperature => Ok(Value::Float(fine / 5120.0)),
        Quantity::Pressure => {
            missing(pressure == 0x80000)?;
            let pascal = calibration.pressure(f64::from(pressure), fine);
            let pascal = pascal.ok_or_else(|| Fault::Malformed("the calibration makes no sense".into()))?;
            Ok(Value::Float(pascal / 100.0))
        }
        Quantity::Humidity => {
            missing(humidity == 0x8000)?;
            Ok(Value::Float(calibration.humidity(f64::from(humidity), fine)))
        }
        _ => Err(Fault::NoValue(Reason::NotAvailable)),
    }
}

impl Bme280 {
    pub(super) const fn new(address: u8) -> Self {
        Self { address, calibration: None, waits: None }
    }

    fn calibrate(&mut self, wire: &mut dyn Wire) -> Result<Calibration, Fault> {
        if let Some(known) = self.calibration {
            return Ok(known);
        }
        let mut id = [0];
        wire.transfer(self.address, &[0xD0], &mut id)?;
        if id[0] != BME280 {
            let other = if id[0] == 0x58 { ", a BMP280 without humidity" } else { "" };
            return Err(Fault::Malformed(format!(
                "the chip says that it is {:#04x}{other}, not a BME280",
                id[0]
            )));
        }
        let (mut first, mut second) = ([0; 26], [0; 7]);
        wire.transfer(self.address, &[0x88], &mut first)?;
        wire.transfer(self.address, &[0xE1], &mut second)?;
        if first.iter().all(|byte| *byte == first[0]) {
            return Err(Fault::Malformed("the chip gives no calibration".into()));
        }
        Ok(*self.calibration.insert(Calibration::new(&first, &second)))
    }
}

impl Part for Bme280 {
    fn read(&mut self, wire: &mut dyn Wire, inputs: &[Input], _: Instant) -> Result<Step, Fault> {
        let calibration = self.calibrate(wire)?;
        let Some(waits) = self.waits else {
            // Every quantity once, then asleep again: forced mode heats the chip least.
            wire.transfer(self.address, &[0xF2, 0x01], &mut [])?;
            wire.transfer(self.address, &[0xF4, 0x25], &mut [])?;
            self.waits = Some(0);
            return Ok(Step::Later(WAIT));
        };
        let mut status = [0];
        wire.transfer(self.address, &[0xF3], &mut status)?;
        if status[0] & 0x08 != 0 {
            if waits >= MAX_WAITS {
                return Err(Fault::Late("the measurement does not end".into()));
            }
            self.waits = Some(waits + 1);
            return Ok(Step::Later(WAIT));
        }
        self.waits = None;
        let mut data = [0; 8];
        wire.transfer(self.address, &[0xF7], &mut data)?;
        Ok(Step::Done(inputs.iter().map(|input| compensate(&calibration, &data, input.quantity)).collect()))
    }
}
