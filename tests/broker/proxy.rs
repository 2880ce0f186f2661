//! The PROXY protocol: the client's address behind a proxy, and who may say what it is.

use std::net::Ipv6Addr;
use std::process::Stdio;

use iogate::broker::Config;
use iogate::broker::auth::hash;
use iogate::broker::listen::{BrokerListener, Network};
use iogate::model::units::Period;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::client::{Client, Connect, until};
use crate::listen::{Site, anywhere, files, tls};

fn network(text: &str) -> Network {
    Network::try_from(text.to_owned()).unwrap()
}

fn behind(proxies: &[&str]) -> BrokerListener {
    BrokerListener { proxies: proxies.iter().map(|text| network(text)).collect(), ..anywhere() }
}

/// A header for TCP over IPv4, made by hand from the specification's section 2.2.
fn header(source: [u8; 4], port: u16, more: &[u8]) -> Vec<u8> {
    let mut out = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11".to_vec();
    out.extend((12 + more.len() as u16).to_be_bytes());
    out.extend(source);
    out.extend([127, 0, 0, 1]);
    out.extend(port.to_be_bytes());
    out.extend([0x07, 0x5b]);
    out.extend(more);
    out
}

async fn open(site: &Site, listener: &str, before: &[u8]) -> Client {
    let mut client = Client::over(TcpStream::connect(("127.0.0.1", site.port(listener))).await.unwrap());
    client.send_anyway(before).await;
    client
}

async fn site(config: Config, listeners: Vec<(&str, BrokerListener)>) -> Site {
    Site::start(config, tempfile::tempdir().unwrap(), listeners).await
}

fn peer(site: &Site, id: &str) -> String {
    let clients = site.broker.clients();
    clients.iter().find(|client| &*client.client_id == id).unwrap().connection.as_ref().unwrap().peer.to_string()
}

#[tokio::test]
async fn a_client_has_the_address_that_the_proxy_names() {
    let site = site(Config::default(), vec![("proxied", behind(&["10.0.0.0/8", "127.0.0.0/8"]))]).await;
    let extension = [&[0x02, 0, 12][..], b"mqtt.example"].concat();
    let mut v6 = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x21\x00\x24".to_vec();
    v6.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).octets());
    v6.extend([0; 16]);
    v6.extend([0x10, 0x00, 0x07, 0x5b]);
    for (id, before, expected) in [
        ("v4", header([192, 0, 2, 7], 50_000, &[]), "192.0.2.7:50000"),
        ("extended", header([192, 0, 2, 8], 1, &extension), "192.0.2.8:1"),
        ("v6", v6, "[2001:db8::9]:4096"),
    ] {
        // Header and CONNECT in one piece, as a proxy sends them.
        let mut client = open(&site, "proxied", &[&before[..], &Connect::v5(id).bytes()].concat()).await;
        assert_eq!(client.packet().await.0, 0x20);
        assert_eq!(peer(&site, id), expected);
    }
    // The proxy's own check of its server's health.
    let local = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00";
    let mut client = open(&site, "proxied", local).await;
    client.greet(&Connect::v4("local")).await;
    assert!(peer(&site, "local").starts_with("127.0.0.1:"));
    // A Unix socket's client is wherever the proxy is.
    let unix =
        [&b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x31\x00\xd8"[..], &[b'/'; 216]].concat();
    open(&site, "proxied", &unix).await.greet(&Connect::v4("unix")).await;
    assert_eq!(site.broker.stats().proxy_refused, 0);
}

#[tokio::test]
async fn headers_that_are_missing_damaged_or_from_others_end_the_connection() {
    let config = Config { connect_timeout: Period::from_millis(500), ..Config::default() };
    let listeners = vec![("proxied", behind(&["127.0.0.1"])), ("foreign", behind(&["192.0.2.1"]))];
    let site = site(config, listeners).await;
    let good = header([192, 0, 2, 7], 5, &[]);
    let cases = [
        ("none", "proxied", vec![]),
        ("version 1", "proxied", b"PROXY TCP4 192.0.2.7 127.0.0.1 5 1883\r\n".to_vec()),
        ("UDP", "proxied", [&good[..13], &[0x12], &good[14..]].concat()),
        ("too short", "proxied", [&good[..14], &[0, 11], &good[16..27]].concat()),
        ("an extension cut off", "proxied", header([192, 0, 2, 7], 5, &[4, 0, 9, 1])),
        ("too long", "proxied", [&good[..14], &[0xff, 0xff]].concat()),
        ("not a proxy", "foreign", good.clone()),
    ];
    for (before_it, (name, listener, before)) in cases.into_iter().enumerate() {
        let mut client = open(&site, listener, &[&before[..], &Connect::v5("x").bytes()].concat()).await;
        client.expect_end().await;
        until(name, || site.broker.stats().proxy_refused == before_it as u64 + 1).await;
    }
    // A header that stops in the middle is waited for as long as for a CONNECT.
    open(&site, "proxied", &good[..20]).await.expect_end().await;
    until("the end of all", || site.broker.stats().connections == 0).await;
    assert!(site.broker.clients().is_empty());
    // Where no proxy is expected, a header is no MQTT.
    open(&site, "listen", &good).await.expect_end().await;
}

