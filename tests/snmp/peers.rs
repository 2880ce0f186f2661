//! Debian's snmpd (net-snmp) as the agent, in all three versions.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use iogate::model::{Outcome, Quality, Reason, Value};

use super::bench::{Running, plan};

/// What it has: one object of each type below a number that nobody owns.
const OBJECTS: &str = "
rocommunity lookonly 127.0.0.1
createUser modern SHA-256 \"the modern password\" AES \"the modern secret\"
createUser older SHA \"the older password\" AES \"the older secret\"
rouser modern priv
rouser older priv
sysName box
override 1.3.6.1.4.1.99999.1.0 octet_str \"23,5\"
override 1.3.6.1.4.1.99999.2.0 counter 4294967290
override 1.3.6.1.4.1.99999.3.0 integer -5
override 1.3.6.1.4.1.99999.4.0 uinteger 7
override 1.3.6.1.4.1.99999.5.0 timeticks 360000
override 1.3.6.1.4.1.99999.6.0 integer 2
";

/// A running agent.
pub(crate) struct Agent {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) address: String,
    objects: String,
}

impl Agent {
    pub(crate) fn start(objects: &str) -> Self {
        // It takes no port 0; nobody else is given this one so soon.
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let process = launch(folder.path(), &address, objects);
        Self { process, folder, address, objects: objects.to_owned() }
    }

    /// Ends it and starts it again, under the same address and with the engine that it was.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.process = launch(self.folder.path(), &self.address, &self.objects);
    }

    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        // It writes how often its engine has booted before it ends.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.process.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(folder: &Path, address: &str, objects: &str) -> Child {
    let config = folder.join("agent.conf");
    std::fs::write(&config, format!("agentaddress udp:{address}\n{objects}")).unwrap();
    Command::new("/usr/sbin/snmpd")
        .args(["-f", "-C", "-Lf", "/dev/null", "-c"])
        .arg(&config)
        .env("SNMP_PERSISTENT_DIR", folder)
        .env("SNMPCONFPATH", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("snmpd: bash tests/peers.sh installs it")
}

