//! mbpoll (libmodbus) and pymodbus as masters: what they read and write confirms the slave side.

use super::plant::{Plant, peer, python};

fn mbpoll(arguments: &[&str]) -> String {
    let output = peer("mbpoll", arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "mbpoll {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The values that mbpoll prints, as `[address]: \t value` lines.
fn values(text: &str) -> Vec<(u16, i64)> {
    let value = |line: &str| {
        let (address, value) = line.strip_prefix('[')?.split_once("]:")?;
        let number = value.split_whitespace().next()?.parse().ok()?;
        Some((address.parse().ok()?, number))
    };
    text.lines().filter_map(value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mbpoll_reads_and_writes_over_tcp() {
    let simulation = Plant::new().start().await;
    let port = simulation.endpoint("plc").unwrap().rsplit_once(':').unwrap().1.to_owned();
    let base = ["-m", "tcp", "-p", &port, "-a", "1", "-0", "-1", "-q"];
    let ask = |table: &str, first: &str, count: &str| {
        mbpoll(&[&base[..], &["-t", table, "-r", first, "-c", count, "127.0.0.1"]].concat())
    };
    let write = |table: &str, first: &str, to: &[&str]| {
        mbpoll(&[&base[..8], &["-t", table, "-r", first, "127.0.0.1"], to].concat())
    };
    assert_eq!(values(&ask("3", "0", "1")), [(0, 215)]);
    assert_eq!(values(&ask("1", "0", "4")), [(0, 0), (1, 1), (2, 0), (3, 0)]);
    write("4", "10", &["1234"]);
    write("4", "11", &["1", "2"]);
    assert_eq!(values(&ask("4", "10", "4")), [(10, 1234), (11, 1), (12, 2), (13, 7)]);
    write("0", "8", &["1"]);
    assert_eq!(values(&ask("0", "7", "3")), [(7, 0), (8, 1), (9, 0)]);
    assert_eq!(simulation.counts("press").unwrap().writes, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn mbpoll_reads_and_writes_on_a_serial_line() {
    let simulation = Plant::new().start().await;
    let port = simulation.endpoint("line").unwrap();
    let base = ["-m", "rtu", "-b", "9600", "-P", "none", "-0", "-1", "-q"];
    let ask = |unit: &str, table: &str, first: &str, count: &str| {
        mbpoll(&[&base[..], &["-a", unit, "-t", table, "-r", first, "-c", count, port]].concat())
    };
    assert_eq!(values(&ask("17", "3", "0", "1")), [(0, 215)]);
    mbpoll(&[&base[..8], &["-a", "18", "-t", "4", "-r", "10", port, "99", "98"]].concat());
    assert_eq!(values(&ask("18", "4", "10", "4")), [(10, 99), (11, 98), (12, 7), (13, 7)]);
    assert_eq!(values(&ask("17", "4", "10", "2")), [(10, 7), (11, 7)], "the other unit has its own");
}

/// Runs the script against a unit of the plant's channel.
async fn pymodbus(kind: &str, channel: &str, unit: u8) {
    let simulation = Plant::new().start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/simulate_pymodbus.py");
    let endpoint = simulation.endpoint(channel).unwrap();
    let output = peer(&python(), &[script, kind, endpoint, &unit.to_string()]);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("all answers as expected"), "{text}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_over_tcp() {
    pymodbus("tcp", "plc", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_over_rtu_over_tcp() {
    pymodbus("rtu-over-tcp", "server", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_on_an_rtu_line() {
    pymodbus("rtu", "line", 17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_on_an_ascii_line() {
    pymodbus("ascii", "old", 2).await;
}
