//! What the tests inside the kernel share: modules, parameters, a running gateway and its readings.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iogate::bus::Subscription;
use iogate::clock::Clock;
use iogate::config::{self, Surroundings};
use iogate::gateway::Gateway;
use iogate::model::{Quality, Reading, Reason, Value};

/// How long to wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where the machine is said to be quiet (`IOGATE_HIL_QUIET`), this must not have taken longer than that.
/// Elsewhere a time says more about the machine than about the gateway; it is printed only.
pub(crate) fn prompt(took: Duration, limit: Duration) {
    let quiet = std::env::var_os("HIL_QUIET").is_some_and(|value| !value.is_empty());
    assert!(!quiet || took < limit, "{took:?} instead of less than {limit:?}");
}

/// The gateway as a process, which does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts the gateway with a configuration file.
    pub(crate) fn start(config: &Path) -> Self {
        Self(Self::command(config).spawn().unwrap())
    }

    /// Starts it, with a folder for its state where it is to have one, and reads from its log where its broker
    /// listens; the rest of the log goes on to ours.
    pub(crate) fn listening(config: &Path, state: Option<&Path>) -> (Self, SocketAddr) {
        let mut command = Self::command(config);
        command.envs(state.map(|state| ("STATE_DIRECTORY", state)));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let process = Self(child);
        let address = lines
            .by_ref()
            .find_map(|line| line.split("mqtt=").nth(1)?.split_whitespace().next()?.parse().ok())
            .expect("the gateway starts");
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        (process, address)
    }

    fn command(config: &Path) -> Command {
        let other = std::env::var_os("HIL_PROGRAM").filter(|path| !path.is_empty());
        let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_iogate").into()));
        command.args(["run", "-c"]).arg(config).stdout(Stdio::null());
        command
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Loads a module of the folder beside the kernel.
pub(crate) fn load(module: &str) {
    let folder =
        PathBuf::from(std::env::var_os("HIL_MODULES").expect("this test runs in the user-mode kernel"));
    let file = fs::File::open(folder.join(format!("{module}.ko"))).unwrap();
    match rustix::system::finit_module(&file, &CString::default(), 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => panic!("{module}: {error}"),
    }
}

/// Sets a parameter of a loaded module.
pub(crate) fn parameter(module: &str, name: &str, value: &str) {
    fs::write(format!("/sys/module/{module}/parameters/{name}"), value).unwrap();
}

/// Waits until a file or folder is there, or is not.
pub(crate) fn until_there(path: &Path, there: bool) {
    let begun = Instant::now();
    while path.exists() != there {
        assert!(begun.elapsed() < PATIENCE, "{}: there is {there} not to come", path.display());
        std::thread::yield_now();
    }
}

/// A gateway at work inside the kernel.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    readings: Subscription,
}

impl Stage {
    /// Starts the gateway of a configuration, with a broker on a free port and no page.
    pub(crate) async fn start(yaml: &str) -> Self {
        let yaml = format!("site: hil\nbroker: {{ listen: 127.0.0.1:0 }}\nweb: {{ enabled: off }}\n{yaml}");
        let plan = config::load_str(&yaml, "hil.yaml", &Surroundings::none())
            .unwrap_or_else(|report| panic!("{report}"));
        let gateway = Gateway::start(plan, Clock::system()).await.unwrap();
        let readings = gateway.bus.subscribe(100_000);
        Self { gateway, readings }
    }

    /// The next reading of a point that is as it should be, and how long it took.
    pub(crate) async fn wait(&self, point: &str, fits: impl Fn(&Reading) -> bool) -> (Reading, Duration) {
        let id = self.gateway.bus.points().by_name(point).unwrap().id;
        let begun = Instant::now();
        let mut batch = Vec::new();
        let search = async {
            loop {
                self.readings.recv(&mut batch).await;
                if let Some(found) = batch.drain(..).find(|reading| reading.point == id && fits(reading)) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        let found = found.unwrap_or_else(|_| panic!("{point}: {:?}", self.gateway.bus.latest(id)));
        (found, begun.elapsed())
    }

    /// Waits for a good number near this one.
    pub(crate) async fn number(&self, point: &str, expected: f64, within: f64) -> Duration {
        let near = |reading: &Reading| {
            let number = reading.value.as_ref().and_then(Value::as_f64);
            reading.quality.is_good() && number.is_some_and(|number| (number - expected).abs() <= within)
        };
        self.wait(point, near).await.1
    }

    /// Waits for a good state.
    pub(crate) async fn state(&self, point: &str, expected: bool) -> Duration {
        let is =
            |reading: &Reading| reading.quality.is_good() && reading.value == Some(Value::Bool(expected));
        self.wait(point, is).await.1
    }

    /// Waits for a bad reading with this reason.
    pub(crate) async fn bad(&self, point: &str, reason: Reason) -> Reading {
        self.wait(point, |reading| reading.quality == Quality::Bad(reason)).await.0
    }

    /// Stops it; every output must confirm its safe state.
    pub(crate) async fn stop(self) {
        assert_eq!(self.gateway.stop().await, Vec::<std::sync::Arc<str>>::new());
    }
}
