//! Who may switch an output: `iogate run` against `iogate simulate` and against a bus that is held, with
//! Mosquitto's clients on the other side. Every part is a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Far more than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

const PLANT: &str = "
site: s
web: { enabled: false }
defaults: { poll: 50ms }
channels: { plc: { modbus-tcp: { address: \"${PLC:-192.0.2.20:502}\", timeout: 10s } } }
devices:
  ahu:
    channel: plc
    unit: 1
    points:
      flow: { input: 0 }
      door: { discrete: 0 }
      heater: { coil: 1, access: rw, safe: off }
      siren: { coil: 2, access: rw, safe: off, momentary: 1h }
      bell: { coil: 3, access: rw, safe: off, momentary: 100ms }
interlocks:
  air:
    permit-when: flow > 1 and not door
    inputs: { flow: ahu/flow, door: ahu/door }
    outputs: { ahu/heater: off }
    message: no air, no heat
";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(reader: impl Read + Send + 'static) -> Receiver<String> {
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

/// The lines that come, until nothing has come for too long.
fn next(lines: &Receiver<String>) -> impl FnMut() -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    move || lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

fn search(mut next: impl FnMut() -> Option<String>, what: &str, fits: impl Fn(&str) -> bool) -> String {
    let mut seen = Vec::new();
    loop {
        match next() {
            Some(line) if fits(&line) => return line,
            Some(line) => seen.push(line),
            None => panic!("no {what} among:\n{}", seen.join("\n")),
        }
    }
}

/// The gateway, with a Unix socket for clients.
struct Gateway {
    _process: Running,
    _log: Receiver<String>,
    socket: PathBuf,
}

impl Gateway {
    fn start(folder: &Path, plc: &str) -> Self {
        let (config, socket) = (folder.join("site.yaml"), folder.join("mqtt.sock"));
        let broker = format!(
            "broker: {{ listen: 127.0.0.1:0, listeners: {{ local: {{ unix: {} }} }} }}\n",
            socket.display()
        );
        std::fs::write(&config, broker + PLANT).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["run", "-c"])
            .arg(&config)
            .env("PLC", plc)
            .env("STATE_DIRECTORY", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(process.stderr.take().unwrap());
        let process = Running(process);
        search(next(&log), "start", |line| line.contains("gateway started"));
        Self { _process: process, _log: log, socket }
    }

    /// One of Mosquitto's clients.
    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("--unix").arg(&self.socket).args(["-V", "mqttv5", "-q", "1"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Publishes a setpoint as a client of this name.
    fn set(&self, client: &str, point: &str, payload: &str, more: &[&str]) {
        let topic = format!("s/ahu/{point}/set");
        let arguments = [&["-i", client, "-t", &topic, "-m", payload], more].concat();
        let output = self.client("mosquitto_pub", &arguments).output();
        assert!(output.expect("mosquitto-clients are installed by tests/peers.sh").status.success());
    }

    fn watch(&self) -> Watch {
        let mut process = self.client("mosquitto_sub", &["-v", "-t", "s/#"]).spawn().unwrap();
        let lines = lines(process.stdout.take().unwrap());
        let process = Running(process);
        // What is retained may come before the line that tells that all is subscribed.
        let early: RefCell<VecDeque<String>> = RefCell::default();
        search(next(&lines), "availability", |line| {
            early.borrow_mut().push_back(line.to_owned());
            line == "s/gateway/availability online"
        });
        Watch { _process: process, early, lines }
    }
}

struct Watch {
    _process: Running,
    early: RefCell<VecDeque<String>>,
    lines: Receiver<String>,
}

impl Watch {
    /// The next message of a topic that holds all of these words. Answers of other outputs are kept for later: those
    /// of different outputs come in no order.
    fn until(&self, topic: &str, words: &str) -> String {
        let begin = format!("s/{topic} ");
        let mut later = next(&self.lines);
        let next = || self.early.borrow_mut().pop_front().or_else(&mut later);
        let others = RefCell::new(VecDeque::new());
        let found = search(next, &format!("{topic} with {words}"), |line| {
            let own = line.starts_with(&begin);
            if !own && line.contains("/set/result ") {
                others.borrow_mut().push_back(line.to_owned());
            }
            own && words.split(' ').all(|word| line.contains(word))
        });
        let mut early = self.early.borrow_mut();
        for line in others.into_inner().into_iter().rev() {
            early.push_front(line);
        }
        found
    }

    /// The next answer to a setpoint, whatever it is.
    fn answer(&self, point: &str) -> String {
        self.until(&format!("ahu/{point}/set/result"), "")
    }
}

/// The devices of the plant, with a line to what they read.
struct Plant {
    _process: Running,
    control: BufReader<TcpStream>,
    plc: String,
}

impl Plant {
    fn start(folder: &Path) -> Self {
        let (config, endpoints) = (folder.join("plant.yaml"), folder.join("endpoints.json"));
        std::fs::write(&config, PLANT).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["simulate", "--control", "127.0.0.1:0", "-c"])
            .arg(&config)
            .arg("--endpoints")
            .arg(&endpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = lines(process.stdout.take().unwrap());
        let process = Running(process);
        let control = search(next(&told), "control port", |line| line.starts_with("control  "));
        search(next(&told), "end of the list", |line| line.contains("`help`"));
        std::thread::spawn(move || told.iter().for_each(drop));
        let address = control.trim_start_matches("control").trim();
        let control = BufReader::new(TcpStream::connect(address).unwrap());
        let endpoints: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&endpoints).unwrap()).unwrap();
        let plc = endpoints["plc"].as_str().unwrap().to_owned();
        Self { _process: process, control, plc }
    }

    fn tell(&mut self, line: &str) -> String {
        writeln!(self.control.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.control.read_line(&mut answer).unwrap();
        answer
    }

    fn set(&mut self, point: &str, value: &str) {
        assert_eq!(self.tell(&format!("set ahu/{point} {value}")), "ok\n");
    }

    fn until(&mut self, point: &str, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.tell(&format!("get ahu/{point}"));
            if answer.contains(&format!("= {word}")) {
                return;
            }
            assert!(Instant::now() < deadline, "it stays {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn interlocks_stand_above_everybody_and_holders_above_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::start(folder.path());
    plant.set("flow", "3");
    let gateway = Gateway::start(folder.path(), &plant.plc);
    let watch = gateway.watch();
    watch.until("ahu/door", "\"value\":false good");
    gateway.set("cloud", "heater", "{\"value\": true, \"stages\": true}", &[]);
    for stage in ["accepted", "on-wire", "confirmed"] {
        assert!(watch.answer("heater").contains(&format!("\"stage\":\"{stage}\"")));
    }
    watch.until("ahu/heater/set/result", "verified \"value\":true");
    plant.set("door", "true");
    plant.until("heater", "false");
    watch.until("ahu/door", "\"value\":true");
    gateway.set("cloud", "heater", "on", &[]);
    let refused = watch.answer("heater");
    assert!(refused.contains("interlock `air` stands against it: no air, no heat"), "{refused}");
    assert!(refused.contains("does not hold"), "{refused}");
    plant.set("door", "false");
    watch.until("ahu/door", "\"value\":false");
    gateway.set("logic", "heater", "{\"value\": true, \"for\": \"1h\"}", &[]);
    watch.until("ahu/heater/set/result", "verified");
    gateway.set("cloud", "heater", "off", &[]);
    assert!(watch.answer("heater").contains("held by mqtt client logic, for "));
    gateway.set("logic", "heater", "{\"release\": true}", &[]);
    assert!(watch.answer("heater").contains("released"));
    plant.until("heater", "false");
}

#[test]
fn momentary_outputs_come_back_to_rest_also_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Plant::start(folder.path());
    let gateway = Gateway::start(folder.path(), &plant.plc);
    let watch = gateway.watch();
    gateway.set("panel", "bell", "on", &[]);
    watch.until("ahu/bell/set/result", "verified \"value\":true");
    plant.until("bell", "false");
    gateway.set("panel", "siren", "on", &[]);
    watch.until("ahu/siren/set/result", "verified \"value\":true");
    plant.until("siren", "true");
    // SIGKILL: nothing can be put in order.
    drop((watch, gateway));
    plant.until("siren", "true");
    let _gateway = Gateway::start(folder.path(), &plant.plc);
    plant.until("siren", "false");
}

#[test]
fn what_may_be_a_replay_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plant = Plant::start(folder.path());
    let gateway = Gateway::start(folder.path(), &plant.plc);
    let watch = gateway.watch();
    gateway.set("panel", "bell", "{\"value\": true, \"id\": \"7\"}", &[]);
    watch.until("ahu/bell/set/result", "verified \"id\":\"7\"");
    gateway.set("panel", "bell", "{\"value\": true, \"id\": \"7\"}", &[]);
    assert!(watch.answer("bell").contains("has been given before"));
    // Killed and started again: the same command once more is still the same command.
    drop((watch, gateway));
    let gateway = Gateway::start(folder.path(), &plant.plc);
    let watch = gateway.watch();
    gateway.set("panel", "bell", "{\"value\": true, \"id\": \"7\"}", &[]);
    assert!(watch.answer("bell").contains("has been given before"));
    gateway.set("panel", "bell", "{\"value\": true, \"id\": \"8\"}", &[]);
    watch.until("ahu/bell/set/result", "verified \"id\":\"8\"");
    gateway.set("panel", "bell", "on", &["-r"]);
    assert!(watch.answer("bell").contains("a retained message is no command"));
    // Mosquitto's client cannot mark a first message as sent before: by hand, QoS 1 with DUP in CONNECT and PUBLISH.
    let mut stream = std::os::unix::net::UnixStream::connect(&gateway.socket).unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let topic = b"s/ahu/bell/set";
    let mut publish = vec![0x3a, (2 + topic.len() + 2 + 2) as u8, 0, topic.len() as u8];
    publish.extend_from_slice(topic);
    publish.extend_from_slice(b"\x00\x01on");
    stream.write_all(&publish).unwrap();
    assert!(watch.answer("bell").contains("sent before (DUP)"));
}

/// What the bus of the second test is told, and what it tells.
struct Bus {
    hold: Sender<()>,
    held: Receiver<()>,
    go_on: Sender<()>,
    frames: Receiver<u8>,
}

/// A Modbus TCP server whose registers are all 0 and whose coils keep nothing. It answers at once, until it is to hold:
/// then the answer to the next read waits.
fn serve(listener: TcpListener) -> Bus {
    let (hold, told_to_hold) = mpsc::channel();
    let (tell_held, held) = mpsc::channel();
    let (go_on, told_to_go_on) = mpsc::channel();
    let (tell, frames) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 12];
        while stream.read_exact(&mut request).is_ok() {
            let function = request[7];
            if tell.send(function).is_err() {
                return;
            }
            if function <= 4 && told_to_hold.try_recv().is_ok() {
                tell_held.send(()).unwrap();
                told_to_go_on.recv().unwrap();
            }
            let count = usize::from(u16::from_be_bytes([request[10], request[11]]));
            let pdu = match function {
                1 | 2 => [&[function, count.div_ceil(8) as u8][..], &vec![0; count.div_ceil(8)]].concat(),
                3 | 4 => [&[function, 2 * count as u8][..], &vec![0; 2 * count]].concat(),
                _ => request[7..].to_vec(),
            };
            let head = [&request[..4], &(1 + pdu.len() as u16).to_be_bytes(), &request[6..7]].concat();
            if stream.write_all(&[head, pdu].concat()).is_err() {
                return;
            }
        }
    });
    Bus { hold, held, go_on, frames }
}

#[test]
fn no_frame_of_a_write_goes_out_after_its_deadline_when_the_bus_was_held() {
    /// How long the command counts, and how much longer the bus is held.
    const COUNTS: Duration = Duration::from_millis(500);
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let bus = serve(listener);
    let gateway = Gateway::start(folder.path(), &address);
    let watch = gateway.watch();
    watch.until("ahu/bell", "\"value\":false good");
    gateway.set("panel", "bell", "off", &[]);
    watch.until("ahu/bell/set/result", "verified");
    bus.hold.send(()).unwrap();
    bus.held.recv_timeout(PATIENCE).unwrap();
    while bus.frames.try_recv().is_ok() {}
    gateway.set("panel", "bell", "{\"value\": true, \"timeout\": \"500ms\"}", &[]);
    gateway.set("panel", "siren", "on", &["-D", "publish", "message-expiry-interval", "1"]);
    // Nothing is waited for: this is the time that has to pass.
    std::thread::sleep(Duration::from_secs(1) + COUNTS);
    bus.go_on.send(()).unwrap();
    watch.until("ahu/bell/set/result", "expired");
    watch.until("ahu/siren/set/result", "expired");
    // Further polls, so that anything that was still to come has come.
    let frames: Vec<u8> = (0..50).map(|_| bus.frames.recv_timeout(PATIENCE).expect("polls go on")).collect();
    assert!(frames.iter().all(|function| *function <= 4), "a write went out: {frames:?}");
}
