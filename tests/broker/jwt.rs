//! Tokens that PyJWT made: every algorithm, every refusal, keys that change, and the end of a token's time.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use iogate::broker::auth::jwt::{BrokerJwt, JwtKey};
use iogate::broker::auth::{LoginMeans, hash};
use iogate::broker::listen::BrokerListener;
use iogate::broker::{Config, ListenError, Listeners};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::client::{Client, Connect, until};
use crate::listen::{Site, anywhere};
use crate::peers::python;

type Tokens = HashMap<String, String>;

/// A folder with keys, and tokens signed by them.
pub(crate) fn tokens(short_seconds: u32) -> (TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/jwt_tokens.py");
    let output = Command::new(python())
        .arg(script)
        .arg(folder.path())
        .arg(short_seconds.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, serde_json::from_slice(&output.stdout).unwrap())
}

fn section(folder: &Path) -> BrokerJwt {
    let pem = |name: &str| JwtKey { pem: Some(folder.join(name)), ..JwtKey::default() };
    let jwt = format!(
        "{{ keys: [{{ secret: {0}/secret }}, {{ jwks: {0}/jwks.json }}], issuer: https://login.example.com, audience: plant, leeway: 0s, roles-claim: roles, read-claim: scope }}",
        folder.display()
    );
    let mut jwt: BrokerJwt = serde_yaml::from_str(&jwt).unwrap();
    jwt.keys.extend(["rsa.pem", "ec.pem", "ed.pem"].map(pem));
    jwt
}

pub(crate) fn config(folder: &Path) -> Config {
    Config { jwt: Some(section(folder)), ..Config::default() }
}

async fn site(folder: TempDir) -> Site {
    let config = config(folder.path());
    Site::start(config, folder, vec![]).await
}

fn with_token(level: u8, id: &str, user: Option<&str>, token: &str) -> Vec<u8> {
    let mut connect = Connect::new(level, id);
    connect.login = Some((user.unwrap_or_default().to_owned(), token.to_owned()));
    let mut bytes = connect.bytes();
    if user.is_none() {
        // The user name goes: its flag, and the two bytes of its length.
        let length = 2 + token.len();
        let at = bytes.len() - length - 2;
        bytes.drain(at..at + 2);
        let flags = bytes.windows(4).position(|part| part == b"MQTT").unwrap() + 5;
        bytes[flags] &= !0x80;
        let body =
            bytes[bytes.iter().position(|byte| *byte & 0x80 == 0 && *byte != 0x10).unwrap() + 1..].to_vec();
        return crate::client::packet(0x10, &body);
    }
    bytes
}

async fn open(site: &Site, listener: &str) -> Client {
    Client::over(TcpStream::connect(("127.0.0.1", site.port(listener))).await.unwrap())
}

async fn code_at(site: &Site, listener: &str, connect: &[u8]) -> u8 {
    let mut client = open(site, listener).await;
    client.send(connect).await;
    let (first, body) = client.packet().await;
    assert_eq!(first, 0x20);
    body[1]
}

async fn code(site: &Site, token: &str) -> u8 {
    code_at(site, "listen", &with_token(5, "x", Some("anna"), token)).await
}

/// What is logged while it lives, on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(lines)
    }

    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

#[tokio::test]
async fn tokens_of_every_algorithm_log_in() {
    let (folder, tokens) = tokens(600);
    let site = site(folder).await;
    for name in
        ["RS256", "ES256", "EdDSA", "HS256", "set RS256", "set ES256", "set EdDSA", "audiences", "claims"]
    {
        for user in [Some("anna"), None] {
            let mut client = open(&site, "listen").await;
            client.send(&with_token(5, "x", user, &tokens[name])).await;
            let (_, body) = client.packet().await;
            assert_eq!(body[1], 0, "{name} {user:?}");
            assert_eq!(site.broker.clients()[0].user.as_deref(), Some("anna"), "{name}");
        }
        assert_eq!(
            code_at(&site, "listen", &with_token(4, "x", Some("anna"), &tokens[name])).await,
            0,
            "{name}"
        );
    }
    assert_eq!(site.broker.stats().logins_refused, 0);
}

#[tokio::test]
async fn a_token_grants_what_its_claims_say_and_no_more() {
    let (folder, tokens) = tokens(600);
    let rules = folder.path().join("access.yaml");
    std::fs::write(&rules, "roles:\n  operator:\n    write: [fan/+]\n").unwrap();
    let config = Config { access_file: Some(rules), ..config(folder.path()) };
    let site = Site::start(config, folder, vec![]).await;
    let mut client = open(&site, "listen").await;
    client.level = 5;
    client.send(&with_token(5, "x", Some("anna"), &tokens["claims"])).await;
    assert_eq!(client.packet().await.1[1], 0);
    let filters = [("plant/fan", 1), ("home/anna", 0), ("home/bert", 0), ("plant/fan/x", 0)];
    assert_eq!(client.subscribe_with(&[], &filters).await, [1, 0, 0x87, 0x87]);
    for (topic, code) in [("fan/1", 0x10), ("plant/fan", 0x87), ("fan", 0x87)] {
        let (message, id) = client.publication(2, topic, &[], b"on");
        client.send(&message).await;
        client.expect_failure(0x40, id, code).await;
    }
    // Without claims and rules nothing is permitted.
    let mut client = open(&site, "listen").await;
    client.level = 5;
    client.send(&with_token(5, "y", None, &tokens["RS256"])).await;
    assert_eq!(client.packet().await.1[1], 0);
    assert_eq!(client.subscribe_with(&[], &[("plant/fan", 0)]).await, [0x87]);
}

