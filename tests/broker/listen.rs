//! Several listeners at once: TCP, Unix socket, TLS with and without client certificates.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use iogate::broker::listen::{BrokerListener, BrokerTls, CertificateIdentity};
use iogate::broker::{Broker, Config, ListenError, Listeners};
use iogate::model::units::Period;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connect, until, vanished};

/// A broker with listeners of its own, and the folder of their files.
pub(crate) struct Site {
    pub(crate) broker: Broker,
    pub(crate) folder: TempDir,
    config: Config,
    ports: Vec<(String, u16)>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Site {
    /// Serves the listeners that `describe` makes, given the folder where their files are.
    pub(crate) async fn start(
        mut config: Config,
        folder: TempDir,
        listeners: Vec<(&str, BrokerListener)>,
    ) -> Self {
        config.listen.set_port(0);
        // Where a test is not about rules, they let everybody do everything.
        config.access_file.get_or_insert_with(|| {
            let file = folder.path().join("access.yaml");
            let all = "{ read: ['#', $SYS/#], write: ['#'] }";
            std::fs::write(&file, format!("everyone: {all}\nanonymous: {all}\n")).unwrap();
            file
        });
        config.listeners =
            listeners.into_iter().map(|(name, listener)| (name.to_owned(), listener)).collect();
        assert_eq!(config.problems(), Vec::<String>::new());
        Self::serve(config, folder).await
    }

    /// Stops the broker, and starts it anew on other ports when `meanwhile` has been done.
    pub(crate) async fn again(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { broker, folder, config, stop, task, .. } = self;
        stop.cancel();
        task.await.unwrap();
        drop(broker);
        meanwhile(folder.path());
        Self::serve(config, folder).await
    }

    async fn serve(config: Config, folder: TempDir) -> Self {
        let bound = Listeners::bind(&config).await.unwrap();
        let names = config.listeners.keys().cloned().chain(["listen".to_owned()]);
        let ports = names.filter_map(|name| Some((name.clone(), bound.address(&name)?.port()))).collect();
        let (broker, stop) = (Broker::open(config.clone()).unwrap(), CancellationToken::new());
        let task = tokio::spawn({
            let (broker, stop) = (broker.clone(), stop.clone());
            async move { broker.serve_all(bound, stop).await }
        });
        Self { broker, folder, config, ports, stop, task }
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// A program of the Debian package mosquitto-clients, aimed at a listener.
    fn mosquitto(&self, program: &str, listener: &str, args: &[&str]) -> Command {
        let path = Path::new("/usr/bin").join(program);
        assert!(path.exists(), "{} is missing: run `bash tests/peers.sh` first", path.display());
        let mut command = Command::new(path);
        command.args(["-h", "127.0.0.1", "-p", &self.port(listener).to_string()]).args(args);
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) async fn publish(&self, listener: &str, args: &[&str]) -> Output {
        let message = ["-t", "t", "-q", "1", "-m", "hello"];
        self.mosquitto("mosquitto_pub", listener, &[&message, args].concat()).output().await.unwrap()
    }

    async fn publishes(&self, listener: &str, args: &[&str]) {
        let output = self.publish(listener, args).await;
        assert!(output.status.success(), "{args:?} {output:?}");
    }

    async fn is_refused(&self, listener: &str, args: &[&str]) {
        let output = self.publish(listener, args).await;
        assert!(!output.status.success(), "{args:?} {output:?}");
    }

    pub(crate) async fn openssl(&self, listener: &str, args: &[&str]) -> String {
        let port = self.port(listener);
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "ca.pem"])
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        format!("{out}\n{err}")
    }
}

