//! ActiveMQ as the upstream broker.

use std::path::Path;
use std::process::Stdio;

use iogate::bridge::config::Version;
use tokio::process::{Child, Command};

use crate::mosquitto::{Site, config, free_port, program};
use crate::proxy::Proxy;
use crate::rabbitmq::receive;

/// Debian's package, and the library of packets that it needs for MQTT and does not bring.
const JARS: [&str; 2] = ["/usr/share/activemq/lib", "/usr/share/activemq/lib/optional"];
const PACKETS: &str = "/usr/share/java/mqtt-client.jar";

struct ActiveMq {
    port: u16,
    _folder: tempfile::TempDir,
    _process: Child,
}

impl ActiveMq {
    async fn start() -> Self {
        assert!(Path::new(PACKETS).exists(), "ActiveMQ is missing: run `bash tests/peers.sh` first");
        let mut classes = vec![PACKETS.to_owned()];
        for folder in JARS {
            let files =
                std::fs::read_dir(folder).expect("ActiveMQ is missing: run `bash tests/peers.sh` first");
            let files = files.map(|file| file.unwrap().path().display().to_string());
            classes.extend(files.filter(|name| name.ends_with(".jar")));
        }
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let base = folder.path().display();
        let process = Command::new(program("java"))
            .arg("-Xmx256m")
            .args(["-cp", &classes.join(":")])
            .args([format!("-Dactivemq.home={base}"), format!("-Dactivemq.base={base}")])
            .args(["org.apache.activemq.console.Main", "start"])
            .arg(format!("broker:(mqtt://127.0.0.1:{port})?persistent=false&useJmx=false"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let end = tokio::time::Instant::now() + crate::rabbitmq::START;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(tokio::time::Instant::now() < end, "ActiveMQ did not start");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Self { port, _folder: folder, _process: process }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_order_also_over_a_bad_link() {
    let upstream = ActiveMq::start().await;
    let proxy = Proxy::start(upstream.port, 5).await;
    for bad in [false, true] {
        proxy.bad.store(bad, std::sync::atomic::Ordering::Relaxed);
        let count = 300;
        let (_child, mut lines) = receive(upstream.port, 10_000).await;
        let site = Site::start(config(&proxy.url("mqtt"), Version::V311));
        for number in 0..count {
            site.publish("site/a", &number.to_string());
        }
        crate::rabbitmq::in_order(&mut lines, count).await;
        proxy.bad.store(false, std::sync::atomic::Ordering::Relaxed);
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.gaps, told.dead_letters), (0, 0));
        site.stop().await;
    }
}
