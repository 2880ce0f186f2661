//! Tests of `unit`: the functions of the standard on a small device.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::cell::Drive;
use super::super::fault::{Fault, Limit};
use super::*;
use crate::driver::modbus::register::{Order, RawType};
use crate::driver::modbus::{Device, Register};
use crate::model::conversion::Linear;
use crate::model::{Behaviour, Conversion, Motion, ValueKind};

fn cell(id: u32, table: Table, address: u16, raw: RawType, behaviour: &str) -> Cell {
    let kind = match raw {
        RawType::Bool => ValueKind::Bool,
        RawType::Text => ValueKind::Text,
        _ => ValueKind::Float,
    };
    let linear =
        if raw == RawType::I16 { Linear::Scale { scale: 0.1, offset: 0.0 } } else { Linear::Identity };
    let behaviour: Behaviour = serde_yaml::from_str(behaviour).unwrap();
    let text_bytes = if raw == RawType::Text { 6 } else { 0 };
    Cell {
        id: PointId(id),
        register: Register {
            table,
            address,
            write_address: address,
            raw,
            order: Order::Abcd,
            bits: None,
            text_bytes,
            read_to_clear: false,
        },
        conversion: Conversion { linear, ..Conversion::default() },
        kind,
        range: None,
        writable: table.is_writable(),
        motion: Motion::new(&behaviour, kind, 0).unwrap(),
        depends: None,
        drive: None,
        held: false,
        lead: 0,
        apart: None,
    }
}

/// Coils 0-9 (3 and 4 on), discrete input 100 (on), input 0 = 21.5 °C, input 2-3 an f32 ramp of 1/s, holding
/// 10-13 and a text at 20-22.
fn unit() -> Unit {
    let mut cells: Vec<Cell> = (0..10)
        .map(|i| {
            let state = if i == 3 || i == 4 { "constant: on" } else { "constant: off" };
            cell(u32::from(i), Table::Coil, i, RawType::Bool, state)
        })
        .collect();
    cells.push(cell(10, Table::Discrete, 100, RawType::Bool, "constant: on"));
    cells.push(cell(11, Table::Input, 0, RawType::I16, "constant: 21.5"));
    cells.push(cell(12, Table::Input, 2, RawType::F32, "count: { by: 1, every: 1s }"));
    for i in 0..4 {
        cells.push(cell(20 + u32::from(i), Table::Holding, 10 + i, RawType::U16, "constant: 7"));
    }
    cells.push(cell(30, Table::Holding, 20, RawType::Text, "constant: Idle"));
    let device = Device {
        name: "press".into(),
        unit: 17,
        max_registers: 100,
        max_bits: 2000,
        max_gap: 0,
        timeout: Duration::from_millis(400),
        pause: Duration::ZERO,
        wake: None,
        node: None,
        model: "press".into(),
        identify: Vec::new(),
        setup: Vec::new(),
        watchdog: None,
        models: Vec::new(),
        points: Vec::new(),
    };
    Unit::new(&device, cells, false)
}

fn ask(unit: &mut Unit, pdu: &[u8]) -> Vec<u8> {
    ask_at(unit, pdu, 0).expect("an answer").pdu
}

fn ask_at(unit: &mut Unit, pdu: &[u8], seconds: u64) -> Option<Answer> {
    unit.serve(pdu, Duration::from_secs(seconds), Instant::now())
}

#[test]
fn reads_answer_as_the_standard_says() {
    let mut unit = unit();
    assert_eq!(ask(&mut unit, &[1, 0, 0, 0, 10]), [1, 2, 0b0001_1000, 0]);
    assert_eq!(ask(&mut unit, &[1, 0, 3, 0, 2]), [1, 1, 0b11]);
    assert_eq!(ask(&mut unit, &[2, 0, 100, 0, 1]), [2, 1, 1]);
    assert_eq!(ask(&mut unit, &[4, 0, 0, 0, 1]), [4, 2, 0, 215]);
    assert_eq!(ask_at(&mut unit, &[4, 0, 2, 0, 2], 2).unwrap().pdu, [4, 4, 0x40, 0, 0, 0]);
    assert_eq!(ask(&mut unit, &[3, 0, 20, 0, 3]), [3, 6, b'I', b'd', b'l', b'e', 0, 0]);
}

