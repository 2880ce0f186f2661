//! Chips against simulated ones: sound, faulty, swapped and gone.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::bme280::{Calibration, compensate};
use super::sensirion::crc;
use super::*;
use crate::model::{Access, Reason};

/// What a simulated chip answers, or the fault it makes.
type Answers = Box<dyn FnMut(&[u8], &mut [u8]) -> Result<(), Fault> + Send>;

#[derive(Clone, Default)]
struct Bus(Arc<Mutex<HashMap<u8, Answers>>>);

impl Bus {
    fn plug(&self, address: u8, answers: impl FnMut(&[u8], &mut [u8]) -> Result<(), Fault> + Send + 'static) {
        self.0.lock().unwrap().insert(address, Box::new(answers));
    }

    fn unplug(&self, address: u8) {
        self.0.lock().unwrap().remove(&address);
    }
}

impl Wire for Bus {
    fn transfer(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), Fault> {
        match self.0.lock().unwrap().get_mut(&address) {
            Some(answers) => answers(write, read),
            None => Err(wire::meaning(address, &io::Error::from_raw_os_error(6))),
        }
    }
}

fn input(device: &str, point: &str, access: Access) -> Result<Input, String> {
    let device: DeviceConfig = serde_yaml::from_str(device).unwrap();
    serde_yaml::from_str::<PointConfig>(point).unwrap().input(&device, access)
}

fn chips(bus: &Bus, device: &str, points: &[&str], access: Access) -> Chips {
    let config: DeviceConfig = serde_yaml::from_str(device).unwrap();
    assert_eq!(config.validate(), Vec::<String>::new());
    let inputs = points.iter().map(|point| input(device, &format!("{{ i2c: {point} }}"), access).unwrap());
    let (chip, address) = (config.i2c_chip.unwrap(), config.address());
    let mounted = Mounted { chip, address, inputs: inputs.collect(), part: part(chip, address) };
    Chips { path: "/dev/null".into(), wire: Some(Box::new(bus.clone())), devices: vec![mounted] }
}

/// Reads all points to the end, at most so many steps.
fn read(chips: &mut Chips, points: usize) -> Vec<Result<f64, Fault>> {
    let wanted: Vec<usize> = (0..points).collect();
    for _ in 0..20 {
        if let Step::Done(results) = chips.read(0, &wanted) {
            return results.into_iter().map(|raw| raw.map(|value| value.as_f64().unwrap())).collect();
        }
    }
    panic!("it never ends");
}

fn word(value: u16) -> [u8; 3] {
    let [high, low] = value.to_be_bytes();
    [high, low, crc(&[high, low])]
}

fn near(found: &Result<f64, Fault>, expected: f64, within: f64) {
    let value = found.as_ref().unwrap();
    assert!((value - expected).abs() <= within, "{value} is not {expected}");
}

#[test]
fn sensirions_checksum_is_that_of_the_data_sheet() {
    assert_eq!(crc(&[0xBE, 0xEF]), 0x92);
}

#[test]
fn sht_sensors_are_read_and_faults_give_no_value() {
    let bus = Bus::default();
    // 0x6666 is 0.4 of the range: 25 °C, 40 %.
    let answer = |write: &[u8], read: &mut [u8]| {
        assert!(write.is_empty() || write == [0x24, 0x00]);
        if !read.is_empty() {
            read.copy_from_slice(&[word(0x6666), word(0x6666)].concat());
        }
        Ok(())
    };
    bus.plug(0x45, answer);
    let mut sht =
        chips(&bus, "{ i2c-chip: sht3x, i2c-address: 0x45 }", &["temperature", "humidity"], Access::R);
    assert_eq!(sht.read(0, &[0]), Step::Later(std::time::Duration::from_millis(18)));
    let found = read(&mut sht, 2);
    near(&found[0], 25.0, 1e-9);
    near(&found[1], 40.0, 1e-9);
    bus.plug(0x45, |_, read| {
        if !read.is_empty() {
            read.copy_from_slice(&[0x66, 0x66, 0, 0x66, 0x66, 0]);
        }
        Ok(())
    });
    assert!(read(&mut sht, 2).iter().all(|found| matches!(found, Err(Fault::Malformed(_)))));
    bus.unplug(0x45);
    assert!(matches!(&read(&mut sht, 1)[0], Err(Fault::Absent(why)) if why.contains("0x45")));
    bus.plug(0x45, answer);
    near(&read(&mut sht, 1)[0], 25.0, 1e-9);

    for (raw, humidity) in [(0_u16, 0.0), (0xFFFF, 100.0), (0x8000, 56.501)] {
        bus.plug(0x44, move |_, read| {
            if !read.is_empty() {
                read.copy_from_slice(&[word(0), word(raw)].concat());
            }
            Ok(())
        });
        let mut sht = chips(&bus, "{ i2c-chip: sht4x }", &["temperature", "humidity"], Access::R);
        let found = read(&mut sht, 2);
        near(&found[0], -45.0, 1e-9);
        near(&found[1], humidity, 0.001);
    }
}

