//! The whole gateway as a process against the devices as another: safe states, and a wrong device named.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::bench::{Double, PATIENCE};

const DEVICES: &str = r"
site: plant
channels: { io: { http: { address: 192.0.2.30, timeout: 2s } } }
devices: { io: { channel: io, profile: wut/57730, wut-password: pw } }
";

/// Waits until the double says this of a point.
fn until(double: &mut Double, point: &str, value: &str) {
    let begun = Instant::now();
    while !double.tell(&format!("get {point}")).contains(&format!("= {value}")) {
        assert!(begun.elapsed() < PATIENCE, "{point} does not become {value}");
        std::thread::yield_now();
    }
}

#[test]
fn outputs_are_made_safe_at_start_and_stop_and_a_wrong_device_is_named() {
    let mut double = Double::start(DEVICES);
    double.tell("set io/output-1 on");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.yaml");
    // The profile of the smaller sister.
    let yaml = DEVICES.replace("192.0.2.30", &double.endpoint("io")).replace("57730", "57737");
    let yaml = format!("{yaml}broker: {{ listen: 127.0.0.1:0 }}\nweb: {{ enabled: off }}\n");
    std::fs::write(&config, yaml).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["run", "-c"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(gateway.stderr.take().unwrap()).lines().map(Result::unwrap);
    let warning = log.by_ref().find(|line| line.contains("wrong device")).expect("a warning");
    assert!(warning.contains("wut/57737 has 2 digital in, 2 digital out"), "{warning}");
    assert!(warning.contains("this one has 12 digital in, 12 digital out"), "{warning}");
    assert!(!warning.contains("pw"), "{warning}");
    until(&mut double, "io/output-1", "false");

    double.tell("set io/output-0 on");
    let pid = rustix::process::Pid::from_child(&gateway);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let rest: Vec<String> = log.collect();
    assert!(gateway.wait().unwrap().success(), "{rest:#?}");
    assert!(double.tell("get io/output-0").contains("= false"), "it is safe after the stop");
    assert!(rest.iter().all(|line| !line.contains("PW=")), "{rest:#?}");
}
