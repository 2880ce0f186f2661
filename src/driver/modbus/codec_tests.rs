//! Tests of the register codec, among them against rmodbus as an independent reader of words.

use proptest::prelude::*;
use rmodbus::server::context::ModbusContext;
use rmodbus::server::storage::ModbusStorageSmall;

use super::*;
use crate::driver::modbus::register::Table;

const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

fn register(raw: RawType, order: Order) -> Register {
    Register {
        table: Table::Holding,
        address: 0,
        write_address: 0,
        raw,
        order,
        bits: None,
        text_bytes: 0,
        read_to_clear: false,
    }
}

#[test]
fn the_four_orders_of_a_known_number() {
    let decode = |order, words: &[u16]| register(RawType::U32, order).decode(words);
    let value = Ok(Value::Int(0x0A0B_0C0D));
    assert_eq!(decode(Order::Abcd, &[0x0A0B, 0x0C0D]), value);
    assert_eq!(decode(Order::Cdab, &[0x0C0D, 0x0A0B]), value);
    assert_eq!(decode(Order::Badc, &[0x0B0A, 0x0D0C]), value);
    assert_eq!(decode(Order::Dcba, &[0x0D0C, 0x0B0A]), value);
    assert_eq!(decode(Order::Abcd, &[0x0A0B]), Err(Undecodable));
}

#[test]
fn parts_of_a_register_may_have_a_sign() {
    let part =
        |raw, shift, width| Register { bits: Some(BitField { shift, width }), ..register(raw, Order::Abcd) };
    let high = part(RawType::I8, 8, 8);
    assert_eq!(high.decode(&[0xFE7F]), Ok(Value::Int(-2)));
    assert_eq!(part(RawType::U8, 8, 8).decode(&[0xFE7F]), Ok(Value::Int(0xFE)));
    assert_eq!(part(RawType::I16, 4, 4).decode(&[0x0080]), Ok(Value::Int(-8)));
    assert_eq!(part(RawType::I16, 0, 16).decode(&[0x8000]), Ok(Value::Int(-32_768)));
    assert_eq!(high.encode_bits(&Value::Int(-2)), Ok(MaskedWord { mask: 0xFF00, bits: 0xFE00 }));
    assert!(high.encode_bits(&Value::Int(128)).unwrap_err().contains("-128 … 127"));
}

#[test]
fn small_formats_and_their_edges() {
    let one = |raw, word| register(raw, Order::Abcd).decode(&[word]);
    assert_eq!(one(RawType::I16, 0xFFFF), Ok(Value::Int(-1)));
    assert_eq!(one(RawType::I8, 0x12FF), Ok(Value::Int(-1)));
    assert_eq!(one(RawType::U8, 0x12FF), Ok(Value::Int(255)));
    assert_eq!(one(RawType::Bcd16, 0x1234), Ok(Value::Int(1234)));
    assert_eq!(one(RawType::Bcd16, 0x12A4), Err(Undecodable));
    let refused = register(RawType::U16, Order::Abcd).encode(&Value::Int(70_000)).unwrap_err();
    assert!(refused.contains("0 … 65535"), "{refused}");
    assert!(register(RawType::I8, Order::Abcd).encode(&Value::Int(128)).is_err());
    assert!(register(RawType::Bcd16, Order::Abcd).encode(&Value::Int(10_000)).is_err());
    assert!(register(RawType::F32, Order::Abcd).encode(&Value::Float(1e39)).is_err());
    assert!(register(RawType::U16, Order::Abcd).encode(&Value::Float(0.5)).is_err());
    assert!(register(RawType::U16, Order::Abcd).encode(&Value::from("7")).is_err());
}

#[test]
fn a_single_shows_no_digits_it_does_not_have() {
    let words = register(RawType::F32, Order::Abcd).encode(&Value::Float(23.4)).unwrap();
    assert_eq!(words, [0x41BB, 0x3333]);
    assert_eq!(register(RawType::F32, Order::Abcd).decode(&words), Ok(Value::Float(23.4)));
    let nan = register(RawType::F32, Order::Abcd).decode(&[0x7FC0, 0]).unwrap();
    assert!(nan.as_f64().unwrap().is_nan());
}

#[test]
fn bits_change_nothing_beside_them() {
    let mut field = register(RawType::U16, Order::Abcd);
    field.bits = Some(BitField { shift: 4, width: 4 });
    assert_eq!(field.decode(&[0xAB5C]), Ok(Value::Int(5)));
    let word = field.encode_bits(&Value::Int(9)).unwrap();
    assert_eq!(word.apply(0xAB5C), 0xAB9C);
    assert!(field.encode_bits(&Value::Int(16)).is_err());
    let mut bit = register(RawType::Bool, Order::Badc);
    bit.bits = Some(BitField { shift: 0, width: 1 });
    assert_eq!(bit.decode(&[0x0100]), Ok(Value::Bool(true)));
    assert_eq!(bit.encode_bits(&Value::Bool(true)).unwrap(), MaskedWord { mask: 0x0100, bits: 0x0100 });
}