#[test]
fn what_is_not_there_is_refused() {
    let mut unit = unit();
    assert_eq!(ask(&mut unit, &[4, 0, 0, 0, 2]), [0x84, 2], "a hole");
    assert_eq!(ask(&mut unit, &[3, 0xff, 0xff, 0, 2]), [0x83, 2]);
    assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 101]), [0x83, 3], "more than the device takes");
    assert_eq!(ask(&mut unit, &[6, 0, 99, 0, 1]), [0x86, 2]);
    assert_eq!(ask(&mut unit, &[0x2b, 14, 1, 0]), [0xab, 1]);
    let counts = unit.counts;
    assert_eq!((counts.requests, counts.answers, counts.exceptions, counts.writes), (5, 5, 5, 0));
}

#[test]
fn writes_are_echoed_and_stay() {
    let mut unit = unit();
    for (request, echo) in [
        (&[5, 0, 9, 0xff, 0][..], &[5, 0, 9, 0xff, 0][..]),
        (&[15, 0, 0, 0, 3, 1, 0b101], &[15, 0, 0, 0, 3]),
        (&[6, 0, 10, 0x12, 0x34], &[6, 0, 10, 0x12, 0x34]),
        (&[16, 0, 11, 0, 2, 4, 0, 1, 0, 2], &[16, 0, 11, 0, 2]),
        (&[22, 0, 13, 0, 0xf2, 0, 0x25], &[22, 0, 13, 0, 0xf2, 0, 0x25]),
    ] {
        assert_eq!(ask(&mut unit, request), echo);
    }
    assert_eq!(ask(&mut unit, &[1, 0, 0, 0, 10]), [1, 2, 0b0001_1101, 0b10]);
    // 7 and 0xf2, or 0x25 without 0xf2: section 6.16.
    assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 4]), [3, 8, 0x12, 0x34, 0, 1, 0, 2, 0, 7 & 0xf2 | 0x25 & 0x0d]);
    let both = [23, 0, 10, 0, 2, 0, 11, 0, 1, 2, 0xab, 0xcd];
    assert_eq!(ask(&mut unit, &both), [23, 4, 0x12, 0x34, 0xab, 0xcd], "the write comes first");
    assert_eq!(unit.counts.writes, 6);
}

#[test]
fn a_moving_output_stays_where_a_master_puts_it_until_released() {
    let mut moving = cell(1, Table::Holding, 0, RawType::U16, "count: { by: 1, every: 1s }");
    let mut measured = cell(2, Table::Holding, 1, RawType::U16, "count: { by: 1, every: 1s }");
    (moving.writable, measured.writable) = (true, false);
    let mut unit = Unit::new(
        &Device { max_registers: 125, points: Vec::new(), ..device() },
        vec![moving, measured],
        false,
    );
    assert_eq!(ask_at(&mut unit, &[16, 0, 0, 0, 2, 4, 0, 50, 0, 50], 1).unwrap().pdu, [16, 0, 0, 0, 2]);
    assert_eq!(ask_at(&mut unit, &[3, 0, 0, 0, 2], 3).unwrap().pdu, [3, 4, 0, 50, 0, 3]);
    unit.release(PointId(1), Duration::from_secs(4)).unwrap();
    assert_eq!(ask_at(&mut unit, &[3, 0, 0, 0, 1], 4).unwrap().pdu, [3, 2, 0, 4]);
}

fn device() -> Device {
    Device {
        name: "press".into(),
        unit: 1,
        max_registers: 125,
        max_bits: 2000,
        max_gap: 4,
        timeout: Duration::from_millis(400),
        pause: Duration::ZERO,
        wake: None,
        node: None,
        model: "press".into(),
        identify: Vec::new(),
        setup: Vec::new(),
        watchdog: None,
        models: Vec::new(),
        points: Vec::new(),
    }
}

