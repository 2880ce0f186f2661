//! Alarm storms, in the middle of which the program is killed: what stands and what is told of it afterwards.
//!
//! A web server in the test is the device: every poll reads other values, so that alarms come and go all the time, while people
//! acknowledge, shelve and take out. CI kills a few times; `IOGATE_KILL_ROUNDS=200 cargo nextest run --test alarm_storm` more often.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Alarms of the plant.
const ALARMS: usize = 20;

/// How often the program is killed when nobody says otherwise.
const ROUNDS: u64 = 3;

/// A device that shows other values at every request, until it is told to be calm: then all of them are 0.
fn device(calm: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let calm = Arc::clone(calm);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let calm = Arc::clone(&calm);
            std::thread::spawn(move || serve(stream, &calm));
        }
    });
    address
}

fn serve(stream: TcpStream, calm: &AtomicBool) {
    let mut rng = fastrand::Rng::new();
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        let values: Vec<u32> =
            (0..ALARMS).map(|_| if calm.load(Relaxed) { 0 } else { rng.u32(0..100) }).collect();
        let body = json!({ "v": values }).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        if write!(out, "{head} {}\r\n\r\n{body}", body.len()).is_err() {
            return;
        }
    }
}

/// Half of the alarms latch, some wait, some need no acknowledgement, and those that chatter are shelved by class.
fn config(device: SocketAddr) -> String {
    let mut yaml = format!(
        "site: s\nchannels: {{ web: {{ http: {{ address: \"{device}\" }} }} }}\n\
         devices:\n  plant:\n    channel: web\n    poll: 20ms\n    points:\n"
    );
    for number in 0..ALARMS {
        yaml.push_str(&format!("      p{number}: {{ get: /, json: /v/{number} }}\n"));
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
        yaml.push_str(&format!(
            "  a{number}: {{ point: plant/p{number}, high: 60, hysteresis: 10, bad-input: hold, {more} }}\n"
        ));
    }
    yaml
}

struct Gateway {
    process: Child,
    page: String,
}

