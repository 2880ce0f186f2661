//! `iogate mqtt` against running programs, with Mosquitto's clients as those it manages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value as Json;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn iogate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iogate")).args(arguments).output().unwrap()
}

/// A broker alone, with a page.
struct Running {
    process: Child,
    _output: BufReader<ChildStdout>,
    port: String,
    url: String,
}

impl Running {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["broker", "-p", "0", "--web", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (mut first, mut second) = (String::new(), String::new());
        output.read_line(&mut first).unwrap();
        output.read_line(&mut second).unwrap();
        let port = first.trim().strip_prefix("iogate broker: listening on 127.0.0.1:").unwrap().to_owned();
        let url = second.trim().strip_prefix("iogate broker: page on ").unwrap().to_owned();
        Self { process, _output: output, port, url }
    }

    fn mqtt(&self, arguments: &[&str]) -> Output {
        iogate(&[&["mqtt", "--url", &self.url], arguments].concat())
    }

    /// Standard output of a command that succeeds.
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.mqtt(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.told(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port]).args(arguments).stdout(Stdio::piped());
        command
    }

    fn publish(&self, topic: &str, payload: &str) {
        let sent = self.client("mosquitto_pub", &["-r", "-q", "1", "-t", topic, "-m", payload]).output();
        assert!(sent.expect("mosquitto-clients are installed by tests/peers.sh").status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn clients_are_listed_sent_away_and_cleared() {
    let broker = Running::start();
    let arguments =
        ["-i", "panel", "-c", "-q", "1", "-t", "orders/#", "-t", "ready", "-v", "-V", "mqttv5", "-x", "60"];
    let mut panel = broker.client("mosquitto_sub", &arguments).spawn().unwrap();
    broker.publish("ready", "1");
    let mut line = String::new();
    BufReader::new(panel.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready 1\n");
    let list = broker.json(&["clients"]);
    assert_eq!((&list["connected"], &list["clients"][0]["client"]), (&1.into(), &"panel".into()));
    assert_eq!((&list["clients"][0]["protocol"], &list["clients"][0]["sent"]), (&"5.0".into(), &1.into()));
    let table = broker.told(&["clients", "PAN"]);
    assert!(
        table.starts_with("CLIENT") && table.contains("panel") && table.contains("1 of 1 sessions"),
        "{table}"
    );
    assert!(
        broker.told(&["clients", "--state", "absent"]).ends_with("0 of 1 sessions, 1 connected in all\n")
    );
    let one = broker.told(&["client", "panel"]);
    assert!(one.contains("  orders/#\n  ready\n") && one.contains("connected"), "{one}");
    assert_eq!(broker.told(&["kick", "panel"]), "panel was sent away\n");
    assert!(panel.wait().unwrap().code().is_some());
    let absent = broker.json(&["client", "panel"]);
    assert_eq!((&absent["connected"], &absent["expirySeconds"]), (&false.into(), &60.into()));
    assert_eq!(broker.told(&["kick", "panel"]), "panel was not connected\n");
    assert_eq!(broker.told(&["clear-session", "panel"]), "the session of panel was cleared\n");
    let gone = broker.mqtt(&["clear-session", "panel"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("no session of a client `panel`"), "{}", text(&gone.stderr));
}

#[test]
fn retained_messages_are_listed_and_deleted_by_filter() {
    let broker = Running::start();
    for (topic, payload) in [("old/a", "1"), ("old/b", "22"), ("new", "333")] {
        broker.publish(topic, payload);
    }
    let list = broker.told(&["retained", "list", "old/#"]);
    assert!(list.contains("old/a") && list.ends_with("2 messages, 3 bytes\n"), "{list}");
    assert_eq!(broker.json(&["retained", "list"])["messages"][0]["preview"], "333");
    let trial = broker.told(&["retained", "delete", "old/#", "--dry-run"]);
    assert_eq!(trial, "2 retained messages would be deleted by old/#\n");
    assert_eq!(broker.told(&["retained", "delete", "old/#"]), "2 retained messages deleted by old/#\n");
    assert_eq!(broker.json(&["retained", "list", "#"])["matched"], 1);
    let wrong = broker.mqtt(&["retained", "delete", "a#"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("`a#`"), "{}", text(&wrong.stderr));
}

#[test]
fn a_list_longer_than_one_answer_comes_whole() {
    let broker = Running::start();
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{}", broker.port)).unwrap();
    let mut packets = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c".to_vec();
    for n in 1000..1700 {
        packets.extend([&b"\x31\x09\0\x06m/"[..], n.to_string().as_bytes(), b"x"].concat());
    }
    packets.extend(b"\xc0\0");
    std::io::Write::write_all(&mut stream, &packets).unwrap();
    let mut answers = [0; 6];
    std::io::Read::read_exact(&mut stream, &mut answers).unwrap();
    let list = broker.json(&["retained", "list", "m/+"]);
    let messages = list["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[699]["topic"]), (700, &"m/1699".into()));
}

#[test]
fn the_configuration_says_where_the_gateway_is_and_errors_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    let path = path.to_str().unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(path, format!("site: s\nweb: {{ listen: 0.0.0.0:{} }}\n", unused.port())).unwrap();
    let silent = iogate(&["mqtt", "clients", "-c", path]);
    assert_eq!(silent.status.code(), Some(1));
    let told = text(&silent.stderr);
    assert!(told.contains(&format!("127.0.0.1:{}", unused.port())) && told.contains("--url"), "{told}");
    std::fs::write(path, "site: s\nweb: { enabled: false }\n").unwrap();
    let off = iogate(&["mqtt", "clients", "-c", path]);
    assert!(text(&off.stderr).contains("enabled: false"), "{}", text(&off.stderr));
    std::fs::write(path, "site: s\nweb: { lissen: 127.0.0.1:1 }\n").unwrap();
    let wrong = iogate(&["mqtt", "clients", "-c", path]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(text(&wrong.stderr).contains("listen"), "{}", text(&wrong.stderr));
    let tls = iogate(&["mqtt", "clients", "--url", "https://127.0.0.1"]);
    assert!(text(&tls.stderr).contains("http://"), "{}", text(&tls.stderr));
    assert_eq!(iogate(&["mqtt", "clients", "-c", path, "--url", "http://a"]).status.code(), Some(2));
}
