//! `iogate import mosquitto` as people run it, and the result beside Mosquitto itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

mod import {
    mod tls;
}

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn iogate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iogate")).args(arguments).output().unwrap()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// What Debian installs as mosquitto.conf, its folder led elsewhere.
fn debian(folder: &Path) -> String {
    std::fs::create_dir(folder.join("conf.d")).unwrap();
    let conf = format!(
        "# Place your local configuration in /etc/mosquitto/conf.d/\n\npid_file /run/mosquitto/mosquitto.pid\n\npersistence true\n\
         persistence_location /var/lib/mosquitto/\n\nlog_dest file /var/log/mosquitto/mosquitto.log\n\ninclude_dir {}\n",
        path(folder, "conf.d")
    );
    std::fs::write(folder.join("mosquitto.conf"), conf).unwrap();
    path(folder, "mosquitto.conf")
}

#[test]
fn debians_configuration_is_imported_checked_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let conf = debian(folder.path());
    let limits = "max_queued_messages 200\nmax_inflight_messages 20\nbogus 1\n";
    std::fs::write(folder.path().join("conf.d/limits.conf"), limits).unwrap();
    let made = path(folder.path(), "new/moved.yaml");
    let first = iogate(&["import", "mosquitto", &conf, "-o", &made]);
    let report = text(&first.stderr);
    assert_eq!(first.status.code(), Some(0), "{report}");
    for part in
        ["broker: data: /var/lib/iogate/broker", "limits.conf:3: bogus 1", "Not carried over:", "moved.yaml"]
    {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
    let checked = iogate(&["check", &made]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let again = iogate(&["import", "mosquitto", &conf, "-o", &made]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    let forced = iogate(&["import", "mosquitto", &conf, "-o", &made, "--force", "--json", "--site", "hall"]);
    let told: Json = serde_json::from_slice(&forced.stdout).unwrap();
    assert_eq!((&told["written"][0], &told["check"]), (&made.as_str().into(), &Json::Null));
    let notes = told["report"]["notes"].as_array().unwrap();
    let bogus = notes.iter().find(|note| note["directive"] == "bogus 1").unwrap();
    assert_eq!((&bogus["fate"], &bogus["line"]), (&"dropped".into(), &3.into()));
    assert!(std::fs::read_to_string(&made).unwrap().contains("site: \"hall\""));
    let missing = iogate(&["import", "mosquitto", "/nowhere/m.conf", "-o", &made, "--force"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/nowhere/m.conf"), "{}", text(&missing.stderr));
}

/// Every user's password, and who they are in the access list.
const USERS: [(&str, &str); 4] =
    [("roger", "rabbit"), ("anna", "geheim"), ("watch", "tower"), ("seed", "corn")];

const ACL: &str = "\
topic read public/#
user roger
topic foo/bar
topic read plant/#
topic deny plant/secret/#
topic write orders/+
user watch
topic read #
user seed
topic readwrite #
pattern readwrite home/%u/#
pattern write clients/%c/state
pattern read public/#
";

/// A site with users and an access list, whose only listener is a Unix socket.
fn site(folder: &Path) -> String {
    let passwords = path(folder, "passwords");
    for (index, (user, password)) in USERS.into_iter().enumerate() {
        let new = if index == 0 { &["-c"][..] } else { &[] };
        let mut command = Command::new("mosquitto_passwd");
        let made = command.args(new).args(["-b", &passwords, user, password]).output();
        assert!(made.expect("mosquitto is installed by tests/peers.sh").status.success());
    }
    std::fs::write(folder.join("acl"), ACL).unwrap();
    let mut conf =
        String::from("user root\nlog_dest stderr\nlog_type all\nallow_anonymous false\nsys_interval 1\n");
    for (key, name) in [("password_file", "passwords"), ("acl_file", "acl"), ("listener 0", "socket")] {
        writeln!(conf, "{key} {}", path(folder, name)).unwrap();
    }
    std::fs::write(folder.join("m.conf"), conf).unwrap();
    path(folder, "m.conf")
}

/// Where distributions put it; `sbin` is not in everyone's PATH.
const PROGRAMS: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

/// A broker that runs, and ends when dropped.
struct Running {
    child: Child,
    _log: Box<dyn BufRead>,
}

impl Running {
    fn mosquitto(conf: &str) -> Self {
        let program = PROGRAMS.iter().find(|path| Path::new(path).exists());
        let program = program.expect("mosquitto is installed by tests/peers.sh");
        let mut child = Command::new(program).args(["-c", conf]).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self::once(child, Box::new(log), "running")
    }

    fn iogate(yaml: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
        command
            .args(["broker", "-c", yaml, "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        Self::once(child, Box::new(log), "listening on")
    }

    /// Waits until it says that it runs.
    fn once(child: Child, mut log: Box<dyn BufRead>, word: &str) -> Self {
        let mut told = String::new();
        while !told.contains(word) {
            assert_ne!(log.read_line(&mut told).unwrap(), 0, "it ended: {told}");
        }
        Self { child, _log: log }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// One client of Mosquitto's.
fn client(program: &str, socket: &str, user: Option<(&str, &str)>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--unix", socket, "-V", "mqttv5"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some((user, password)) = user {
        command.args(["-u", user, "-P", password]);
    }
    command
}

/// Whether a client may publish: `Ok` with the broker's answer, or that it was not let in.
fn publishes(socket: &str, user: Option<(&str, &str)>, topic: &str) -> &'static str {
    // Each user has an identifier of its own: one whose user has just left may still be taken.
    let id = user.map_or("nobody", |user| user.0);
    let arguments = ["-i", id, "-q", "1", "-r", "-t", topic, "-m", "kept"];
    let output = client("mosquitto_pub", socket, user, &arguments).output().unwrap();
    let told = text(&output.stderr).to_lowercase();
    match (output.status.success(), told.contains("not authorized")) {
        (true, false) => "permitted",
        (true, true) => "denied",
        (false, _) => "not let in",
    }
}

/// Whether a client gets what is retained for a topic. What it may read in any case follows, and ends the wait.
fn reads(socket: &str, user: (&str, &str), topic: &str) -> &'static str {
    let arguments = ["-i", user.0, "-t", topic, "-t", "public/end", "-F", "%t"];
    let mut child = client("mosquitto_sub", socket, Some(user), &arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let before = lines.by_ref().take_while(|line| line != "public/end").any(|line| line == topic);
    child.kill().unwrap();
    child.wait().unwrap();
    if before { "read" } else { "unread" }
}

const TOPICS: [&str; 10] = [
    "foo/bar",
    "foo/other",
    "plant/a",
    "plant/secret/x",
    "orders/1",
    "orders/1/2",
    "home/roger/x",
    "home/anna/x",
    "clients/c1/state",
    "public/news",
];

/// What a broker says to every attempt.
fn verdicts(socket: &str, seed: impl Fn()) -> Vec<String> {
    let mut table = Vec::new();
    let wrong = [None, Some(("roger", "wrong")), Some(("nobody", "x"))];
    for user in wrong {
        table.push(format!("{user:?}: {}", publishes(socket, user, "public/x")));
    }
    for user in USERS {
        for topic in TOPICS {
            let topic = &*topic.replace("c1", user.0);
            table.push(format!("{} writes {topic}: {}", user.0, publishes(socket, Some(user), topic)));
        }
    }
    seed();
    for user in USERS {
        for topic in TOPICS {
            table.push(format!("{} reads {topic}: {}", user.0, reads(socket, user, topic)));
        }
    }
    table
}

/// Keeps a message for every topic. Only for that there is a user who may write everything.
fn keep_all(socket: &str, user: (&str, &str)) {
    for topic in TOPICS.iter().copied().chain(["public/end"]) {
        assert_eq!(publishes(socket, Some(user), topic), "permitted", "{topic}");
    }
}

#[test]
fn users_and_rules_mean_the_same_as_in_mosquitto() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, socket) = (site(folder.path()), path(folder.path(), "socket"));
    let admin = ("seed", "corn");
    let theirs = {
        let _broker = Running::mosquitto(&conf);
        verdicts(&socket, || keep_all(&socket, admin))
    };
    let _ = std::fs::remove_file(&socket);
    let made = path(folder.path(), "made/");
    let imported = iogate(&["import", "mosquitto", &conf, "-o", &made]);
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    for (name, mode) in [("mqtt-users", 0o600), ("access.yaml", 0o644), ("iogate.yaml", 0o644)] {
        let found = std::fs::metadata(format!("{made}{name}")).unwrap().permissions().mode() & 0o777;
        // The file mode of whoever runs the test may take permissions away, never add some.
        assert_eq!(found & !mode, 0, "{name}: {found:o}");
    }
    let checked = iogate(&["check", &format!("{made}iogate.yaml")]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let ours = {
        let _broker = Running::iogate(&format!("{made}iogate.yaml"));
        verdicts(&socket, || keep_all(&socket, admin))
    };
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs, ours);
    }
    for (word, least) in [("permitted", 8), ("denied", 10), ("not let in", 3), (": read", 10), ("unread", 8)]
    {
        let count = theirs.iter().filter(|verdict| verdict.contains(word)).count();
        assert!(count >= least, "{word}: {count} in {theirs:#?}");
    }
}

#[test]
fn a_bridges_password_is_in_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let conf = path(folder.path(), "m.conf");
    let bridge =
        "connection cloud\naddress 192.0.2.1\nremote_username u\nremote_password hush-hush\ntopic a/#\n";
    std::fs::write(&conf, bridge).unwrap();
    let made = path(folder.path(), "made/");
    let imported = iogate(&["import", "mosquitto", &conf, "-o", &made, "--json"]);
    let secret = format!("{made}cloud.password");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "hush-hush\n");
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = [
        text(&imported.stdout),
        text(&imported.stderr),
        std::fs::read_to_string(format!("{made}iogate.yaml")).unwrap(),
    ];
    assert!(shown.iter().all(|shown| !shown.contains("hush")), "{shown:?}");
    let told: Json = serde_json::from_str(&shown[0]).unwrap();
    let schema: Json = serde_json::from_slice(&iogate(&["schema"]).stdout).unwrap();
    if schema["properties"]["bridges"].is_object() {
        assert_eq!(told["check"], Json::Null);
    } else {
        // A build without bridges says so, and nothing else.
        assert!(told["check"].as_str().unwrap().contains("unknown key `bridges`"), "{told}");
    }
}
