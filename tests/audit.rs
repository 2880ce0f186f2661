//! The audit log of a gateway that is killed: `iogate run` as a process, commands through its API, `iogate audit` beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarms/process.rs"]
mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::Process;
use serde_json::{Value, json};

const CONFIG: &str = "\
site: s
channels: { own: { system: {} }, sums: { virtual: {} } }
devices:
  box: { channel: own, points: { up: { figure: uptime } } }
  line: { channel: sums, points: { energy: { energy: box/up, access: rw, safe: none, range: [0, 100000] } } }
";

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

struct Gateway(Process);

impl Gateway {
    fn start(directory: &Path, config: &str) -> Self {
        Self(Process::start(directory, config))
    }

    /// One request to the API.
    fn ask(&self, head: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.0.page).unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.0.page
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    fn command(&self, value: u32) -> Value {
        let body = json!({ "point": "line/energy", "value": value }).to_string();
        self.ask("POST /api/v1/command", &body)
    }

    fn records(&self) -> Vec<Value> {
        self.ask("GET /api/v1/audit?limit=1000", "")["records"].as_array().unwrap().clone()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0.child), signal).unwrap();
    }
}

/// What `iogate audit` says of a file, and whether it succeeds.
fn audit(directory: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .arg("audit")
        .args(arguments)
        .arg("--file")
        .arg(directory.join("audit.sqlite"))
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn kept(directory: &Path) -> Vec<Value> {
    let (fine, out, err) = audit(directory, &["list", "-n", "1000", "--json"]);
    assert!(fine, "{err}");
    serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().clone()
}

#[test]
fn killed_at_any_moment_the_chain_holds_and_nothing_that_was_shown_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_u64;
    let mut commands = 0;
    let mut shown: Vec<Value> = Vec::new();
    for round in 0..10 {
        let gateway = Gateway::start(directory.path(), CONFIG);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let life = Duration::from_millis(20 + (random >> 33) % 400);
        let begun = Instant::now();
        // At least one command in each life, however slow the machine.
        while commands <= round || begun.elapsed() < life {
            commands += 1;
            let answer = gateway.command(commands);
            assert_eq!(answer["outcome"], "verified", "{answer}");
            if commands % 3 == 0 {
                shown = gateway.records();
            }
        }
        drop(gateway);
        let (fine, out, err) = audit(directory.path(), &["verify"]);
        assert!(fine, "{out}{err}");
        let kept = kept(directory.path());
        let number = |record: &Value| record["id"].as_i64().unwrap();
        let newest = kept.first().map_or(0, number);
        // Those further back are kept, too, but one look shows only so many.
        for record in shown.iter().filter(|record| number(record) > newest - 1000) {
            let same = kept.iter().find(|other| other["id"] == record["id"]);
            assert_eq!(same.map(|same| &same["hash"]), Some(&record["hash"]), "{record} was shown");
        }
    }
    let commands_kept = kept(directory.path()).iter().filter(|record| record["kind"] == "command").count();
    assert!(!shown.is_empty() && commands_kept > 0);
}

