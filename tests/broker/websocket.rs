//! MQTT over WebSocket: real clients over WS and WSS, and frames made by hand.

use std::path::Path;
use std::time::Duration;

use iogate::broker::Config;
use iogate::broker::listen::{BrokerListener, BrokerTls};
use iogate::model::units::{ByteSize, Period};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::{Connect, packet, string, until};
use crate::listen::{Authority, Site, anywhere};
use crate::peers::python;

fn websocket() -> BrokerListener {
    BrokerListener { websocket: Some("/mqtt".into()), ..anywhere() }
}

async fn site(config: Config) -> Site {
    Site::start(config, tempfile::tempdir().unwrap(), vec![("ws", websocket())]).await
}

async fn passes(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("all passed\n"), "{command:?}\n{out}\n{err}");
}

#[tokio::test]
async fn paho_finds_what_it_expects_over_websocket() {
    let site = site(Config::default()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/broker_paho.py");
    for version in ["3.1.1", "5"] {
        let port = site.port("ws").to_string();
        let mut command = Command::new(python());
        passes(command.arg(&script).args(["127.0.0.1", &port, version, "websockets"])).await;
    }
}

#[tokio::test]
async fn mqtt_js_finds_what_it_expects_over_websocket_with_and_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new(folder.path()).issue("server", "broker", &["localhost"]);
    let file = |name: &str| folder.path().join(name);
    let tls = BrokerTls { cert: file("server.pem"), key: file("server.key"), ..BrokerTls::default() };
    let ca = file("ca.pem");
    let secure = BrokerListener { tls: Some(tls), ..websocket() };
    let site = Site::start(Config::default(), folder, vec![("ws", websocket()), ("wss", secure)]).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (script, modules) = (root.join("tests/peers/broker_mqttjs.mjs"), root.join("tests/.peers/node"));
    assert!(modules.exists(), "{} is missing: run `bash tests/peers.sh` first", modules.display());
    for version in ["3", "4", "5"] {
        for scheme in ["ws", "wss"] {
            let url = format!("{scheme}://localhost:{}/mqtt", site.port(scheme));
            let mut command = Command::new("node");
            passes(command.arg(&script).args([&url, version]).arg(&modules).arg(&ca)).await;
        }
    }
}

/// A WebSocket client that makes its frames by hand.
struct Raw(TcpStream);

