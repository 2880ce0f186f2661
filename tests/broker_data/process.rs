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
        let mut command = Command::new(env!("CARGO_BIN_EXE_iogate"));
        command
            .args(["--log", "warn", "broker", "--port", "0", "--durability", durability, "--data"])
            .arg(data);
        command
    }

    pub(crate) fn start(data: &Path, durability: &str) -> Self {
        let mut command = Self::command(data, durability);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        // Whoever writes to a closed pipe gets an error.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { process, port }
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
