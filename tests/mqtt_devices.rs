//! Devices that publish to the broker of the running program: Mosquitto's clients and a plug on paho.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Far more than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

const PLANT: &str = "
channels: { devices: { mqtt: {} } }
devices:
  plug:
    channel: devices
    mqtt-name: plug
    mqtt-availability: { topic: \"tele/{device}/LWT\", offline: Offline }
    points:
      power:
        mqtt: \"stat/{device}/POWER\"
        as: state
        access: rw
        safe: none
        mqtt-set: { topic: \"cmnd/{device}/POWER\" }
      load: { mqtt: \"tele/{device}/SENSOR\", json: /ENERGY/Power, unit: W }
  adam:
    channel: devices
    mqtt-name: 00D0C9AABBCC
    mqtt-availability: { topic: \"Advantech/{device}/Device_Status\", offline: disconnect, json: /status }
    points:
      door: { mqtt: \"Advantech/{device}/data\", json: /di1, as: state }
      pressure: { mqtt: \"Advantech/{device}/data\", json: /ai1, missing: [\"9999.9999\"] }
  web-io:
    channel: devices
    mqtt-name: wut-0a1b2c
    mqtt-max-age: off
    points:
      input: { mqtt: \"{device}/get/input/0\", as: state }
alarms:
  overload: { point: plug/load, high: 100, severity: warning }
";

/// The gateway as a process, with a Unix socket for clients.
struct Running {
    child: Child,
    folder: PathBuf,
    _log: Receiver<String>,
}

fn lines(reader: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    told
}

/// The first line that fits, with those before it, which do not.
fn search(
    lines: impl FnMut() -> Option<String>,
    what: &str,
    fits: impl Fn(&str) -> bool,
) -> (String, Vec<String>) {
    let mut seen = Vec::new();
    let mut lines = lines;
    loop {
        match lines() {
            Some(line) if fits(&line) => return (line, seen),
            Some(line) => seen.push(line),
            None => panic!("no {what} among:\n{}", seen.join("\n")),
        }
    }
}

impl Running {
    fn start(folder: &Path, broker: &str) -> Self {
        let (config, socket) = (folder.join("site.yaml"), folder.join("mqtt.sock"));
        let yaml = format!(
            "site: busan\nweb: {{ enabled: false }}\nbroker:\n  listen: 127.0.0.1:0\n  listeners: {{ local: {{ unix: {} }} }}\n{broker}{PLANT}",
            socket.display(),
        );
        std::fs::write(&config, yaml).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["run", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        search(|| log.recv_timeout(PATIENCE).ok(), "start", |line| line.contains("gateway started"));
        Self { child, folder: folder.to_path_buf(), _log: log }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("mqtt.sock")
    }

    /// One of Mosquitto's clients.
    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("--unix").arg(self.socket()).args(["-V", "mqttv5"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn publish(&self, arguments: &[&str]) {
        let output = self.client("mosquitto_pub", &[&["-q", "1"], arguments].concat()).output();
        assert!(output.expect("mosquitto-clients are installed by tests/peers.sh").status.success());
    }

    /// What is published from here on, after what is retained.
    fn watch(&self) -> Watch {
        let filters = ["-v", "-q", "1", "-t", "busan/#", "-t", "marker"];
        let mut process = self.client("mosquitto_sub", &filters).spawn().unwrap();
        let lines = lines(process.stdout.take().unwrap());
        let online = |line: &str| line == "busan/gateway/availability online";
        let (_, early) = search(|| lines.recv_timeout(PATIENCE).ok(), "availability", online);
        Watch { process, lines, early: early.into() }
    }

    fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Watch {
    process: Child,
    lines: Receiver<String>,
    /// What was retained, and came before it was known that all is subscribed.
    early: VecDeque<String>,
}

impl Watch {
    /// The first line that fits.
    fn find(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let Self { lines, early, .. } = self;
        search(|| early.pop_front().or_else(|| lines.recv_timeout(PATIENCE).ok()), what, fits).0
    }

    /// The first message of a topic that holds all of `words`, separated by blanks.
    fn until(&mut self, topic: &str, words: &str) -> String {
        self.find(&format!("{topic} with {words}"), |line| fits(line, topic, words))
    }

    /// Such messages of several topics, whichever comes first.
    fn until_all(&mut self, messages: &[(&str, &str)]) {
        let mut open = messages.to_vec();
        while !open.is_empty() {
            let any = |line: &str| open.iter().any(|(topic, words)| fits(line, topic, words));
            let line = self.find(&format!("{open:?}"), any);
            open.retain(|(topic, words)| !fits(&line, topic, words));
        }
    }
}

fn fits(line: &str, topic: &str, words: &str) -> bool {
    let payload = line.strip_prefix(topic).and_then(|rest| rest.strip_prefix(' '));
    payload.is_some_and(|payload| words.split(' ').all(|word| payload.contains(word)))
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The plug of `peers/mqtt_plug.py`.
struct Plug {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Plug {
    fn start(gateway: &Running) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = root.join("tests/.peers/venv/bin/python");
        let python = std::env::var_os("IOGATE_PEERS_PYTHON").map_or(made, PathBuf::from);
        let mut process = Command::new(python)
            .arg(root.join("tests/peers/mqtt_plug.py"))
            .arg(gateway.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed by tests/peers.sh");
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut plug = Self { process, ask, answers: BufReader::new(answers) };
        assert_eq!(plug.answer(), "ready");
        plug
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, words: &str) -> String {
        writeln!(self.ask, "{words}").unwrap();
        self.answer()
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_plug_is_read_driven_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path(), "");
    let mut watch = gateway.watch();
    gateway.publish(&["-t", "busan/plug/power/set", "-m", "on"]);
    watch.until("busan/plug/power/set/result", "failed not connected");
    let mut plug = Plug::start(&gateway);
    plug.tell("says ON");
    watch.until("busan/plug/power", "true \"good\"");
    plug.tell(r#"telemetry {"Time":"x","ENERGY":{"Power":12.5}}"#);
    watch.until("busan/plug/load", "12.5 \"good\" \"W\"");
    plug.tell(r#"telemetry {"ENERGY":{"Power":150}}"#);
    watch.until("busan/gateway/alarms/overload", "150");

    gateway.publish(&["-t", "busan/plug/power/set", "-m", "off"]);
    watch.until("busan/plug/power", "false \"good\"");
    watch.until("busan/plug/power/set/result", "verified");
    // The setpoint that failed before it was there has not reached it later.
    assert_eq!(plug.tell("commanded"), "cmnd/plug/POWER OFF retain=0");
    plug.tell("obstinate");
    gateway.publish(&["-t", "busan/plug/power/set", "-m", "on"]);
    watch.until("busan/plug/power/set/result", "mismatch");
    plug.tell("deaf");
    gateway.publish(&["-t", "busan/plug/power/set", "-m", "on"]);
    watch.until("busan/plug/power/set/result", "failed reported");

    writeln!(plug.ask, "dies").unwrap();
    // Who tells of the device does not wait for who tells of its points.
    watch.until_all(&[
        ("busan/plug/power", "\"bad\" no-connection"),
        ("busan/gateway/devices/plug/availability", "offline"),
    ]);
    gateway.publish(&["-t", "busan/plug/power/set", "-m", "on"]);
    watch.until("busan/plug/power/set/result", "failed offline");
    let mut plug = Plug::start(&gateway);
    watch.until("busan/gateway/devices/plug/availability", "online");
    plug.tell("says ON");
    watch.until("busan/plug/power", "true \"good\"");
}

#[test]
fn a_will_in_json_takes_all_points_of_its_device() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path(), "");
    let mut watch = gateway.watch();
    let status = "Advantech/00D0C9AABBCC/Device_Status";
    let will = r#"{"status":"disconnect","name":"ADAM6051","macid":"00D0C9AABBCC","ipaddr":"192.0.2.9"}"#;
    let arguments = ["-t", "Advantech/00D0C9AABBCC/data", "-l", "-q", "1", "--will-topic", status];
    let mut adam =
        gateway.client("mosquitto_pub", &arguments).args(["--will-payload", will]).spawn().unwrap();
    let mut data = adam.stdin.take().unwrap();
    writeln!(data, r#"{{"s":1,"t":0,"q":192,"c":1,"di1":true,"ai1":4.25}}"#).unwrap();
    watch.until("busan/adam/door", "true \"good\"");
    watch.until("busan/adam/pressure", "4.25 \"good\"");
    writeln!(data, r#"{{"s":2,"t":0,"q":192,"c":1,"di1":true,"ai1":9999.9999}}"#).unwrap();
    watch.until("busan/adam/pressure", "\"bad\" not-available");
    adam.kill().unwrap();
    adam.wait().unwrap();
    watch.until("busan/adam/door", "\"bad\" no-connection");
}

#[test]
fn a_value_kept_over_a_crash_is_uncertain_until_its_device_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let broker = format!("  data: {}\n", folder.path().join("log").display());
    let gateway = Running::start(folder.path(), &broker);
    let mut watch = gateway.watch();
    gateway.publish(&["-r", "-t", "wut-0a1b2c/get/input/0", "-m", "ON"]);
    watch.until("busan/web-io/input", "true \"good\"");
    drop(watch);
    let path = gateway.kill();
    let gateway = Running::start(&path, &broker);
    let mut watch = gateway.watch();
    watch.until("busan/web-io/input", "true \"uncertain\" \"stale\"");
    gateway.publish(&["-r", "-t", "wut-0a1b2c/get/input/0", "-m", "OFF"]);
    watch.until("busan/web-io/input", "false \"good\"");
}

#[test]
fn whoever_may_not_publish_there_is_no_device() {
    let folder = tempfile::tempdir().unwrap();
    let access = folder.path().join("access.yaml");
    std::fs::write(&access, "anonymous: { read: ['#'], write: ['marker', 'wut-0a1b2c/#'] }\n").unwrap();
    let gateway = Running::start(folder.path(), &format!("  access-file: {}\n", access.display()));
    let mut watch = gateway.watch();
    // Refused with a reason, which the client tells; the message after it shows that it has come to nothing.
    let _ = gateway.client("mosquitto_pub", &["-q", "1", "-t", "stat/plug/POWER", "-m", "ON"]).output();
    gateway.publish(&["-t", "wut-0a1b2c/get/input/0", "-m", "ON"]);
    gateway.publish(&["-t", "marker", "-m", "end"]);
    let heard = watch.find("marker", |line| {
        line == "marker end" || (line.starts_with("busan/plug/power ") && line.contains("\"good\""))
    });
    assert_eq!(heard, "marker end");
}
