//! The brokers that are measured: `iogate broker`, and Mosquitto (or another build of iogate) as the baseline.
//!
//! Each is a process of its own on free loopback ports, without persistence; everything else is as shipped,
//! but that Mosquitto's limits of queues and of messages in flight are off.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Outcome;
use crate::mosquitto::Mosquitto;
use crate::process::{Process, free_address};
use crate::wire::{Target, Through, Wire};

/// The user of brokers that have users, and its password.
pub(crate) const LOGIN: (&str, &str) = ("bench", "a password for the bench");

/// Who may do what at iogate: patterns that have to be matched with topics and filters.
const ACCESS: &str = "\
anonymous: { read: [bench/#, background/#, probe/+/point, crowd/+/topic], \
             write: [bench/+/point, background/+/point, probe/+/point] }
everyone: { read: [crowd/+/topic] }
";

/// What a broker is to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    Plain,
    Tls,
    WebSocket,
    /// Only for those who log in.
    Users,
    /// With a log, at one of its levels: iogate alone.
    Logged(&'static str),
}

/// A running broker; it ends when dropped.
pub(crate) struct Broker {
    pub(crate) process: Process,
    /// Where and how to connect.
    pub(crate) target: Target,
    /// Of its files.
    pub(crate) folder: TempDir,
}

/// Files that brokers with TLS or users need, made once per run.
pub(crate) struct Materials {
    folder: TempDir,
    client: Arc<ClientConfig>,
}

impl Materials {
    pub(crate) fn make() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(folder.path().join("cert.pem"), own.cert.pem())?;
        fs::write(folder.path().join("key.pem"), own.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone())?;
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { folder, client: Arc::new(client) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn through(&self, serving: Serving) -> Through {
        match serving {
            Serving::Tls => Through::Tls(Arc::clone(&self.client)),
            Serving::WebSocket => Through::WebSocket,
            Serving::Plain | Serving::Users | Serving::Logged(_) => Through::Nothing,
        }
    }

    /// Starts `iogate broker`. With TLS or WebSocket the clients use a listener beside the plain one.
    pub(crate) fn iogate(&self, program: &Path, serving: Serving) -> Outcome<Broker> {
        let folder = tempfile::tempdir()?;
        let (plain, second) = (free_address()?, free_address()?);
        let access = folder.path().join("access.yaml");
        fs::write(&access, ACCESS)?;
        let mut text = format!("broker:\n  max-connections: 10000\n  access-file: {}\n", access.display());
        match serving {
            Serving::Plain => {}
            Serving::Logged(level) => {
                let data = folder.path().join("data");
                write!(text, "  data: {}\n  durability: {level}\n", data.display())?;
            }
            Serving::Tls => {
                let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
                let (cert, key) = (cert.display(), key.display());
                write!(
                    text,
                    "  listeners:\n    tls: {{ address: {second}, tls: {{ cert: {cert}, key: {key} }} }}\n"
                )?;
            }
            Serving::WebSocket => {
                write!(text, "  listeners:\n    ws: {{ address: {second}, websocket: /mqtt }}\n")?;
            }
            Serving::Users => {
                let users = self.path("users");
                let hash = iogate::broker::auth::hash(LOGIN.1.as_bytes())?;
                fs::write(&users, format!("{}:{hash}\n", LOGIN.0))?;
                writeln!(text, "  password-file: {}", users.display())?;
            }
        }
        let file = folder.path().join("iogate.yaml");
        fs::write(&file, text)?;
        let port = plain.port().to_string();
        let process = Process::start(
            Command::new(program).args(["--log", "warn", "broker", "-p", &port, "-c"]).arg(&file),
        )?;
        let address = if matches!(serving, Serving::Tls | Serving::WebSocket) { second } else { plain };
        let target = Target { address, through: self.through(serving) };
        ready(Broker { process, target, folder }, serving)
    }

    /// Starts Mosquitto.
    pub(crate) fn mosquitto(&self, serving: Serving) -> Outcome<Broker> {
        let second = free_address()?;
        let lines = match serving {
            Serving::Plain | Serving::Logged(_) => "allow_anonymous true".to_owned(),
            Serving::Tls => {
                let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
                let (cert, key) = (cert.display(), key.display());
                format!("user root\nallow_anonymous true\ncertfile {cert}\nkeyfile {key}")
            }
            // With listeners for WebSocket alone 2.0.11 ends at once, so the plain one stays.
            Serving::WebSocket => {
                format!("allow_anonymous true\nlistener {}\nprotocol websockets", second.port())
            }
            Serving::Users => {
                let users = self.path("mosquitto-users");
                let mut command = Command::new("mosquitto_passwd");
                if !command.args(["-b", "-c"]).arg(&users).args([LOGIN.0, LOGIN.1]).status()?.success() {
                    return Err("mosquitto_passwd failed".into());
                }
                format!("user root\nallow_anonymous false\npassword_file {}", users.display())
            }
        };
        let Mosquitto { process, address, folder } = Mosquitto::start_with(&lines)?;
        let address = if serving == Serving::WebSocket { second } else { address };
        let target = Target { address, through: self.through(serving) };
        ready(Broker { process, target, folder }, serving)
    }
}

/// Waits until the broker lets a client in.
fn ready(mut broker: Broker, serving: Serving) -> Outcome<Broker> {
    let login = (serving == Serving::Users).then_some(LOGIN);
    Wire::open(&broker.target, "first", login)?;
    broker.process.check()?;
    Ok(broker)
}