#[test]
fn an_scd4x_is_started_has_no_value_at_first_and_then_its_own() {
    let bus = Bus::default();
    let (mut asked, mut ready) = (0_u16, 0);
    bus.plug(0x62, move |write, read| {
        if let [high, low] = *write {
            asked = u16::from_be_bytes([high, low]);
            ready += u32::from(asked == 0xE4B8);
        }
        match (asked, read.len()) {
            (0xE4B8, 3) => read.copy_from_slice(&word(if ready == 2 { 0x8006 } else { 0x8000 })),
            // The data sheet's example: 500 ppm, 25 °C, 37 %.
            (0xEC05, 9) => read.copy_from_slice(&[word(0x01F4), word(0x6667), word(0x5EB9)].concat()),
            (_, 0) => {}
            other => panic!("{other:?}"),
        }
        Ok(())
    });
    let mut scd = chips(&bus, "{ i2c-chip: scd4x }", &["co2", "temperature", "humidity"], Access::R);
    assert_eq!(read(&mut scd, 1), [Err(Fault::NoValue(Reason::NotYetRead))]);
    // Then a measurement, and until the next one the same.
    for _ in 0..2 {
        let found = read(&mut scd, 3);
        near(&found[0], 500.0, 0.0);
        near(&found[1], 25.0, 0.01);
        near(&found[2], 37.0, 0.01);
    }
}

/// The trimming words of the calculation example in Bosch's data sheet BST-BMP280-DS001, section 3.12; the
/// humidity's are usual ones.
fn calibration() -> Calibration {
    Calibration {
        t: [27504.0, 26435.0, -1000.0],
        p: [36477.0, -10685.0, 3024.0, 2855.0, 140.0, -7.0, 15500.0, -14600.0, 6000.0],
        h: [75.0, 370.0, 0.0, 313.0, 50.0, 30.0],
    }
}

#[test]
fn the_formulas_give_the_data_sheets_example() {
    let data = |pressure: u32, temperature: u32, humidity: u16| -> [u8; 8] {
        let [_, p0, p1, p2] = (pressure << 4).to_be_bytes();
        let [_, t0, t1, t2] = (temperature << 4).to_be_bytes();
        let [h0, h1] = humidity.to_be_bytes();
        [p0, p1, p2, t0, t1, t2, h0, h1]
    };
    let of = |data: [u8; 8], quantity| {
        compensate(&calibration(), &data, quantity).map(|value| value.as_f64().unwrap())
    };
    let example = data(415_148, 519_888, 0x7000);
    near(&of(example, Quantity::Temperature), 25.08, 0.005);
    near(&of(example, Quantity::Pressure), 1006.5327, 0.005);
    let none = Err(Fault::NoValue(Reason::NotAvailable));
    assert_eq!(of(data(415_148, 0x80000, 0), Quantity::Pressure), none);
    assert_eq!(of(data(0x80000, 519_888, 0), Quantity::Pressure), none);
    assert_eq!(of(data(415_148, 519_888, 0x8000), Quantity::Humidity), none);
}

/// The data sheet's formula in whole numbers (section 4.2.3), as a second opinion.
fn whole_humidity(raw: i64, fine: i64, [h1, h2, h3, h4, h5, h6]: [i64; 6]) -> f64 {
    let v = fine - 76800;
    let low = ((raw << 14) - (h4 << 20) - h5 * v + 16384) >> 15;
    let slope = ((((v * h6) >> 10) * (((v * h3) >> 11) + 32768)) >> 10) + 2_097_152;
    let v = low * ((slope * h2 + 8192) >> 14);
    let v = (v - (((((v >> 15) * (v >> 15)) >> 7) * h1) >> 4)).clamp(0, 419_430_400);
    (v >> 12) as f64 / 1024.0
}

