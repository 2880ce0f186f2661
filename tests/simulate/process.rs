//! `iogate simulate` as a technician starts it: a process of its own with the shipped demo.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::plant::exchange;

#[test]
fn the_demo_s_devices_are_served_until_it_is_told_to_stop() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("endpoints.json");
    let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["simulate", "--control", "127.0.0.1:0", "-c"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml"))
        .arg("--endpoints")
        .arg(&file)
        .arg("--links")
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut address = String::new();
    for line in output.by_ref() {
        let line = line.unwrap();
        if let Some(control) = line.strip_prefix("control  ") {
            address = control.to_owned();
        }
        if line.contains("`help`") {
            break;
        }
    }
    let endpoints: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let line = directory.path().join("line-1");
    assert_eq!(endpoints["line-1"], line.display().to_string());
    assert!(line.exists());

    let mut plc = TcpStream::connect(endpoints["plc"].as_str().unwrap()).unwrap();
    let told = exchange(&mut plc, &[0, 1, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1], 11);
    let degrees = f64::from(u16::from_be_bytes([told[9], told[10]])) / 10.0;
    assert!((39.0..95.0).contains(&degrees), "the press warms up from 40 °C: {degrees}");

    let mut control = TcpStream::connect(&address).unwrap();
    let mut answers = BufReader::new(control.try_clone().unwrap()).lines();
    control.write_all(b"fault press exception 6 times 1\nset press/temperature 75\n").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "ok");
    assert_eq!(answers.next().unwrap().unwrap(), "ok");
    assert_eq!(exchange(&mut plc, &[0, 2, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1], 9)[7..], [0x84, 6]);
    assert_eq!(exchange(&mut plc, &[0, 3, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1], 11)[9..], [0x02, 0xee]);

    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
    assert!(!line.exists(), "the link is gone with the port");
}