#[test]
fn holes_that_may_be_read_along_are_there_unless_strict() {
    let cells = || {
        vec![
            cell(1, Table::Input, 0, RawType::U16, "constant: 1"),
            cell(2, Table::Input, 5, RawType::U16, "constant: 2"),
        ]
    };
    let mut lenient = Unit::new(&device(), cells(), false);
    assert_eq!(ask(&mut lenient, &[4, 0, 0, 0, 6]), [4, 12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    let mut strict = Unit::new(&device(), cells(), true);
    assert_eq!(ask(&mut strict, &[4, 0, 0, 0, 6]), [0x84, 2]);
}

#[test]
fn a_point_written_elsewhere_is_seen_where_it_is_read() {
    let mut output = cell(1, Table::Holding, 0, RawType::U16, "constant: 1");
    output.register.write_address = 512;
    let mut unit = Unit::new(&device(), vec![output], true);
    ask(&mut unit, &[6, 2, 0, 0, 9]);
    assert_eq!(ask(&mut unit, &[3, 0, 0, 0, 1]), [3, 2, 0, 9]);
}

#[test]
fn values_set_by_hand_hold_and_raw_words_take_any_shape() {
    let mut unit = unit();
    unit.set(PointId(11), "-3.26").unwrap();
    assert_eq!(ask(&mut unit, &[4, 0, 0, 0, 1]), [4, 2, 0xff, 0xdf], "the nearest raw number, -33");
    assert!(unit.set(PointId(11), "warm").unwrap_err().contains("warm"));
    assert!(unit.set(PointId(11), "99999").is_err(), "an i16 cannot hold it");
    unit.set_words(PointId(11), &[0x7fff]).unwrap();
    assert_eq!(ask(&mut unit, &[4, 0, 0, 0, 1]), [4, 2, 0x7f, 0xff]);
    assert!(unit.set_words(PointId(12), &[1]).unwrap_err().contains('2'));
    unit.set_words(PointId(12), &[0x7fc0, 0]).unwrap();
    assert_eq!(ask_at(&mut unit, &[4, 0, 2, 0, 2], 5).unwrap().pdu, [4, 4, 0x7f, 0xc0, 0, 0]);
}

#[test]
fn faults_show_in_the_answer() {
    let read = [4, 0, 0, 0, 1];
    let with = |fault, pdu: &[u8]| {
        let mut unit = unit();
        unit.faults.add(fault, Limit::Times(1), Instant::now()).unwrap();
        let answer = ask_at(&mut unit, pdu, 0);
        assert_eq!(ask(&mut unit, &read), [4, 2, 0, 215], "sound again");
        answer
    };
    assert_eq!(with(Fault::Dead, &read), None);
    assert_eq!(with(Fault::Short, &read).unwrap().pdu, [4, 0]);
    assert_eq!(with(Fault::Short, &[3, 0, 10, 0, 2]).unwrap().pdu, [3, 2, 0, 7]);
    assert_eq!(with(Fault::Short, &[1, 0, 0, 0, 8]).unwrap().pdu, [1, 0]);
    assert_eq!(with(Fault::Short, &[6, 0, 10, 0, 1]).unwrap().pdu, [6, 0, 10]);
    assert_eq!(with(Fault::WrongUnit, &read).unwrap().unit, 18);
    assert_eq!(with(Fault::WrongFunction, &read).unwrap().pdu, [3, 2, 0, 215]);
    assert_eq!(with(Fault::WrongEcho, &[6, 0, 10, 0, 1]).unwrap().pdu, [6, 0, 10, 0, 0]);
    assert_eq!(with(Fault::Exception { code: 4, at: None }, &read).unwrap().pdu, [0x84, 4]);
    assert_eq!(with(Fault::Late(None), &read).unwrap().effects.delay, Duration::from_millis(500));
}

#[test]
fn a_frozen_device_answers_with_old_values() {
    let mut unit = unit();
    let read = [4, 0, 2, 0, 2];
    let before = ask_at(&mut unit, &read, 3).unwrap().pdu;
    unit.faults.add(Fault::Frozen, Limit::None, Instant::now()).unwrap();
    assert_eq!(ask_at(&mut unit, &read, 60).unwrap().pdu, before);
    unit.faults.clear();
    assert_ne!(ask_at(&mut unit, &read, 60).unwrap().pdu, before);
}

#[test]
fn a_broadcast_writes_and_is_not_answered() {
    let mut unit = unit();
    unit.broadcast(&[6, 0, 10, 0, 99], Duration::ZERO, Instant::now());
    unit.broadcast(&[3, 0, 10, 0, 1], Duration::ZERO, Instant::now());
    assert_eq!(unit.counts.answers, 0);
    assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 1]), [3, 2, 0, 99]);
}