impl Raw {
    /// Sends a handshake. Returns the client and the answer's first line.
    async fn ask(site: &Site, path: &str, headers: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port("ws"))).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: gateway.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(_) => break,
            }
        }
        (Self(stream), String::from_utf8(answer).unwrap())
    }

    async fn open(site: &Site) -> Self {
        let (raw, answer) = Self::ask(site, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // The accept key of RFC 6455 section 1.3 for this nonce.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        assert!(answer.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{answer}");
        raw
    }

    async fn connected(site: &Site) -> Self {
        let mut raw = Self::open(site).await;
        raw.frame(0x82, &Connect::v4("raw").bytes()).await;
        assert_eq!(raw.read().await, Some((0x82, vec![0x20, 2, 0, 0])));
        raw
    }

    /// Sends a masked frame.
    async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(0x80 | u8::try_from(len).unwrap()),
            len => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        let mask = [7, 11, 13, 17];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None`: the server closed the connection.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await.ok()?;
        let len = match self.0.read_u8().await.ok()? {
            126 => usize::from(self.0.read_u16().await.ok()?),
            127 => usize::try_from(self.0.read_u64().await.ok()?).unwrap(),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    /// Nothing but a closing frame may come before the end.
    async fn expect_end(&mut self) {
        while let Some((first, _)) = self.read().await {
            assert_eq!(first, 0x88);
        }
    }
}

#[tokio::test]
async fn packets_may_lie_across_messages_and_fragments() {
    let site = site(Config::default()).await;
    let mut raw = Raw::open(&site).await;
    let connect = Connect::v4("raw").bytes();
    let subscribe = packet(0x82, &[&[0, 1][..], &string("t"), &[0]].concat());
    let publish = packet(0x30, &[&string("t")[..], b"hello"].concat());
    // A packet in three fragments with a ping between them, the next one beginning in the same message.
    raw.frame(0x02, &connect[..1]).await;
    raw.frame(0x00, &connect[1..5]).await;
    raw.frame(0x89, b"still there?").await;
    raw.frame(0x80, &[&connect[5..], &subscribe[..3]].concat()).await;
    assert_eq!(raw.read().await, Some((0x8a, b"still there?".to_vec())));
    assert_eq!(raw.read().await, Some((0x82, vec![0x20, 2, 0, 0])));
    // Empty messages and single bytes are bytes like all others; then two packets in one message.
    raw.frame(0x82, &[]).await;
    for byte in &subscribe[3..] {
        raw.frame(0x82, &[*byte]).await;
    }
    assert_eq!(raw.read().await, Some((0x82, vec![0x90, 3, 0, 1, 0])));
    raw.frame(0x82, &[&publish[..], &[0xc0, 0]].concat()).await;
    let mut got = Vec::new();
    while got.len() < publish.len() + 2 {
        let (first, payload) = raw.read().await.unwrap();
        assert_eq!(first, 0x82);
        got.extend(payload);
    }
    got.sort_unstable();
    let mut expected = [&publish[..], &[0xd0, 0]].concat();
    expected.sort_unstable();
    assert_eq!(got, expected);
    raw.frame(0x88, &[0x03, 0xe8]).await;
    raw.expect_end().await;
    until("the end of the session", || site.broker.stats().sessions == 0).await;
}

#[tokio::test]
async fn broken_frames_end_the_connection() {
    let site = site(Config { max_packet: ByteSize(1 << 16), ..Config::default() }).await;
    let long_ping = [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    let frames: [(&str, &[u8]); 8] = [
        ("not masked", &[0x82, 2, 0xc0, 0]),
        ("a text message", &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']),
        ("a reserved bit", &[0xc2, 0x82, 0, 0, 0, 0, 0xc0, 0]),
        ("a reserved opcode", &[0x83, 0x82, 0, 0, 0, 0, 0xc0, 0]),
        ("a continuation of nothing", &[0x80, 0x82, 0, 0, 0, 0, 0xc0, 0]),
        ("a long ping", &long_ping),
        ("a frame of a gigabyte", &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]),
        (
            "the largest length there is",
            &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ),
    ];
    for (what, bytes) in frames {
        let mut raw = Raw::connected(&site).await;
        raw.0.write_all(bytes).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), raw.expect_end()).await.expect(what);
        until("the end of the session", || site.broker.stats().sessions == 0).await;
    }
}

#[tokio::test]
async fn fragments_without_end_are_refused_at_the_limit() {
    let site = site(Config { max_packet: ByteSize(1 << 16), ..Config::default() }).await;
    let mut raw = Raw::connected(&site).await;
    let (mut reader, mut writer) = raw.0.into_split();
    let sender = tokio::spawn(async move {
        let head = [0x02, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
        let mut sent = 0_usize;
        let mut frame = [&head[..], &vec![0; 0xffff]].concat();
        while writer.write_all(&frame).await.is_ok() {
            frame[0] = 0x00;
            sent += frame.len();
            assert!(sent < 256 << 20, "the server reads on and on");
        }
    });
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest).await;
    until("the end of the session", || site.broker.stats().sessions == 0).await;
    drop(reader);
    sender.await.unwrap();
    raw = Raw::connected(&site).await;
    raw.frame(0x82, &[0xe0, 0]).await;
}

#[tokio::test]
async fn handshakes_that_do_not_fit_are_refused() {
    let site = site(Config { connect_timeout: Period::from_millis(900), ..Config::default() }).await;
    let protocol = "Sec-WebSocket-Protocol: mqtt\r\n";
    let status = async |path: &str, headers: &str| {
        let (_, answer) = Raw::ask(&site, path, headers).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status("/other", protocol).await, "404");
    assert_eq!(status("/mqtt", "").await, "400");
    assert_eq!(status("/mqtt", "Sec-WebSocket-Protocol: chat\r\n").await, "400");
    assert_eq!(status("/mqtt", &format!("{protocol}Origin: https://evil.example\r\n")).await, "403");
    // Nobody logs in here: a name that was made to mean this machine does not let a page in.
    assert_eq!(status("/mqtt", &format!("{protocol}Origin: http://gateway.local\r\n")).await, "403");
    assert_eq!(status("/mqtt", protocol).await, "101");
    // Headers without end, and a client that is silent: both are gone when a CONNECT would be due.
    let connect = || TcpStream::connect(("127.0.0.1", site.port("ws")));
    let (mut endless, mut silent) = (connect().await.unwrap(), connect().await.unwrap());
    endless.write_all(b"GET /mqtt HTTP/1.1\r\n").await.unwrap();
    let header = format!("X: {}\r\n", "x".repeat(60_000));
    while endless.write_all(header.as_bytes()).await.is_ok() {}
    assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0);
    until("the end of all", || site.broker.stats().connections == 0).await;
}

/// What a layer below MQTT keeps when the socket is full must not stay there.
#[tokio::test]
async fn a_subscriber_that_reads_late_gets_everything() {
    let site = site(Config::default()).await;
    let mut raw = Raw::connected(&site).await;
    raw.frame(0x82, &packet(0x82, &[&[0, 1][..], &string("t"), &[0]].concat())).await;
    assert_eq!(raw.read().await, Some((0x82, vec![0x90, 3, 0, 1, 0])));
    let mut publisher = site.broker.publisher("test");
    let payload = vec![b'x'; 100_000];
    let count = 60;
    for _ in 0..count {
        publisher.publish("t", &payload, &iogate::broker::PublishOptions::default()).unwrap();
    }
    let one = 1 + 3 + 3 + payload.len();
    let mut received = 0;
    while received < count * one {
        let (first, part) = raw.read().await.expect("all messages");
        assert_eq!(first, 0x82);
        received += part.len();
    }
    assert_eq!(received, count * one);
}