#[tokio::test]
async fn tokens_that_are_not_right_are_refused_and_the_log_says_why() {
    let (folder, tokens) = tokens(600);
    let (not_genuine, not_for_us) = (0x86, 0x87);
    for (name, expected, why) in [
        ("expired", not_for_us, "it expired"),
        ("not yet", not_for_us, "not valid for another"),
        ("no expiry", not_for_us, "`exp`: is missing"),
        ("issuer", not_for_us, "its issuer is another one"),
        ("no issuer", not_for_us, "its issuer is another one"),
        ("audience", not_for_us, "for another audience"),
        ("no audience", not_for_us, "for another audience"),
        ("no user", not_for_us, "`sub`: names no user"),
        ("bad user", not_for_us, "`sub`: a user name holds no"),
        ("other key", not_genuine, "signature is wrong"),
        ("other kid", not_genuine, "signature is wrong"),
        ("unknown kid", not_genuine, "signature is wrong"),
        ("ES384", not_genuine, "not signed by RS256"),
        ("PS256", not_genuine, "not signed by RS256"),
        ("HS512", not_genuine, "not signed by RS256"),
        ("none", not_genuine, "not signed by RS256"),
        ("alg none", not_genuine, "not signed by RS256"),
        ("confused", not_genuine, "signature is wrong"),
        ("confused set", not_genuine, "signature is wrong"),
        ("mislabelled", not_genuine, "signature is wrong"),
        ("tampered", not_genuine, "signature is wrong"),
        ("cut", not_genuine, "signature is wrong"),
        ("unsigned", not_genuine, "signature is wrong"),
    ] {
        // A broker each, so that the delay for those who guess does not add up.
        let again = tempfile::tempdir().unwrap();
        let site = Site::start(config(folder.path()), again, vec![]).await;
        let log = Log::default();
        let logging = log.start();
        assert_eq!(code(&site, &tokens[name]).await, expected, "{name}");
        drop(logging);
        let told = log.take();
        assert!(told.contains("token refused") && told.contains(why), "{name}: {told}");
        assert!(!told.contains(tokens[name].split('.').nth(1).unwrap()), "{name}: {told}");
        let expected = if expected == not_genuine { 4 } else { 5 };
        let level4 = with_token(4, "x", Some("anna"), &tokens[name]);
        assert_eq!(code_at(&site, "listen", &level4).await, expected, "{name}");
        assert_eq!(site.broker.stats().logins_refused, 2);
    }
}

#[tokio::test]
async fn a_name_beside_the_token_must_be_its_own() {
    let (folder, tokens) = tokens(600);
    let site = site(folder).await;
    let valid = &tokens["RS256"];
    assert_eq!(code_at(&site, "listen", &with_token(5, "x", Some("bert"), valid)).await, 0x87);
    assert_eq!(code_at(&site, "listen", &with_token(5, "x", Some(""), valid)).await, 0x87);
    // No token at all, and something that looks like one.
    assert_eq!(code(&site, "secret").await, 0x87);
    assert_eq!(code(&site, "e.e.e").await, 0x86);
    assert_eq!(code_at(&site, "listen", &Connect::v5("x").bytes()).await, 0x87);
    assert_eq!(code_at(&site, "listen", &Connect::v4("x").bytes()).await, 5);
}

#[tokio::test]
async fn forged_tokens_are_delayed_and_old_ones_are_not() {
    let (folder, tokens) = tokens(600);
    let site = site(folder).await;
    for _ in 0..20 {
        assert_eq!(code(&site, &tokens["expired"]).await, 0x87);
    }
    assert_eq!(code(&site, &tokens["RS256"]).await, 0, "who comes from the same address is not held up");
    let forged = || futures_util::future::join_all((0..40).map(|_| code(&site, &tokens["tampered"])));
    let codes = [forged().await, forged().await].concat();
    assert!(codes.iter().all(|code| matches!(code, 0x86 | 0x9f)) && codes.contains(&0x9f), "{codes:x?}");
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let (folder, tokens) = tokens(15);
    let mut lasting = section(folder.path());
    let site = Site::start(config(folder.path()), tempfile::tempdir().unwrap(), vec![]).await;
    lasting.grace = iogate::model::units::Period::from_secs(3_600);
    let config = Config { jwt: Some(lasting), ..Config::default() };
    let patient = Site::start(config, tempfile::tempdir().unwrap(), vec![]).await;
    let mut clients = Vec::new();
    for (site, level, id) in [(&site, 5, "five"), (&site, 4, "four"), (&patient, 5, "kept")] {
        let mut client = open(site, "listen").await;
        client.level = level;
        client.send(&with_token(level, id, Some("anna"), &tokens["short"])).await;
        assert_eq!(client.packet().await.1[1], 0, "{id}");
        clients.push(client);
    }
    let mut other = open(&site, "listen").await;
    other.send(&with_token(5, "other", Some("anna"), &tokens["RS256"])).await;
    assert_eq!(other.packet().await.1[1], 0);
    // Found by the watcher: nobody tells the broker. 0xA0: the time is over, another token will do.
    clients[0].expect_refusal(0xa0).await;
    clients[1].expect_end().await;
    assert_eq!(code(&site, &tokens["short"]).await, 0x87);
    other.level = 5;
    other.quiet().await;
    patient.broker.reload();
    clients[2].quiet().await;
}

