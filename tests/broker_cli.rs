//! `iogate broker` as people start it: alone, with Mosquitto's clients as its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
    command.arg("broker").args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
    port: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut process =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("iogate broker: listening on ").expect("an address");
        let port = address.strip_prefix("127.0.0.1:").expect("the loopback address").to_owned();
        Self { process, output, port }
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port]).args(arguments);
        command.output().expect("mosquitto-clients are installed by tests/peers.sh")
    }

    /// Asks it to stop, and returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.process.wait().unwrap().code();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn it_serves_mosquittos_clients_and_stops_when_asked() {
    for arguments in [["-p", "0"], ["--listen", "127.0.0.1:0"]] {
        let broker = Running::start(&arguments);
        for version in ["mqttv31", "mqttv311", "mqttv5"] {
            let sent = ["-V", version, "-t", "a/b", "-q", "2", "-r", "-m", version];
            let published = broker.client("mosquitto_pub", &sent);
            assert!(published.status.success(), "{published:?}");
            let wanted = ["-V", version, "-t", "a/#", "-q", "2", "-C", "1", "-v"];
            let received = broker.client("mosquitto_sub", &wanted);
            assert_eq!(text(&received.stdout), format!("a/b {version}\n"), "{received:?}");
        }
        let version = broker.client("mosquitto_sub", &["-t", "$SYS/broker/version", "-C", "1"]);
        assert_eq!(text(&version.stdout), concat!("iogate ", env!("CARGO_PKG_VERSION"), "\n"));
        assert_eq!(broker.stop(), Some(0));
    }
}

#[test]
fn only_the_broker_section_of_a_file_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, "broker: { listen: 127.0.0.1:0, max-topic-levels: 2, sys-interval: 0s }\n").unwrap();
    let broker = Running::start(&["-c", path]);
    let refused = broker.client("mosquitto_pub", &["-V", "mqttv5", "-t", "a/b/c", "-q", "1", "-m", "x"]);
    assert!(text(&refused.stderr).contains("Topic Name invalid"), "{refused:?}");
    assert_eq!(broker.stop(), Some(0));
    std::fs::write(path, "site: s\nbroker: { max-qos: 7 }\ndevices: { d: { channel: nowhere } }\n").unwrap();
    let wrong = command(&["-c", path]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    let report = text(&wrong.stderr);
    assert!(report.contains("max-qos: must be 0, 1 or 2") && !report.contains("nowhere"), "{report}");
    std::fs::write(path, "broker: { max-paket: 2KiB }\nbrocker: {}\n").unwrap();
    let report = text(&command(&["-c", path]).output().unwrap().stderr);
    assert!(report.contains("max-packet") && report.contains("brocker"), "{report}");
    let missing = command(&["-c", "/nowhere/broker.yaml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn a_port_in_use_or_open_to_all_ends_it_with_4_and_a_wrong_command_line_with_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = command(&["-p", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains(&format!("127.0.0.1:{port}")), "{output:?}");
    for wrong in [&["-p", "1", "--listen", "127.0.0.1:2"][..], &["--listen", "nowhere"], &["-p", "70000"]] {
        assert_eq!(command(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = command(&["--listen", open]).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        let told = text(&output.stderr);
        assert!(told.contains("everybody who reaches") && told.contains("password-file"), "{told}");
    }
    let help = text(&command(&["--help"]).output().unwrap().stdout);
    assert!(help.contains("Example:") && help.contains("--listen"), "{help}");
}
