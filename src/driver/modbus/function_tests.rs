//! Functions beside the tables: what is asked, and what is made of any answer.

use proptest::prelude::*;

use super::*;
use crate::driver::modbus::config::DeviceConfig;
use crate::driver::modbus::wire::{Answer, Ask};

fn register(json: &str, access: Access) -> Result<Register, String> {
    let point: PointConfig = serde_json::from_str(json).unwrap();
    let device: DeviceConfig = serde_json::from_str("{}").unwrap();
    let (register, _) = point.register(&device, access.writable())?;
    register.check_function(access)?;
    Ok(register)
}

fn read(json: &str) -> Register {
    register(json, Access::R).unwrap()
}

#[test]
fn identification_is_asked_as_a_stream_from_the_object_on() {
    let ask = Ask::read(&read(r#"{"identification": 1}"#));
    assert_eq!(ask, Ask::Identify { object: 1 });
    assert_eq!((ask.function(), category(1), category(4), category(0x80)), (43, 1, 2, 3));
    let answer = objects_answer(1, &[(1, b"iEM3155".to_vec()), (2, b"V1.0".to_vec())]);
    assert_eq!(objects_len(&answer), Some(answer.len()));
    for cut in 0..answer.len() {
        assert_eq!(objects_len(&answer[..cut]).filter(|len| *len <= cut), None, "{cut}");
    }
    assert_eq!(object(&answer, 2), Some(&b"V1.0"[..]));
    assert_eq!(object(&answer, 3), None);
    let code = read(r#"{"identification": 1}"#);
    let Answer::Bytes(bytes) = Answer::Bytes(object(&answer, 1).unwrap().to_vec()) else { unreachable!() };
    assert_eq!(code.reply_value(&bytes), Some(Value::Text("iEM3155".into())));
}

#[test]
fn values_stand_at_their_byte_of_an_answer() {
    let status = read(r#"{"function": 7, "bit": 5}"#);
    assert_eq!(Ask::read(&status).answer_pdu_len(), 2);
    assert_eq!(status.reply_value(&[0x20]), Some(Value::Bool(true)));
    assert_eq!(status.reply_value(&[]), None);
    let bytes = [1, 2, 3, 0xFF, b'a', b'b', 0];
    for (place, wanted) in [
        (r#""reply-at": 3, "type": "i8""#, Value::Int(-1)),
        (r#""reply-at": 0, "type": "u16""#, Value::Int(0x0102)),
        (r#""reply-at": 0, "type": "u24""#, Value::Int(0x01_0203)),
        (r#""reply-at": 0, "type": "u32", "order": "cdab""#, Value::Int(0x03FF_0102)),
        (r#""reply-at": 4, "type": "text", "length": 3"#, Value::Text("ab".into())),
    ] {
        let json = format!(r#"{{"function": 101, "reply-bytes": 7, {place}}}"#);
        assert_eq!(read(&json).reply_value(&bytes), Some(wanted), "{json}");
    }
}

#[test]
fn commands_carry_their_bytes_and_their_value() {
    let reset = register(r#"{"function": 66, "reply-bytes": 0}"#, Access::W).unwrap();
    assert_eq!(reset.request_bytes(&Value::Bool(true)), Ok(Vec::new()));
    assert!(reset.request_bytes(&Value::Bool(false)).unwrap_err().contains("given by on"));
    let json = r#"{"function": 70, "function-data": [1, 2], "reply-bytes": 1, "type": "u8"}"#;
    let set = register(json, Access::W).unwrap();
    let Table::Call(call) = set.table else { panic!("a function") };
    let ask = Ask::Call { call, value: set.request_bytes(&Value::Int(200)).unwrap() };
    assert_eq!((call.sent(), ask.pdu_len(), ask.answer_pdu_len()), (&[1, 2][..], 4, 2));
    assert!(set.request_bytes(&Value::Int(300)).is_err());
}

#[test]
fn what_makes_no_sense_says_so() {
    for (json, access, words) in [
        (r#"{"function": 3, "reply-bytes": 1}"#, Access::R, "name coil, discrete, input or holding"),
        (r#"{"function": 43, "reply-bytes": 1}"#, Access::R, "identification: 0"),
        (r#"{"function": 66}"#, Access::W, "reply-bytes: how many"),
        (r#"{"function": 66, "reply-bytes": 253}"#, Access::W, "at most 252"),
        (r#"{"function": 200, "reply-bytes": 1}"#, Access::R, "1 … 127"),
        (r#"{"function": 66, "reply-bytes": 2, "type": "u32"}"#, Access::R, "byte 4 of an answer of 2"),
        (r#"{"function": 66, "reply-bytes": 2, "type": "u16"}"#, Access::Rw, "access: r or w"),
        (r#"{"function": 7, "bit": 9}"#, Access::R, "0 … 7"),
        (r#"{"function": 7, "coil": 9}"#, Access::R, "both coil and function"),
        (r#"{"identification": 0, "type": "u16"}"#, Access::R, "text as long as it is"),
        (r#"{"identification": 0}"#, Access::W, "cannot be written"),
        (r#"{"holding": 0, "reply-at": 1}"#, Access::R, "belong to function"),
    ] {
        let problem = register(json, access).unwrap_err();
        assert!(problem.contains(words), "{json}: {problem}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics(pdu in prop::collection::vec(any::<u8>(), 0..260), wanted: u8, at in 0u8..20) {
        let _ = (objects_len(&pdu), object(&pdu, wanted));
        let json = format!(r#"{{"function": 101, "reply-bytes": 30, "reply-at": {at}, "type": "i24"}}"#);
        let value = read(&json).reply_value(&pdu);
        prop_assert_eq!(value.is_some(), pdu.len() >= usize::from(at) + 3);
    }

    #[test]
    fn objects_come_back(texts in prop::collection::vec("[a-zA-Z0-9 ]{0,40}", 1..8)) {
        let list: Vec<(u8, Vec<u8>)> = (0u8..).zip(texts.iter().map(|text| text.clone().into_bytes())).collect();
        let answer = objects_answer(1, &list);
        prop_assert!(answer.len() <= 253);
        prop_assert_eq!(objects_len(&answer), Some(answer.len()));
        for (id, contents) in &list[..usize::from(answer[6])] {
            prop_assert_eq!(object(&answer, *id), Some(&contents[..]));
        }
    }
}
