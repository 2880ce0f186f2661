//! pymodbus as the devices: what an independent implementation serves is read, written and read back over
//! TCP, RTU, RTU over TCP and ASCII.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iogate::driver::modbus::Transport;
use iogate::model::{Outcome, Quality, Reason, Value};

use super::bench::{PATIENCE, Running, unit};

/// A peer process that ends with the test.
pub(crate) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.peers/venv/bin/python");
    let python = std::env::var_os("IOGATE_PEERS_PYTHON").map_or(venv, PathBuf::from);
    assert!(python.exists(), "{} is missing: run `bash tests/peers.sh` first", python.display());
    python
}

/// Starts tests/peers/modbus_server.py; returns it with its port.
fn server(arguments: &[&str]) -> (Peer, u16) {
    script("modbus_server.py", arguments)
}

/// A server that holds the registers of this JSON text and nothing else.
pub(crate) fn map_server(registers: &str) -> (Peer, u16) {
    script("modbus_map.py", &[registers])
}

/// A server with functions beside the tables.
pub(crate) fn functions_server(kind: &str) -> (Peer, u16) {
    script("modbus_functions.py", &[kind])
}

fn script(name: &str, arguments: &[&str]) -> (Peer, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
    let mut child = Command::new(python())
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("the server says {line:?}"));
    (Peer(child), port.parse().unwrap())
}

/// A pair of connected serial ports, by socat.
fn socat(folder: &Path) -> (Peer, [String; 2]) {
    let ports = ["a", "b"].map(|name| folder.join(name).display().to_string());
    let ends = ports.each_ref().map(|port| format!("pty,raw,echo=0,link={port}"));
    let child = Command::new("socat").args(&ends).spawn().expect("socat is installed by tests/peers.sh");
    let begun = Instant::now();
    while !ports.iter().all(|port| Path::new(port).exists()) {
        assert!(begun.elapsed() < PATIENCE, "socat makes its ports");
        std::thread::sleep(Duration::from_millis(5));
    }
    (Peer(child), ports)
}

fn transport(json: &str, wrap: fn(serde_json::Value) -> Transport) -> Transport {
    wrap(serde_json::from_str(json).unwrap())
}

/// Reads every table of both units, has a refusal narrowed down, writes every kind of output.
async fn reads_and_writes(transport: Transport) {
    let first = unit(
        "first",
        1,
        &[
            r#"{"coil": 3}"#,
            r#"{"discrete": 4}"#,
            r#"{"input": 9}"#,
            r#"{"holding": 5, "type": "u32"}"#,
            r#"{"holding": 20, "type": "f32", "order": "cdab"}"#,
            r#"{"holding": 30, "bit": 1, "write": "mask"}"#,
            r#"{"holding": 31, "bits": [0, 3]}"#,
            r#"{"holding": 59}"#,
            r#"{"holding": 60}"#,
        ],
    );
    let second = unit("second", 2, &[r#"{"holding": 7}"#]);
    let running = Running::start(transport, vec![first, second]);
    running.until_good(0..8).await;
    running.until_good(9..10).await;
    let read = [
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(1009),
        Value::Int(5 << 16 | 6),
        Value::Float(23.4),
        Value::Bool(true),
        Value::Int(15),
        Value::Int(59),
    ];
    assert_eq!(running.values(0..8), read);
    assert_eq!(running.values(9..10), [Value::Int(207)]);
    running.until_bad(8, Reason::DeviceException(2)).await;
    for (point, setpoint) in [
        (0, Value::Bool(false)),
        (3, Value::Int(0x1234_5678)),
        (4, Value::Float(-17.25)),
        (5, Value::Bool(false)),
        (6, Value::Int(9)),
        (7, Value::Int(40_000)),
        (9, Value::Int(1)),
    ] {
        assert_eq!(running.write(point, setpoint.clone()).await, Outcome::Verified { read_back: setpoint });
    }
    assert!(
        matches!(running.write(8, 1i64).await, Outcome::Failed(why) if why.contains("illegal data address"))
    );
    assert_eq!(running.latest(5).value, Some(Value::Bool(false)));
    assert_eq!(running.latest(7).quality, Quality::Good);
    running.stop().await;
}

#[tokio::test]
async fn pymodbus_over_tcp() {
    let (_peer, port) = server(&["tcp"]);
    let json = format!(r#"{{"address": "127.0.0.1:{port}"}}"#);
    reads_and_writes(transport(&json, |config| Transport::Tcp(serde_json::from_value(config).unwrap())))
        .await;
}

#[tokio::test]
async fn pymodbus_with_rtu_frames_over_tcp() {
    let (_peer, port) = server(&["rtu-over-tcp"]);
    let json = format!(r#"{{"address": "127.0.0.1:{port}"}}"#);
    reads_and_writes(transport(&json, |config| {
        Transport::RtuOverTcp(serde_json::from_value(config).unwrap())
    }))
    .await;
}

#[tokio::test]
async fn pymodbus_on_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let (_socat, [ours, theirs]) = socat(folder.path());
    let (_peer, _) = server(&["rtu", &theirs]);
    let json = format!(r#"{{"port": "{ours}", "baud": 115200}}"#);
    reads_and_writes(transport(&json, |config| Transport::Rtu(serde_json::from_value(config).unwrap())))
        .await;
}

#[tokio::test]
async fn pymodbus_in_ascii_on_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let (_socat, [ours, theirs]) = socat(folder.path());
    let (_peer, _) = server(&["ascii", &theirs]);
    let json = format!(r#"{{"port": "{ours}", "baud": 115200}}"#);
    reads_and_writes(transport(&json, |config| Transport::Ascii(serde_json::from_value(config).unwrap())))
        .await;
}