#[test]
fn changed_files_are_told_with_what_came_of_them_and_releases_with_who_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules");
    std::fs::write(&rules, "anonymous: { read: ['#'] }\n").unwrap();
    let config = format!("{CONFIG}broker: {{ access-file: {} }}\n", rules.display());
    let gateway = Gateway::start(directory.path(), &config);
    let reloads = || -> Vec<Value> {
        let of = |record: &Value| record["kind"] == "reload";
        gateway.records().into_iter().filter(of).collect()
    };
    let await_reload = |count: usize| -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = reloads();
            if found.len() >= count {
                return found[0].clone();
            }
            assert!(Instant::now() < deadline, "the reload is not told");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    gateway.signal(rustix::process::Signal::HUP);
    let idle = await_reload(1);
    assert_eq!((&idle["outcome"], &idle["detail"]), (&json!("done"), &json!("nothing had changed")));
    // Nobody has asked: the file is watched.
    std::fs::write(&rules, "anonymous: { read: ['s/#'] }\n").unwrap();
    let watched = await_reload(2);
    assert_eq!((&watched["origin"], &watched["subject"]), (&json!("gateway"), &json!("access rules")));
    assert_eq!(watched["outcome"], "done");
    std::fs::write(&rules, "anonymous: { raed: ['#'] }\n").unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    let failed = loop {
        // Whoever of the two comes first finds the mistake.
        if let Some(failed) = reloads().into_iter().find(|record| record["outcome"] == "failed") {
            break failed;
        }
        assert!(Instant::now() < deadline, "{:?}", reloads());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        failed.to_string().contains("rules") && failed["detail"].as_str().unwrap().contains('1'),
        "{failed}"
    );

    let held = json!({ "point": "line/energy", "value": 9, "for": 600 }).to_string();
    assert_eq!(gateway.ask("POST /api/v1/command", &held)["outcome"], "verified");
    let release = json!({ "point": "line/energy", "release": true }).to_string();
    assert_eq!(gateway.ask("POST /api/v1/command", &release)["released"], true);
    gateway.ask("POST /api/v1/command", &release);
    let deadline = Instant::now() + PATIENCE;
    let released = loop {
        let all = gateway.records();
        let found: Vec<Value> = all.into_iter().filter(|record| record["kind"] == "release").collect();
        if found.len() == 2 {
            break found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((&released[1]["old"], &released[1]["outcome"]), (&json!("9"), &json!("done")));
    assert_eq!(released[1]["detail"], "held by web page from 127.0.0.1");
    assert_eq!(released[0]["outcome"], "rejected");
    drop(gateway);
    assert!(audit(directory.path(), &["verify"]).0);
}

#[test]
fn commands_configurations_reloads_and_stops_are_told_and_tampering_shows() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(directory.path(), CONFIG);
    assert_eq!(gateway.command(7)["outcome"], "verified");
    assert_eq!(gateway.command(200_000)["outcome"], "rejected");
    gateway.signal(rustix::process::Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while !gateway.records().iter().any(|record| record["kind"] == "reload") {
        assert!(Instant::now() < deadline, "the reload is not told");
        std::thread::sleep(Duration::from_millis(50));
    }
    gateway.signal(rustix::process::Signal::TERM);
    let mut gateway = gateway;
    assert!(gateway.0.child.wait().unwrap().success());
    drop(gateway);
    let changed = CONFIG.replace("100000", "100");
    drop(Gateway::start(directory.path(), &changed));
    let records = kept(directory.path());
    let of = |kind: &str| records.iter().rev().find(|record| record["kind"] == kind).unwrap().clone();
    let rejected = records.iter().find(|record| record["outcome"] == "rejected").unwrap();
    assert!(rejected["detail"].as_str().unwrap().contains("outside"), "{rejected}");
    assert!(rejected["origin"].as_str().unwrap().starts_with("web page from 127.0.0.1"), "{rejected}");
    assert_eq!((of("command")["new"].as_str(), of("stop")["outcome"].as_str()), (Some("7"), Some("done")));
    assert_eq!(of("configuration")["old"], of("start")["new"]);

    let (fine, out, _) = audit(directory.path(), &["verify"]);
    assert!(fine);
    let noted = out.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(audit(directory.path(), &["verify", "--known", &noted]).0);
    let (_, csv, _) = audit(directory.path(), &["export", "--csv"]);
    assert!(
        csv.starts_with("id,time,clock,kind,origin,subject,old,new,outcome,detail,took_us,hash\r\n1,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), records.len() + 1);

    let connection = rusqlite::Connection::open(directory.path().join("audit.sqlite")).unwrap();
    connection.execute("UPDATE audit SET new = '8' WHERE kind = 'command' AND new = '7'", []).unwrap();
    let (fine, _, err) = audit(directory.path(), &["verify"]);
    assert!(!fine && err.contains("was changed"), "{err}");
    connection.execute("UPDATE audit SET new = '7' WHERE kind = 'command' AND new = '8'", []).unwrap();
    assert!(audit(directory.path(), &["verify"]).0);
    connection.execute("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)", []).unwrap();
    assert!(audit(directory.path(), &["verify"]).0, "a cut end is a chain");
    let (fine, _, err) = audit(directory.path(), &["verify", "--known", &noted]);
    assert!(!fine && err.contains("cut at its end"), "{err}");
}
