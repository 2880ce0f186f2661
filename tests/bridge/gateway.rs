//! The whole program: killed at any moment, it sends what it acknowledged; and its command that tests a bridge.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::mosquitto::{Mosquitto, free_port, program, until};

pub(crate) fn write(folder: &Path, port: u16, upstream: &str) -> std::path::PathBuf {
    let path = folder.join("site.yaml");
    let text = format!(
        "site: site\nbroker: {{ listen: 127.0.0.1:{port} }}\nweb: {{ enabled: off }}\nbridges:\n  cloud:\n    url: {upstream}\n    forward: [site/#]\n    buffer: {{ directory: {} }}\n",
        folder.join("buffer").display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) async fn run(config: &Path, port: u16) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
    let command = command.args(["run", "-c"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.kill_on_drop(true).spawn().unwrap();
    until("the gateway", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    process
}

/// Publishes lines at QoS 1 and returns once each was acknowledged.
async fn publish(port: u16, lines: std::ops::Range<u32>) {
    let mut sender = Command::new(program("mosquitto_pub"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "site/a", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text: String = lines.map(|number| format!("{number}\n")).collect();
    let mut input = sender.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    assert!(sender.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_sent_after_the_program_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut upstream = Mosquitto::start().await;
    let port = free_port();
    let config = write(folder.path(), port, &upstream.url());
    upstream.kill().await;
    for round in 0..3u32 {
        let mut gateway = run(&config, port).await;
        publish(port, round * 300..(round + 1) * 300).await;
        gateway.kill().await.unwrap();
    }
    upstream.revive().await;
    let mut consumer = upstream.consumer(&["site/#"]).await;
    let gateway = run(&config, port).await;
    let (mut seen, mut highest) = (BTreeSet::new(), 0);
    while seen.len() < 900 {
        let got = consumer.next().await;
        assert!(!got.topic.ends_with("/gap"), "{got:?}");
        if got.topic == "site/a" {
            let number: u32 = got.payload.parse().unwrap();
            assert!(seen.contains(&number) || number >= highest, "{number} came behind {highest}");
            highest = highest.max(number);
            seen.insert(number);
        }
    }
    drop(gateway);
}

#[tokio::test]
async fn a_bridge_is_tested_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut upstream = Mosquitto::start().await;
    let config = write(folder.path(), free_port(), &upstream.url());
    let test = async |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
        let output = command.args(["bridge", "test", name, "-c"]).arg(&config).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = test("cloud").await;
    assert_eq!(code, Some(0), "{out}{err}");
    for step in [
        "address    mqtt://127.0.0.1",
        "client     site-",
        "dns ",
        "tcp ",
        "mqtt       MQTT 5.0: let in",
        "the bridge can connect",
    ] {
        assert!(out.contains(step), "{step} is missing in:\n{out}");
    }
    let (code, _, err) = test("clowd").await;
    assert_eq!((code, err.contains("the configuration has: cloud")), (Some(3), true), "{err}");
    upstream.kill().await;
    let (code, out, err) = test("cloud").await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("dns ") && err.contains("refuses connections"), "{out}{err}");
}

#[tokio::test]
async fn the_status_stands_on_its_topic() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Mosquitto::start().await;
    let port = free_port();
    let gateway = run(&write(folder.path(), port, &upstream.url()), port).await;
    let mut listener = Command::new(program("mosquitto_sub"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "site/gateway/bridge/cloud"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    loop {
        let line =
            tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap().unwrap().unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["stream"].as_str().map(str::len), Some(16), "{told}");
        if told["state"] == "connected" {
            break;
        }
    }
    drop(gateway);
}

#[tokio::test]
async fn a_command_that_upstream_had_kept_is_refused_whatever_the_rule_makes_of_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Mosquitto::start().await;
    let port = free_port();
    // Rules on both sides take the flag away, so that nothing but its way tells the gateway that it is old.
    let text = format!(
        "site: site
broker: {{ listen: 127.0.0.1:{port} }}
web: {{ enabled: off }}
channels: {{ plc: {{ modbus-tcp: {{ address: 127.0.0.1:{} }} }} }}
devices: {{ ahu: {{ channel: plc, unit: 1, points: {{ fan: {{ coil: 0, access: rw, safe: off }} }} }} }}
alarms: {{ on: {{ point: ahu/fan, state: on }} }}
bridges:
  cloud:
    url: {}
    forward: [{{ topic: site/#, retain: clear }}]
    accept: [{{ topic: site/ahu/fan/set, retain: clear }}, {{ topic: site/gateway/alarms/on/set, retain: clear }}]
    buffer: {{ directory: {} }}
",
        free_port(),
        upstream.url(),
        folder.path().join("buffer").display()
    );
    let config = folder.path().join("site.yaml");
    std::fs::write(&config, text).unwrap();
    upstream.publish("site/ahu/fan/set", "{\"value\": true, \"id\": \"old\"}", &["-r"]).await;
    upstream.publish("site/gateway/alarms/on/set", "acknowledge", &["-r"]).await;
    let mut consumer =
        upstream.consumer(&["site/ahu/fan/set/result", "site/gateway/alarms/on/set/result"]).await;
    let gateway = run(&config, port).await;
    for got in consumer.take(2).await {
        let answer: serde_json::Value = serde_json::from_str(&got.payload).unwrap();
        assert!(answer["reason"].as_str().unwrap().contains("was kept before it came here"), "{answer}");
    }
    // The same anew is a command; that its device does not answer is another matter.
    upstream.publish("site/ahu/fan/set", "{\"value\": true, \"id\": \"new\"}", &[]).await;
    let answer: serde_json::Value = serde_json::from_str(&consumer.next().await.payload).unwrap();
    assert_eq!((&answer["id"], &answer["outcome"]), (&"new".into(), &"failed".into()), "{answer}");
    drop(gateway);
}
