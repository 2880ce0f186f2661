//! People are told of alarms: against a real mail server (aiosmtpd) and a real web server, and by the whole program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use iogate::model::{
    AlarmChange, AlarmEvent, AlarmState, AlarmStatus, NotifierTally, Severity, Stamp, Texts, Value,
};
use iogate::notify::{Config, Failure, Notifier, try_out};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The servers of `peers/notify.py`.
struct Servers {
    process: Child,
    /// They end when this is closed.
    _hold: ChildStdin,
    said: Receiver<Json>,
    ports: Json,
    files: tempfile::TempDir,
}

impl Servers {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = root.join("tests/.peers/venv/bin/python");
        let python = std::env::var_os("IOGATE_PEERS_PYTHON").map_or(made, PathBuf::from);
        let files = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let mut process = Command::new(python)
            .arg(root.join("tests/peers/notify.py"))
            .args([&certificate, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed by tests/peers.sh");
        let (hold, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = say.send(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        let ports = said.recv_timeout(PATIENCE).expect("the servers start");
        Self { process, _hold: hold, said, ports, files }
    }

    fn next(&self) -> Json {
        self.said.recv_timeout(PATIENCE).expect("something arrives")
    }

    fn mail(&self, to: &str, password: &str) -> Json {
        json!({
            "server": "localhost", "port": self.ports["mail"], "ca": self.files.path().join("cert.pem"),
            "user": "kim", "password": password, "from": "Press hall <gw@example.com>", "to": [to],
        })
    }

    fn web(&self, path: &str) -> Json {
        let url = format!("http://127.0.0.1:{}{path}", self.ports["web"]);
        json!({ "url": url, "headers": { "Authorization": "Bearer t0ken" } })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(json: Json) -> Config {
    let config: Config = serde_json::from_value(json).unwrap();
    assert_eq!(config.problems(), []);
    config
}

fn raised(name: &str) -> AlarmEvent {
    let at = Stamp { mono: Instant::now(), unix_us: 1_795_219_200_000_000 };
    let status = AlarmStatus {
        name: name.into(),
        point: None,
        device: Some("press".into()),
        severity: Severity::Critical,
        class: None,
        groups: Arc::new([]),
        state: AlarmState::ActiveUnacknowledged,
        active: true,
        pending: false,
        blind: false,
        condition: Some("high"),
        value: Some(Value::Float(61.5)),
        since: Some(at),
        shelved_until_us: None,
        message: Texts {
            en: Some("Platen at 61.5 °C".into()), ko: Some("프레스 온도 61.5 °C".into())
        },
        help: Texts::default(),
        by: None,
        comment: None,
        chattering: false,
        shelve_offer: None,
        first_of: Vec::new(),
    };
    AlarmEvent { change: AlarmChange::Raised, at, from: AlarmState::Normal, by: None, comment: None, status }
}

fn returned(name: &str) -> AlarmEvent {
    let mut event = raised(name);
    (event.change, event.status.state) = (AlarmChange::Returned, AlarmState::ReturnedUnacknowledged);
    event
}

/// A notifier at work.
fn running(json: Json) -> (Arc<Notifier>, CancellationToken) {
    let notifier = Arc::new(Notifier::new("duty".into(), "busan", config(json)));
    let (own, stop) = (Arc::clone(&notifier), CancellationToken::new());
    let token = stop.clone();
    tokio::spawn(async move { own.run(token).await });
    (notifier, stop)
}

/// Waits until the counts are as wanted.
async fn until(notifier: &Notifier, wanted: impl Fn(&NotifierTally) -> bool) -> NotifierTally {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tally = notifier.tally();
        if wanted(&tally) {
            return tally;
        }
        assert!(Instant::now() < deadline, "it stays {tally:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_arrives_encrypted_in_korean_and_so_does_the_recovery() {
    let servers = Servers::start();
    let (notifier, stop) =
        running(json!({ "mail": servers.mail("lee@example.com", "secret"), "language": "ko" }));
    notifier.tell(&raised("hot"), None);
    let mail = servers.next();
    assert_eq!(
        (&mail["way"], &mail["tls"], &mail["user"]),
        (&json!("mail"), &json!(true), &json!("kim")),
        "{mail}"
    );
    assert_eq!((&mail["from"], &mail["to"]), (&json!("gw@example.com"), &json!(["lee@example.com"])));
    assert_eq!(mail["subject"], "[busan] 발생 (위급): 프레스 온도 61.5 °C");
    assert!(mail["body"].as_str().unwrap().contains("값: 61.5"), "{mail}");
    notifier.tell(&returned("hot"), None);
    assert!(servers.next()["subject"].as_str().unwrap().starts_with("[busan] 복귀"));
    assert_eq!(until(&notifier, |tally| tally.sent == 2).await.trouble, None);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_goes_in_the_clear_or_under_tls_from_the_first_byte_as_it_is_said() {
    let servers = Servers::start();
    let clear = json!({ "mail": {
        "server": "127.0.0.1", "port": servers.ports["clear"], "tls": "none", "from": "gw@example.com", "to": ["lee@example.com"],
    } });
    let (notifier, first) = running(clear);
    notifier.tell(&raised("hot"), None);
    let mail = servers.next();
    assert_eq!((&mail["tls"], &mail["user"]), (&json!(false), &Json::Null), "{mail}");
    assert_eq!(mail["subject"], "[busan] ALARM (CRITICAL): Platen at 61.5 °C");
    let mut wrapped = servers.mail("lee@example.com", "secret");
    (wrapped["tls"], wrapped["port"]) = (json!("implicit"), servers.ports["implicit"].clone());
    let (notifier, second) = running(json!({ "mail": wrapped }));
    notifier.tell(&raised("hot"), None);
    let mail = servers.next();
    assert_eq!(
        (&mail["user"], &mail["headerFrom"]),
        (&json!("kim"), &json!("Press hall <gw@example.com>")),
        "{mail}"
    );
    // Whoever wants encryption gets no message through a server that has none.
    let mut strict = servers.mail("lee@example.com", "secret");
    strict["port"] = servers.ports["clear"].clone();
    let (notifier, third) = running(json!({ "mail": strict }));
    notifier.tell(&raised("hot"), None);
    let tally = until(&notifier, |tally| tally.failed > 0).await;
    assert_eq!(tally.sent, 0, "{tally:?}");
    for stop in [first, second, third] {
        stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_for_the_moment_arrives_later_and_what_it_refuses_for_good_does_not() {
    let servers = Servers::start();
    let (patient, first) = running(json!({ "mail": servers.mail("later@example.com", "secret") }));
    patient.tell(&raised("hot"), None);
    assert_eq!(servers.next()["refused"], 451);
    let trouble = until(&patient, |tally| tally.failed == 1).await.trouble;
    assert!(trouble.as_deref().is_some_and(|why| why.contains("later")), "{trouble:?}");
    assert_eq!(servers.next()["subject"], "[busan] ALARM (CRITICAL): Platen at 61.5 °C");
    until(&patient, |tally| tally.sent == 1 && tally.trouble.is_none()).await;

    let (wrong, second) = running(json!({ "mail": servers.mail("lee@example.com", "guess") }));
    wrong.tell(&raised("hot"), None);
    let tally = until(&wrong, |tally| tally.dropped == 1).await;
    assert!(tally.trouble.as_deref().is_some_and(|why| why.contains("535")), "{tally:?}");
    for stop in [first, second] {
        stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_webhook_gets_json_and_a_flood_is_one_message() {
    let servers = Servers::start();
    let (notifier, stop) = running(json!({ "webhook": servers.web("/hook"), "messages": 2, "within": "1h" }));
    notifier.tell(&raised("hot"), None);
    let first = servers.next();
    assert_eq!((&first["path"], &first["type"]), (&json!("/hook"), &json!("application/json")));
    assert_eq!(first["authorization"], "Bearer t0ken");
    assert_eq!((&first["json"]["alarm"], &first["json"]["event"]), (&json!("hot"), &json!("raised")));
    until(&notifier, |tally| tally.sent == 1).await;
    // The notifier's only thread is held meanwhile, so that it finds them all at once.
    let (held, is_held) = mpsc::channel();
    let (let_go, may_go) = mpsc::channel::<()>();
    tokio::spawn(async move {
        held.send(()).unwrap();
        may_go.recv().unwrap();
    });
    is_held.recv().unwrap();
    for number in 0..500 {
        notifier.tell(&raised(&format!("a{number}")), None);
    }
    let_go.send(()).unwrap();
    let flood = servers.next();
    assert_eq!(flood["json"]["kind"], "digest");
    let tally = until(&notifier, |tally| tally.sent == 2).await;
    assert_eq!((tally.digests, &flood["json"]["came"], tally.waiting), (1, &json!(500), 0), "{tally:?}");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tried_again_after_503_and_not_after_404_and_its_certificate_is_checked() {
    let servers = Servers::start();
    let (patient, first) = running(json!({ "webhook": servers.web("/later") }));
    patient.tell(&raised("hot"), None);
    assert_eq!(
        (servers.next()["status"].clone(), servers.next()["status"].clone()),
        (json!(503), json!(200))
    );
    let (wrong, second) = running(json!({ "webhook": servers.web("/never") }));
    wrong.tell(&raised("hot"), None);
    assert_eq!(servers.next()["status"], 404);
    until(&wrong, |tally| tally.dropped == 1 && tally.failed == 1).await;
    for stop in [first, second] {
        stop.cancel();
    }
    let url = format!("https://localhost:{}/safe", servers.ports["secure"]);
    let trusting = config(json!({ "webhook": { "url": url, "ca": servers.files.path().join("cert.pem") } }));
    try_out("duty", "busan", &trusting).await.unwrap();
    assert_eq!(servers.next()["json"]["kind"], "test");
    let strange = config(json!({ "webhook": { "url": url } }));
    let refused = try_out("duty", "busan", &strange).await.unwrap_err();
    assert!(matches!(&refused, Failure::Passing(why) if why.contains("certificate")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_delays_nobody_who_tells() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let (notifier, stop) = running(json!({ "webhook": { "url": url }, "timeout": "1s" }));
    notifier.tell(&raised("first"), None);
    let _held = silent.accept().await.unwrap();
    for number in 0..10_000 {
        notifier.tell(&raised(&format!("a{number}")), None);
    }
    let tally = until(&notifier, |tally| tally.failed == 1).await;
    assert_eq!((tally.waiting, tally.dropped), (10_001, 0));
    assert!(tally.trouble.as_deref().is_some_and(|why| why.contains("longer than 1s")), "{tally:?}");
    stop.cancel();
}

/// A configuration whose alarm is raised by the machine's own uptime.
fn gateway_config(servers: &Servers, directory: &Path) -> PathBuf {
    std::fs::write(directory.join("token"), "Bearer t0ken\n").unwrap();
    let yaml = format!(
        "site: busan\n\
         channels: {{ own: {{ system: {{}} }} }}\n\
         devices: {{ box: {{ channel: own, points: {{ uptime: {{ figure: uptime }} }} }} }}\n\
         alarms: {{ up: {{ point: box/uptime, high: 1, severity: high }} }}\n\
         notify:\n  duty:\n    webhook:\n      url: http://127.0.0.1:{}/hook\n      headers: {{ Authorization: file:token }}\n    severity: high\n",
        servers.ports["web"]
    );
    let path = directory.join("iogate.yaml");
    std::fs::write(&path, yaml).unwrap();
    path
}

/// The program with a state directory, as the service has it.
fn start(path: &Path, directory: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
        .arg(path)
        .env("STATE_DIRECTORY", directory)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until a query on the store of the alarms gives a number of at least 1.
fn stored(directory: &Path, query: &str) {
    let file = directory.join("alarms.sqlite");
    let deadline = Instant::now() + PATIENCE;
    let ask = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(&file, flags).ok()?;
        connection.query_row(query, [], |row| row.get::<_, i64>(0)).ok()
    };
    while ask().is_none_or(|number| number < 1) {
        assert!(Instant::now() < deadline, "never: {query}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_was_not_told_before_a_kill_is_told_after_it_and_only_once() {
    let servers = Servers::start();
    let directory = tempfile::tempdir().unwrap();
    let path = gateway_config(&servers, directory.path());
    let right = std::fs::read_to_string(&path).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/hook", nobody.local_addr().unwrap());
    let url = format!("http://127.0.0.1:{}/hook", servers.ports["web"]);
    std::fs::write(&path, right.replace(&url, &dead)).unwrap();
    let mut gateway = start(&path, directory.path());
    stored(directory.path(), "SELECT count(*) FROM journal WHERE event = 'raised'");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    // The server is there again, and the alarm stands as it stood: it does not come anew.
    std::fs::write(&path, &right).unwrap();
    let mut gateway = start(&path, directory.path());
    let told = servers.next();
    let json = &told["json"];
    assert_eq!(
        (&json["kind"], &json["alarm"], &json["event"]),
        (&json!("alarm"), &json!("up"), &json!("raised"))
    );
    assert_eq!((&json["state"], &json["condition"]), (&json!("active-unacknowledged"), &json!("high")));
    assert!(json["value"].as_f64().is_some_and(|seconds| seconds >= 1.0), "{told}");
    stored(
        directory.path(),
        "SELECT entry = (SELECT max(id) FROM journal) FROM told WHERE notifier = 'duty'",
    );
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("alarms.sqlite")).unwrap();
    let raised: i64 = connection
        .query_row("SELECT count(*) FROM journal WHERE event = 'raised'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(raised, 1, "it was the same alarm");
    // Started once more, it has nothing to tell but the test message.
    let mut gateway = start(&path, directory.path());
    let output = Command::new(env!("CARGO_BIN_EXE_iogate"))
        .args(["notify", "test", "duty", "-c"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(servers.next()["json"]["kind"], "test");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
}

#[test]
fn the_program_tells_of_its_alarms_and_a_test_message_shows_that_it_can() {
    let servers = Servers::start();
    let directory = tempfile::tempdir().unwrap();
    let path = gateway_config(&servers, directory.path());
    let iogate = || Command::new(env!("CARGO_BIN_EXE_iogate"));
    let output = iogate().args(["notify", "test", "duty", "-c"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let test = servers.next();
    assert_eq!((&test["json"]["kind"], &test["authorization"]), (&json!("test"), &json!("Bearer t0ken")));
    let unknown = iogate().args(["notify", "test", "duties", "-c"]).arg(&path).output().unwrap();
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("there is no notifier `duties`"),
        "{unknown:?}"
    );

    let mut gateway = iogate()
        .args(["run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
        .arg(&path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = servers.next();
    let _ = gateway.kill();
    let _ = gateway.wait();
    assert_eq!((&told["json"]["alarm"], &told["json"]["severity"]), (&json!("up"), &json!("high")), "{told}");
}
