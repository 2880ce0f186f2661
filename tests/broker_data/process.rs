//! The broker as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Running {
    process: Child,
    pub(crate) port: u16,
}

impl Running {
    pub(crate) fn command(data: &Path, durability: &str) -> Command {
        let program = std::env::var_os("IOGATE_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_iogate").into());
        let mut command = Command::new(program);
        command
            .args(["--log", "warn", "broker", "--port", "0", "--durability", durability, "--data"])
            .arg(data);
        command
    }

    pub(crate) fn start(data: &Path, durability: &str) -> Self {
        Self::try_start(Self::command(data, durability)).expect("the broker starts")
    }

    /// `None`: it did not start, and said so by its exit code.
    pub(crate) fn try_start(mut command: Command) -> Option<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        if line.is_empty() {
            assert_eq!(process.wait().unwrap().code(), Some(4));
            return None;
        }
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        // Whoever writes to a closed pipe gets an error.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Some(Self { process, port })
    }

    /// As `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// As a service manager does it.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