/// A gateway that reads the agent; `channel` says how it is spoken to.
fn read(agent: &Agent, channel: &str) -> Running {
    let yaml = format!(
        "
site: s
defaults: {{ poll: 50ms }}
channels: {{ agent: {{ snmp: {{ address: \"{}\", timeout: 1s, {channel} }} }} }}
devices:
  box:
    channel: agent
    points:
      temperature: {{ oid: 1.3.6.1.4.1.99999.1.0, decimal-comma: on, unit: °C }}
      name: {{ oid: 1.3.6.1.2.1.1.5.0, as: text }}
      whole: {{ oid: 1.3.6.1.4.1.99999.3.0, as: integer }}
      tenth: {{ oid: 1.3.6.1.4.1.99999.4.0, scale: 0.1 }}
      hours: {{ oid: 1.3.6.1.4.1.99999.5.0, scale: 0.01, unit: s }}
      off: {{ oid: 1.3.6.1.4.1.99999.6.0, as: state, on-word: \"1\", off-word: \"2\" }}
      raw: {{ oid: 1.3.6.1.4.1.99999.2.0, as: integer }}
      total: {{ oid: 1.3.6.1.4.1.99999.2.0, counts: total }}
      load: {{ oid: 1.3.6.1.4.1.2021.10.1.6.1 }}
      kind: {{ oid: 1.3.6.1.2.1.1.2.0, as: text }}
      nothing: {{ oid: 1.3.6.1.4.1.99999.9.0 }}
",
        agent.address
    );
    Running::as_configured(plan(&yaml))
}

/// Whether a point is good and this, but for what scaling by a decimal costs.
pub(crate) fn near(running: &Running, point: &str, expected: f64) -> bool {
    let latest = running.latest(point);
    let number = latest.value.as_ref().and_then(Value::as_f64);
    latest.quality.is_good() && number.is_some_and(|number| (number - expected).abs() < 1e-9)
}

async fn assert_all(running: &Running) {
    running.until_value("box/temperature", 23.5).await;
    running.until_value("box/name", "box").await;
    running.until_value("box/whole", -5_i64).await;
    running.until("0.7", |this| near(this, "box/tenth", 0.7)).await;
    running.until_value("box/hours", 3600.0).await;
    running.until_value("box/off", false).await;
    running.until_value("box/raw", Value::Int(4_294_967_290)).await;
    running.until_value("box/total", 0.0).await;
    running.until_value("box/kind", "1.3.6.1.4.1.8072.3.2.10").await;
    running.until("a load", |this| this.latest("box/load").quality.is_good()).await;
    running.until_bad("box/nothing", Reason::NotAvailable).await;
}

#[tokio::test]
async fn every_type_is_read_in_every_version() {
    let agent = Agent::start(OBJECTS);
    for channel in [
        "version: v1, community: lookonly",
        "community: lookonly",
        "community: lookonly, max-objects: 2",
        "user: { name: modern, password: the modern password, privacy-password: the modern secret }",
        "user: { name: older, auth: sha1, password: the older password, privacy-password: the older secret }",
    ] {
        let running = read(&agent, channel);
        assert_all(&running).await;
        running.stop().await;
    }
}

/// Of a wrong community nobody is told anything (RFC 1157, section 4.1), and what an agent says to a user that it does
/// not know carries no proof of where it comes from: whoever believed it could be silenced by anybody.
#[tokio::test]
async fn who_is_not_known_to_the_agent_gets_no_value() {
    let agent = Agent::start(OBJECTS);
    for channel in [
        "retries: 0, user: { name: modern, password: not the password, privacy-password: the modern secret }",
        "retries: 0, user: { name: modern, password: the modern password, privacy-password: not the secret }",
        "retries: 0, user: { name: nobody, password: not the password, privacy-password: the modern secret }",
        "retries: 0, community: wrong",
    ] {
        let running = read(&agent, channel);
        let refused = |this: &Running| {
            let quality = this.latest("box/temperature").quality;
            matches!(quality, Quality::Bad(Reason::Timeout | Reason::ErrorReply))
        };
        running.until(channel, refused).await;
        assert_eq!(running.latest("box/temperature").value, None, "{channel}");
        running.stop().await;
    }
}

#[tokio::test]
async fn an_agent_that_starts_again_is_read_again_with_its_new_time() {
    let mut agent = Agent::start(OBJECTS);
    let user = "retries: 0, user: { name: modern, password: the modern password, privacy-password: the modern secret }";
    let running = read(&agent, user);
    running.until_value("box/temperature", 23.5).await;
    agent.stop();
    running.until_bad("box/temperature", Reason::Timeout).await;
    assert_eq!(running.latest("box/temperature").value, Some(Value::Float(23.5)), "the last value stays");
    agent.restart();
    running.until_value("box/temperature", 23.5).await;
    running.stop().await;
}

/// A gateway that writes to the agent; `channel` says how it is spoken to.
fn driven(agent: &Agent, channel: &str) -> Running {
    let yaml = format!(
        "
site: s
defaults: {{ poll: 50ms }}
channels: {{ agent: {{ snmp: {{ address: \"{}\", timeout: 2s, {channel} }} }} }}
devices:
  box:
    channel: agent
    points:
      contact: {{ oid: 1.3.6.1.2.1.1.4.0, as: text, access: rw, safe: none }}
      traps: {{ oid: 1.3.6.1.2.1.11.30.0, as: state, on-word: \"1\", off-word: \"2\", access: rw, safe: none }}
      number: {{ oid: 1.3.6.1.2.1.11.30.0, as: integer }}
      name: {{ oid: 1.3.6.1.2.1.1.5.0, as: text, access: rw, safe: none }}
      place: {{ oid: 1.3.6.1.2.1.1.6.0, as: text, access: w, safe: none, snmp-type: text }}
      seen: {{ oid: 1.3.6.1.2.1.1.6.0, as: text }}
      odd: {{ oid: 1.3.6.1.2.1.1.9.1.3.1, as: text, access: rw, safe: none, snmp-type: integer }}
",
        agent.address
    );
    Running::as_configured(plan(&yaml))
}

const WRITERS: &str = "
rwcommunity write-too 127.0.0.1
rwuser modern priv
";

#[tokio::test]
async fn texts_and_numbers_are_written_in_every_version() {
    let agent = Agent::start(&OBJECTS.replace("rouser modern priv\n", WRITERS));
    for (place, (channel, refused)) in [
        ("version: v1, community: write-too", "noSuchName"),
        ("community: lookonly, write-community: write-too", "notWritable"),
        (
            "user: { name: modern, password: the modern password, privacy-password: the modern secret }",
            "notWritable",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let running = driven(&agent, channel);
        running.until_value("box/name", "box").await;
        let contact = format!("ops{place}@example.com");
        let read_back = Value::from(contact.as_str());
        assert_eq!(running.write("box/contact", contact.as_str()).await, Outcome::Verified { read_back });
        for (state, number) in [(true, 1_i64), (false, 2)] {
            let read_back = Value::Bool(state);
            assert_eq!(running.write("box/traps", state).await, Outcome::Verified { read_back });
            running.until_value("box/number", number).await;
        }
        // It is fixed in the agent's configuration.
        let Outcome::Failed(said) = running.write("box/name", "other").await else { panic!("refused") };
        assert!(said.contains(refused), "{channel}: {said}");
        assert_eq!(running.write("box/place", format!("rack {place}").as_str()).await, Outcome::Confirmed);
        running.until_value("box/seen", format!("rack {place}").as_str()).await;
        assert!(matches!(running.write("box/odd", "x").await, Outcome::Rejected(_)), "no number");
        running.stop().await;
    }
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let agent = Agent::start(OBJECTS);
    let running = driven(&agent, "community: lookonly");
    running.until_value("box/name", "box").await;
    let Outcome::Failed(said) = running.write("box/traps", true).await else { panic!("refused") };
    assert!(said.contains("noAccess") && said.contains("community"), "{said}");
    running.stop().await;
}
