//! The plant: a web server in the test with sensors and outputs, which lives on when the gateway is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

/// Alarms of the plant, each with a sensor of its own.
pub(crate) const ALARMS: usize = 20;

/// Lamps, each lit by two alarms.
pub(crate) const LAMPS: usize = ALARMS / 2;

/// Outputs that people set: one merely set, the other held.
pub(crate) const LEVELS: [&str; 2] = ["level", "held"];

/// What the sensors do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// Other values at every request.
    Storm,
    /// As they were.
    Still,
    /// All of them are 0.
    Calm,
}

struct State {
    weather: Weather,
    sensors: Vec<u32>,
    outputs: BTreeMap<String, u32>,
    /// Every write since somebody looked, in order.
    writes: Vec<(String, u32)>,
    connections: u32,
}

/// The device as the test sees it.
#[derive(Clone)]
pub(crate) struct Plant(Arc<Mutex<State>>);

impl Plant {
    /// Serves it as long as the test runs.
    pub(crate) fn start() -> (Self, SocketAddr) {
        let outputs = (0..LAMPS).map(|lamp| format!("lamp{lamp}")).chain(LEVELS.map(str::to_owned));
        let plant = Self(Arc::new(Mutex::new(State {
            weather: Weather::Still,
            sensors: vec![0; ALARMS],
            outputs: outputs.map(|name| (name, 0)).collect(),
            writes: Vec::new(),
            connections: 0,
        })));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = plant.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = own.clone();
                own.0.lock().unwrap().connections += 1;
                std::thread::spawn(move || {
                    own.serve(stream);
                    own.0.lock().unwrap().connections -= 1;
                });
            }
        });
        (plant, address)
    }

    pub(crate) fn turn(&self, weather: Weather) {
        self.0.lock().unwrap().weather = weather;
    }

    /// Waits until nothing is left of what a gateway that is gone had sent.
    pub(crate) fn wait_until_alone(&self) {
        while self.0.lock().unwrap().connections > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the outputs are.
    pub(crate) fn outputs(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap().outputs.clone()
    }

    /// What has been written since this was asked last.
    pub(crate) fn take_writes(&self) -> Vec<(String, u32)> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn serve(&self, stream: TcpStream) {
        let mut rng = fastrand::Rng::new();
        let Ok(mut out) = stream.try_clone() else { return };
        let mut lines = BufReader::new(stream).lines();
        let mut path = String::new();
        while let Some(Ok(line)) = lines.next() {
            if let Some(asked) = line.strip_prefix("GET ") {
                path = asked.split(' ').next().unwrap().to_owned();
            }
            if !line.is_empty() {
                continue;
            }
            let body = self.answer(&path, &mut rng);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
            // In one piece, which nothing on the way holds back.
            if out.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).is_err() {
                return;
            }
        }
    }

    /// `/` tells everything, `/set/OUTPUT/VALUE` writes.
    fn answer(&self, path: &str, rng: &mut fastrand::Rng) -> String {
        let mut state = self.0.lock().unwrap();
        if let Some((name, value)) = path.strip_prefix("/set/").and_then(|rest| rest.split_once('/')) {
            let value = value.parse().unwrap();
            assert!(state.outputs.insert(name.to_owned(), value).is_some(), "there is no output {name}");
            state.writes.push((name.to_owned(), value));
            return json!("done").to_string();
        }
        match state.weather {
            Weather::Storm => state.sensors.fill_with(|| rng.u32(0..100)),
            Weather::Still => {}
            Weather::Calm => state.sensors.fill(0),
        }
        json!({ "v": state.sensors, "o": state.outputs }).to_string()
    }
}

/// Half of the alarms latch, some wait, some need no acknowledgement, and those that chatter are shelved by class.
pub(crate) fn config(device: SocketAddr) -> String {
    let mut yaml = format!(
        "site: s\nchannels: {{ web: {{ http: {{ address: \"{device}\" }} }} }}\n\
         devices:\n  plant:\n    channel: web\n    poll: 20ms\n    points:\n"
    );
    for number in 0..ALARMS {
        yaml.push_str(&format!("      p{number}: {{ get: /, json: /v/{number} }}\n"));
    }
    for lamp in 0..LAMPS {
        yaml.push_str(&format!(
            "      lamp{lamp}: {{ get: /, json: /o/lamp{lamp}, as: state, access: rw, safe: off, \
             set: {{ get: \"/set/lamp{lamp}/{{value}}\", on: \"1\", off: \"0\" }} }}\n"
        ));
    }
    for level in LEVELS {
        yaml.push_str(&format!(
            "      {level}: {{ get: /, json: /o/{level}, as: integer, access: rw, safe: 0, range: [0, 1000000], \
             set: {{ get: \"/set/{level}/{{value}}\" }} }}\n"
        ));
    }
    yaml.push_str("chattering: { activations: 8, within: 10s, calm: 20s, shelve-for: 1h, shelve-classes: [noise] }\nalarms:\n");
    for number in 0..ALARMS {
        let more = match number % 5 {
            0 => "latch: true",
            1 => "on-delay: 50ms",
            2 => "acknowledge: automatic, off-delay: 50ms",
            3 => "groups: [all], high-high: 90",
            _ => "class: noise, groups: [all]",
        };
        let lamp = number / 2;
        yaml.push_str(&format!(
            "  a{number}: {{ point: plant/p{number}, high: 60, hysteresis: 10, bad-input: hold, \
             then: {{ plant/lamp{lamp}: on }}, {more} }}\n"
        ));
    }
    yaml
}
