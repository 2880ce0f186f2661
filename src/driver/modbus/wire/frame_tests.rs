//! Tests of the frame judge, among them that arbitrary bytes never pass for an answer.

use proptest::prelude::*;
use rmodbus::{ModbusProto, client::ModbusRequest};

use super::*;
use crate::driver::modbus::register::Table;
use crate::driver::modbus::wire::Ask;

fn read(count: u16) -> Ask {
    Ask::Read { table: Table::Holding, address: 0x10, count }
}

fn rtu(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend_from_slice(&crc16(body).to_le_bytes());
    frame
}

#[test]
fn checksums_of_the_standard() {
    // Serial Line 1.02, section 6.2.2: the CRC of 02 07 is 0x1241.
    assert_eq!(crc16(&[2, 7]), 0x1241);
    assert_eq!(to_ascii(&[0x11, 3, 0, 0x6B, 0, 3]), b":1103006B00037E\r\n");
}

#[test]
fn rtu_answers_pass_only_when_they_fit() {
    let expect = read(2).expect(7);
    let judge = |frame: &[u8]| Framing::Rtu.parse(&expect, &[], frame);
    let good = rtu(&[7, 3, 4, 1, 2, 3, 4]);
    assert_eq!(judge(&good), Progress::Complete(good.clone()));
    for cut in 0..good.len() {
        assert_eq!(judge(&good[..cut]), Progress::More, "{cut}");
    }
    for wrong in [
        rtu(&[8, 3, 4, 1, 2, 3, 4]),
        rtu(&[7, 4, 4, 1, 2, 3, 4]),
        rtu(&[7, 3, 2, 1, 2]),
        [good.clone(), vec![0]].concat(),
        [&good[..good.len() - 1], &[0]].concat(),
    ] {
        assert!(matches!(judge(&wrong), Progress::Malformed(_)), "{wrong:?}");
    }
    let exception = rtu(&[7, 0x83, 2]);
    assert_eq!(judge(&exception), Progress::Complete(exception.clone()));
}

#[test]
fn tcp_answers_need_their_own_number_and_length() {
    let request = [0, 9, 0, 0, 0, 6, 7, 3, 0, 0x10, 0, 2];
    let expect = read(2).expect(7);
    let judge = |frame: &[u8]| Framing::Tcp.parse(&expect, &request, frame);
    let good = [0, 9, 0, 0, 0, 7, 7, 3, 4, 1, 2, 3, 4];
    assert_eq!(judge(&good), Progress::Complete(good.to_vec()));
    for (at, byte) in [(0, 1), (1, 8), (3, 1), (5, 8), (6, 8), (7, 4), (8, 2)] {
        let mut wrong = good;
        wrong[at] = byte;
        assert!(matches!(judge(&wrong), Progress::Malformed(_)), "byte {at}");
    }
    assert_eq!(judge(&good[..12]), Progress::More);
    assert!(matches!(judge(&[&good[..], &[0]].concat()), Progress::Malformed(_)));
    let exception = [0, 9, 0, 0, 0, 3, 7, 0x83, 2];
    assert_eq!(judge(&exception), Progress::Complete(exception.to_vec()));
}

#[test]
fn write_echoes_must_repeat_address_and_value() {
    let ask = Ask::WriteRegister { address: 0x20, word: 0x1234 };
    let expect = ask.expect(1);
    let judge = |body: &[u8]| Framing::Rtu.parse(&expect, &[], &rtu(body));
    assert!(matches!(judge(&[1, 6, 0, 0x20, 0x12, 0x34]), Progress::Complete(_)));
    assert!(matches!(judge(&[1, 6, 0, 0x21, 0x12, 0x34]), Progress::Malformed(_)));
    assert!(matches!(judge(&[1, 6, 0, 0x20, 0x12, 0x35]), Progress::Malformed(_)));
    let mask = Ask::MaskWrite { address: 4, and: 0xFFF2, or: 0x25 }.expect(1);
    let echo = rtu(&[1, 22, 0, 4, 0xFF, 0xF2, 0, 0x25]);
    assert_eq!(Framing::Rtu.parse(&mask, &[], &echo), Progress::Complete(echo.clone()));
}

#[test]
fn ascii_becomes_what_rtu_would_have_been() {
    let expect = read(1).expect(0x11);
    let judge = |text: &[u8]| Framing::Ascii.parse(&expect, &[], text);
    let text = to_ascii(&[0x11, 3, 2, 0xAB, 0xCD]);
    assert_eq!(judge(&text), Progress::Complete(rtu(&[0x11, 3, 2, 0xAB, 0xCD])));
    assert_eq!(judge(&[b"\0\0", &text[..]].concat()), Progress::Complete(rtu(&[0x11, 3, 2, 0xAB, 0xCD])));
    assert_eq!(judge(&text[..text.len() - 1]), Progress::More);
    let mut wrong = text.clone();
    wrong[8] = b'0';
    assert!(matches!(judge(&wrong), Progress::Malformed(_)));
    assert!(matches!(judge(b":zz\r\n"), Progress::Malformed(_)));
    assert!(matches!(judge(b":\r\n"), Progress::Malformed(_)));
    assert!(matches!(judge(&to_ascii(&[0x11, 3, 4, 0, 0, 0, 0])), Progress::Malformed(_)));
}