#[test]
fn a_bme280_is_known_by_its_identity_and_waited_for() {
    let bus = Bus::default();
    let (mut first, mut second) = ([0_u8; 26], [0_u8; 7]);
    let cal = calibration();
    let words = cal.t.iter().chain(&cal.p).enumerate();
    for (place, word) in words {
        let bytes = (*word as i32).to_le_bytes();
        first[2 * place..2 * place + 2].copy_from_slice(&bytes[..2]);
    }
    first[25] = 75;
    second[..2].copy_from_slice(&370_i16.to_le_bytes());
    // H4 = 313 = 0x139 and H5 = 50 = 0x032 share the byte in the middle.
    second[3..7].copy_from_slice(&[0x13, 0x29, 0x03, 30]);
    assert_eq!(Calibration::new(&first, &second), cal);
    let mut busy = 2;
    let registers = move |id: u8| {
        move |write: &[u8], read: &mut [u8]| {
            match write {
                [0xD0] => read[0] = id,
                [0x88] => read.copy_from_slice(&first),
                [0xE1] => read.copy_from_slice(&second),
                [0xF3] => {
                    busy -= 1;
                    read[0] = if busy > 0 { 0x08 } else { 0 };
                }
                [0xF7] => read.copy_from_slice(&[0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x70, 0x00]),
                [0xF2, 0x01] | [0xF4, 0x25] => {}
                other => panic!("{other:x?}"),
            }
            Ok(())
        }
    };
    bus.plug(0x76, registers(0x60));
    let mut bme = chips(&bus, "{ i2c-chip: bme280 }", &["temperature", "pressure"], Access::R);
    let found = read(&mut bme, 2);
    near(&found[0], 25.08, 0.005);
    near(&found[1], 1006.53, 0.01);
    bus.unplug(0x76);
    assert!(matches!(&read(&mut bme, 1)[0], Err(Fault::Absent(_))));
    bus.plug(0x76, registers(0x58));
    assert!(matches!(&read(&mut bme, 1)[0], Err(Fault::Malformed(why)) if why.contains("BMP280")));
}

#[test]
fn an_ads1115_converts_each_input_and_tells_what_lies_beyond() {
    let bus = Bus::default();
    let mut config = [0x85_u8, 0x83];
    bus.plug(0x48, move |write, read| {
        match write {
            [0x01, high, low] => config = [*high, *low],
            [0x01] => read.copy_from_slice(&config),
            [0x00] => read.copy_from_slice(&match config[0] & 0x70 {
                0x40 => 16_000_i16.to_be_bytes(),
                0x50 => i16::MAX.to_be_bytes(),
                _ => (-8000_i16).to_be_bytes(),
            }),
            other => panic!("{other:x?}"),
        }
        Ok(())
    });
    let mut ads = chips(&bus, "{ i2c-chip: ads1115 }", &["ain0", "ain1", "ain0-ain1"], Access::R);
    let found = read(&mut ads, 3);
    near(&found[0], 2.0, 1e-9);
    assert_eq!(found[1], Err(Fault::NoValue(Reason::SensorOver)));
    near(&found[2], -1.0, 1e-9);
    // Somebody else sets the chip to another input: no value.
    bus.plug(0x48, |write, read| {
        if write.len() == 1 {
            read.copy_from_slice(&[0x85, 0x83]);
        }
        Ok(())
    });
    assert!(matches!(&read(&mut ads, 1)[0], Err(Fault::Malformed(_))));
    assert_eq!(ads1115::word(4, 1), 0x4383);
}