impl Gateway {
    fn start(directory: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["--log-format", "json", "run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
            .arg(directory.join("iogate.yaml"))
            .env("STATE_DIRECTORY", directory)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut told = String::new();
        let page = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {told}");
            assert!(!line.contains("is damaged") && !line.contains("makes no sense"), "{line}");
            let json: Json = serde_json::from_str(&line).unwrap_or_default();
            if line.contains("gateway started") {
                let page = json["fields"]["web"].as_str().or_else(|| json["web"].as_str());
                break page.unwrap_or_else(|| panic!("no page in {line}")).to_owned();
            }
            told.push_str(&line);
        };
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, page }
    }

    /// The status and the answer of a request; `None` when it ended without one.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Json)> {
        let mut stream = TcpStream::connect(&self.page).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.page
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.get(9..12)?.parse().ok()?, serde_json::from_str(body).ok()?))
    }

    fn alarms(&self) -> HashMap<String, Json> {
        let (status, all) = self.ask("GET", "/api/v1/alarms", "").expect("the page answers");
        assert_eq!(status, 200);
        all.as_array()
            .unwrap()
            .iter()
            .map(|alarm| (alarm["name"].as_str().unwrap().to_owned(), alarm.clone()))
            .collect()
    }

    /// All that has ever happened, the oldest first.
    fn journal(&self) -> Vec<Json> {
        let (mut all, mut before) = (Vec::new(), i64::MAX);
        loop {
            let path = format!("/api/v1/alarms/journal?limit=1000&before={before}");
            let (status, page) = self.ask("GET", &path, "").expect("the page answers");
            assert_eq!(status, 200, "{page}");
            let page = page.as_array().unwrap();
            let Some(last) = page.last() else { break };
            before = last["id"].as_i64().unwrap();
            all.extend(page.iter().cloned());
        }
        all.reverse();
        all
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What people have done to an alarm last: what was asked, and whether that was answered.
#[derive(Debug, Clone)]
struct Asked {
    action: &'static str,
    answered: bool,
}

/// What people do until the program is gone. Comments of what was answered are kept: each must be in the journal.
fn people(
    gateway: &Gateway,
    rng: &mut fastrand::Rng,
    until: Instant,
    asked: &mut HashMap<String, Asked>,
    done: &mut Vec<String>,
) {
    while Instant::now() < until {
        let alarm = format!("a{}", rng.usize(0..ALARMS));
        let action =
            ["acknowledge", "acknowledge", "shelve", "unshelve", "take-out", "put-back"][rng.usize(0..6)];
        let comment = format!("c{:x}", rng.u64(..));
        let mut body = json!({ "alarm": alarm, "action": action, "user": "kim", "comment": comment });
        if action == "shelve" {
            body["for"] = json!("2h");
        }
        match gateway.ask("POST", "/api/v1/alarms", &body.to_string()) {
            Some((200, _)) => {
                done.push(comment);
                if action != "acknowledge" {
                    asked.insert(alarm, Asked { action, answered: true });
                }
            }
            Some((409, _)) => {}
            Some((status, answer)) => panic!("{status}: {answer}"),
            None => {
                asked.insert(alarm, Asked { action, answered: false });
            }
        }
    }
}

/// What was answered stands, unless somebody has asked for something else since.
fn check_states(alarms: &HashMap<String, Json>, asked: &HashMap<String, Asked>, round: u64) {
    for (alarm, last) in asked.iter().filter(|(_, last)| last.answered) {
        let state = alarms[alarm]["state"].as_str().unwrap();
        let sound = match last.action {
            "take-out" => state == "out-of-service",
            "shelve" => state == "shelved",
            _ => state != "out-of-service",
        };
        assert!(sound, "round {round}: `{alarm}` is {state} after {last:?}");
    }
}

/// Every event of an alarm begins where the one before has ended, over all kills, and nothing that was active comes again.
fn check_journal(journal: &[Json], done: &[String], round: u64) {
    let mut at: HashMap<&str, &str> = HashMap::new();
    let mut said: HashMap<&str, u32> = HashMap::new();
    for event in journal {
        let word = |key: &str| event[key].as_str().unwrap_or_default();
        let (alarm, from, to) = (word("alarm"), word("from"), word("to"));
        let before = at.insert(alarm, to).unwrap_or("normal");
        assert_eq!(from, before, "round {round}: a gap before {event}");
        assert!(
            !(word("event") == "raised" && from.starts_with("active")),
            "round {round}: it was active: {event}"
        );
        if word("event") != "raised" {
            *said.entry(word("comment")).or_default() += 1;
        }
    }
    for comment in done {
        assert_eq!(
            said.get(comment.as_str()),
            Some(&1),
            "round {round}: what was answered is in the journal once"
        );
    }
}

#[test]
fn whenever_it_is_killed_in_a_storm_everything_comes_back_right() {
    let rounds =
        std::env::var("IOGATE_KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let directory = tempfile::tempdir().unwrap();
    let calm = Arc::new(AtomicBool::new(false));
    std::fs::write(directory.path().join("iogate.yaml"), config(device(&calm))).unwrap();
    let mut rng = fastrand::Rng::new();
    let (mut asked, mut done) = (HashMap::new(), Vec::new());
    for round in 0..rounds {
        let gateway = Gateway::start(directory.path());
        check_states(&gateway.alarms(), &asked, round);
        check_journal(&gateway.journal(), &done, round);
        let until = Instant::now() + Duration::from_millis(rng.u64(50..1_500));
        std::thread::scope(|scope| {
            let people = scope.spawn(|| {
                people(&gateway, &mut rng, until + Duration::from_millis(100), &mut asked, &mut done);
            });
            while Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            // In the middle of whatever it is about: a request is on its way then.
            let id = gateway.process.id().to_string();
            assert!(Command::new("kill").args(["-9", &id]).status().unwrap().success());
            people.join().unwrap();
        });
        gateway.kill();
    }
    calm.store(true, Relaxed);
    let gateway = Gateway::start(directory.path());
    check_states(&gateway.alarms(), &asked, rounds);
    settle(&gateway);
    let journal = gateway.journal();
    assert!(journal.len() > 20 && !done.is_empty(), "this was no storm: {} events", journal.len());
    check_journal(&journal, &done, rounds);
    let ends: HashMap<&str, &str> = journal
        .iter()
        .map(|event| (event["alarm"].as_str().unwrap(), event["to"].as_str().unwrap()))
        .collect();
    for (name, alarm) in &gateway.alarms() {
        let stands = alarm["state"].as_str().unwrap();
        assert_eq!(
            stands,
            *ends.get(name.as_str()).unwrap_or(&"normal"),
            "the journal ends where `{name}` stands"
        );
    }
    gateway.kill();
}

/// Waits until no alarm is active any more, and until all of that is in the journal.
fn settle(gateway: &Gateway) {
    let deadline = Instant::now() + PATIENCE;
    while gateway.alarms().values().any(|alarm| alarm["active"] == true) {
        assert!(Instant::now() < deadline, "alarms stay active though nothing is the matter");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The answer to a person comes once all that happened before is on the disk.
    let body = json!({ "alarm": "a0", "action": "take-out", "user": "kim" }).to_string();
    if gateway.ask("POST", "/api/v1/alarms", &body).expect("the page answers").0 == 409 {
        let body = json!({ "alarm": "a0", "action": "put-back", "user": "kim" }).to_string();
        assert_eq!(gateway.ask("POST", "/api/v1/alarms", &body).expect("the page answers").0, 200);
    }
}
