//! The systemd unit: systemd accepts it, it is closed as far as the devices allow, and what it names exists.
//!
//! Absent on purpose: a booted system. `systemd-analyze` reads the unit on any machine that has the tool.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest exposure that `systemd-analyze security` may find; 10 is wide open.
const EXPOSURE_LIMIT: f64 = 1.5;

fn shipped(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap()
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(file)
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("LC_ALL", "C");
    command.output().expect("systemd-analyze runs; `bash tests/peers.sh` installs it")
}

/// The unit in a folder of its own, changed by `change`, with the program that was built for this test.
fn verify(change: impl Fn(String) -> String) -> String {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("iogate.service");
    let text = shipped("iogate.service").replace("/usr/bin/iogate", env!("CARGO_BIN_EXE_iogate"));
    fs::write(&unit, change(text)).unwrap();
    let output = systemd_analyze(&["verify", "--man=no"], &unit);
    // Older versions exit with 0 after a warning: what they say is the result.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || !said.is_empty(), "{output:?}");
    // A machine's own units may have faults too.
    said.lines().filter(|line| line.contains("iogate")).collect::<Vec<_>>().join("\n")
}

fn exposure(unit: &Path) -> f64 {
    let output = systemd_analyze(&["security", "--offline=yes", "--no-pager"], unit);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .unwrap_or_else(|| panic!("{output:?}"));
    line.split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no figure in: {line}"))
}

/// Values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn systemd_accepts_the_unit() {
    assert_eq!(verify(|unit| unit), "");
}

#[test]
fn verification_sees_a_misspelt_key() {
    let said = verify(|unit| unit.replace("WatchdogSec=", "WatchdogSeconds="));
    assert!(said.contains("WatchdogSeconds"), "{said}");
}

#[test]
fn the_unit_is_closed() {
    let found = exposure(&path("iogate.service"));
    assert!(found <= EXPOSURE_LIMIT, "exposure {found}, at most {EXPOSURE_LIMIT}");
}

#[test]
fn the_exposure_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("open.service");
    fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert!(exposure(&unit) > 9.0);
}

#[test]
fn readiness_and_watchdog_are_on() {
    let unit = shipped("iogate.service");
    assert_eq!(values(&unit, "Type"), ["notify"]);
    assert_eq!(values(&unit, "WatchdogSec"), ["30s"]);
    assert_eq!(values(&unit, "Restart"), ["always"]);
    assert_eq!(values(&unit, "StateDirectory"), ["iogate"]);
}

#[test]
fn serial_lines_gpio_and_buses_stay_reachable() {
    let unit = shipped("iogate.service");
    assert_eq!(values(&unit, "DevicePolicy"), ["closed"]);
    // With it /dev would hold no hardware at all.
    assert!(values(&unit, "PrivateDevices").is_empty());
    let allowed = values(&unit, "DeviceAllow");
    for class in ["ttyS", "ttyUSB", "ttyACM", "ttyAMA", "gpiochip", "i2c", "spi"] {
        assert!(allowed.contains(&format!("char-{class} rw").as_str()), "{class} is missing in {allowed:?}");
    }
}

#[test]
fn the_user_and_its_groups_are_made() {
    let unit = shipped("iogate.service");
    let users = shipped("iogate.sysusers");
    let user = values(&unit, "User")[0];
    assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{users}");
    let rules = shipped("60-iogate.rules");
    for (group, by_udev) in [("dialout", false), ("gpio", true), ("i2c", true), ("spi", true)] {
        assert!(users.contains(&format!("m {user} {group}\n")), "{user} is no member of {group}");
        assert_eq!(rules.contains(&format!("GROUP=\"{group}\"")), by_udev, "{group} in the udev rules");
    }
}

#[test]
fn sysusers_accepts_the_user() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let output = Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.path().display()))
        .arg(path("iogate.sysusers"))
        .output()
        .expect("systemd-sysusers runs; `bash tests/peers.sh` installs it");
    assert!(output.status.success(), "{output:?}");
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(passwd.lines().any(|line| line.starts_with("iogate:") && line.ends_with("/nologin")), "{passwd}");
    let groups = fs::read_to_string(root.path().join("etc/group")).unwrap();
    assert!(groups.lines().any(|line| line.starts_with("gpio:") && line.ends_with(":iogate")), "{groups}");
}