#[test]
fn a_value_that_does_not_fit_leaves_the_register_and_is_counted() {
    let cells = vec![cell(1, Table::Input, 0, RawType::U16, "ramp: { from: 65000, to: 66000, period: 10s }")];
    let mut unit = Unit::new(&device(), cells, false);
    let read = [4, 0, 0, 0, 1];
    let last = ask_at(&mut unit, &read, 5).unwrap().pdu;
    assert_eq!(ask_at(&mut unit, &read, 8).unwrap().pdu, last);
    assert_eq!(unit.counts.unrepresentable, 1);
}

#[test]
fn an_output_drives_what_depends_on_it() {
    let drive = Arc::new(Drive::default());
    let mut fan = cell(1, Table::Coil, 0, RawType::Bool, "constant: off");
    fan.drive = Some(Arc::clone(&drive));
    let mut heat = cell(
        2,
        Table::Input,
        0,
        RawType::I16,
        "responds: { to: a/fan, off: 90, on: 30, time-constant: 10s, start: 60 }",
    );
    heat.depends = Some(drive);
    let mut unit = Unit::new(&device(), vec![fan, heat], false);
    let read = |unit: &mut Unit, seconds| {
        let answer = ask_at(unit, &[4, 0, 0, 0, 1], seconds).unwrap().pdu;
        i16::from_be_bytes([answer[2], answer[3]])
    };
    assert_eq!(read(&mut unit, 0), 600);
    let hot = read(&mut unit, 10);
    assert_eq!(hot, 790, "900 - 300 / e = 789.6");
    ask_at(&mut unit, &[5, 0, 0, 0xff, 0], 10).unwrap();
    assert!(read(&mut unit, 20) < 500);
}

proptest! {
    #[test]
    fn any_request_is_answered_within_a_frame(pdu in prop::collection::vec(any::<u8>(), 0..260), seconds in 0u64..1000) {
        let mut unit = unit();
        let answer = ask_at(&mut unit, &pdu, seconds).unwrap();
        prop_assert!((2..=253).contains(&answer.pdu.len()));
    }

    #[test]
    fn likely_requests_are_answered_within_a_frame(
        function in prop::sample::select(vec![1u8, 2, 3, 4, 5, 6, 15, 16, 22, 23]), address in 0u8..25, count in 0u8..130,
        tail in prop::collection::vec(any::<u8>(), 0..20), fault in 0usize..8,
    ) {
        let mut unit = unit();
        let faults = [
            Fault::Short, Fault::Cut, Fault::WrongUnit, Fault::WrongFunction, Fault::WrongEcho,
            Fault::Corrupt, Fault::Frozen, Fault::Slow(Duration::ZERO),
        ];
        unit.faults.add(faults[fault], Limit::None, Instant::now()).unwrap();
        let pdu = [vec![function, 0, address, 0, count], tail].concat();
        let answer = ask_at(&mut unit, &pdu, 0).unwrap();
        prop_assert!((1..=253).contains(&answer.pdu.len()));
    }
}