/// A certificate authority whose files lie in a folder.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    serial: u64,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "plant authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder: folder.to_owned(), serial: 1 }
    }

    /// Writes `<file>.pem` and `<file>.key`. Returns the serial number.
    pub(crate) fn issue(&mut self, file: &str, common: &str, names: &[&str]) -> u64 {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        self.serial += 1;
        params.serial_number = Some(SerialNumber::from(self.serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
        self.serial
    }

    /// Writes `crl.pem`.
    pub(crate) fn revoke(&self, serials: &[u64]) {
        std::fs::write(self.folder.join("crl.pem"), revocation_list(&self.issuer, serials, 2090)).unwrap();
    }
}

/// A list that is good until a year begins.
pub(crate) fn revocation_list(issuer: &Issuer<'static, KeyPair>, serials: &[u64], until: i32) -> String {
    let revoked = serials.iter().map(|&serial| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2025, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().pem().unwrap()
}

pub(crate) fn anywhere() -> BrokerListener {
    BrokerListener { address: Some("127.0.0.1:0".parse().unwrap()), ..BrokerListener::default() }
}

pub(crate) fn tls(folder: &Path) -> BrokerTls {
    BrokerTls { cert: folder.join("server.pem"), key: folder.join("server.key"), ..BrokerTls::default() }
}

/// A folder with an authority, a server certificate and one client certificate.
pub(crate) fn files() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(folder.path());
    authority.issue("server", "broker", &["localhost", "127.0.0.1"]);
    (folder, authority)
}

pub(crate) async fn tls_site(change: impl FnOnce(&mut BrokerTls)) -> (Site, Authority) {
    let (folder, authority) = files();
    let mut section = tls(folder.path());
    section.client_ca = Some(folder.path().join("ca.pem"));
    change(&mut section);
    let listener = BrokerListener { tls: Some(section), ..anywhere() };
    (Site::start(Config::default(), folder, vec![("tls", listener)]).await, authority)
}

#[tokio::test]
async fn listeners_serve_one_broker_together() {
    let (folder, _authority) = files();
    let socket = folder.path().join("mqtt.sock");
    let encrypted = BrokerListener { tls: Some(tls(folder.path())), ..anywhere() };
    let unix = BrokerListener { unix: Some(socket.clone()), ..BrokerListener::default() };
    let site = Site::start(
        Config::default(),
        folder,
        vec![("second", anywhere()), ("tls", encrypted), ("local", unix)],
    )
    .await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = Client::over(UnixStream::connect(&socket).await.unwrap());
    client.greet(&Connect::v5("local")).await;
    client.subscribe("t", 1).await;
    for (listener, args) in [("listen", &[][..]), ("second", &[]), ("tls", &["--cafile", "ca.pem"])] {
        site.publishes(listener, args).await;
        assert_eq!(client.message().await.payload, b"hello", "{listener}");
    }
    site.stop.cancel();
    site.task.await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_unix_socket_left_by_a_crash_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mqtt.sock");
    let unix = BrokerListener { unix: Some(socket.clone()), ..BrokerListener::default() };
    let mut config =
        Config { listeners: [("local".to_owned(), unix)].into_iter().collect(), ..Config::default() };
    config.listen.set_port(0);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let first = Listeners::bind(&config).await.unwrap();
    assert!(matches!(Listeners::bind(&config).await, Err(ListenError::Bind { name, .. }) if name == "local"));
    drop(first);
    std::fs::write(&socket, "precious").unwrap();
    assert!(matches!(Listeners::bind(&config).await, Err(ListenError::Bind { .. })));
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
}

#[tokio::test]
async fn a_listener_has_a_connection_limit_of_its_own() {
    let limited = BrokerListener { max_connections: Some(1), ..anywhere() };
    let site = Site::start(Config::default(), tempfile::tempdir().unwrap(), vec![("one", limited)]).await;
    let open = async || Client::over(TcpStream::connect(("127.0.0.1", site.port("one"))).await.unwrap());
    let mut first = open().await;
    first.greet(&Connect::v5("first")).await;
    let mut second = TcpStream::connect(("127.0.0.1", site.port("one"))).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(site.broker.stats().connections_refused, 1);
    site.publishes("listen", &[]).await;
    drop(first);
    vanished(&site.broker, "first").await;
    until("the place to be free", || site.broker.stats().connections == 0).await;
    open().await.greet(&Connect::v5("third")).await;
}

#[tokio::test]
async fn old_tls_is_refused_and_new_tls_is_served() {
    let (site, _authority) = tls_site(|_| {}).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let said =
            site.openssl("tls", &[version, "-verify_return_error", "-verify_hostname", "localhost"]).await;
        assert!(said.contains("Verify return code: 0 (ok)"), "{version}: {said}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let said = site.openssl("tls", &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
        assert!(
            said.contains("alert protocol version") || said.contains("no peer certificate available"),
            "{said}"
        );
        assert!(!said.contains("Verify return code: 0 (ok)\n---\n---"), "{said}");
    }
    for weak in ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "NULL", "DES-CBC3-SHA"] {
        let said = site.openssl("tls", &["-tls1_2", "-cipher", &format!("{weak}:@SECLEVEL=0")]).await;
        assert!(said.contains("handshake failure") || said.contains("no cipher match"), "{weak}: {said}");
    }
    site.is_refused("tls", &[]).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted_by_a_client() {
    let (site, _authority) = tls_site(|_| {}).await;
    let other = tempfile::tempdir().unwrap();
    Authority::new(other.path());
    let path = other.path().join("ca.pem");
    site.is_refused("tls", &["--cafile", path.to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_client_certificate_names_the_user() {
    for (identity, expected) in
        [(CertificateIdentity::Cn, "press"), (CertificateIdentity::San, "p.example.com")]
    {
        let (site, mut authority) = tls_site(|tls| {
            tls.require_client_cert = true;
            tls.identity = Some(identity);
        })
        .await;
        authority.issue("press", "press", &["p.example.com"]);
        authority.issue("nameless", "", &[]);
        let own = ["--cafile", "ca.pem", "--cert", "press.pem", "--key", "press.key"];
        let args = [&own[..], &["-i", "press-1", "-t", "t"]].concat();
        let mut child = site.mosquitto("mosquitto_sub", "tls", &args).spawn().unwrap();
        until("the subscriber", || site.broker.stats().subscriptions == 1).await;
        assert_eq!(site.broker.clients()[0].user.as_deref(), Some(expected));
        child.kill().await.unwrap();
        site.is_refused("tls", &["--cafile", "ca.pem"]).await;
        site.is_refused("tls", &["--cafile", "ca.pem", "--cert", "nameless.pem", "--key", "nameless.key"])
            .await;
    }
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_refused_even_where_none_is_required() {
    let (site, _authority) = tls_site(|_| {}).await;
    let other = tempfile::tempdir().unwrap();
    Authority::new(other.path()).issue("stranger", "press", &[]);
    let file = |name: &str| other.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("stranger.pem"), file("stranger.key"));
    site.publishes("tls", &["--cafile", "ca.pem"]).await;
    site.is_refused("tls", &["--cafile", "ca.pem", "--cert", &cert, "--key", &key]).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_a_new_list_counts_at_once() {
    let (folder, mut authority) = files();
    let gone = authority.issue("gone", "gone", &[]);
    let next = authority.issue("next", "next", &[]);
    authority.revoke(&[gone]);
    let mut section = tls(folder.path());
    section.client_ca = Some(folder.path().join("ca.pem"));
    section.crl = Some(folder.path().join("crl.pem"));
    let listener = BrokerListener { tls: Some(section), ..anywhere() };
    let site = Site::start(Config::default(), folder, vec![("tls", listener)]).await;
    let with = |name: &'static str| match name {
        "gone" => ["--cafile", "ca.pem", "--cert", "gone.pem", "--key", "gone.key"],
        _ => ["--cafile", "ca.pem", "--cert", "next.pem", "--key", "next.key"],
    };
    site.is_refused("tls", &with("gone")).await;
    site.publishes("tls", &with("next")).await;
    authority.revoke(&[gone, next]);
    site.broker.reload();
    site.is_refused("tls", &with("next")).await;
}

#[tokio::test]
async fn new_certificates_are_taken_in_and_connections_stay() {
    let (site, mut authority) = tls_site(|_| {}).await;
    let args = ["--cafile", "ca.pem", "-t", "t", "-C", "1"];
    let child = site.mosquitto("mosquitto_sub", "tls", &args).spawn().unwrap();
    until("the subscriber", || site.broker.stats().subscriptions == 1).await;
    authority.issue("server", "renewed", &["localhost", "127.0.0.1"]);
    // Not by hand this time: the watcher finds it.
    loop {
        if site.openssl("tls", &[]).await.contains("CN = renewed") {
            break;
        }
    }
    // A file that cannot be used changes nothing.
    std::fs::write(site.path("server.key"), "no key").unwrap();
    site.broker.reload();
    site.publishes("tls", &["--cafile", "ca.pem"]).await;
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.stdout, b"hello\n");
}

#[tokio::test]
async fn a_slow_handshake_ends_in_time_and_holds_up_nobody() {
    let (folder, _authority) = files();
    let listener = BrokerListener { tls: Some(tls(folder.path())), ..anywhere() };
    let config = Config { connect_timeout: Period::from_millis(700), ..Config::default() };
    let site = Site::start(config, folder, vec![("tls", listener)]).await;
    let started = tokio::time::Instant::now();
    let silent: Vec<_> =
        futures_util::future::join_all((0..50).map(|_| TcpStream::connect(("127.0.0.1", site.port("tls")))))
            .await;
    site.publishes("tls", &["--cafile", "ca.pem"]).await;
    for stream in silent {
        assert_eq!(stream.unwrap().read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
    assert!(started.elapsed() >= Duration::from_millis(700));
    until("the end of all", || site.broker.stats().connections == 0).await;
    assert_eq!(site.broker.stats().connects_refused, 50);
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start() {
    let (folder, authority) = files();
    authority.revoke(&[]);
    let (bad, empty) = (folder.path().join("bad.pem"), folder.path().join("empty.pem"));
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let (good, other) = (tls(folder.path()), tempfile::tempdir().unwrap());
    Authority::new(other.path()).issue("server", "x", &[]);
    let ca = Some(folder.path().join("ca.pem"));
    let cases = [
        (
            "missing",
            BrokerTls { cert: folder.path().join("none.pem"), ..good.clone() },
            "none.pem cannot be read",
        ),
        ("empty", BrokerTls { cert: empty.clone(), ..good.clone() }, "holds no certificate"),
        ("no key", BrokerTls { key: empty.clone(), ..good.clone() }, "holds no private key"),
        (
            "foreign key",
            BrokerTls { key: other.path().join("server.key"), ..good.clone() },
            "does not go with",
        ),
        ("bad root", BrokerTls { client_ca: Some(bad.clone()), ..good.clone() }, "bad.pem"),
        (
            "empty list",
            BrokerTls { client_ca: ca.clone(), crl: Some(empty), ..good.clone() },
            "no revocation list",
        ),
        ("bad list", BrokerTls { client_ca: ca, crl: Some(bad), ..good }, "bad.pem"),
    ];
    for (name, section, expected) in cases {
        let listener = BrokerListener { tls: Some(section), ..anywhere() };
        let listeners = [(name.to_owned(), listener)].into_iter().collect();
        let mut config = Config { listeners, ..Config::default() };
        config.listen.set_port(0);
        // Where a test is not about rules, they let everybody do everything.
        config.access_file.get_or_insert_with(|| {
            let file = folder.path().join("access.yaml");
            let all = "{ read: ['#', $SYS/#], write: ['#'] }";
            std::fs::write(&file, format!("everyone: {all}\nanonymous: {all}\n")).unwrap();
            file
        });
        let error = Arc::new(Listeners::bind(&config).await.err().expect(name));
        let told = format!("{error}: {}", std::error::Error::source(&*error).unwrap());
        assert!(told.contains(expected) && told.contains(name), "{told}");
    }
}
