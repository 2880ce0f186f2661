//! A device with a watchdog of its own, and the program in front of it: stopped in the middle of everything, going on
//! again, and ended in order. The device is a Modbus TCP server in the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarms/process.rs"]
mod process;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::Process;
use rustix::process::Signal;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The device's registers.
const TIMEOUT: u16 = 0x1000;
const START: u16 = 0x1001;
const TRIGGER: u16 = 0x1002;

/// What the device is.
#[derive(Default)]
struct State {
    coil: bool,
    timeout: Duration,
    /// When the watchdog that runs was fed last.
    fed: Option<Instant>,
    /// It has struck: the coil is off and takes nothing until the watchdog is started anew.
    tripped: bool,
    trips: u32,
    /// How often the coil was switched on.
    switched: u32,
}

impl State {
    fn look(&mut self) {
        if self.fed.is_some_and(|fed| fed.elapsed() > self.timeout) {
            (self.fed, self.tripped, self.coil) = (None, true, false);
            self.trips += 1;
        }
    }

    fn answer(&mut self, pdu: &[u8]) -> Vec<u8> {
        self.look();
        let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
        match (pdu[0], word(1)) {
            (1, 0) => vec![1, 1, u8::from(self.coil)],
            (5, 0) if self.tripped => vec![0x85, 4],
            (5, 0) => {
                self.coil = pdu[3] == 0xFF;
                self.switched += u32::from(self.coil);
                pdu.to_vec()
            }
            (6, TIMEOUT) => {
                self.timeout = Duration::from_millis(100) * u32::from(word(3));
                pdu.to_vec()
            }
            (6, START) => {
                self.fed = (word(3) == 1).then(Instant::now);
                self.tripped &= word(3) == 0;
                pdu.to_vec()
            }
            (6, TRIGGER) => {
                if self.fed.is_some() {
                    self.fed = Some(Instant::now());
                }
                pdu.to_vec()
            }
            (function, _) => vec![function | 0x80, 2],
        }
    }
}

#[derive(Clone, Default)]
struct Device(Arc<Mutex<State>>);

impl Device {
    fn start() -> (Self, SocketAddr) {
        let device = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = device.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        (device, address)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut head = [0; 7];
            stream.read_exact(&mut head).ok()?;
            let mut pdu = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]])) - 1];
            stream.read_exact(&mut pdu).ok()?;
            let reply = self.0.lock().unwrap().answer(&pdu);
            let length = (reply.len() as u16 + 1).to_be_bytes();
            stream.write_all(&[&head[..4], &length, &head[6..], &reply].concat()).ok()?;
        }
    }

    fn until(&self, what: &str, mut is: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut state = self.0.lock().unwrap();
            state.look();
            if is(&state) {
                return;
            }
            drop(state);
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn config(device: SocketAddr) -> String {
    format!(
        "site: s\nchannels: {{ plc: {{ modbus-tcp: {{ address: \"{device}\", timeout: 500ms }} }} }}\n\
         devices:\n  node:\n    channel: plc\n    watchdog:\n      \
         arm: [{{ holding: {TIMEOUT}, words: [30] }}, {{ holding: {START}, words: [1] }}]\n      \
         feed: [{{ holding: {TRIGGER}, words: [1] }}, {{ holding: {TRIGGER}, words: [2] }}]\n      \
         every: 500ms\n      disarm: [{{ holding: {START}, words: [0] }}]\n    \
         points:\n      valve: {{ coil: 0, access: rw, safe: off, after-loss: again, poll: 200ms }}\n"
    )
}

/// Switches the valve on and returns what became of that.
fn switch_on(page: &str) -> String {
    let mut stream = TcpStream::connect(page).unwrap();
    let body = r#"{"point":"node/valve","value":true}"#;
    let length = body.len();
    let head = format!(
        "POST /api/v1/command HTTP/1.0\r\nHost: {page}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_stopped_program_costs_the_output_which_is_written_again_when_it_goes_on() {
    let (device, address) = Device::start();
    let directory = tempfile::tempdir().unwrap();
    let mut gateway = Process::start(directory.path(), &config(address));
    let id = rustix::process::Pid::from_child(&gateway.child);
    device.until("armed", |state| state.fed.is_some());
    let deadline = Instant::now() + PATIENCE;
    while !switch_on(&gateway.page).contains("\"verified\"") {
        assert!(Instant::now() < deadline, "the valve does not open");
    }
    device.until("on", |state| state.coil);

    let (trips, switched) = {
        let state = device.0.lock().unwrap();
        (state.trips, state.switched)
    };
    rustix::process::kill_process(id, Signal::STOP).unwrap();
    device.until("the output falls while the program hangs", |state| state.trips > trips && !state.coil);
    rustix::process::kill_process(id, Signal::CONT).unwrap();
    device.until("armed again and written again", |state| {
        state.fed.is_some() && state.coil && state.switched > switched
    });

    rustix::process::kill_process(id, Signal::TERM).unwrap();
    assert!(gateway.child.wait().unwrap().success());
    let mut state = device.0.lock().unwrap();
    state.look();
    assert!(!state.coil && state.fed.is_none() && !state.tripped, "safe, and disarmed");
}