#[test]
fn text_is_padded_swapped_and_limited() {
    let mut text = register(RawType::Text, Order::Badc);
    text.text_bytes = 6;
    let words = text.encode(&Value::from("HMT")).unwrap();
    assert_eq!(words, [0x4D48, 0x0054, 0]);
    assert_eq!(text.decode(&words), Ok(Value::from("HMT")));
    assert!(text.encode(&Value::from("too long")).unwrap_err().contains('6'));
    text.order = Order::Abcd;
    assert_eq!(text.decode(&[0xB043, 0x2020, 0x2020]), Ok(Value::from("°C")));
}

fn formats() -> impl Strategy<Value = RawType> {
    prop::sample::select(vec![
        RawType::U8,
        RawType::I8,
        RawType::U16,
        RawType::I16,
        RawType::U32,
        RawType::I32,
        RawType::U64,
        RawType::I64,
        RawType::F32,
        RawType::F64,
        RawType::Bcd16,
        RawType::Bcd32,
    ])
}

proptest! {
    #[test]
    fn what_is_decoded_encodes_to_what_decodes_the_same(raw in formats(), order in prop::sample::select(ORDERS.to_vec()), number: u64) {
        let register = register(raw, order);
        let words = order.split(number, raw.registers());
        let Ok(value) = register.decode(&words) else { return Ok(()) };
        if value.as_f64().is_some_and(f64::is_finite) {
            let again = register.encode(&value).unwrap();
            prop_assert_eq!(register.decode(&again), Ok(value));
            if !matches!(raw, RawType::U8 | RawType::I8) {
                prop_assert_eq!(again, words);
            }
        } else {
            prop_assert!(register.encode(&value).is_err());
        }
    }

    #[test]
    fn any_whole_number_is_held_exactly_or_refused(raw in formats(), order in prop::sample::select(ORDERS.to_vec()), number: i64) {
        let register = register(raw, order);
        if let Ok(words) = register.encode(&Value::Int(number)) {
            prop_assert_eq!(words.len(), usize::from(register.width()));
            let back = register.decode(&words).unwrap().as_f64().unwrap();
            let expected = if raw == RawType::F32 { f64::from(number as f32) } else { number as f64 };
            prop_assert_eq!(back as f32, expected as f32);
        }
    }

    #[test]
    fn every_bit_field_reads_back(shift in 0u8..16, width in 1u8..=16, order in prop::sample::select(ORDERS.to_vec()), current: u16, new: u16) {
        let width = width.min(16 - shift);
        let mut field = register(RawType::U16, order);
        field.bits = Some(BitField { shift, width });
        let value = Value::Int(i64::from(new & field.bits.unwrap().ones()));
        let word = field.encode_bits(&value).unwrap();
        prop_assert_eq!(word.apply(current) & !word.mask, current & !word.mask);
        prop_assert_eq!(field.decode(&[word.apply(current)]), Ok(value));
    }

    #[test]
    fn text_reads_back(text in "[a-zA-Z0-9 äöü°가-힣]{0,20}", order in prop::sample::select(ORDERS.to_vec())) {
        let mut register = register(RawType::Text, order);
        register.text_bytes = 80;
        let words = register.encode(&Value::from(text.as_str())).unwrap();
        prop_assert_eq!(register.decode(&words), Ok(Value::from(text.trim_end_matches(' '))));
    }

    #[test]
    fn big_endian_numbers_agree_with_rmodbus(single: u32, wide: u64) {
        let mut store = ModbusStorageSmall::new();
        store.set_holdings_from_u32(0, single).unwrap();
        store.set_holdings_from_u64(2, wide).unwrap();
        let words: Vec<u16> = (0..6).map(|i| store.get_holding(i).unwrap()).collect();
        prop_assert_eq!(register(RawType::U32, Order::Abcd).decode(&words[..2]), Ok(Value::from(u64::from(single))));
        prop_assert_eq!(register(RawType::U64, Order::Abcd).decode(&words[2..]), Ok(Value::from(wide)));
        let float = store.get_holdings_as_f32(0).unwrap();
        if let Ok(Value::Float(ours)) = register(RawType::F32, Order::Abcd).decode(&words[..2]) && float.is_finite() {
            prop_assert_eq!((ours as f32).to_bits(), float.to_bits());
        }
    }
}
