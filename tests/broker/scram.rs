//! Enhanced authentication by SCRAM-SHA-256: the exchange, its order, re-authentication, and what it tells nobody.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use iogate::broker::auth::{LoginMeans, hash, hash_scram};
use iogate::broker::listen::BrokerListener;
use iogate::broker::{Broker, Config};
use iogate::model::units::Period;
use ring::{digest, hmac, pbkdf2};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::{Client, Connect, binary, packet, section, string, until};
use crate::listen::{Site, anywhere};
use crate::peers::python;

const METHOD: &str = "SCRAM-SHA-256";

/// A client's side of one exchange, after RFC 5802.
struct Scram {
    password: &'static str,
    header: &'static str,
    bare: String,
}

impl Scram {
    fn new(user: &str, password: &'static str) -> Self {
        Self { password, header: "n,,", bare: format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL") }
    }

    fn first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.bare).into_bytes()
    }

    /// The last message, and what the server must answer.
    fn last(&self, challenge: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let challenge = std::str::from_utf8(challenge).unwrap();
        let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
        let (salt, rounds) = (BASE64.decode(field("s=").as_bytes()).unwrap(), field("i=").parse().unwrap());
        assert!(field("r=").starts_with("fyko+d2lbbFgONRv9qkxdawL") && field("r=").len() >= 24 + 20);
        let salted = salted(self.password, &salt, rounds);
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let without = format!("c={},r={}", BASE64.encode(self.header.as_bytes()), field("r="));
        let signed = format!("{},{challenge},{without}", self.bare);
        let signature = sign(stored.as_ref(), signed.as_bytes());
        let proof: Vec<_> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
        let answer = BASE64.encode(&sign(&sign(&salted, b"Server Key"), signed.as_bytes()));
        (format!("{without},p={}", BASE64.encode(&proof)).into_bytes(), format!("v={answer}").into_bytes())
    }
}

