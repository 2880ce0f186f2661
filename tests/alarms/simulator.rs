//! `iogate simulate` as a process, told what its devices shall do and asked what they are.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Simulator {
    child: Child,
    control: BufReader<TcpStream>,
    /// Where each channel is served, by its name.
    pub(crate) endpoints: serde_json::Value,
}

impl Simulator {
    /// Serves the devices of this configuration; serial ports are links in the directory, with the names of their channels.
    pub(crate) fn start(program: &Path, directory: &Path, config: &str) -> Self {
        let in_directory = |name: &str| -> PathBuf { directory.join(name) };
        std::fs::write(in_directory("devices.yaml"), config).unwrap();
        let mut child = Command::new(program)
            .args(["simulate", "--control", "127.0.0.1:0", "-c"])
            .arg(in_directory("devices.yaml"))
            .arg("--endpoints")
            .arg(in_directory("endpoints.json"))
            .arg("--links")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut control = String::new();
        for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
            let line = line.expect("readable");
            if let Some(address) = line.strip_prefix("control  ") {
                control = address.to_owned();
            }
            if line.contains("`help`") {
                break;
            }
        }
        let stream = TcpStream::connect(&control).unwrap_or_else(|error| panic!("{control}: {error}"));
        stream.set_nodelay(true).unwrap();
        let endpoints = std::fs::read(in_directory("endpoints.json")).unwrap();
        let endpoints = serde_json::from_slice(&endpoints).unwrap();
        Self { child, control: BufReader::new(stream), endpoints }
    }

    /// Gives one command and returns what it prints.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        self.control.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.control.read_line(&mut line).unwrap(), 0, "the simulator ended");
            match line.trim() {
                "ok" => return answer,
                error if error.starts_with("error: ") => panic!("{command}: {error}"),
                _ => answer.push_str(&line),
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
