//! The baseline's broker: a Mosquitto of this machine, on free loopback ports, without persistence or log.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Outcome;
use crate::process::{Process, free_address};

/// Where distributions put it; `sbin` is not in everyone's PATH.
const PROGRAMS: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

/// A running Mosquitto; it ends when dropped.
pub(crate) struct Mosquitto {
    /// The process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its configuration.
    pub(crate) folder: TempDir,
}

impl Mosquitto {
    /// Starts one. The limits on queues and on messages in flight are off: with its default of 20 in
    /// flight it would hold the publisher back, with its default queue it would drop messages.
    pub(crate) fn start() -> Outcome<Self> {
        Self::start_with("allow_anonymous true")
    }

    /// As [`Self::start`], with these lines in its configuration, which go with its first listener.
    pub(crate) fn start_with(lines: &str) -> Outcome<Self> {
        let program = PROGRAMS.iter().find(|path| Path::new(path).exists());
        let program = program.ok_or("mosquitto is not installed: apt-get install mosquitto")?;
        let address = free_address()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(
            &file,
            format!(
                "per_listener_settings false\npersistence false\nlog_dest none\nset_tcp_nodelay true\n\
                 max_inflight_messages 0\nmax_queued_messages 0\nlistener {} {}\n{lines}\n",
                address.port(),
                address.ip()
            ),
        )?;
        let process = Process::start(Command::new(program).arg("-c").arg(&file))?;
        Ok(Self { process, address, folder })
    }
}
