//! Tests of what a setpoint becomes on the wire and when a read-back agrees.

use super::*;
use crate::driver::modbus::fixtures::point;
use crate::driver::modbus::register::{BitField, RawType, Table};
use crate::model::conversion::Linear;

fn prepare(point: &Point, setpoint: &Value) -> Result<Write, String> {
    super::prepare(point, &point.conversion, setpoint)
}

fn agrees(point: &Point, setpoint: &Value, read_back: &Value) -> bool {
    super::agrees(point, point.conversion.step(), setpoint, read_back)
}

#[test]
fn setpoints_become_the_functions_that_fit_them() {
    let mut word = point(Table::Holding, 7, "u16");
    assert_eq!(prepare(&word, &Value::Int(5)), Ok(Write::Whole(Ask::WriteRegister { address: 7, word: 5 })));
    word.write = WriteMethod::Multiple;
    word.register.write_address = 9;
    assert_eq!(
        prepare(&word, &Value::Int(5)),
        Ok(Write::Whole(Ask::WriteRegisters { address: 9, words: vec![5] }))
    );
    let wide = point(Table::Holding, 7, "u32");
    let words = vec![0x0001, 0x0002];
    assert_eq!(
        prepare(&wide, &Value::Int(0x10002)),
        Ok(Write::Whole(Ask::WriteRegisters { address: 7, words }))
    );
    let mut coil = point(Table::Coil, 1, "bool");
    assert_eq!(prepare(&coil, &Value::Bool(true)), Ok(Write::Whole(Ask::WriteCoil { address: 1, on: true })));
    coil.write = WriteMethod::Multiple;
    coil.conversion.invert = true;
    let states = vec![false];
    assert_eq!(prepare(&coil, &Value::Bool(true)), Ok(Write::Whole(Ask::WriteCoils { address: 1, states })));
    let mut field = point(Table::Holding, 7, "u16");
    field.register.bits = Some(BitField { shift: 4, width: 4 });
    let part = MaskedWord { mask: 0x00F0, bits: 0x0050 };
    assert_eq!(prepare(&field, &Value::Int(5)), Ok(Write::Part(part)));
    field.write = WriteMethod::Mask;
    let mask = Ask::MaskWrite { address: 7, and: 0xFF0F, or: 0x0050 };
    assert_eq!(prepare(&field, &Value::Int(5)), Ok(Write::Whole(mask)));
    assert!(prepare(&field, &Value::Int(16)).is_err());
}

#[test]
fn a_read_back_agrees_when_no_nearer_one_exists() {
    let mut tenth = point(Table::Holding, 0, "i16");
    tenth.conversion.linear = Linear::Scale { scale: 0.1, offset: 0.0 };
    let agrees_at =
        |point: &Point, wanted: f64, got: f64| agrees(point, &Value::Float(wanted), &Value::Float(got));
    assert!(agrees_at(&tenth, 21.53, 21.5));
    assert!(!agrees_at(&tenth, 21.53, 21.6));
    tenth.tolerance = 0.5;
    assert!(agrees_at(&tenth, 21.5, 22.0));
    let mut single = point(Table::Holding, 0, "f32");
    single.register.raw = RawType::F32;
    assert!(agrees_at(&single, 23.456_789_123, 23.456_789));
    assert!(!agrees_at(&single, 23.4, 23.5));
    let whole = point(Table::Holding, 0, "u16");
    assert!(!agrees(&whole, &Value::Int(5), &Value::Int(6)));
    assert!(agrees(&whole, &Value::from("Run"), &Value::from("run")));
}