fn salted(password: &str, salt: &[u8], rounds: std::num::NonZeroU32) -> [u8; 32] {
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    salted
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// What a user can work out from the own password and a challenge's `s=`.
fn server_key(salt: &str, password: &str) -> Vec<u8> {
    let salt = BASE64.decode(salt.trim_start_matches("s=").as_bytes()).unwrap();
    sign(&salted(password, &salt, 4_096.try_into().unwrap()), b"Server Key")
}

/// The properties that name method and data.
fn properties(method: &str, data: &[u8]) -> Vec<u8> {
    [&[0x15][..], &string(method), &[0x16], &binary(data)].concat()
}

fn connect(id: &str, scram: &Scram) -> Connect {
    let mut connect = Connect::v5(id);
    connect.properties = properties(METHOD, &scram.first());
    connect
}

fn auth(code: u8, method: &str, data: &[u8]) -> Vec<u8> {
    packet(0xf0, &[&[code][..], &section(&properties(method, data))].concat())
}

/// Code and data of an AUTH.
fn step(client_packet: &(u8, Vec<u8>)) -> (u8, Vec<u8>) {
    let (first, body) = client_packet;
    assert_eq!(*first, 0xf0, "{body:x?}");
    let own = [&[0x15][..], &string(METHOD), &[0x16]].concat();
    assert!(body[1] < 0x80 && body[2..].starts_with(&own), "{body:x?}");
    (body[0], body[2 + own.len() + 2..].to_vec())
}

/// A broker whose users are anna (SCRAM) and bert (argon2id).
async fn site_with(change: impl FnOnce(&mut Config)) -> (Site, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = users(&folder, "pencil");
    let mut config = Config { password_file: Some(file.clone()), ..Config::default() };
    change(&mut config);
    let listeners = std::mem::take(&mut config.listeners);
    let named = listeners.iter().map(|(name, listener)| (name.as_str(), listener.clone())).collect();
    (Site::start(config, folder, named).await, file)
}

fn users(folder: &TempDir, password: &str) -> PathBuf {
    let file = folder.path().join("users");
    let lines = [
        format!("anna:{}", hash_scram(password.as_bytes(), 4_096).unwrap()),
        format!("bert:{}", hash(b"other").unwrap()),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

async fn open(site: &Site, listener: &str) -> Client {
    let mut client = Client::over(TcpStream::connect(("127.0.0.1", site.port(listener))).await.unwrap());
    client.level = 5;
    client
}

/// Sends the CONNECT and returns the server's challenge.
async fn challenged(client: &mut Client, id: &str, scram: &Scram) -> Vec<u8> {
    client.send(&connect(id, scram).bytes()).await;
    let (code, challenge) = step(&client.packet().await);
    assert_eq!(code, 0x18);
    challenge
}

/// Code of the CONNACK.
async fn log_in(site: &Site, listener: &str, scram: &Scram) -> u8 {
    let mut client = open(site, listener).await;
    let challenge = challenged(&mut client, "x", scram).await;
    client.send(&auth(0x18, METHOD, &scram.last(&challenge).0)).await;
    client.packet().await.1[1]
}

async fn logged_in(site: &Site, id: &str) -> Client {
    let (mut client, scram) = (open(site, "listen").await, Scram::new("anna", "pencil"));
    let challenge = challenged(&mut client, id, &scram).await;
    let (last, answer) = scram.last(&challenge);
    client.send(&auth(0x18, METHOD, &last)).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0), "{body:x?}");
    let told = properties(METHOD, &answer);
    assert!(body.windows(told.len()).any(|part| part == told), "the CONNACK repeats the method and ends it");
    client
}

#[tokio::test]
async fn a_client_logs_in_without_sending_its_password() {
    let (site, _) = site_with(|_| {}).await;
    let mut client = logged_in(&site, "anna-1").await;
    client.quiet().await;
    let clients = site.broker.clients();
    assert_eq!(clients[0].user.as_deref(), Some("anna"));
    // The same stored form serves a client that sends the password.
    let mut plain = Connect::v4("anna-2");
    plain.login = Some(("anna".into(), "pencil".into()));
    open(&site, "listen").await.greet(&plain).await;
    // A client that believes that the server cannot bind channels is right.
    let believes = Scram { header: "y,,", ..Scram::new("anna", "pencil") };
    assert_eq!(log_in(&site, "listen", &believes).await, 0);
}

#[tokio::test]
async fn wrong_passwords_and_users_that_do_not_exist_look_the_same() {
    let (site, file) = site_with(|_| {}).await;
    assert_eq!(log_in(&site, "listen", &Scram::new("anna", "Pencil")).await, 0x86);
    // Bert has a password of another form: he is as unknown here as carl.
    let mut salts = Vec::new();
    for user in ["bert", "carl", "carl", "anna"] {
        let scram = Scram::new(user, "other");
        let mut client = open(&site, "listen").await;
        let challenge = String::from_utf8(challenged(&mut client, "x", &scram).await).unwrap();
        let fields: Vec<_> = challenge.split(',').skip(1).map(str::to_owned).collect();
        assert_eq!((fields[0].len(), &*fields[1]), (26, "i=4096"), "{user}");
        salts.push(fields[0].clone());
        client.send(&auth(0x18, METHOD, &scram.last(challenge.as_bytes()).0)).await;
        assert_eq!(client.packet().await.1[1], 0x86, "{user}");
    }
    assert_eq!(salts[1], salts[2]);
    assert!(salts[0] != salts[1] && salts[1] != salts[3]);
    assert!(site.broker.stats().logins_refused >= 5);
    // Anna, whose password stands first in the file, knows her server key; it tells her nothing about the others.
    let (server_key, tag) = (server_key(&salts[3], "pencil"), b"iogate unknown user");
    let guess = sign(&sign(&server_key, tag), b"salt:carl")[..16].to_vec();
    assert_ne!(salts[1], format!("s={}", BASE64.encode(&guess)));
    // Nor does a change of her password: only her own salt is another one then.
    users(&site.folder, "brush");
    assert_eq!(file, site.folder.path().join("users"));
    site.broker.reload();
    for (user, known) in [("bert", &salts[0]), ("carl", &salts[1])] {
        let challenge = challenged(&mut open(&site, "listen").await, "x", &Scram::new(user, "x")).await;
        assert!(String::from_utf8(challenge).unwrap().contains(known), "{user}");
    }
}

#[tokio::test]
async fn guessing_by_scram_is_refused_after_a_while() {
    let (site, _) = site_with(|_| {}).await;
    let wrong = Scram::new("anna", "wrong");
    let guesses = || futures_util::future::join_all((0..40).map(|_| log_in(&site, "listen", &wrong)));
    let codes = [guesses().await, guesses().await].concat();
    assert!(codes.iter().all(|code| matches!(code, 0x86 | 0x9f)) && codes.contains(&0x9f), "{codes:x?}");
}

#[tokio::test]
async fn methods_that_are_not_served_are_refused() {
    let (site, _) = site_with(|config| {
        let listener = |login| BrokerListener { login: Some(login), ..anywhere() };
        config.listeners.insert("plain".to_owned(), listener(vec![LoginMeans::Password]));
        config.listeners.insert("scram".to_owned(), listener(vec![LoginMeans::Scram]));
    })
    .await;
    let mut wanted = connect("x", &Scram::new("anna", "pencil"));
    let named = [&[0x15][..], &string(METHOD)].concat();
    let code = async |listener: &str, connect: &Connect| {
        let mut client = open(&site, listener).await;
        client.send(&connect.bytes()).await;
        let (first, body) = client.packet().await;
        // No AUTH was sent, and the refusal names no method.
        assert!(first == 0x20 && !body.windows(16).any(|part| part == named), "{body:x?}");
        client.expect_end().await;
        body[1]
    };
    assert_eq!(code("plain", &wanted).await, 0x8c);
    for method in ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", "PLAIN", ""] {
        wanted.properties = properties(method, b"x");
        assert_eq!(code("listen", &wanted).await, 0x8c, "{method}");
    }
    let mut plain = Connect::v5("x");
    plain.login = Some(("anna".into(), "pencil".into()));
    assert_eq!(code("scram", &plain).await, 0x87);
    assert_eq!(log_in(&site, "scram", &Scram::new("anna", "pencil")).await, 0);
}

