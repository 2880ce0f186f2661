//! aedes, a broker for Node, as the upstream broker: over TCP, WebSocket and WebSocket with TLS.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use iogate::bridge::config::Version;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::mosquitto::{PATIENCE, Site, config, program};
use crate::proxy::Proxy;
use crate::secure::Authority;

struct Aedes {
    ports: Value,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Aedes {
    async fn start(tls: Option<&Path>) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("tests/.peers/node/node_modules");
        assert!(modules.join("aedes").exists(), "aedes is missing: run `bash tests/peers.sh` first");
        let mut command = Command::new(program("node"));
        command.arg(root.join("tests/peers/upstream_aedes.mjs")).arg(modules);
        if let Some(folder) = tls {
            command.arg(folder.join("server.pem")).arg(folder.join("server.key"));
        }
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut aedes = Self { ports: Value::Null, lines, _process: process };
        aedes.ports = aedes.next().await;
        aedes
    }

    fn port(&self, scheme: &str) -> u16 {
        self.ports[scheme].as_u64().unwrap().try_into().unwrap()
    }

    /// The next thing it says.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("nothing came");
        serde_json::from_str(&line.unwrap().expect("it ended")).unwrap()
    }
}

#[tokio::test]
async fn messages_arrive_over_every_transport() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path(), "server", "localhost");
    let mut aedes = Aedes::start(Some(folder.path())).await;
    for (scheme, path) in [("mqtt", ""), ("ws", "/mqtt"), ("wss", "/mqtt")] {
        let url = format!("{scheme}://localhost:{}{path}", aedes.port(scheme));
        let mut config = config(&url, Version::V311);
        if scheme == "wss" {
            config.tls.ca = Some(folder.path().join("ca.pem"));
        }
        let site = Site::start(config);
        site.publish("site/big", &"x".repeat(100_000));
        for number in 0..300 {
            site.publish("site/a", &number.to_string());
        }
        assert_eq!(aedes.next().await["payload"].as_str().unwrap().len(), 100_000, "{scheme}");
        for number in 0..300 {
            let got = aedes.next().await;
            assert_eq!((got["topic"].as_str(), got["qos"].as_u64()), (Some("site/a"), Some(1)));
            assert_eq!(got["payload"].as_str(), Some(number.to_string().as_str()), "{scheme}");
        }
        site.drained().await;
        assert_eq!(site.handle.snapshot().acknowledged, 301);
        site.stop().await;
    }
}

#[tokio::test]
async fn a_path_that_serves_no_mqtt_is_told_in_words() {
    let aedes = Aedes::start(None).await;
    let site = Site::start(config(&format!("ws://127.0.0.1:{}/other", aedes.port("ws")), Version::V311));
    crate::mosquitto::until("the failure", || {
        site.handle.snapshot().last_error.is_some_and(|error| error.contains("WebSocket: HTTP error: 400"))
    })
    .await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_a_bad_link() {
    let mut aedes = Aedes::start(None).await;
    let proxy = Proxy::start(aedes.port("ws"), 7).await;
    let site = Site::start(config(&format!("{}/mqtt", proxy.url("ws")), Version::V311));
    let count = 1000;
    for number in 0..count {
        site.publish("site/a", &number.to_string());
    }
    let mut next = 0;
    while next < count {
        let number: u64 = aedes.next().await["payload"].as_str().unwrap().parse().unwrap();
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
    proxy.bad.store(false, std::sync::atomic::Ordering::Relaxed);
    site.drained().await;
    site.stop().await;
}
