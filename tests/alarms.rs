//! Alarms of a gateway that is killed: `iogate run` as a process, `iogate alarms` beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "alarms/process.rs"]
mod process;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use process::Process;
use serde_json::Value;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The on-delay of the alarm `slow`.
const DELAY: Duration = Duration::from_secs(30);

/// How much of it passes before the kill: what the alarm may come late on a slow machine, too.
const BEFORE: Duration = Duration::from_secs(15);

const CONFIG: &str = "\
site: s
channels: { own: { system: {} } }
devices: { box: { channel: own, points: { uptime: { figure: uptime } } } }
alarms:
  up: { point: box/uptime, high: 1, message: \"{value} s, limit {limit}\" }
  aside: { point: box/uptime, high: 1 }
  out: { point: box/uptime, high: 1, groups: [tools] }
  latched: { point: box/uptime, high: 1, latch: true }
  slow: { point: box/uptime, high: 1, on-delay: 30s }
";

/// A gateway with these alarms.
struct Gateway(Process);

impl Gateway {
    fn start(directory: &Path) -> Self {
        Self(Process::start(directory, CONFIG))
    }

    /// What `iogate alarms` answers, and whether it succeeds.
    fn alarms(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["alarms", "--json", "--url", &format!("http://{}", self.0.page)])
            .args(arguments)
            .env("USER", "kim")
            .output()
            .expect("the program starts");
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn alarm(&self, name: &str) -> Value {
        let all = self.alarms(&["list", "--all"]).unwrap();
        all.as_array().unwrap().iter().find(|alarm| alarm["name"] == name).cloned().unwrap()
    }

    /// Waits until an alarm is as wanted.
    fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let alarm = self.alarm(name);
            if wanted(&alarm) {
                return alarm;
            }
            assert!(Instant::now() < deadline, "it stays {alarm}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The journal of an alarm, once there is something in it.
    fn written(&self, alarm: &str) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let journal = self.journal(alarm);
            if !journal.is_empty() {
                return journal;
            }
            assert!(Instant::now() < deadline, "nothing is written of `{alarm}`");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn journal(&self, alarm: &str) -> Vec<Value> {
        self.alarms(&["journal", alarm]).unwrap().as_array().unwrap().clone()
    }
}

fn events(journal: &[Value]) -> Vec<&str> {
    journal.iter().rev().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn what_people_have_done_and_what_runs_outlives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(directory.path());
    let pending = gateway.until("slow", |alarm| alarm["pending"] == true);
    let begun = Instant::now();
    assert_eq!(pending["state"], "normal");
    let raised = gateway.until("up", |alarm| alarm["active"] == true);
    assert_eq!(raised["state"], "active-unacknowledged");
    assert!(raised["message"].as_str().unwrap().ends_with("s, limit 1"), "{raised}");
    for arguments in [
        &["acknowledge", "up", "--comment", "seen"][..],
        &["acknowledge", "latched", "--user", "lee"],
        &["shelve", "aside", "--for", "2h"],
        &["take-out", "--group", "tools"],
    ] {
        gateway.alarms(arguments).unwrap();
    }
    assert!(gateway.alarms(&["unshelve", "up"]).unwrap_err().contains("not shelved"));
    assert!(gateway.alarms(&["acknowledge", "down"]).unwrap_err().contains("no alarm `down`"));
    let before = gateway.alarm("up");
    while begun.elapsed() < BEFORE {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(gateway);

    let started = SystemTime::now();
    let gateway = Gateway::start(directory.path());
    let up = gateway.alarm("up");
    assert_eq!((&up["state"], &up["since"]), (&"active-acknowledged".into(), &before["since"]));
    assert!(up["by"].as_str().unwrap().starts_with("kim (web page from "), "{up}");
    assert_eq!(up["comment"], "seen");
    assert!(gateway.alarm("latched")["by"].as_str().unwrap().starts_with("lee"));
    assert_eq!(gateway.alarm("aside")["state"], "shelved");
    assert_eq!(gateway.alarm("out")["state"], "out-of-service");
    let slow = gateway.until("slow", |alarm| alarm["active"] == true);
    assert_eq!(slow["state"], "active-unacknowledged");

    // Read anew, it was never new again.
    assert_eq!(events(&gateway.journal("up")), ["raised", "acknowledged"]);
    assert_eq!(events(&gateway.journal("aside")), ["raised", "shelved"]);
    // The page shows it before the journal has it on the disk.
    let journal = gateway.written("slow");
    assert_eq!(events(&journal), ["raised"]);
    let at = Duration::from_micros(journal[0]["unixUs"].as_u64().unwrap());
    let anew = started.duration_since(UNIX_EPOCH).unwrap() + DELAY;
    assert!(at < anew, "its delay has begun anew: raised at {at:?}, not before {anew:?}");
    assert!(gateway.alarms(&["put-back", "out"]).unwrap()[0]["state"] == "active-unacknowledged");
}
