//! Every fault as it is on the wire, byte by byte, on Modbus TCP and on an RTU line.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use iogate::driver::modbus::register::Table;
use iogate::simulate::Simulation;
use iogate::simulate::fault::{Fault, Limit, Span};

use super::plant::{Plant, TIMEOUT, connect, exchange, open, rtu};

/// Transaction 0x0102, unit 1: read input register 0.
const ASK: [u8; 12] = [1, 2, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1];
/// 21.5 °C.
const TOLD: [u8; 11] = [1, 2, 0, 0, 0, 5, 1, 4, 2, 0, 215];

fn once(simulation: &Simulation, fault: Fault) {
    simulation.fault("press", fault, Limit::Times(1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_a_fault_differ_in_just_that() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    let mut told_with = |fault: Fault, request: &[u8], expected: &[u8]| {
        once(&simulation, fault);
        assert_eq!(exchange(&mut stream, request, expected.len()), expected, "{fault}");
        assert_eq!(exchange(&mut stream, &ASK, TOLD.len()), TOLD, "sound after {fault}");
    };
    told_with(Fault::Short, &ASK, &[1, 2, 0, 0, 0, 3, 1, 4, 0]);
    told_with(Fault::WrongUnit, &ASK, &[1, 2, 0, 0, 0, 5, 2, 4, 2, 0, 215]);
    told_with(Fault::WrongFunction, &ASK, &[1, 2, 0, 0, 0, 5, 1, 3, 2, 0, 215]);
    told_with(Fault::WrongTransaction, &ASK, &[1, 3, 0, 0, 0, 5, 1, 4, 2, 0, 215]);
    told_with(Fault::Exception { code: 6, at: None }, &ASK, &[1, 2, 0, 0, 0, 3, 1, 0x84, 6]);
    let write = [0, 9, 0, 0, 0, 6, 1, 6, 0, 10, 0, 44];
    told_with(Fault::WrongEcho, &write, &[0, 9, 0, 0, 0, 6, 1, 6, 0, 10, 0, 45]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_strikes_one_register_of_a_block() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    let at = Some(Span { table: Table::Holding, address: 11, count: 1 });
    simulation.fault("press", Fault::Exception { code: 2, at }, Limit::None).unwrap();
    let block = [0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 4];
    assert_eq!(exchange(&mut stream, &block, 9), [0, 1, 0, 0, 0, 3, 1, 0x83, 2]);
    let rest = [0, 2, 0, 0, 0, 6, 1, 3, 0, 12, 0, 2];
    assert_eq!(exchange(&mut stream, &rest, 13), [0, 2, 0, 0, 0, 7, 1, 3, 4, 0, 7, 0, 7]);
    simulation.clear(Some("press")).unwrap();
    simulation.fault("press/h13", Fault::Exception { code: 4, at: None }, Limit::None).unwrap();
    assert_eq!(exchange(&mut stream, &rest, 9), [0, 2, 0, 0, 0, 3, 1, 0x83, 4], "a point by its name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_stops_in_its_middle_and_ends_the_connection() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    once(&simulation, Fault::Cut);
    stream.write_all(&ASK).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, TOLD[..5]);
    let mut again = connect(&simulation, "plc");
    assert_eq!(exchange(&mut again, &ASK, TOLD.len()), TOLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_still_comes_on_the_connection_that_asked() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    once(&simulation, Fault::Late(None));
    let asked = Instant::now();
    stream.write_all(&ASK).unwrap();
    let mut next = ASK;
    next[1] = 3;
    let second = exchange(&mut stream, &next, TOLD.len());
    assert_eq!(second[1], 3, "a request after it is answered before");
    let mut late = [0; 11];
    stream.read_exact(&mut late).unwrap();
    assert_eq!(late, TOLD);
    assert!(asked.elapsed() > TIMEOUT, "after the master's timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_slow_and_frozen_devices() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    once(&simulation, Fault::Dead);
    stream.write_all(&ASK).unwrap();
    let mut next = ASK;
    next[1] = 9;
    assert_eq!(exchange(&mut stream, &next, TOLD.len())[1], 9, "the first request got no answer");

    simulation.fault("press", Fault::Slow(Duration::from_millis(60)), Limit::Times(1)).unwrap();
    let asked = Instant::now();
    assert_eq!(exchange(&mut stream, &ASK, TOLD.len()), TOLD);
    assert!(asked.elapsed() >= Duration::from_millis(60));

    let age = [0, 1, 0, 0, 0, 6, 1, 4, 0, 3, 0, 1];
    simulation.fault("press", Fault::Frozen, Limit::None).unwrap();
    let before = exchange(&mut stream, &age, 11);
    // Time goes on for the others.
    let others = simulation.value("valve/age").unwrap();
    while simulation.value("valve/age").unwrap() == others {
        std::thread::yield_now();
    }
    assert_eq!(exchange(&mut stream, &age, 11), before);
    simulation.clear(Some("press")).unwrap();
    assert_ne!(exchange(&mut stream, &age, 11), before, "the count went on meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unplugged_connection_ends_and_comes_back_on_the_same_port() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    assert_eq!(exchange(&mut stream, &ASK, TOLD.len()), TOLD);
    simulation.unplug("plc", None).unwrap();
    let ended = match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(ended);
    let endpoint = simulation.endpoint("plc").unwrap();
    assert_eq!(TcpStream::connect(endpoint).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    simulation.plug_in("plc").unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut again = loop {
        match TcpStream::connect(endpoint) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(exchange(&mut again, &ASK, TOLD.len()), TOLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_together_are_answered_one_by_one_and_other_units_are_not_ours() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    let mut other = ASK;
    other[6] = 9;
    let all = [other, ASK, ASK].concat();
    assert_eq!(exchange(&mut stream, &all, 22), [TOLD, TOLD].concat());
    stream.write_all(&[0, 1, 0, 7, 0, 6, 1, 4, 0, 0, 0, 1]).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "a stream that is not Modbus is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_an_rtu_line() {
    let simulation = Plant::new().start().await;
    let mut port = open(&simulation, "line");
    let ask = rtu(&[17, 4, 0, 0, 0, 1]);
    let told = rtu(&[17, 4, 2, 0, 215]);
    let mut told_with = |fault: Fault, expected: &[u8]| {
        simulation.fault("climate", fault, Limit::Times(1)).unwrap();
        assert_eq!(exchange(&mut port, &ask, expected.len()), expected, "{fault}");
        assert_eq!(exchange(&mut port, &ask, told.len()), told, "sound after {fault}");
    };
    let mut corrupt = told.clone();
    corrupt[5] ^= 1;
    told_with(Fault::Corrupt, &corrupt);
    told_with(Fault::Short, &rtu(&[17, 4, 0]));
    told_with(Fault::Cut, &told[..3]);
    told_with(Fault::WrongUnit, &rtu(&[18, 4, 2, 0, 215]));
    told_with(Fault::Exception { code: 2, at: None }, &rtu(&[17, 0x84, 2]));
    let refused = simulation.fault("climate", Fault::WrongTransaction, Limit::None).unwrap_err();
    assert!(refused.contains("only Modbus TCP"), "{refused}");
    let refused = simulation.fault("press", Fault::Corrupt, Limit::None).unwrap_err();
    assert!(refused.contains("no check"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_ignores_bad_checks_strangers_and_noise_and_obeys_broadcasts() {
    let simulation = Plant::new().start().await;
    let mut port = open(&simulation, "line");
    let mut spoilt = rtu(&[17, 4, 0, 0, 0, 1]);
    spoilt[7] ^= 0x80;
    port.write_all(&spoilt).unwrap();
    port.write_all(&rtu(&[99, 4, 0, 0, 0, 1])).unwrap();
    port.write_all(&rtu(&[0, 6, 0, 12, 0, 77])).unwrap();
    // The first answer on the line is that of the first sound request.
    for unit in [17, 18] {
        let told = rtu(&[unit, 3, 2, 0, 77]);
        assert_eq!(exchange(&mut port, &rtu(&[unit, 3, 0, 12, 0, 1]), told.len()), told);
    }
    let unknown = rtu(&[17, 0x2b, 14, 1, 0]);
    assert_eq!(exchange(&mut port, &unknown, 5), rtu(&[17, 0xab, 1]), "an unknown function");
    assert_eq!(simulation.load("line").unwrap().noise_bytes, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_port_that_is_pulled_is_gone_and_comes_back_under_its_name() {
    let simulation = Plant::new().start().await;
    let ask = rtu(&[17, 4, 0, 0, 0, 1]);
    let told = rtu(&[17, 4, 2, 0, 215]);
    let mut port = open(&simulation, "line");
    assert_eq!(exchange(&mut port, &ask, told.len()), told);
    let path = std::path::PathBuf::from(simulation.endpoint("line").unwrap());
    simulation.unplug("line", None).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let wait_until = |condition: &dyn Fn() -> bool| {
        while !condition() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    };
    wait_until(&|| !path.exists());
    assert!(matches!(port.read(&mut [0; 1]), Ok(0) | Err(_)), "the open port fails");
    drop(port);
    simulation.plug_in("line").unwrap();
    wait_until(&|| path.exists());
    for _ in 0..2 {
        let mut port = open(&simulation, "line");
        assert_eq!(exchange(&mut port, &ask, told.len()), told);
    }
    simulation.stop().await;
    assert!(!path.exists() && !path.parent().unwrap().exists(), "nothing is left behind");
}