#[test]
fn an_mcp23017_drives_a_line_only_when_told_and_notices_that_it_was_reset() {
    let bus = Bus::default();
    let registers = Arc::new(Mutex::new([0_u8; 0x16]));
    registers.lock().unwrap()[..2].fill(0xFF);
    let own = Arc::clone(&registers);
    bus.plug(0x20, move |write, read| {
        let mut registers = own.lock().unwrap();
        let at = usize::from(write[0]);
        for (place, byte) in write[1..].iter().enumerate() {
            registers[at + place] = *byte;
        }
        // What is driven shows on the line.
        for port in 0..2 {
            registers[0x12 + port] = registers[0x14 + port] & !registers[port];
        }
        read.copy_from_slice(&registers[at..at + read.len()]);
        Ok(())
    });
    let mut mcp = chips(&bus, "{ i2c-chip: mcp23017 }", &["gpa0", "gpb7"], Access::Rw);
    assert_eq!(read(&mut mcp, 2), [Ok(0.0), Ok(0.0)]);
    assert_eq!(registers.lock().unwrap()[..2], [0xFF, 0xFF], "nothing is driven yet");
    mcp.write(0, 1, &Value::Bool(true)).unwrap();
    assert_eq!(read(&mut mcp, 2), [Ok(0.0), Ok(1.0)]);
    assert_eq!(registers.lock().unwrap()[..2], [0xFF, 0x7F]);
    // It loses power: known once, then read as what it is; nothing is switched on again.
    registers.lock().unwrap().fill(0);
    registers.lock().unwrap()[..2].fill(0xFF);
    assert!(read(&mut mcp, 2).iter().all(|found| matches!(found, Err(Fault::Malformed(_)))));
    assert_eq!(read(&mut mcp, 2), [Ok(0.0), Ok(0.0)]);
    assert_eq!(registers.lock().unwrap()[..2], [0xFF, 0xFF]);
}

#[test]
fn system_errors_are_named_by_what_they_mean() {
    let of = |errno: i32| wire::meaning(0x44, &io::Error::from_raw_os_error(errno));
    assert!(matches!(of(6), Fault::Absent(_)));
    assert!(matches!(of(121), Fault::Absent(_)));
    assert!(matches!(of(110), Fault::Late(why) if why.contains("stuck")));
    assert!(matches!(of(16), Fault::Absent(why) if why.contains("Linux driver")));
    assert!(matches!(of(19), Fault::Bus(_)));
}

#[test]
fn sections_that_make_no_sense_are_refused_with_a_remedy() {
    let device = |yaml: &str| serde_yaml::from_str::<DeviceConfig>(yaml).unwrap().validate().join("; ");
    assert!(device("{}").contains("i2c-chip is missing"));
    assert!(device("{ i2c-chip: sht3x, i2c-address: 0x88 }").contains("0x08 … 0x77"));
    assert!(device("{ i2c-chip: sht3x, i2c-address: 0x50 }").contains("0x44, 0x45"));
    for (chip, point, access, part) in [
        ("sht3x", "{}", Access::R, "temperature, humidity"),
        ("sht3x", "{ i2c: pressure }", Access::R, "temperature, humidity"),
        ("ads1115", "{ i2c: ain4 }", Access::R, "ain0 … ain3"),
        ("ads1115", "{ i2c: ain0, full-scale: 5 }", Access::R, "6.144"),
        ("bme280", "{ i2c: humidity, full-scale: 4.096 }", Access::R, "ADS1115"),
        ("mcp23017", "{ i2c: gpa8 }", Access::R, "gpa0 … gpa7"),
        ("ads1115", "{ i2c: ain0, pull-up: true }", Access::R, "MCP23017"),
    ] {
        let message = input(&format!("{{ i2c-chip: {chip} }}"), point, access).unwrap_err();
        assert!(message.contains(part), "{chip} {point}: {message}");
    }
    assert_eq!(I2cConfig { bus: "i2c-1".into() }.validate().len(), 1);
}

proptest! {
    #[test]
    fn a_flipped_bit_never_passes_sensirions_checksum(value in any::<u16>(), bit in 0_usize..24) {
        let mut bytes = word(value);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(sensirion::words::<1>(&bytes).is_err());
    }

    #[test]
    fn both_formulas_for_humidity_agree(raw in 20_000_u16..40_000, celsius in -20.0_f64..60.0) {
        let fine = celsius * 5120.0;
        let found = calibration().humidity(f64::from(raw), fine);
        let other = whole_humidity(i64::from(raw), fine as i64, [75, 370, 0, 313, 50, 30]);
        prop_assert!((found - other).abs() < 0.05, "{found} {other}");
    }

    #[test]
    fn no_bytes_of_a_bme280_panic_or_leave_the_range(first in any::<[u8; 26]>(), second in any::<[u8; 7]>(), data in any::<[u8; 8]>()) {
        let calibration = Calibration::new(&first, &second);
        for quantity in [Quantity::Temperature, Quantity::Pressure, Quantity::Humidity] {
            let found = compensate(&calibration, &data, quantity);
            if let (Ok(value), Quantity::Humidity) = (found, quantity) {
                prop_assert!((0.0..=100.0).contains(&value.as_f64().unwrap()));
            }
        }
    }
}
