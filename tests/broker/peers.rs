//! Programs of other people as clients: Mosquitto's and paho's.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::{Child, Command};

use crate::client::{Server, until, vanished};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// A program of the Debian package mosquitto-clients, aimed at `server`.
fn mosquitto(server: &Server, program: &str, version: &str, args: &[&str]) -> Command {
    let path = Path::new("/usr/bin").join(program);
    assert!(path.exists(), "{} is missing: run `bash tests/peers.sh` first", path.display());
    let mut command = Command::new(path);
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    command.args(["-h", &host, "-p", &port, "-V", version]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Subscriptions of connected clients.
fn standing(server: &Server) -> usize {
    let clients = server.broker.clients();
    clients.iter().filter(|client| client.connection.is_some()).map(|client| client.subscriptions).sum()
}

/// Starts mosquitto_sub and waits until its subscriptions stand.
async fn subscribed(server: &Server, version: &str, args: &[&str]) -> Child {
    until("the end of the subscriber before", || standing(server) == 0).await;
    let child = mosquitto(server, "mosquitto_sub", version, args).spawn().unwrap();
    let wanted = args.iter().filter(|&&arg| arg == "-t").count();
    until("the subscription", || standing(server) == wanted).await;
    child
}

async fn publish(server: &Server, version: &str, args: &[&str]) {
    let output = mosquitto(server, "mosquitto_pub", version, args).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn mosquitto_publishes_and_subscribes_in_every_version_and_qos() {
    let server = Server::start().await;
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let args = ["-t", "busan/+/temperature", "-t", "x/#", "-q", qos, "-C", "2", "-v"];
            let child = subscribed(&server, version, &args).await;
            publish(&server, version, &["-t", "busan/press/temperature", "-q", qos, "-m", "21.5"]).await;
            publish(&server, version, &["-t", "other", "-q", qos, "-m", "no"]).await;
            publish(&server, version, &["-t", "x/y/z", "-q", qos, "-m", "yes"]).await;
            let got = text(&child.wait_with_output().await.unwrap());
            assert_eq!(got, "busan/press/temperature 21.5\nx/y/z yes\n", "{version} {qos}");
        }
    }
}

#[tokio::test]
async fn mosquitto_carries_many_lines_without_loss_or_disorder() {
    let server = Server::start().await;
    let count = 5_000;
    for (version, qos) in [("mqttv311", "1"), ("mqttv5", "2")] {
        let child = subscribed(&server, version, &["-t", "t", "-q", qos, "-C", &count.to_string()]).await;
        let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
        let mut sender = mosquitto(&server, "mosquitto_pub", version, &["-t", "t", "-q", qos, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = sender.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, lines.as_bytes()).await.unwrap();
        drop(stdin);
        assert_eq!(text(&child.wait_with_output().await.unwrap()), lines);
        assert!(sender.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn mosquitto_sees_retained_messages_and_properties() {
    let server = Server::start().await;
    let properties =
        ["content-type text/plain", "response-topic answers", "correlation-data id", "user-property k v"];
    let mut args = vec!["-t", "t", "-q", "1", "-r", "-m", "kept"];
    for property in properties {
        args.extend(["-D", "publish"]);
        args.extend(property.split(' '));
    }
    publish(&server, "mqttv5", &args).await;
    let format = "%t %p %r %q %C %R %D %P %S";
    let child = subscribed(
        &server,
        "mqttv5",
        &["-t", "#", "-q", "1", "-C", "1", "-F", format, "-D", "subscribe", "subscription-identifier", "7"],
    )
    .await;
    let got = text(&child.wait_with_output().await.unwrap());
    assert_eq!(got, "t kept 1 1 text/plain answers id k:v 7\n");
    for version in VERSIONS {
        publish(&server, version, &["-t", "t", "-r", "-m", version]).await;
        let child = subscribed(&server, version, &["-t", "t", "-C", "1", "-F", "%r %p"]).await;
        assert_eq!(text(&child.wait_with_output().await.unwrap()), format!("1 {version}\n"));
    }
}

#[tokio::test]
async fn mosquittos_share_a_subscription() {
    let server = Server::start().await;
    let args = ["-t", "$share/g/t/#", "-q", "1", "-C", "2"];
    let first = subscribed(&server, "mqttv5", &args).await;
    let second = mosquitto(&server, "mosquitto_sub", "mqttv311", &args).spawn().unwrap();
    until("the second subscription", || standing(&server) == 2).await;
    for payload in ["1", "2", "3", "4"] {
        publish(&server, "mqttv311", &["-t", "t/x", "-q", "1", "-m", payload]).await;
    }
    let got = [first, second].map(Child::wait_with_output);
    let [first, second] = got;
    let (first, second) = (text(&first.await.unwrap()), text(&second.await.unwrap()));
    let mut both: Vec<_> = first.lines().chain(second.lines()).collect();
    both.sort_unstable();
    assert_eq!((first.lines().count(), both), (2, vec!["1", "2", "3", "4"]));
}

#[tokio::test]
async fn mosquitto_resumes_its_session() {
    let server = Server::start().await;
    for (version, keep) in [("mqttv311", &["-c"][..]), ("mqttv5", &["-c", "-x", "600"])] {
        let args = [&["-i", "keeper", "-t", "t", "-q", "1", "-C", "1"], keep].concat();
        let child = subscribed(&server, version, &args).await;
        publish(&server, version, &["-t", "t", "-q", "1", "-m", "first"]).await;
        assert_eq!(text(&child.wait_with_output().await.unwrap()), "first\n");
        vanished(&server.broker, "keeper").await;
        publish(&server, version, &["-t", "t", "-q", "1", "-m", "second"]).await;
        let output = mosquitto(&server, "mosquitto_sub", version, &args).output().await.unwrap();
        assert_eq!(text(&output), "second\n", "{version}");
        // A clean start forgets the session before the next version's turn.
        publish(&server, version, &["-i", "keeper", "-t", "end", "-m", "x"]).await;
    }
}

#[tokio::test]
async fn mosquitto_asks_and_is_answered() {
    let server = Server::start().await;
    for version in ["mqttv311", "mqttv5"] {
        let args = ["-t", "ask", "-C", "1", "-F", "%p %R"];
        let question = subscribed(&server, version, &args).await;
        let mut answering = server.broker.publisher("inside");
        let args = ["-t", "ask", "-e", "answer/here", "-m", "how warm", "-q", "1", "-W", "60"];
        let asking = mosquitto(&server, "mosquitto_rr", version, &args).spawn().unwrap();
        let asked = text(&question.wait_with_output().await.unwrap());
        // Only version 5 says where the answer is to go.
        assert_eq!(asked.trim_end(), ["how warm", "how warm answer/here"][usize::from(version == "mqttv5")]);
        answering.publish("answer/here", b"21.5", &Default::default()).unwrap();
        assert_eq!(text(&asking.wait_with_output().await.unwrap()), "21.5\n", "{version}");
    }
}

#[tokio::test]
async fn a_killed_mosquitto_leaves_its_will() {
    let server = Server::start().await;
    for version in VERSIONS {
        let mut watcher = server.broker.subscribe(&[("will", iogate::broker::QoS::AtLeastOnce)], 4).unwrap();
        let args = ["-t", "t", "--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"];
        let mut child = subscribed(&server, version, &args).await;
        child.kill().await.unwrap();
        assert_eq!(watcher.recv().await.payload(), b"gone");
    }
}

/// The interpreter that has the Python peers.
pub(crate) fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.peers/venv/bin/python");
    let path = std::env::var_os("IOGATE_PEERS_PYTHON").map_or(made, PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `bash tests/peers.sh`, or let IOGATE_PEERS_PYTHON name a Python with paho-mqtt",
        path.display()
    );
    path
}

#[tokio::test]
async fn paho_finds_what_it_expects() {
    let server = Server::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/broker_paho.py");
    for version in ["3.1", "3.1.1", "5"] {
        let output = Command::new(python())
            .arg(&script)
            .args([server.address.ip().to_string(), server.address.port().to_string(), version.to_owned()])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{version}\n{out}\n{err}");
        assert!(out.ends_with("all passed\n"), "{version}\n{out}\n{err}");
    }
}
