//! The demo as a newcomer starts it: one process, watched by Mosquitto's own clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than one round of the press: heat up, alarm, fan, cool down, clear.
const ROUND: Duration = Duration::from_secs(240);

struct Demo {
    process: Child,
    output: BufReader<ChildStdout>,
    greeting: String,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["demo", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            assert_ne!(output.read_line(&mut greeting).expect("readable"), 0, "it ended: {greeting}");
        }
        Self { process, output, greeting }
    }

    /// The text after `label` in the greeting.
    fn told(&self, label: &str) -> &str {
        let line = self.greeting.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in: {}", self.greeting)).trim()
    }

    fn port(&self) -> &str {
        self.told("broker:").rsplit(':').next().expect("a port")
    }

    fn subscribe(&self, filter: &str) -> Subscriber {
        let mut process = Command::new("mosquitto_sub")
            .args(["-p", self.port(), "-t", filter, "-v"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub is installed by tests/peers.sh");
        let lines = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Subscriber { process, lines }
    }

    /// Asks it to stop as Ctrl-C does, and returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let code = self.process.wait().expect("it ends").code();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("readable");
        code
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Subscriber {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Subscriber {
    /// The next message: its topic below the site and its payload.
    fn next(&mut self) -> (String, String) {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).expect("readable"), 0, "the broker went away");
        let (topic, payload) = line.trim_end().split_once(' ').expect("topic and payload");
        let below = topic.strip_prefix("busan/factory/").expect("below the site");
        (below.to_owned(), payload.to_owned())
    }

    /// Waits for a message on `topic` that `wanted` accepts.
    fn wait(&mut self, what: &str, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + ROUND;
        loop {
            let (heard, payload) = self.next();
            assert!(Instant::now() < deadline, "no {what} within {ROUND:?}");
            if heard == topic {
                let json = serde_json::from_str(&payload).expect("JSON");
                if wanted(&json) {
                    return json;
                }
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn number(json: &Value) -> f64 {
    json["value"].as_f64().unwrap_or_else(|| panic!("no number in {json}"))
}

#[test]
fn the_press_heats_up_the_alarm_switches_the_fan_and_it_cools_down() {
    let demo = Demo::start();
    let mut all = demo.subscribe("busan/factory/#");
    let alarm = "gateway/alarms/press-too-hot";
    let raised = all.wait("raised alarm", alarm, |a| a["active"] == true);
    assert!(number(&raised) >= 60.0, "{raised}");
    all.wait("fan on, read back", "manufacture/fan", |fan| fan["value"] == true && fan["quality"] == "good");
    let peak = number(&all.wait("reading", "manufacture/temperature", |t| t["quality"] == "good"));
    all.wait("falling temperature", "manufacture/temperature", |t| number(t) < peak - 2.0);
    all.wait("cleared alarm", alarm, |a| a["state"] == "returned-unacknowledged");
    all.wait("fan off, read back", "manufacture/fan", |fan| fan["value"] == false);
    assert_eq!(demo.stop(), Some(0), "every output confirmed its safe state");
}

#[test]
fn readings_arrive_on_their_topics_from_tcp_and_serial_devices() {
    let demo = Demo::start();
    let mut all = demo.subscribe("busan/factory/#");
    for (topic, low, high) in [
        ("manufacture/temperature", -40.0, 120.0),
        ("assembly/barometer", 900.0, 1100.0),
        ("packaging/co2", 300.0, 5000.0),
    ] {
        let first = number(&all.wait("reading", topic, |t| t["quality"] == "good"));
        assert!((low..=high).contains(&first), "{topic} {first}");
        all.wait("changing value", topic, |t| number(t) != first);
    }
    let mut status = demo.subscribe("busan/factory/gateway/availability");
    assert_eq!(status.next(), ("gateway/availability".into(), "online".into()));
    assert_eq!(demo.stop(), Some(0));
    assert_eq!(status.next(), ("gateway/availability".into(), "offline".into()));
}

#[test]
fn a_command_over_mqtt_is_written_read_back_and_answered() {
    let demo = Demo::start();
    let topic = "busan/factory/packaging/exhaust-fan/set";
    let mut answers = demo.subscribe("busan/factory/packaging/exhaust-fan/#");
    answers
        .wait("safe state", "packaging/exhaust-fan", |fan| fan["value"] == false && fan["quality"] == "good");
    let sent = Command::new("mosquitto_pub")
        .args(["-p", demo.port(), "-t", topic, "-m", r#"{"value":true,"id":"shift-7"}"#])
        .status()
        .expect("mosquitto_pub is installed by tests/peers.sh");
    assert!(sent.success());
    let mut read_back = None;
    let answer = loop {
        let (heard, payload) = answers.next();
        let json = || serde_json::from_str::<Value>(&payload).expect("JSON");
        match heard.as_str() {
            "packaging/exhaust-fan" => read_back = Some(json()),
            "packaging/exhaust-fan/set/result" => break json(),
            _ => {}
        }
    };
    assert_eq!(answer["outcome"], "verified", "{answer}");
    assert_eq!(answer["id"], "shift-7");
    assert_eq!(read_back.expect("the read-back is an ordinary reading before the answer")["value"], true);
    assert_eq!(demo.stop(), Some(0));
}

#[test]
fn the_command_line_opens_nothing_to_all_either() {
    let ended = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["demo", "--mqtt", "0.0.0.0:0", "--web", "127.0.0.1:0"])
        .output()
        .expect("the program starts");
    assert_eq!(ended.status.code(), Some(4));
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(complaint.contains("everybody who reaches 0.0.0.0:0"), "{complaint}");
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let ended = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["demo", "--mqtt", &address, "--web", "127.0.0.1:0"])
        .output()
        .expect("the program starts");
    assert_eq!(ended.status.code(), Some(4));
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(["in use", "--mqtt", &address].iter().all(|part| complaint.contains(part)), "{complaint}");
}
