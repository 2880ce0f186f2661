//! What reaches the disk when 1,000 messages a second wait for an absent client, file system included.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::machine::{Machine, kernel, make_disk, say};
use crate::process::Running;
use crate::{PATIENCE, variable};

/// Messages per second.
const RATE: u32 = 1_000;

#[test]
fn what_waits_is_written_once_and_wear_is_bounded() {
    let Some(kernel) = kernel().filter(|_| rustix::process::geteuid().is_root()) else {
        return eprintln!("not run: needs root and a user-mode kernel (bash tests/kernel.sh)");
    };
    let seconds = variable("IOGATE_WEAR_SECONDS").parse().unwrap_or(3u32);
    for (level, payload) in [("process", "json"), ("process", "noise"), ("power", "json")] {
        let folder = tempfile::tempdir().unwrap();
        make_disk(&folder.path().join("disk"));
        let variables =
            [("ROLE", "wear"), ("LEVEL", level), ("PAYLOAD", payload), ("LONG", &seconds.to_string())]
                .map(|(name, value)| (name, value.to_owned()));
        let mut machine = Machine::boot(&kernel, folder.path(), &variables);
        let mut figures = Vec::new();
        while figures.len() < 3 {
            let line = machine.line(Instant::now() + PATIENCE + 4 * Duration::from_secs(seconds.into()));
            let line = line.unwrap_or_else(|| panic!("silence: {:#?}", machine.transcript));
            figures.extend(line.strip_prefix("written ").map(|bytes| bytes.parse::<f64>().unwrap()));
        }
        machine.cut();
        let messages = f64::from(seconds * RATE);
        for (what, bytes) in ["files", "disk"].iter().zip(&figures) {
            let each = bytes / messages;
            // 1,000 messages a second are 3,600,000 an hour.
            println!("{level}, {payload}: {what} {each:.1} B a message, {:.3} GB/h", each * 3.6e-3);
        }
        println!("{level}, {payload}: {messages} messages took {} s", figures[2]);
        // Noise fits into no less than its length.
        let bounds = if payload == "noise" { 100.0..200.0 } else { 5.0..100.0 };
        assert!(bounds.contains(&(figures[0] / messages)), "{figures:?}");
    }
}

/// Inside of the machine.
pub(crate) fn publish(broker: &Running) {
    let mut sub = Client::connect(broker.port, "absent", false).unwrap();
    sub.subscribe("plant/#", 1).unwrap();
    drop(sub);
    sync();
    let (files_before, disk_before) = (files(), disk());
    let mut publisher = Client::connect(broker.port, "line-plc", true).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let noise = variable("PAYLOAD") == "noise";
    let start = Instant::now();
    for number in 0..variable("LONG").parse::<u32>().unwrap() * RATE {
        // The pace is part of what is measured.
        let due = start + Duration::from_secs(number.into()) / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let device = random.u32(..100);
        let topic = format!("plant/line{}/device{device}/temperature", device % 10);
        let payload = if noise {
            std::iter::repeat_with(|| random.u8(..)).take(100).collect()
        } else {
            reading(number, random.u32(1_500..2_900))
        };
        publisher.publish_acked(1, &topic, &payload, false).unwrap();
    }
    let took = start.elapsed().as_secs();
    sync();
    say(format_args!("written {}", files() - files_before));
    say(format_args!("written {}", disk() - disk_before));
    say(format_args!("written {took}"));
}

/// 100 bytes as a device sends them.
fn reading(number: u32, hundredths: u32) -> Vec<u8> {
    let (ms, second, minute) = (number % 1_000, number / 1_000 % 60, number / 60_000 % 60);
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let value = format!("{{\"value\": {whole}.{part:02}, \"quality\": \"good\", \"unit\": \"degC\"");
    let text = format!("{value}, \"time\": \"2026-11-21T14:{minute:02}:{second:02}.{ms:03}Z\"}}");
    format!("{text:<100}").into_bytes()
}

fn sync() {
    assert!(std::process::Command::new("sync").status().unwrap().success());
}

/// Bytes in the log's files.
fn files() -> u64 {
    let files = std::fs::read_dir("/run/data/broker").unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Bytes that the disk has been given to write.
fn disk() -> u64 {
    let text = std::fs::read_to_string("/proc/diskstats").unwrap();
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line.get(2) == Some(&"ubda")).unwrap();
    line[9].parse::<u64>().unwrap() * 512
}
