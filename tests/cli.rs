//! The command line as people and scripts meet it: help, exit codes, messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn iogate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iogate")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn write(directory: &Path, yaml: &str) -> String {
    let path = directory.join("site.yaml");
    std::fs::write(&path, yaml).expect("a temporary file");
    path.display().to_string()
}

#[test]
fn version_and_help_name_the_program_and_its_commands() {
    let version = iogate(&["version"]);
    assert_eq!(text(&version.stdout), format!("iogate {}\n", env!("CARGO_PKG_VERSION")));
    let help = text(&iogate(&["--help"]).stdout);
    for word in [
        "run",
        "check",
        "simulate",
        "demo",
        "broker",
        "mqtt",
        "import",
        "discover",
        "schema",
        "completions",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    for command in ["run", "check", "simulate", "demo", "broker", "mqtt", "import", "discover", "schema"] {
        let help = text(&iogate(&[command, "--help"]).stdout);
        assert!(help.contains("Example:"), "{command}: {help}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    assert_eq!(iogate(&["fly"]).status.code(), Some(2));
    let wrong = iogate(&["--log", "iogate=shout", "version"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("--log"), "{}", text(&wrong.stderr));
}

#[test]
fn check_reports_every_mistake_with_its_place_and_ends_with_3() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = write(
        directory.path(),
        "site: s\nchannels:\n  plc: { modbus-tcp: { adress: 192.0.2.1:502 } }\ndevices:\n  d:\n    channel: plx\n    points: { t: { input: 0 } }\n",
    );
    let checked = iogate(&["check", "-c", &path]);
    assert_eq!(checked.status.code(), Some(3));
    let report = text(&checked.stderr);
    for part in ["site.yaml:3:", "adress", "address", "site.yaml:6:", "plx", "plc"] {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
}

#[test]
fn check_tells_what_a_sound_configuration_asks_of_its_lines() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = write(
        directory.path(),
        "site: s\nchannels:\n  line: { modbus-rtu: { port: /dev/ttyUSB0, baud: 9600 } }\ndevices:\n  d:\n    channel: line\n    topic: a\n    points: { t: { input: 0 } }\n",
    );
    let checked = iogate(&["check", "-c", &path]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let report = text(&checked.stdout);
    assert!(report.contains("line") && report.contains('%'), "{report}");
}

#[test]
fn a_configuration_can_be_named_without_an_option_but_only_once() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo.yaml");
    let checked = iogate(&["check", demo]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).starts_with("busan/factory:"));
    assert_eq!(iogate(&["check", "-c", demo, demo]).status.code(), Some(2));
}

#[test]
fn the_starter_configuration_runs_and_says_what_is_missing() {
    let starter = concat!(env!("CARGO_MANIFEST_DIR"), "/config/iogate.yaml");
    let mut running = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["run", starter, "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(running.stderr.take().expect("piped"));
    let mut told = String::new();
    while !told.contains("gateway started") {
        assert_ne!(log.read_line(&mut told).expect("text"), 0, "it ended: {told}");
    }
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(running.wait().expect("it ends").code(), Some(0));
    assert!(told.contains("no points are configured") && told.contains("iogate.yaml"), "{told}");
}

#[test]
fn a_missing_file_is_named() {
    let checked = iogate(&["check", "-c", "/nonexistent/site.yaml"]);
    assert_eq!(checked.status.code(), Some(3));
    assert!(text(&checked.stderr).contains("/nonexistent/site.yaml"));
}

#[test]
fn the_schema_and_completions_are_printed() {
    let schema: serde_json::Value = serde_json::from_slice(&iogate(&["schema"]).stdout).expect("JSON");
    assert!(schema["properties"]["channels"].is_object());
    let profile: serde_json::Value =
        serde_json::from_slice(&iogate(&["schema", "--profile"]).stdout).expect("JSON");
    assert!(profile["properties"]["points"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&iogate(&["completions", shell]).stdout).contains("iogate"), "{shell}");
    }
}

#[test]
fn profiles_are_listed_shown_and_checked() {
    let listed = iogate(&["profiles", "list", "--kind", "meter", "sdm6"]);
    assert_eq!(
        text(&listed.stdout),
        "eastron/sdm630  meter       library       Eastron SDM630-Modbus\n1 profiles\n"
    );
    let shown = text(&iogate(&["profiles", "show", "moxa/e1210"]).stdout);
    for words in [
        "ioLogik E1210",
        "remote-io by modbus, grade manufacturer",
        "input-0 … input-15",
        "discrete 0x0000",
        "입력 0",
    ] {
        assert!(shown.contains(words), "{words} is missing in:\n{shown}");
    }
    let unknown = iogate(&["profiles", "show", "moxa/e121"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(text(&unknown.stderr).contains("moxa/e1210"), "{}", text(&unknown.stderr));
    let all = iogate(&["profiles", "check"]);
    assert!(text(&all.stdout).ends_with(" profiles are right\n"), "{}", text(&all.stderr));
}

#[test]
fn a_profile_of_one_s_own_is_checked_by_its_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path().join("mine");
    std::fs::create_dir(&folder).expect("a folder");
    let head = "vendor: Mine\nmodels: [One]\nsource: its manual\ngrade: hardware\nmodbus: {}\npoints:\n";
    let check = |points: &str| {
        let file = folder.join("sensor.yaml");
        std::fs::write(&file, format!("{head}{points}")).expect("a temporary file");
        iogate(&["profiles", "check", file.to_str().expect("UTF-8")])
    };
    let right = check("  level: { input: 0, exponent: 1 }\n");
    assert_eq!((right.status.code(), text(&right.stdout)), (Some(0), "1 profiles are right\n".to_owned()));
    let wrong = check(
        "  level: { input: 0, when: { holding: 1 }, enabled: off }\n  mode: { holding: 2, group: slow }\n",
    );
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(3));
    for words in
        ["when needs is", "sensor.yaml:7:", "there is no poll group `slow`", "1 of 1 profiles have mistakes"]
    {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    let missing = iogate(&["profiles", "check", "nowhere.yaml"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).contains("there is no such file"));
}

/// An answer of the newest form: a name, and the article number 57730.
fn web_io_answer() -> Vec<u8> {
    let mut items = Vec::new();
    for (kind, data) in [(13_u16, b"hall".to_vec()), (19, 57_730_u32.to_le_bytes().to_vec())] {
        items.extend((kind | 0x7000).to_le_bytes());
        items.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        items.extend(data);
    }
    let length = u16::try_from(items.len() + 4).unwrap();
    [&[1, 4][..], &length.to_le_bytes(), &[0; 4], &items].concat()
}

#[test]
fn devices_in_the_network_are_told_with_their_profiles() {
    let device = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = device.local_addr().unwrap().port().to_string();
    let answers = std::thread::spawn(move || {
        let mut asked = [0; 64];
        let (length, from) = device.recv_from(&mut asked).unwrap();
        device.send_to(b"something else", from).unwrap();
        device.send_to(&web_io_answer(), from).unwrap();
        asked[..length].to_vec()
    });
    let found =
        iogate(&["discover", "--address", "127.0.0.1", "--port", &port, "--wait", "60000", "--count", "1"]);
    assert_eq!(answers.join().unwrap(), b"Version 1.04");
    let (out, errors) = (text(&found.stdout), text(&found.stderr));
    assert!(out.contains("127.0.0.1  http, port ?  ?  hall  57730: "), "{out}");
    assert!(out.contains("wut/57730") && out.ends_with("1 devices\n") && !out.contains("57737"), "{out}");
    assert!(errors.contains("answers in another protocol"), "{errors}");
    let nobody = iogate(&["discover", "--address", "127.0.0.1", "--wait", "1"]);
    assert_eq!((nobody.status.code(), text(&nobody.stdout).as_str()), (Some(0), "0 devices\n"));
}