#[tokio::test]
async fn an_exchange_that_goes_wrong_ends_the_connection() {
    let (site, _) = site_with(|_| {}).await;
    let scram = Scram::new("anna", "pencil");
    let subscribe = packet(0x82, &[&[0, 1, 0][..], &string("t"), &[0]].concat());
    type Answer<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Answer<'_>, u8); 8] = [
        ("another method", &|last| auth(0x18, "SCRAM-SHA-1", last), 0x82),
        ("another code", &|last| auth(0x19, METHOD, last), 0x82),
        ("success from a client", &|last| auth(0x00, METHOD, last), 0x82),
        ("no method", &|_| vec![0xf0, 2, 0x18, 0], 0x82),
        (
            "no data",
            &|_| packet(0xf0, &[&[0x18][..], &section(&[&[0x15][..], &string(METHOD)].concat())].concat()),
            0x87,
        ),
        ("no proof", &|_| auth(0x18, METHOD, b"c=biws,r=x"), 0x87),
        ("another packet", &|_| subscribe.clone(), 0x82),
        ("wrong flags", &|last| [&[0xf1], &auth(0x18, METHOD, last)[1..]].concat(), 0x82),
    ];
    for (name, answer, expected) in cases {
        let mut client = open(&site, "listen").await;
        let challenge = challenged(&mut client, "x", &scram).await;
        client.send(&answer(&scram.last(&challenge).0)).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[1]), (0x20, expected), "{name}");
        client.expect_end().await;
    }
    // A client may leave without a word about it.
    let mut client = open(&site, "listen").await;
    challenged(&mut client, "x", &scram).await;
    client.send(&[0xe0, 0]).await;
    client.expect_end().await;
    for first in [&b""[..], b"n,,n=anna", b"p=tls-exporter,,n=anna,r=12345678", b"n,a=bert,n=anna,r=12345678"]
    {
        let mut connect = Connect::v5("x");
        connect.properties = properties(METHOD, first);
        let mut client = open(&site, "listen").await;
        client.send(&connect.bytes()).await;
        assert_eq!(client.packet().await.1[1], 0x87);
    }
    // Not even the first message: the method begins with the client.
    let mut connect = Connect::v5("x");
    connect.properties = [&[0x15][..], &string(METHOD)].concat();
    let mut client = open(&site, "listen").await;
    client.send(&connect.bytes()).await;
    assert_eq!(client.packet().await.1[1], 0x82);
    assert!(site.broker.clients().is_empty());
}

#[tokio::test]
async fn a_client_that_takes_small_packets_only_is_sent_no_large_auth() {
    let (site, _) = site_with(|_| {}).await;
    let mut connect = connect("x", &Scram::new("anna", "pencil"));
    connect.properties.extend([0x27, 0, 0, 0, 60]);
    let mut client = open(&site, "listen").await;
    client.send(&connect.bytes()).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0x95));
    assert!(body.len() + 2 <= 60);
}

