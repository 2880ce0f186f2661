//! `iogate record` beside a gateway and a simulated device, all of them processes, while people act.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarms/process.rs"]
mod process;
#[path = "alarms/simulator.rs"]
mod simulator;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::Process;
use serde_json::{Value as Json, json};
use simulator::Simulator;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

const IOGATE: &str = env!("CARGO_BIN_EXE_iogate");

fn config(device: &str) -> String {
    format!(
        "site: s
channels: {{ plc: {{ modbus-tcp: {{ address: \"{device}\" }} }} }}
devices:
  press:
    channel: plc
    unit: 1
    poll: 50ms
    points:
      temperature: {{ input: 0, type: i16, scale: 0.1, unit: °C }}
      fan: {{ coil: 16, access: rw, safe: off }}
alarms:
  hot: {{ point: press/temperature, high: 60, hysteresis: 5, bad-input: hold, then: {{ press/fan: on }} }}
"
    )
}

/// One request to the page; its answer, whatever the status.
fn ask(page: &str, head: &str, body: &Json) -> Json {
    let mut stream = TcpStream::connect(page).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.0\r\nHost: {page}\r\nContent-Type: application/json\r\nContent-Length: {length}"
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

fn await_state(page: &str, state: &str) {
    let deadline = Instant::now() + PATIENCE;
    while ask(page, "GET /api/v1/alarms", &Json::Null)[0]["state"] != state {
        assert!(Instant::now() < deadline, "the alarm does not become {state}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_people_do_and_command_is_recorded_and_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut simulator = Simulator::start(Path::new(IOGATE), directory, &config("127.0.0.1:1"));
    simulator.tell("set press/temperature 20");
    let device = simulator.endpoints["plc"].as_str().unwrap().to_owned();
    let gateway = Process::start(directory, &config(&device));
    let page = gateway.page.as_str();
    let deadline = Instant::now() + PATIENCE;
    while ask(page, "GET /api/v1/points", &Json::Null)[0]["quality"] != "good" {
        assert!(Instant::now() < deadline, "{}", gateway.told);
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut recorder = Command::new(IOGATE)
        .args(["record", "iogate.yaml", "--for", "8s", "-o", "iogate.monday.test.yaml", "--url"])
        .arg(format!("http://{page}"))
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(recorder.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    assert_eq!(said, "recording 1 point, 1 output, 1 alarm for 8s\n");
    let command = |on: bool| {
        let body = json!({ "point": "press/fan", "value": on });
        ask(page, "POST /api/v1/command", &body)["outcome"].as_str().unwrap().to_owned()
    };
    simulator.tell("set press/temperature 75");
    await_state(page, "active-unacknowledged");
    assert_eq!(command(false), "rejected", "the alarm holds it");
    let seen = json!({ "alarm": "hot", "action": "acknowledge", "user": "kim" });
    ask(page, "POST /api/v1/alarms", &seen);
    await_state(page, "active-acknowledged");
    simulator.tell("set press/temperature 20");
    await_state(page, "normal");
    assert_eq!(command(true), "verified");
    assert_eq!(command(false), "verified");
    out.read_to_string(&mut said).unwrap();
    let ended = recorder.wait_with_output().unwrap();
    let text = std::fs::read_to_string(directory.join("iogate.monday.test.yaml")).unwrap_or_default();
    assert!(ended.status.success(), "{said}{}{text}", String::from_utf8_lossy(&ended.stderr));
    for part in [
        "{ write: press/fan, value: off, outcome: rejected }",
        "{ acknowledge: hot }",
        "{ write: press/fan, value: on }",
        "{ write: press/fan, value: off }",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for state in ["active-unacknowledged", "active-acknowledged", "normal"] {
        assert!(text.contains(&format!("[{state}]")), "{state} in {text}");
    }
}