#[tokio::test]
async fn limits_and_delays_count_the_client_and_not_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, format!("anna:{}\n", hash(b"secret").unwrap())).unwrap();
    let config = Config { password_file: Some(users), max_connections_per_address: 2, ..Config::default() };
    let site = Site::start(config, folder, vec![("proxied", behind(&["127.0.0.1"]))]).await;
    let mut connect = Connect::v5("x");
    connect.login = Some(("anna".into(), "secret".into()));
    let mut clients = Vec::new();
    for (id, last) in [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 3)] {
        connect.id = id.into();
        let mut client = open(&site, "proxied", &header([192, 0, 2, last], 5, &[])).await;
        client.greet(&connect).await;
        clients.push(client);
    }
    open(&site, "proxied", &header([192, 0, 2, 1], 5, &[])).await.expect_end().await;
    assert_eq!(site.broker.stats().connections_refused, 1);
    drop(clients);
    until("the end of all", || site.broker.stats().connections == 0).await;
    // Two places again, so those that are gone were counted off where they had been counted.
    for _ in 0..3 {
        connect.id = "again".into();
        open(&site, "proxied", &header([192, 0, 2, 1], 5, &[])).await.greet(&connect).await;
        until("the end", || site.broker.stats().connections == 0).await;
    }
    // Guessing from one address delays that address.
    connect.login = Some(("nobody".into(), "wrong".into()));
    for _ in 0..5 {
        let mut client = open(&site, "proxied", &header([192, 0, 2, 66], 5, &[])).await;
        client.send(&connect.bytes()).await;
        assert!(matches!(client.packet().await.1[1], 0x86 | 0x9f));
    }
    connect.login = Some(("anna".into(), "secret".into()));
    open(&site, "proxied", &header([192, 0, 2, 67], 5, &[])).await.greet(&connect).await;
}

/// HAProxy in front of a port, with headers of version 2 to the broker.
fn haproxy(site: &Site, from: u16, listener: &str, mode: &str) -> Option<Child> {
    let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())?;
    let file = site.folder.path().join("haproxy.cfg");
    let to = site.port(listener);
    std::fs::write(
        &file,
        format!(
            "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
             listen mqtt\n bind 127.0.0.1:{from}\n server broker 127.0.0.1:{to} {mode}\n"
        ),
    )
    .unwrap();
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Some(command.spawn().unwrap())
}

#[tokio::test]
async fn haproxy_stands_in_front() {
    let (folder, _authority) = files();
    let encrypted = BrokerListener { tls: Some(tls(folder.path())), ..behind(&["127.0.0.1"]) };
    let site =
        Site::start(Config::default(), folder, vec![("proxied", behind(&["127.0.0.1"])), ("tls", encrypted)])
            .await;
    for (listener, mode, args) in [
        ("proxied", "send-proxy-v2", &[][..]),
        ("tls", "send-proxy-v2 send-proxy-v2-ssl", &["--cafile", "ca.pem"]),
    ] {
        // HAProxy takes no port 0: one that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut proxy = haproxy(&site, free, listener, mode)
            .expect("haproxy is missing: run `bash tests/peers.sh` first");
        until("haproxy", || std::net::TcpStream::connect(("127.0.0.1", free)).is_ok()).await;
        let mut watcher = site.broker.subscribe(&[("t", iogate::broker::QoS::AtMostOnce)], 4).unwrap();
        let mut command = Command::new("/usr/bin/mosquitto_pub");
        command
            .args(["-h", "localhost", "-p", &free.to_string(), "-t", "t", "-q", "1", "-m", mode])
            .args(args);
        let output = command.current_dir(site.folder.path()).kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(watcher.recv().await.payload(), mode.as_bytes());
        proxy.kill().await.unwrap();
    }
    // Set to version 1, it is told so by a closed connection.
    let before = site.broker.stats().proxy_refused;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut proxy = haproxy(&site, free, "proxied", "send-proxy").unwrap();
    until("haproxy", || std::net::TcpStream::connect(("127.0.0.1", free)).is_ok()).await;
    until("the refusal", || site.broker.stats().proxy_refused > before).await;
    proxy.kill().await.unwrap();
}
