//! Users: passwords, delays for those who guess, and changes while clients are connected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use iogate::broker::auth::hash;
use iogate::broker::listen::BrokerListener;
use iogate::broker::{Config, ListenError, Listeners, QoS};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::{Client, Connect, Will, pipe, until, vanished};
use crate::listen::{Site, anywhere};

/// CONNECT of a user.
fn login(level: u8, id: &str, user: &str, password: &str) -> Connect {
    let mut connect = Connect::new(level, id);
    connect.login = Some((user.to_owned(), password.to_owned()));
    connect
}

/// A folder with a password file, and the configuration that names it.
fn with_users(lines: &[(&str, &str)]) -> (TempDir, PathBuf, Config) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    write(&file, lines);
    let config = Config { password_file: Some(file.clone()), ..Config::default() };
    (folder, file, config)
}

fn write(file: &PathBuf, lines: &[(&str, &str)]) {
    let text: String = lines
        .iter()
        .map(|(user, password)| format!("{user}:{}\n", hash(password.as_bytes()).unwrap()))
        .collect();
    std::fs::write(file, text).unwrap();
}

async fn open(site: &Site, listener: &str) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], site.port(listener)));
    Client::over(TcpStream::connect(address).await.unwrap())
}

/// Connects, and returns the code of the CONNACK.
async fn code(site: &Site, listener: &str, connect: &Connect) -> u8 {
    let mut client = open(site, listener).await;
    client.send(&connect.bytes()).await;
    let (first, body) = client.packet().await;
    assert_eq!(first, 0x20);
    body[1]
}

#[tokio::test]
async fn users_log_in_and_nobody_else_does() {
    let (folder, _, config) = with_users(&[("anna", "secret"), ("bert", "other")]);
    let open_one = BrokerListener { anonymous: true, ..anywhere() };
    let site = Site::start(config, folder, vec![("open", open_one)]).await;
    assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0);
    assert_eq!(code(&site, "listen", &login(4, "a4", "anna", "secret")).await, 0);
    for (user, password) in [("anna", "other"), ("carl", "secret"), ("", "secret"), ("anna", "")] {
        assert_eq!(code(&site, "open", &login(5, "x", user, password)).await, 0x86, "{user}");
    }
    // MQTT 3.1.1 section 3.2.2.3: 4 for a bad user name or password, 5 for no authorisation.
    assert_eq!(code(&site, "listen", &Connect::v4("x")).await, 5);
    assert_eq!(code(&site, "listen", &Connect::v5("x")).await, 0x87);
    assert_eq!(code(&site, "open", &Connect::v5("x")).await, 0);
    assert_eq!(site.broker.stats().logins_refused, 4);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_refused_and_who_is_known_is_not() {
    let (folder, _, config) = with_users(&[("anna", "secret")]);
    let site = Site::start(config, folder, Vec::new()).await;
    assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0);
    // All at once, so that the delays add up: the last ones are refused without a look at the password.
    let guesses =
        (0..30).map(async |n| code(&site, "listen", &login(5, &format!("g{n}"), "anna", "wrong")).await);
    let codes = futures_util::future::join_all(guesses).await;
    assert!(codes.iter().all(|code| matches!(code, 0x86 | 0x9f)), "{codes:x?}");
    let more = futures_util::future::join_all(
        (0..30).map(async |n| code(&site, "listen", &login(5, &format!("h{n}"), "anna", "wrong")).await),
    );
    assert!(more.await.contains(&0x9f));
    assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0);
}

#[tokio::test]
async fn a_user_that_is_removed_leaves_nothing_behind() {
    let (folder, file, config) = with_users(&[("anna", "secret"), ("bert", "other")]);
    let site = Site::start(config, folder, Vec::new()).await;
    let mut will = site.broker.subscribe(&[("will", QoS::AtMostOnce)], 4).unwrap();
    let mut absent = open(&site, "listen").await;
    absent.greet(&login(5, "absent", "anna", "secret").keeping()).await;
    absent.subscribe("t", 1).await;
    absent.drop_connection();
    vanished(&site.broker, "absent").await;
    let mut anna = open(&site, "listen").await;
    let mut connect = login(5, "anna-1", "anna", "secret").keeping();
    connect.will =
        Some(Will { topic: "will", payload: b"gone", qos: 0, retain: false, properties: Vec::new() });
    anna.greet(&connect).await;
    anna.subscribe("t", 1).await;
    let mut bert = open(&site, "listen").await;
    bert.greet(&login(5, "bert-1", "bert", "other")).await;
    bert.subscribe("t", 1).await;
    assert_eq!(site.broker.stats().subscriptions, 4);

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.lines().filter(|line| line.starts_with("bert:")).collect::<String>()).unwrap();
    site.broker.reload();
    anna.expect_refusal(0x87).await;
    assert_eq!((site.broker.stats().sessions, site.broker.stats().subscriptions), (1, 2));
    assert!(will.try_recv().is_none());
    bert.quiet().await;
    // Another hash is another password, though it may be of the same one: he logs in again.
    write(&file, &[("bert", "other")]);
    site.broker.reload();
    bert.expect_refusal(0x87).await;
    assert_eq!(code(&site, "listen", &login(5, "anna-1", "anna", "secret")).await, 0x86);
    assert_eq!(code(&site, "listen", &login(5, "bert-1", "bert", "other")).await, 0);
}

