//! RabbitMQ with its MQTT plugin as the upstream broker.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use iogate::bridge::Profile;
use iogate::bridge::config::Version;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::mosquitto::{PATIENCE, Site, config, free_port, program};
use crate::proxy::Proxy;

/// Erlang takes its time to start on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(120);

struct Rabbit {
    port: u16,
    _folder: tempfile::TempDir,
    process: Child,
}

impl Rabbit {
    async fn start() -> Self {
        let server = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        assert!(server.exists(), "RabbitMQ is missing: run `bash tests/peers.sh` first");
        let folder = tempfile::tempdir().unwrap();
        let (port, distribution) = (free_port(), free_port());
        let file = |name: &str| folder.path().join(name);
        std::fs::write(
            file("rabbitmq.conf"),
            format!(
                "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\n"
            ),
        )
        .unwrap();
        std::fs::write(file("enabled_plugins"), "[rabbitmq_mqtt].\n").unwrap();
        let mut process = Command::new(server)
            .env("HOME", folder.path())
            .env("RABBITMQ_NODENAME", format!("test{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", file("data"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Server startup complete") {
                    // Whoever writes the log must not be held up.
                    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                    return;
                }
            }
            panic!("RabbitMQ ended");
        };
        tokio::time::timeout(START, ready).await.expect("RabbitMQ did not start");
        Self { port, _folder: folder, process }
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        // The server is a child of a shell; both are in a group of their own.
        if let Some(group) =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// What a client prints: payloads, and between them what it does.
type Received = tokio::io::Lines<BufReader<tokio::process::ChildStdout>>;

/// Receives so many payloads.
pub(crate) async fn receive(port: u16, count: u32) -> (Child, Received) {
    // Into a pipe it writes what it does by the block only, unless it is told otherwise.
    let mut command = Command::new(program("stdbuf"));
    command.arg("-oL").arg(program("mosquitto_sub"));
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-V",
        "mqttv311",
        "-q",
        "1",
        "-t",
        "site/a",
        "-d",
    ]);
    command.args(["-C", &count.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stands =
        async { while !lines.next_line().await.unwrap().expect("it ended").contains("received SUBACK") {} };
    tokio::time::timeout(PATIENCE, stands).await.expect("no SUBACK");
    (child, lines)
}

/// All numbers come, each for the first time in order.
pub(crate) async fn in_order(lines: &mut Received, count: u32) {
    let mut next = 0;
    while next < count {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("nothing came");
        let Ok(number) = line.unwrap().expect("it ended").parse::<u32>() else { continue };
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_order_also_over_a_bad_link() {
    let rabbit = Rabbit::start().await;
    let proxy = Proxy::start(rabbit.port, 3).await;
    proxy.bad.store(false, std::sync::atomic::Ordering::Relaxed);
    for bad in [false, true] {
        proxy.bad.store(bad, std::sync::atomic::Ordering::Relaxed);
        let count = 300;
        let (_child, mut lines) = receive(rabbit.port, 10_000).await;
        let mut config = config(&proxy.url("mqtt"), Version::V311);
        config.profile = Profile::Rabbitmq;
        let site = Site::start(config);
        for number in 0..count {
            site.publish("site/a", &number.to_string());
        }
        in_order(&mut lines, count).await;
        proxy.bad.store(false, std::sync::atomic::Ordering::Relaxed);
        site.drained().await;
        assert_eq!(site.handle.snapshot().dead_letters, 0);
        site.stop().await;
    }
}
