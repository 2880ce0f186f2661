//! Alarms that switch outputs while everything else is gone: MQTT clients, the upstream broker, the page, the network.
//!
//! The device is `iogate simulate` as a process, on a serial line; what the gateway does is read from its log and from the device.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarms/simulator.rs"]
#[allow(dead_code, reason = "a bench needs the rest")]
mod simulator;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value as Json;
use simulator::Simulator;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the alarm comes and goes.
const ROUNDS: u32 = 5;

const IOGATE: &str = env!("CARGO_BIN_EXE_iogate");

fn config(directory: &Path, more: &str) -> String {
    format!(
        "site: s
channels: {{ line: {{ modbus-rtu: {{ port: {}/line, baud: 115200, parity: none }} }} }}
devices:
  press:
    channel: line
    unit: 1
    poll: 100ms
    points:
      temperature: {{ input: 0, type: i16, scale: 0.1, unit: °C }}
      fan: {{ coil: 16, access: rw, safe: off }}
alarms:
  hot: {{ point: press/temperature, high: 60, hysteresis: 5, then: {{ press/fan: on }} }}
{more}",
        directory.display()
    )
}

/// A gateway of which only the log is seen.
struct Gateway {
    child: Child,
    log: Receiver<String>,
    /// Where its broker listens.
    mqtt: String,
}

impl Gateway {
    /// Starts it by a command that `iogate`'s arguments are added to.
    fn start(mut command: Command, directory: &Path, config: &str) -> Self {
        let file = directory.join("iogate.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = command
            .args(["--log-format", "json", "run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
            .arg(&file)
            .env("STATE_DIRECTORY", directory)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (told, log) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        let mut gateway = Self { child, log, mqtt: String::new() };
        let started = gateway.hear(|fields| fields["message"] == "gateway started");
        gateway.mqtt = started["mqtt"].as_str().unwrap().to_owned();
        gateway
    }

    /// Waits for a line of the log, and returns its fields.
    fn hear(&self, wanted: impl Fn(&Json) -> bool) -> Json {
        let mut said = String::new();
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else { panic!("it does not come: {said}") };
            let json: Json = serde_json::from_str(&line).unwrap_or_default();
            if wanted(&json["fields"]) {
                return json["fields"].clone();
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    /// Waits until the fan was written and read back as this.
    fn fan_verified(&self, on: bool) {
        self.hear(|fields| {
            fields["point"] == "press/fan"
                && fields["setpoint"] == on.to_string().as_str()
                && fields["outcome"] == "verified"
        });
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fan_is(simulator: &mut Simulator, on: bool) {
    let told = simulator.tell("get press/fan");
    assert_eq!(told.contains("true"), on, "{told}");
    assert_eq!(told.contains("false"), !on, "{told}");
}

/// It gets hot and cold, and each time the fan follows.
fn hot_and_cold(gateway: &Gateway, simulator: &mut Simulator) {
    for _ in 0..ROUNDS {
        simulator.tell("set press/temperature 75");
        gateway.fan_verified(true);
        fan_is(simulator, true);
        simulator.tell("set press/temperature 20");
        gateway.fan_verified(false);
        fan_is(simulator, false);
    }
}

#[test]
fn with_no_page_no_client_and_the_upstream_brokers_gone_alarms_switch() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // Of the upstream brokers one refuses, one takes connections and says nothing, one is nowhere (RFC 5737).
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = silent.local_addr().unwrap();
    let more = format!(
        "web: {{ enabled: off }}
bridges:
  refusing: {{ url: \"mqtt://{refusing}\", forward: [\"#\"] }}
  silent: {{ url: \"mqtt://{silent_at}\", forward: [\"#\"] }}
  nowhere: {{ url: \"mqtt://192.0.2.1:1883\", forward: [\"#\"] }}
"
    );
    let config = config(directory, &more);
    let mut simulator = Simulator::start(Path::new(IOGATE), directory, &config);
    simulator.tell("set press/temperature 20");
    let gateway = Gateway::start(Command::new(IOGATE), directory, &config);
    gateway.fan_verified(false);
    hot_and_cold(&gateway, &mut simulator);
}

/// Runs a command inside the namespaces of a process.
fn inside(process: u32, command: &[&str]) -> bool {
    let id = process.to_string();
    let mut all = Command::new("nsenter");
    all.args(["-t", &id, "-U", "-n", "--preserve-credentials"]).args(command);
    all.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn when_the_network_goes_down_alarms_switch() {
    let alone = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    if !alone.is_ok_and(|output| output.status.success()) {
        println!("not run: network namespaces of its own (unshare, ip) are not permitted here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let config = config(directory, "bridges: { cloud: { url: \"mqtt://127.0.0.1:9\", forward: [\"#\"] } }\n");
    let mut simulator = Simulator::start(Path::new(IOGATE), directory, &config);
    simulator.tell("set press/temperature 20");
    // A network of its own, which only has the loopback interface.
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\"", IOGATE]);
    let gateway = Gateway::start(command, directory, &config);
    gateway.fan_verified(false);
    let connect = format!("exec 3<>/dev/tcp/{}", gateway.mqtt.replace(':', "/"));
    let connects = || inside(gateway.child.id(), &["timeout", "5", "bash", "-c", &connect]);
    assert!(connects(), "its broker is reached while the network is up");
    hot_and_cold(&gateway, &mut simulator);
    assert!(inside(gateway.child.id(), &["ip", "link", "set", "lo", "down"]));
    assert!(!connects(), "nothing is reached any more");
    hot_and_cold(&gateway, &mut simulator);
}

#[test]
fn a_gateway_whose_port_is_taken_touches_nothing_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let config = config(directory, "");
    let mut simulator = Simulator::start(Path::new(IOGATE), directory, &config);
    simulator.tell("set press/temperature 75");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::write(directory.join("iogate.yaml"), &config).unwrap();
    let mut command = Command::new(IOGATE);
    command
        .args(["run", "--mqtt", &address, "--web", "127.0.0.1:0", "-c"])
        .arg(directory.join("iogate.yaml"));
    let ended = command.env("STATE_DIRECTORY", directory).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && said.contains(&address) && said.contains("--mqtt"), "{said}");
    let counted = simulator.tell("stats");
    assert!(counted.contains("press requests=0 "), "{counted}");
    drop(taken);
    // Once the port is free the alarm, which has come meanwhile, switches at once.
    let gateway = Gateway::start(Command::new(IOGATE), directory, &config);
    gateway.fan_verified(true);
    fan_is(&mut simulator, true);
}