#[tokio::test]
async fn a_session_is_not_for_other_users() {
    let (folder, _, config) = with_users(&[("anna", "secret"), ("bert", "other")]);
    let site = Site::start(config, folder, Vec::new()).await;
    let mut anna = open(&site, "listen").await;
    anna.greet(&login(5, "shared", "anna", "secret").keeping()).await;
    assert_eq!(code(&site, "listen", &login(5, "shared", "bert", "other")).await, 0x85);
    assert_eq!(code(&site, "listen", &login(4, "shared", "bert", "other")).await, 2);
    anna.quiet().await;
}

#[tokio::test]
async fn a_damaged_password_file_never_opens_the_door() {
    let (folder, file, config) = with_users(&[("anna", "secret")]);
    let site = Site::start(config.clone(), folder, Vec::new()).await;
    // Once this is answered the file has been read.
    assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0);
    for damage in ["anna", "anna:plain", "anna:$7$0$$\n", "", "\n", "\u{fffd}"] {
        std::fs::write(&file, damage).unwrap();
        site.broker.reload();
        assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0, "the old users stay");
        assert_eq!(code(&site, "listen", &Connect::v5("x")).await, 0x87);
        let mut config = config.clone();
        config.listen.set_port(0);
        config.access_file = Some(site.folder.path().join("access.yaml"));
        assert!(matches!(Listeners::bind(&config).await, Err(ListenError::Users(_))), "{damage}");
        assert!(!config.file_problems().is_empty());
    }
    std::fs::remove_file(&file).unwrap();
    site.broker.reload();
    assert_eq!(code(&site, "listen", &Connect::v5("x")).await, 0x87);
    // No listener was bound by this broker, so nobody has read the file.
    let broker = iogate::broker::Broker::new(config);
    let mut client = pipe(&broker);
    client.send(&login(5, "a", "anna", "secret").bytes()).await;
    assert_eq!(client.packet().await.1[1], 0x86);
}

#[tokio::test]
async fn the_file_of_mosquitto_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    for (user, password, form) in [("anna", "secret", "sha512-pbkdf2"), ("bert", "Ünï", "sha512")] {
        let create: &[&str] = if file.exists() { &[] } else { &["-c"] };
        let output = Command::new("/usr/bin/mosquitto_passwd")
            .args(["-H", form, "-b"])
            .args(create)
            .arg(&file)
            .args([user, password])
            .output()
            .await
            .expect("mosquitto_passwd: run `bash tests/peers.sh` first");
        assert!(output.status.success(), "{output:?}");
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("anna:$7$") && text.contains("bert:$6$"), "{text}");
    let config = Config { password_file: Some(file), ..Config::default() };
    let site = Site::start(config, folder, Vec::new()).await;
    assert_eq!(code(&site, "listen", &login(5, "a", "anna", "secret")).await, 0);
    assert_eq!(code(&site, "listen", &login(5, "b", "bert", "Ünï")).await, 0);
    assert_eq!(code(&site, "listen", &login(5, "c", "bert", "secret")).await, 0x86);
}

#[tokio::test]
async fn the_command_writes_users_that_mosquitto_pub_logs_in_as() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let passwd = async |args: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
        command.arg("passwd").arg(&file).args(args);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that needs no password may be over already.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(passwd(&["anna"], "first\n").await.0);
    assert!(passwd(&["bert"], "other\r\n").await.0);
    assert!(passwd(&["anna"], "second").await.0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 3);
    assert!(passwd(&["carl"], "\n").await.1.contains("empty"));
    assert!(passwd(&["a/b"], "x\n").await.1.contains("no `:`"));
    assert!(passwd(&["carl", "--delete"], "").await.1.contains("no user `carl`"));
    let config = Config { password_file: Some(file.clone()), ..Config::default() };
    let site = Site::start(config, folder, Vec::new()).await;
    let publish = async |user: &str, password: &str| {
        let args = ["-u", user, "-P", password];
        site.publish("listen", &args).await.status.success()
    };
    assert!(publish("anna", "second").await && publish("bert", "other").await);
    assert!(!publish("anna", "first").await);
    assert!(passwd(&["bert", "--delete"], "").await.0);
    // Found by the watcher; nobody tells the broker.
    until("the removal", || std::fs::read_to_string(&file).unwrap().lines().count() == 2).await;
    loop {
        if !publish("bert", "other").await {
            break;
        }
    }
    std::fs::write(&file, "broken").unwrap();
    assert!(passwd(&["anna"], "x\n").await.1.contains("line 1"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "broken");
}
