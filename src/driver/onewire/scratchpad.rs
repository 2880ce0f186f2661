//! What the file `w1_slave` says: the scratchpad, whether its checksum is right, and the temperature.
//!
//! Pure. Invariant: a temperature that leaves here was converted by the chip, as far as the chip can tell.

use crate::driver::local::bench::Fault;
use crate::model::Reason;

/// What the sensor says before it has converted anything: 85 °C (data sheet DS18B20, table 1, note).
const POWER_ON: i64 = 85_000;

/// A reading of exactly 85 °C is believed when the one before it lay so near.
const NEAR: f64 = 3.0;

/// The temperature range of the family (data sheet DS18B20), in milli-°C.
const RANGE: std::ops::RangeInclusive<i64> = -55_000..=125_000;

/// The temperature in °C; `last` is the one before, if nothing failed since.
///
/// # Errors
/// A wrong checksum, a shorted line, a text that no kernel writes, or a value that the chip has not converted.
pub fn parse(text: &str, last: Option<f64>) -> Result<f64, Fault> {
    let malformed = |what: &str| Fault::Malformed(what.to_owned());
    let mut lines = text.lines();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return Err(malformed("the sensor gives no two lines"));
    };
    let bytes: Vec<u8> = first
        .split_ascii_whitespace()
        .take(9)
        .map_while(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2))
        .collect();
    if bytes.len() != 9 {
        return Err(malformed("the sensor gives no scratchpad of nine bytes"));
    }
    if !first.trim_end().ends_with("YES") {
        return Err(malformed("the checksum is wrong; check the wiring and the pull-up"));
    }
    // Nine zeros have a right checksum, but the configuration byte of a living sensor is never zero.
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(malformed("only zeros: the data line is shorted to ground"));
    }
    let milli = second.rsplit_once("t=").and_then(|(_, digits)| digits.trim().parse::<i64>().ok());
    let milli = milli.ok_or_else(|| malformed("the sensor gives no temperature"))?;
    if !RANGE.contains(&milli) {
        return Err(malformed("the temperature lies outside what the sensor can measure"));
    }
    #[allow(clippy::cast_precision_loss, reason = "at most 125000")]
    let celsius = milli as f64 / 1000.0;
    if milli == POWER_ON && !last.is_some_and(|last| (last - celsius).abs() <= NEAR) {
        return Err(Fault::NoValue(Reason::NotAvailable));
    }
    Ok(celsius)
}
