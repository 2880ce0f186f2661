//! Alarm storms, in the middle of which the program is killed: what stands, what is told of it and what the outputs are afterwards.
//!
//! A web server in the test is the device, which lives on: every poll reads other values, so that alarms come and go all the
//! time and switch outputs, while people acknowledge, shelve, take out and set outputs. CI kills a few times;
//! `IOGATE_KILL_ROUNDS=200 cargo nextest run --test alarm_storm` more often.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarm_storm/checks.rs"]
mod checks;
#[path = "alarm_storm/people.rs"]
mod people;
#[path = "alarm_storm/plant.rs"]
mod plant;
#[path = "alarms/process.rs"]
mod process;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use people::{Asked, People};
use plant::{Plant, Weather};
use process::Process;
use serde_json::{Value as Json, json};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the program is killed when nobody says otherwise.
const ROUNDS: u64 = 3;

struct Gateway(Process);

impl Gateway {
    fn start(directory: &Path, config: &str) -> Self {
        let process = Process::start(directory, config);
        let told = &process.told;
        assert!(!told.contains("is damaged") && !told.contains("makes no sense"), "{told}");
        assert!(!told.contains("does not verify"), "{told}");
        Self(process)
    }

    /// The status and the answer of a request; `None` when it ended without one.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Json)> {
        let mut stream = TcpStream::connect(&self.0.page).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.0.page
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.get(9..12)?.parse().ok()?, serde_json::from_str(body).ok()?))
    }

    fn get(&self, path: &str) -> Json {
        let (status, answer) = self.ask("GET", path, "").expect("the page answers");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn alarms(&self) -> HashMap<String, Json> {
        let all = self.get("/api/v1/alarms");
        let named = |alarm: &Json| (alarm["name"].as_str().unwrap().to_owned(), alarm.clone());
        all.as_array().unwrap().iter().map(named).collect()
    }

    /// All that has ever happened, the oldest first.
    fn journal(&self) -> Vec<Json> {
        let (mut all, mut before) = (Vec::new(), i64::MAX);
        loop {
            let page = self.get(&format!("/api/v1/alarms/journal?limit=1000&before={before}"));
            let page = page.as_array().unwrap();
            let Some(last) = page.last() else { break };
            before = last["id"].as_i64().unwrap();
            all.extend(page.iter().cloned());
        }
        all.reverse();
        all
    }

    fn kill_9(&self) {
        let id = rustix::process::Pid::from_child(&self.0.child);
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
}

/// How many events the journal in the file holds.
fn events_kept(directory: &Path) -> usize {
    let connection = rusqlite::Connection::open(directory.join("alarms.sqlite")).unwrap();
    let count = connection.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, u32>(0));
    count.unwrap() as usize
}

/// Looks at everything that must be as it was before the kill, while the plant stands still.
fn check(gateway: &Gateway, plant: &Plant, people: &mut People, known: usize, round: u64) {
    checks::states(&gateway.alarms(), &people.asked, round);
    checks::outputs(gateway, plant, round);
    // Taken before the journal, which then tells why each of them was made.
    let writes = plant.take_writes();
    settle(gateway, people);
    let journal = gateway.journal();
    checks::journal(&journal, &people.done, round);
    checks::writes(&writes, &journal, known, round);
}

#[test]
fn whenever_it_is_killed_in_a_storm_everything_comes_back_right() {
    let rounds =
        std::env::var("IOGATE_KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (plant, address) = Plant::start();
    let config = plant::config(address);
    let mut rng = fastrand::Rng::new();
    let mut people = People::default();
    let mut known = 0;
    for round in 0..rounds {
        let gateway = Gateway::start(directory, &config);
        check(&gateway, &plant, &mut people, known, round);
        plant.turn(Weather::Storm);
        let until = Instant::now() + Duration::from_millis(rng.u64(50..1_500));
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| people.act(&gateway, &mut rng, until + Duration::from_millis(100)));
            while Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            // In the middle of whatever it is about: a request is on its way then.
            gateway.kill_9();
            busy.join().unwrap();
        });
        drop(gateway);
        plant.turn(Weather::Still);
        plant.wait_until_alone();
        plant.take_writes();
        known = events_kept(directory);
        checks::audit(directory, &people.given, round);
    }
    let gateway = Gateway::start(directory, &config);
    check(&gateway, &plant, &mut people, known, rounds);
    plant.turn(Weather::Calm);
    let deadline = Instant::now() + PATIENCE;
    while gateway.alarms().values().any(|alarm| alarm["active"] == true) {
        assert!(Instant::now() < deadline, "alarms stay active though nothing is the matter");
        std::thread::sleep(Duration::from_millis(50));
    }
    settle(&gateway, &mut people);
    let journal = gateway.journal();
    let commands: u32 = people.given.values().sum();
    assert!(journal.len() > 20 && !people.done.is_empty() && commands > 0, "this was no storm");
    println!("{} events, {} done, {commands} commands", journal.len(), people.done.len());
    checks::journal(&journal, &people.done, rounds);
    let ends: HashMap<&str, &str> = journal
        .iter()
        .map(|event| (event["alarm"].as_str().unwrap(), event["to"].as_str().unwrap()))
        .collect();
    for (name, alarm) in &gateway.alarms() {
        let stands = alarm["state"].as_str().unwrap();
        let ends = *ends.get(name.as_str()).unwrap_or(&"normal");
        assert_eq!(stands, ends, "the journal ends where `{name}` stands");
    }
}

/// Waits until all that has happened is in the journal: the answer to a person comes once it is on the disk.
fn settle(gateway: &Gateway, people: &mut People) {
    for action in ["take-out", "put-back"] {
        let body = json!({ "alarm": "a0", "action": action, "user": "kim" }).to_string();
        match gateway.ask("POST", "/api/v1/alarms", &body).expect("the page answers") {
            (200, _) => {
                people.asked.insert("a0".into(), Asked { action, answered: true });
                return;
            }
            (status, answer) => assert_eq!(status, 409, "{answer}"),
        }
    }
    panic!("`a0` is neither in service nor out of it");
}
