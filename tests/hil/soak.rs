//! The program for a long time under buses whose devices come and go: no thread and no memory more than at the start.
//!
//! `IOGATE_HIL_SOAK` says for how many seconds; without it a few rounds are made, which is what every run of the tests
//! does. What is measured is the program's own, as the kernel shows it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::ear::Ear;
use crate::sim::Chip;
use crate::stage::{Process, load, parameter, until_there};

const DUMMY: &str = "/sys/kernel/config/iio/devices/dummy/soak";

/// How long the short form lasts, in seconds.
const SHORT: u64 = 10;

/// Rounds until everything has been allocated that is allocated once.
const WARM_UP: u32 = 5;

/// What the memory may differ by, in KiB: pages that are looked at for the first time, and the allocator's own.
const SLACK_KIB: u64 = 1024;

/// Files that may be open at one moment more than at another: one at each of the buses.
const OPEN_FILES: usize = TOPICS.len();

/// Threads that the runtime may have for a moment beside its own.
const RUNTIME: u64 = 2;

const CONFIG: &str = "
site: hil
broker: { listen: 127.0.0.1:0 }
web: { enabled: off }
defaults: { poll: 100ms }
channels: { pins: { gpio: { chip: soak } }, onboard: { i2c: { bus: /dev/i2c-0 } }, probes: { onewire: {} }, kernel: { iio: {} } }
devices:
  board: { channel: pins, points: { door: { gpio: DOOR }, opened: { gpio: DOOR, measure: count }, none: { gpio: NOWHERE } } }
  room: { channel: onboard, i2c-chip: sht3x, points: { t: { i2c: temperature }, rh: { i2c: humidity } } }
  wet: { channel: onboard, i2c-chip: bme280, points: { p: { i2c: pressure } } }
  warm: { channel: probes, onewire-id: 28-a45100000001, onewire-resolution: 9, points: { t: { onewire: temperature } } }
  gone: { channel: probes, onewire-id: 28-0000deadbeef, points: { t: { onewire: temperature } } }
  rack: { channel: kernel, iio-name: soak, points: { v: { iio: voltage0 } } }
";

/// Topics of which one each belongs to a bus.
const TOPICS: [&str; 4] = ["hil/board/door", "hil/room/t", "hil/warm/t", "hil/rack/v"];

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    threads: u64,
    /// Those that belong to buses: the runtime has others for a moment now and then.
    of_buses: usize,
    resident_kib: u64,
    files: usize,
}

fn held(process: &Process) -> Held {
    let folder = format!("/proc/{}", process.0.id());
    let status = fs::read_to_string(format!("{folder}/status")).unwrap();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let tasks = fs::read_dir(format!("{folder}/task")).unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let of_buses = names.filter(|name| name.starts_with("bus ") || name.starts_with("gpio ")).count();
    let files = fs::read_dir(format!("{folder}/fd")).unwrap().count();
    Held { threads: number("Threads:"), of_buses, resident_kib: number("RssAnon:"), files }
}

/// Waits until each topic has told of this quality.
fn all(ear: &mut Ear, quality: &str) {
    let wanted = format!(r#""quality":"{quality}""#);
    let mut left = TOPICS.to_vec();
    let begun = Instant::now();
    while !left.is_empty() {
        assert!(begun.elapsed() < crate::stage::PATIENCE, "{left:?} do not become {quality}");
        let (topic, payload) = ear.hear();
        left.retain(|one| *one != topic || !payload.contains(&wanted));
    }
}

#[test]
#[ignore = "runs in the user-mode kernel"]
fn buses_that_come_and_go_cost_no_thread_and_no_memory() {
    let named = std::env::var("HIL_SOAK").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(named.unwrap_or(SHORT));
    let chip = Chip::new("soak", &["DOOR"], None);
    load("i2c_sim");
    load("w1_sim");
    until_there(Path::new("/sys/bus/w1/devices/28-a45100000001"), true);
    fs::create_dir(DUMMY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("iogate.yaml");
    fs::write(&config, CONFIG).unwrap();
    let (program, mqtt) = Process::listening(&config, None);
    let mut ear = Ear::new(mqtt);
    all(&mut ear, "good");
    let mut first = None;
    let (mut rounds, mut most) = (0, 0);
    while first.is_none() || Instant::now() < end {
        // Half of the rounds have no acknowledgement, the others a wrong checksum.
        let fault = if rounds % 2 == 0 { "nack" } else { "bad_crc" };
        parameter("i2c_sim", fault, "1");
        parameter("w1_sim", if rounds % 2 == 0 { "gone" } else { "bad_crc" }, "1");
        chip.plug(false);
        fs::remove_dir(DUMMY).unwrap();
        all(&mut ear, "bad");
        parameter("i2c_sim", fault, "0");
        parameter("w1_sim", if rounds % 2 == 0 { "gone" } else { "bad_crc" }, "0");
        chip.plug(true);
        fs::create_dir(DUMMY).unwrap();
        all(&mut ear, "good");
        rounds += 1;
        let now = held(&program);
        most = most.max(now.of_buses);
        if rounds == WARM_UP {
            first = Some(now);
        }
        if rounds % 100 == 0 {
            println!("soak: {rounds} rounds: {now:?}");
        }
    }
    let (first, last) = (first.unwrap(), held(&program));
    println!("soak: {rounds} rounds, after {WARM_UP}: {first:?}, at the end: {last:?}, most of buses {most}");
    assert_eq!((first.of_buses, last.of_buses, most), (TOPICS.len(), TOPICS.len(), TOPICS.len()));
    assert!(last.threads <= first.threads + RUNTIME, "threads are left over");
    assert!(last.files <= first.files + OPEN_FILES, "files stay open");
    assert!(last.resident_kib <= first.resident_kib + SLACK_KIB, "memory grows");
    drop(program);
    fs::remove_dir(DUMMY).unwrap();
}
