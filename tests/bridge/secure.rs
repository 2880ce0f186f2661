//! Who the bridge is and whom it trusts: passwords, TLS in all its failures, certificates of its own, proxies, WebSocket.

use std::path::Path;

use iogate::bridge::Config;
use iogate::bridge::config::{SecretFile, Tls, Version};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::mosquitto::{Mosquitto, Site, config, program, until};

/// A certificate authority of a test.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// Writes `ca.pem` and a certificate for a name with its key.
    pub(crate) fn write(&self, folder: &Path, file: &str, name: &str) {
        self.write_until(folder, file, name, 2099);
    }

    pub(crate) fn write_until(&self, folder: &Path, file: &str, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join("ca.pem"), self.issuer.pem()).unwrap();
        std::fs::write(folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

const SERVER: &str = "cafile DIR/ca.pem\ncertfile DIR/server.pem\nkeyfile DIR/server.key\n";

async fn secure_upstream(name: &str, until_year: i32, more: &str) -> Mosquitto {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write_until(folder.path(), "server", name, until_year);
    authority.write(folder.path(), "gateway", "gateway");
    Mosquitto::within(folder, crate::mosquitto::free_port(), &format!("{SERVER}{more}")).await
}

fn secure(upstream: &Mosquitto, host: &str, tls: Tls) -> Config {
    let mut config = config(&format!("mqtts://{host}:{}", upstream.port), Version::V5);
    config.tls = tls;
    config
}

/// What keeps a bridge from connecting.
async fn failure(config: Config) -> String {
    let site = Site::start(config);
    until("a failure", || site.handle.snapshot().last_error.is_some()).await;
    let error = site.handle.snapshot().last_error.unwrap();
    site.stop().await;
    error
}

async fn arrives(config: Config) {
    let site = Site::start(config);
    site.publish("site/a", "1");
    site.connected().await;
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, 1);
    site.stop().await;
}

#[tokio::test]
async fn certificates_are_checked_and_failures_told_in_words() {
    let upstream = secure_upstream("localhost", 2099, "allow_anonymous true\n").await;
    let dir = upstream.folder.path();
    let ca = Tls { ca: Some(dir.join("ca.pem")), ..Tls::default() };
    arrives(secure(&upstream, "localhost", ca.clone())).await;
    let named = Tls { server_name: Some("localhost".into()), ..ca.clone() };
    arrives(secure(&upstream, "127.0.0.1", named)).await;
    let wrong_name = failure(secure(&upstream, "127.0.0.1", ca.clone())).await;
    assert!(wrong_name.contains("is not for the name 127.0.0.1"), "{wrong_name}");
    let unknown = failure(secure(&upstream, "localhost", Tls::default())).await;
    assert!(unknown.contains("leads to no root") || unknown.contains("no root certificates"), "{unknown}");
    std::fs::write(dir.join("empty.pem"), "").unwrap();
    let empty =
        failure(secure(&upstream, "localhost", Tls { ca: Some(dir.join("empty.pem")), ..Tls::default() }))
            .await;
    assert!(empty.contains("empty.pem: holds no certificate"), "{empty}");
    let pinned = Tls { pin: Some("00".repeat(32)), ..ca.clone() };
    let pin = failure(secure(&upstream, "localhost", pinned)).await;
    assert!(pin.contains("not the one that `tls.pin` names"), "{pin}");
    let expired = secure_upstream("localhost", 2001, "allow_anonymous true\n").await;
    let ca = Tls { ca: Some(expired.folder.path().join("ca.pem")), ..Tls::default() };
    let expired = failure(secure(&expired, "localhost", ca)).await;
    assert!(expired.contains("has expired"), "{expired}");
}

#[tokio::test]
async fn the_gateway_shows_its_own_certificate() {
    let lines = "require_certificate true\nuse_identity_as_username true\n";
    let upstream = secure_upstream("localhost", 2099, lines).await;
    let file = |name: &str| Some(upstream.folder.path().join(name));
    let own =
        Tls { ca: file("ca.pem"), cert: file("gateway.pem"), key: file("gateway.key"), ..Tls::default() };
    arrives(secure(&upstream, "localhost", own)).await;
    let nobody = Tls { ca: file("ca.pem"), ..Tls::default() };
    let refused = failure(secure(&upstream, "localhost", nobody)).await;
    assert!(refused.contains("TLS") || refused.contains("closed") || refused.contains("broke"), "{refused}");
    let mixed =
        Tls { ca: file("ca.pem"), cert: file("gateway.pem"), key: file("server.key"), ..Tls::default() };
    let mixed = failure(secure(&upstream, "localhost", mixed)).await;
    assert!(mixed.contains("does not go with"), "{mixed}");
}

#[tokio::test]
async fn passwords_come_from_their_file_and_a_new_one_counts_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let made = std::process::Command::new(program("mosquitto_passwd"))
        .args(["-b", "-c", users.to_str().unwrap(), "gateway", "right"])
        .status()
        .unwrap();
    assert!(made.success());
    let lines = "allow_anonymous false\npassword_file DIR/users\n";
    let upstream = Mosquitto::within(folder, crate::mosquitto::free_port(), lines).await;
    let file = upstream.folder.path().join("password");
    for version in [Version::V311, Version::V5] {
        std::fs::write(&file, "wrong\n").unwrap();
        let mut config = config(&upstream.url(), version);
        config.user = Some("gateway".into());
        config.password = Some(SecretFile { file: file.clone() });
        let site = Site::start(config);
        site.publish("site/a", "1");
        until("the refusal", || {
            site.handle
                .snapshot()
                .last_error
                .is_some_and(|error| error.contains("does not let the gateway in"))
        })
        .await;
        std::fs::write(&file, "right\n").unwrap();
        site.connected().await;
        site.drained().await;
        site.stop().await;
    }
}

#[tokio::test]
async fn failures_before_mqtt_are_told_in_words() {
    let port = crate::mosquitto::free_port();
    let refused = failure(config(&format!("mqtt://127.0.0.1:{port}"), Version::V5)).await;
    assert_eq!(refused, format!("127.0.0.1:{port} refuses connections"));
    let unknown = failure(config("mqtt://no-such-host.invalid:1883", Version::V5)).await;
    assert!(unknown.contains("the name no-such-host.invalid cannot be resolved"), "{unknown}");
    let mut proxied = config("mqtt://127.0.0.1:1883", Version::V5);
    proxied.proxy = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    let refused = failure(proxied).await;
    assert!(refused.contains("refuses connections"), "{refused}");
}

#[tokio::test]
async fn a_proxy_passes_the_connection_on_or_says_why_not() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let upstream = Mosquitto::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(client.read_u8().await.unwrap());
                }
                let asked = String::from_utf8(asked).unwrap();
                let place = asked.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
                if place.starts_with("forbidden") {
                    return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
                }
                let mut server = tokio::net::TcpStream::connect(place).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\nVia: test\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let proxy = format!("http://127.0.0.1:{port}");
    let mut through = config(&upstream.url(), Version::V5);
    through.proxy = Some(proxy.parse().unwrap());
    arrives(through.clone()).await;
    through.url = "mqtt://forbidden.example.com".parse().unwrap();
    let refused = failure(through).await;
    assert!(refused.contains("does not pass the connection on: HTTP/1.1 403 Forbidden"), "{refused}");
}