#[tokio::test]
async fn a_key_that_is_removed_takes_its_tokens_with_it() {
    let (folder, tokens) = tokens(600);
    let (set, without) = (folder.path().join("jwks.json"), folder.path().join("jwks-without-ec.json"));
    let good = std::fs::read(&set).unwrap();
    let site = site(folder).await;
    let mut clients = Vec::new();
    for name in ["set ES256", "set RS256"] {
        let mut client = open(&site, "listen").await;
        client.level = 5;
        client.send(&with_token(5, name, Some("anna"), &tokens[name])).await;
        assert_eq!(client.packet().await.1[1], 0);
        clients.push(client);
    }
    // What cannot be used changes nothing.
    std::fs::write(&set, "{").unwrap();
    site.broker.reload();
    assert_eq!(code(&site, &tokens["set ES256"]).await, 0);
    std::fs::copy(&without, &set).unwrap();
    // The watcher finds it.
    clients[0].expect_refusal(0x87).await;
    clients[1].quiet().await;
    assert_eq!(code(&site, &tokens["set ES256"]).await, 0x86);
    assert_eq!(code(&site, &tokens["set RS256"]).await, 0);
    std::fs::write(&set, good).unwrap();
    site.broker.reload();
    assert_eq!(code(&site, &tokens["set ES256"]).await, 0);
}

#[tokio::test]
async fn listeners_choose_between_tokens_and_passwords() {
    let (folder, tokens) = tokens(600);
    let users = folder.path().join("users");
    std::fs::write(&users, format!("anna:{}\n", hash(b"secret").unwrap())).unwrap();
    let config = Config { password_file: Some(users), ..config(folder.path()) };
    let listener = |means: &[LoginMeans]| BrokerListener { login: Some(means.to_vec()), ..anywhere() };
    let site = Site::start(
        config,
        folder,
        vec![
            ("tokens", listener(&[LoginMeans::Jwt])),
            ("passwords", listener(&[LoginMeans::Password])),
            ("both", listener(&[LoginMeans::Password, LoginMeans::Jwt])),
            ("nobody", listener(&[LoginMeans::Anonymous])),
        ],
    )
    .await;
    let password = |password: &str| with_token(5, "x", Some("anna"), password);
    for (listener, token, secret, nothing) in [
        ("tokens", 0, 0x87, 0x87),
        ("passwords", 0x86, 0, 0x87),
        ("both", 0, 0, 0x87),
        ("listen", 0, 0, 0x87),
        ("nobody", 0, 0, 0),
    ] {
        assert_eq!(code_at(&site, listener, &password(&tokens["RS256"])).await, token, "{listener}");
        assert_eq!(code_at(&site, listener, &password("secret")).await, secret, "{listener}");
        // Another identifier: the session of a user is not for nobody.
        assert_eq!(code_at(&site, listener, &Connect::v5("y").bytes()).await, nothing, "{listener}");
        until("the end of all", || site.broker.stats().sessions == 0).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_used_stop_the_start() {
    let (folder, _) = tokens(600);
    let at = |name: &str| Some(folder.path().join(name));
    std::fs::write(at("short").unwrap(), "short").unwrap();
    std::fs::set_permissions(at("short").unwrap(), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::copy(at("secret").unwrap(), at("open").unwrap()).unwrap();
    std::fs::set_permissions(at("open").unwrap(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let pem = |pem| JwtKey { pem, ..JwtKey::default() };
    let cases = [
        (pem(at("none")), "cannot be read"),
        (pem(at("secret")), "BEGIN PUBLIC KEY"),
        (JwtKey { jwks: at("rsa.pem"), ..JwtKey::default() }, "no JSON Web Key Set"),
        (JwtKey { secret: at("short"), ..JwtKey::default() }, "shorter than 32 bytes"),
        (JwtKey { secret: at("open"), ..JwtKey::default() }, "chmod 600"),
    ];
    for (key, expected) in cases {
        let jwt = BrokerJwt { keys: vec![key], ..section(folder.path()) };
        let mut config = Config { jwt: Some(jwt), ..Config::default() };
        config.listen.set_port(0);
        let told = Listeners::bind(&config).await.err().unwrap();
        assert!(matches!(told, ListenError::Keys(_)) && told.to_string().contains(expected), "{told}");
        assert!(config.file_problems()[0].contains(expected));
    }
}