fn asks() -> impl Strategy<Value = Ask> {
    let tables = prop::sample::select(vec![Table::Coil, Table::Discrete, Table::Input, Table::Holding]);
    prop_oneof![
        (tables, any::<u16>(), 1u16..=125).prop_map(|(table, address, count)| Ask::Read {
            table,
            address,
            count
        }),
        (any::<u16>(), any::<bool>()).prop_map(|(address, on)| Ask::WriteCoil { address, on }),
        (any::<u16>(), any::<u16>()).prop_map(|(address, word)| Ask::WriteRegister { address, word }),
        (any::<u16>(), any::<u16>(), any::<u16>()).prop_map(|(address, and, or)| Ask::MaskWrite {
            address,
            and,
            or
        }),
        (any::<u16>(), prop::collection::vec(any::<u16>(), 1..123))
            .prop_map(|(address, words)| Ask::WriteRegisters { address, words }),
        (any::<u16>(), prop::collection::vec(any::<bool>(), 1..1968))
            .prop_map(|(address, states)| Ask::WriteCoils { address, states }),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_pass(ask in asks(), unit: u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let expect = ask.expect(unit);
        let request = [0x5A, 0xA5, 0, 0];
        for framing in [Framing::Tcp, Framing::Rtu, Framing::Ascii] {
            if let Progress::Complete(frame) = framing.parse(&expect, &request, &bytes) {
                // Only a frame that names the unit and function can pass; chance alone must forge a checksum too.
                let body = if framing == Framing::Tcp { &frame[6..] } else { &frame[..] };
                prop_assert_eq!(body[0], unit);
                prop_assert_eq!(body[1] & 0x7F, ask.function());
            }
        }
    }

    #[test]
    fn a_changed_byte_never_passes_on_rtu_or_ascii(ask in asks(), unit: u8, contents: u8, at: prop::sample::Index, flip in 1u8..) {
        let expect = ask.expect(unit);
        let mut body = vec![unit];
        body.extend(&expect.prefix_for_tests());
        body.resize(1 + expect.pdu_len, contents);
        let mut frame = rtu(&body);
        prop_assert_eq!(Framing::Rtu.parse(&expect, &[], &frame), Progress::Complete(frame.clone()));
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(!matches!(Framing::Rtu.parse(&expect, &[], &frame), Progress::Complete(_)));
    }

    #[test]
    fn requests_of_rmodbus_are_answered_in_the_expected_length(address: u16, count in 1u16..=125, unit in 1u8..=247) {
        let mut request = ModbusRequest::new(unit, ModbusProto::Rtu);
        let mut bytes = Vec::new();
        request.generate_get_holdings(address, count, &mut bytes).unwrap();
        let ask = Ask::Read { table: Table::Holding, address, count };
        prop_assert_eq!(Framing::Rtu.frame_len(ask.pdu_len()), bytes.len());
        let (body, sum) = bytes.split_at(bytes.len() - 2);
        prop_assert_eq!(crc16(body).to_le_bytes(), [sum[0], sum[1]]);
    }
}

/// An answer that tells its own length passes only whole, in each kind of frame.
#[test]
fn lists_of_objects_end_where_they_say() {
    let ask = Ask::Identify { object: 0 };
    let expect = ask.expect(7);
    let pdu = [&[43, 14, 1, 1, 0, 0, 2, 0, 2], &b"AB"[..], &[1, 1], b"C"].concat();
    let body = [&[7], &pdu[..]].concat();
    let good = rtu(&body);
    let judge = |frame: &[u8]| Framing::Rtu.parse(&expect, &[], frame);
    assert_eq!(judge(&good), Progress::Complete(good.clone()));
    for cut in 0..good.len() {
        assert_eq!(judge(&good[..cut]), Progress::More, "{cut}");
    }
    for wrong in [
        rtu(&[&body[..], &[0]].concat()),
        rtu(&[&[7, 43, 13], &body[3..]].concat()),
        rtu(&[&[7, 43, 14, 2], &body[4..]].concat()),
        rtu(&[&[7, 43, 14, 1, 1, 0, 0, 2], &[0, 250][..], &[0; 250], &[1, 9], &[0; 9]].concat()),
    ] {
        assert!(matches!(judge(&wrong), Progress::Malformed(_)), "{wrong:?}");
    }
    let head = [0, 9, 0, 0, 0, body.len() as u8];
    let tcp = [&head[..], &body].concat();
    let request = [0, 9, 0, 0, 0, 5, 7, 43, 14, 1, 0];
    assert_eq!(Framing::Tcp.parse(&expect, &request, &tcp), Progress::Complete(tcp.clone()));
    assert_eq!(Framing::Tcp.parse(&expect, &request, &tcp[..tcp.len() - 1]), Progress::More);
    let mut longer = tcp.clone();
    longer[5] += 1;
    assert!(matches!(Framing::Tcp.parse(&expect, &request, &longer), Progress::Malformed(_)));
    assert_eq!(Framing::Ascii.parse(&expect, &[], &to_ascii(&body)), Progress::Complete(good));
    let refusal = rtu(&[7, 0xAB, 1]);
    assert_eq!(judge(&refusal), Progress::Complete(refusal.clone()));
}
