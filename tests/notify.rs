//! What the running program tells systemd: ready, alive, stopping.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longer than any message takes to come.
const PATIENCE: Duration = Duration::from_secs(30);

const SITE: &str = "
site: notify
channels: { plc: { modbus-tcp: { address: 127.0.0.1:1 } } }
devices: { press: { channel: plc, points: { temperature: { input: 0 } } } }
broker: { listen: 127.0.0.1:0 }
web: { listen: 127.0.0.1:0 }
";

/// The next message that holds `wanted`.
fn wait_for(socket: &UnixDatagram, wanted: &str) -> String {
    let mut buffer = [0; 1024];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(wanted) {
            return message;
        }
    }
}

#[test]
fn systemd_hears_ready_then_the_watchdog_then_stopping() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = directory.path().join("site.yaml");
    std::fs::write(&config, SITE).expect("written");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["run", "-c"])
        .arg(&config)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .env_remove("WATCHDOG_PID")
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let ready = wait_for(&socket, "READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    for _ in 0..3 {
        wait_for(&socket, "WATCHDOG=1");
    }
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    wait_for(&socket, "STOPPING=1");
    assert_eq!(process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_hangup_takes_in_new_users_and_ends_nothing() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (config, users) = (directory.path().join("site.yaml"), directory.path().join("users"));
    let access = directory.path().join("access.yaml");
    std::fs::write(&access, "everyone: { read: ['#'] }\n").expect("written");
    let (users_at, access_at) = (users.display(), access.display());
    let broker = format!("{{ listen: 127.0.0.1:0, password-file: {users_at}, access-file: {access_at} }}");
    std::fs::write(&config, SITE.replace("{ listen: 127.0.0.1:0 }\nweb", &format!("{broker}\nweb")))
        .expect("written");
    std::fs::write(&users, "# nobody\n").expect("written");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["run", "-c"])
        .arg(&config)
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait_for(&socket, "READY=1");
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it runs");
    let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    let told =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("asked to take in changed users")));
    assert!(told.is_some(), "the hangup was not told");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    for line in lines {
        line.expect("readable");
    }
    assert_eq!(process.wait().expect("it ends").code(), Some(0));
}