#[tokio::test]
async fn what_comes_behind_the_last_message_is_not_lost() {
    let (site, _) = site_with(|_| {}).await;
    let (mut client, scram) = (open(&site, "listen").await, Scram::new("anna", "pencil"));
    let challenge = challenged(&mut client, "x", &scram).await;
    let both = [auth(0x18, METHOD, &scram.last(&challenge).0), vec![0xc0, 0]].concat();
    // In two pieces, cut in the middle of the AUTH.
    client.send(&both[..20]).await;
    client.send(&both[20..]).await;
    assert_eq!(client.packet().await.0, 0x20);
    client.expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn an_exchange_that_is_not_finished_in_time_is_closed() {
    let (site, _) = site_with(|config| config.connect_timeout = Period::from_millis(300)).await;
    let mut client = open(&site, "listen").await;
    challenged(&mut client, "x", &Scram::new("anna", "pencil")).await;
    client.expect_end().await;
    until("the end", || site.broker.stats().connections == 0).await;
    assert_eq!(site.broker.stats().connects_refused, 1);
}

#[tokio::test]
async fn a_client_authenticates_itself_anew_while_messages_flow() {
    let (site, _) = site_with(|_| {}).await;
    let mut client = logged_in(&site, "anna-1").await;
    client.subscribe("t", 1).await;
    let scram = Scram::new("anna", "pencil");
    for _ in 0..2 {
        client.send(&auth(0x19, METHOD, &scram.first())).await;
        let (code, challenge) = step(&client.packet().await);
        assert_eq!(code, 0x18);
        client.quiet().await;
        let (last, answer) = scram.last(&challenge);
        client.send(&auth(0x18, METHOD, &last)).await;
        assert_eq!(step(&client.packet().await), (0x00, answer));
    }
    let (message, _) = client.publication(0, "t", &[], b"still there");
    client.send(&message).await;
    assert_eq!(client.message().await.text(), "still there");
}

#[tokio::test]
async fn a_user_who_is_removed_or_changed_while_logging_in_is_not_let_in() {
    let (site, file) = site_with(|_| {}).await;
    for (number, change) in [
        (1, (|folder| drop(users(folder, "brush"))) as fn(&TempDir)),
        (2, |folder| std::fs::write(folder.path().join("users"), "# nobody\n").unwrap()),
    ] {
        let (mut client, scram) = (open(&site, "listen").await, Scram::new("anna", "pencil"));
        let challenge = challenged(&mut client, "x", &scram).await;
        change(&site.folder);
        site.broker.reload();
        client.send(&auth(0x18, METHOD, &scram.last(&challenge).0)).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[1]), (0x20, 0x87));
        client.expect_end().await;
        assert!(site.broker.clients().is_empty());
        until("the end", || site.broker.stats().connects_refused == number).await;
        users(&site.folder, "pencil");
        site.broker.reload();
    }
    assert!(file.exists());
    assert_eq!(log_in(&site, "listen", &Scram::new("anna", "pencil")).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_re_authentication_that_is_not_finished_in_time_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    std::fs::write(&rules, "everyone: {}").unwrap();
    let password_file = Some(users(&folder, "pencil"));
    let broker = Broker::new(Config { password_file, access_file: Some(rules), ..Config::default() });
    broker.reload();
    let (mut client, scram) = (crate::client::pipe(&broker), Scram::new("anna", "pencil"));
    client.level = 5;
    let challenge = challenged(&mut client, "x", &scram).await;
    client.send(&auth(0x18, METHOD, &scram.last(&challenge).0)).await;
    assert_eq!(client.packet().await.0, 0x20);
    let started = tokio::time::Instant::now();
    client.send(&auth(0x19, METHOD, &scram.first())).await;
    assert_eq!(step(&client.packet().await).0, 0x18);
    // Whatever else it says meanwhile gives it no more time.
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        client.quiet().await;
    }
    client.expect_refusal(0x87).await;
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn what_somebody_sends_before_the_login_is_small() {
    let (site, _) = site_with(|_| {}).await;
    let mut client = open(&site, "listen").await;
    challenged(&mut client, "x", &Scram::new("anna", "pencil")).await;
    // An AUTH that claims 9,000 bytes, of which none follow.
    client.send(&[0xf0, 0xa8, 0x46]).await;
    let (first, body) = client.packet().await;
    assert_eq!((first, body[1]), (0x20, 0x95));
    // A CONNECT that claims 200,000, far below the limit for packets.
    let mut client = open(&site, "listen").await;
    client.send(&[0x10, 0xc0, 0x9a, 0x0c, 0, 4, b'M', b'Q']).await;
    client.expect_end().await;
    until("both", || site.broker.stats().packets_too_large == 2).await;
    // One with the largest will there can be is no trouble.
    let mut connect = Connect::v5("x");
    let payload: &'static [u8] = vec![b'x'; 65_535].leak();
    connect.will =
        Some(crate::client::Will { topic: "t", payload, qos: 0, retain: false, properties: vec![] });
    connect.login = Some(("bert".into(), "other".into()));
    open(&site, "listen").await.greet(&connect).await;
}

