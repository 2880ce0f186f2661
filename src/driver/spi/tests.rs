//! The MCP3008's bytes, and a converter that is not there.

use proptest::prelude::*;

use super::*;

/// Answers with a number, or as a line that nobody drives.
struct Simulated(Option<u16>);

impl Port for Simulated {
    fn exchange(&mut self, bytes: &mut [u8; 3]) -> Result<(), Fault> {
        *bytes = match self.0 {
            // What comes before the null bit means nothing.
            Some(number) => [0xFF, 0xF8 | number.to_be_bytes()[0], number.to_be_bytes()[1]],
            None => [0xFF; 3],
        };
        Ok(())
    }
}

fn input(word: &str) -> Result<Input, String> {
    PointConfig { spi: Some(word.into()) }.input()
}

#[test]
fn inputs_are_asked_for_as_the_data_sheet_tells() {
    assert_eq!(input("ch0").unwrap().request(), [0x01, 0x80, 0x00]);
    assert_eq!(input("ch7").unwrap().request(), [0x01, 0xF0, 0x00]);
    assert_eq!(input("ch0-ch1").unwrap().request(), [0x01, 0x00, 0x00]);
    assert_eq!(input("ch7-ch6").unwrap().request(), [0x01, 0x70, 0x00]);
    for wrong in ["ch8", "0", "ch0-ch2", "ch1-ch1", "ch01", ""] {
        assert!(input(wrong).unwrap_err().contains("ch0 … ch7"), "{wrong}");
    }
}

#[test]
fn voltages_follow_the_reference_and_a_missing_chip_has_none() {
    let volts = |number, reference| convert(&mut Simulated(number), input("ch3").unwrap(), reference);
    assert_eq!(volts(Some(512), 3.3), Ok(Value::Float(1.65)));
    assert_eq!(volts(Some(0), 3.3), Ok(Value::Float(0.0)));
    assert_eq!(volts(Some(1023), 5.0), Ok(Value::Float(1023.0 * 5.0 / 1024.0)));
    assert!(matches!(volts(None, 3.3), Err(Fault::Absent(_))));
}

#[test]
fn sections_that_make_no_sense_are_refused_with_a_remedy() {
    let device = |yaml: &str| serde_yaml::from_str::<DeviceConfig>(yaml).unwrap().validate().join("; ");
    assert_eq!(device("{ spi-chip: mcp3008, spi-reference: 3.3 }"), "");
    assert!(device("{ spi-reference: 3.3 }").contains("spi-chip is missing"));
    assert!(device("{ spi-chip: mcp3008 }").contains("spi-reference is missing"));
    assert!(device("{ spi-chip: mcp3008, spi-reference: 24 }").contains("0.25 … 5.5"));
    let channel = |yaml: &str| serde_yaml::from_str::<SpiConfig>(yaml).unwrap().validate().join("; ");
    assert_eq!(channel("{ port: /dev/spidev0.0 }"), "");
    assert!(channel("{ port: spidev0.0, speed: 1 }").contains("/dev/spidev0.0; speed 1"));
    assert!(PointConfig::default().input().is_err());
}

proptest! {
    #[test]
    fn every_answer_is_a_number_of_ten_bits_or_none(bytes in any::<[u8; 3]>()) {
        if let Ok(number) = decode(bytes) {
            prop_assert!(number <= 1023);
        }
    }
}
