//! Tests of the checks on what people write.

use proptest::prelude::*;

use super::*;
use crate::driver::modbus::{LineConfig, TcpConfig, Transport};
use crate::model::units::Period;

fn device() -> DeviceConfig {
    serde_json::from_str("{}").unwrap()
}

fn point(json: &str) -> PointConfig {
    serde_json::from_str(json).unwrap()
}

/// The error for a point, which must contain `part`.
fn refused(json: &str, writable: bool, part: &str) {
    let error = point(json).register(&device(), writable).unwrap_err();
    assert!(error.contains(part), "{json}: {error}");
}

#[test]
fn usual_points_become_registers() {
    let (register, write) =
        point(r#"{"holding": 100, "type": "f32", "order": "cdab"}"#).register(&device(), true).unwrap();
    assert_eq!((register.table, register.address, register.width()), (Table::Holding, 100, 2));
    assert_eq!((register.write_address, write), (100, WriteMethod::Auto));
    let (bit, _) = point(r#"{"input": 3, "bit": 15}"#).register(&device(), false).unwrap();
    assert_eq!((bit.raw, bit.bits), (RawType::Bool, Some(BitField { shift: 15, width: 1 })));
    let (field, _) = point(r#"{"input": 3, "bits": [4, 7]}"#).register(&device(), false).unwrap();
    assert_eq!((field.raw, field.bits), (RawType::U16, Some(BitField { shift: 4, width: 4 })));
    let (text, _) = point(r#"{"input": 0, "type": "text", "length": 5}"#).register(&device(), false).unwrap();
    assert_eq!(text.width(), 3);
    let mut one = device();
    one.address_base = AddressBase::One;
    let (last, _) = point(r#"{"coil": 65536}"#).register(&one, true).unwrap();
    assert_eq!(last.address, 65_535);
    assert!(point(r#"{"coil": 0}"#).register(&one, true).unwrap_err().contains("start at 1"));
}

#[test]
fn every_mistake_is_named() {
    refused("{}", false, "coil, discrete, input or holding");
    refused(r#"{"coil": 1, "input": 1}"#, false, "coil and input");
    refused(r#"{"coil": 1, "bit": 1}"#, false, "remove");
    refused(r#"{"coil": 1, "type": "u32"}"#, false, "one bit");
    refused(r#"{"coil": 1, "model": [101]}"#, false, "holding registers");
    refused(r#"{"holding": 1, "instance": 1}"#, false, "belongs to model");
    refused(r#"{"discrete": 1, "order": "cdab"}"#, false, "one bit");
    refused(r#"{"holding": 1, "type": "bool"}"#, false, "which bit");
    refused(r#"{"holding": 1, "bit": 16}"#, false, "0 … 15");
    refused(r#"{"holding": 1, "bits": [7, 4]}"#, false, "[4, 7]");
    refused(r#"{"holding": 1, "bit": 1, "bits": [1, 2]}"#, false, "exclude");
    refused(r#"{"holding": 1, "type": "u32", "bit": 1}"#, false, "u32");
    refused(r#"{"holding": 1, "type": "text"}"#, false, "length");
    refused(r#"{"holding": 1, "length": 4}"#, false, "type: text");
    refused(r#"{"holding": 65535, "type": "u32"}"#, false, "65535");
    refused(r#"{"holding": 400001}"#, false, "400001");
    refused(r#"{"holding": 0, "type": "text", "length": 252}"#, false, "max-registers");
    refused(r#"{"input": 1}"#, true, "cannot be written");
    refused(r#"{"discrete": 1}"#, true, "cannot be written");
    refused(r#"{"holding": 1, "write": "mask"}"#, true, "bit or bits");
    refused(r#"{"coil": 1, "write": "mask"}"#, true, "mask");
    refused(r#"{"holding": 1, "write": "multiple"}"#, false, "access");
    refused(r#"{"holding": 1, "write-address": 5}"#, false, "access");
    refused(r#"{"holding": 0, "type": "text", "length": 250}"#, true, "123");
    refused(r#"{"holding": 1, "bit": 0, "read-to-clear": true}"#, true, "mask");
}

#[test]
fn lines_and_connections_are_checked() {
    let line: LineConfig = serde_json::from_str(r#"{"port": "/dev/ttyAMA0"}"#).unwrap();
    assert_eq!(line.validate(), Vec::<String>::new());
    let wrong =
        LineConfig { baud: 0, stop_bits: 3, data_bits: 7, timeout: Period::from_millis(0), ..line.clone() };
    assert_eq!(wrong.validate().len(), 3);
    assert_eq!(Transport::Rtu(wrong.clone()).validate().len(), 4);
    assert_eq!(Transport::Ascii(wrong).validate().len(), 3);
    let tcp = |address: &str| TcpConfig {
        address: address.into(),
        ..serde_json::from_str(r#"{"address": ""}"#).unwrap()
    };
    assert_eq!(tcp("192.0.2.10").endpoint(), Ok(("192.0.2.10".into(), 502)));
    assert_eq!(tcp("plc.example.com:1502").endpoint(), Ok(("plc.example.com".into(), 1502)));
    assert_eq!(tcp("[2001:db8::1]:503").endpoint(), Ok(("2001:db8::1".into(), 503)));
    assert_eq!(tcp("2001:db8::1").endpoint(), Ok(("2001:db8::1".into(), 502)));
    for wrong in ["", ":502", "host:", "host:0", "host:70000", "http://host", "[::1", "a b"] {
        assert_eq!(tcp(wrong).validate().len(), 1, "{wrong}");
    }
    let mut device = device();
    assert_eq!(device.validate(), Vec::<String>::new());
    (device.max_registers, device.max_bits, device.max_gap) = (126, 0, 200);
    device.timeout = Some(Period::from_secs(61));
    assert_eq!(device.validate().len(), 4);
    assert!(Transport::Rtu(line).is_broadcast(0));
    assert!(!Transport::Tcp(tcp("x")).is_broadcast(0));
}

proptest! {
    #[test]
    fn what_is_accepted_fits_its_table(address in 0u32..70_000, kind in 0usize..14, bit: Option<u8>, length: Option<u16>, writable: bool, one: bool) {
        let kinds = ["bool", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bcd16", "bcd32", "text"];
        let raw: RawType = serde_json::from_value(kinds[kind].into()).unwrap();
        let config = PointConfig { holding: Some(address), raw: Some(raw), bit, length, ..PointConfig::default() };
        let mut device = device();
        device.address_base = if one { AddressBase::One } else { AddressBase::Zero };
        if let Ok((register, _)) = config.register(&device, writable) {
            prop_assert!(register.width() >= 1 && register.width() <= 125);
            prop_assert!(u32::from(register.address) + u32::from(register.width()) <= 65_536);
            prop_assert!(register.bits.is_none_or(|field| field.shift + field.width <= 16));
        }
    }

    #[test]
    fn no_address_panics(address in ".*") {
        let _ = TcpConfig { address, ..serde_json::from_str(r#"{"address": ""}"#).unwrap() }.endpoint();
    }
}