#[tokio::test]
async fn a_failed_re_authentication_ends_the_connection() {
    let (site, file) = site_with(|_| {}).await;
    let scram = Scram::new("anna", "pencil");
    let again = |scram: &Scram| auth(0x19, METHOD, &scram.first());
    for (name, sent, code) in [
        ("another method", auth(0x19, "SCRAM-SHA-1", &scram.first()), 0x82),
        ("no exchange to go on with", auth(0x18, METHOD, b"c=biws"), 0x82),
        ("success from a client", auth(0x00, METHOD, b"x"), 0x82),
        ("no method", vec![0xf0, 0], 0x82),
        ("another user", again(&Scram::new("bert", "other")), 0x87),
        ("no message of the method", auth(0x19, METHOD, b"hello"), 0x87),
    ] {
        let mut client = logged_in(&site, "anna-1").await;
        client.send(&sent).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[0]), (0xe0, code), "{name}");
        client.expect_end().await;
    }
    // Twice at once.
    let mut client = logged_in(&site, "anna-1").await;
    client.send(&[again(&scram), again(&scram)].concat()).await;
    assert_eq!(step(&client.packet().await).0, 0x18);
    client.expect_refusal(0x82).await;
    // With another password.
    let mut client = logged_in(&site, "anna-1").await;
    client.send(&again(&scram)).await;
    let challenge = step(&client.packet().await).1;
    client.send(&auth(0x18, METHOD, &Scram::new("anna", "Pencil").last(&challenge).0)).await;
    client.expect_refusal(0x87).await;
    // A change of the password ends what began with the old one, as for any user.
    let mut client = logged_in(&site, "anna-1").await;
    users(&site.folder, "brush");
    assert_eq!(file, site.folder.path().join("users"));
    site.broker.reload();
    client.expect_refusal(0x87).await;
    assert_eq!(log_in(&site, "listen", &scram).await, 0x86);
    assert_eq!(log_in(&site, "listen", &Scram::new("anna", "brush")).await, 0);
}

#[tokio::test]
async fn a_client_without_a_method_may_send_no_auth() {
    let broker = Broker::new(Config::default());
    let mut client = crate::client::pipe(&broker);
    client.greet(&Connect::v5("x")).await;
    client.send(&auth(0x19, METHOD, b"n,,n=anna,r=12345678")).await;
    client.expect_refusal(0x82).await;
    // Nor before it has connected.
    let mut client = crate::client::pipe(&broker);
    client.send(&auth(0x18, METHOD, b"x")).await;
    client.expect_end().await;
}

#[tokio::test]
async fn an_independent_client_logs_in() {
    let (site, file) = site_with(|_| {}).await;
    // As the command writes it.
    let mut passwd = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["passwd", "--scram", "--iterations", "5000"])
        .arg(&file)
        .arg("carl=x,y")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = passwd.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"p4ss, w=rd\n").await.unwrap();
    drop(stdin);
    assert!(passwd.wait().await.unwrap().success());
    assert!(std::fs::read_to_string(&file).unwrap().contains("carl=x,y:$scram-sha-256$i=5000$"));
    site.broker.reload();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/broker_scram.py");
    for (user, password) in [("anna", "pencil"), ("carl=x,y", "p4ss, w=rd")] {
        let output = Command::new(python())
            .arg(&script)
            .args(["127.0.0.1", &site.port("listen").to_string(), user, password])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out == "all passed\n", "{user}\n{out}\n{err}");
    }
}
