//! `iogate run` as a process that keeps its state in a directory, killed when dropped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) struct Process {
    pub(crate) child: Child,
    /// What it said until then.
    #[allow(dead_code, reason = "not every test looks at it")]
    pub(crate) told: String,
    /// Address and port of its page.
    pub(crate) page: String,
}

impl Process {
    /// Starts it with this configuration and waits until it serves.
    pub(crate) fn start(directory: &Path, config: &str) -> Self {
        let file = directory.join("iogate.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_iogate"))
            .args(["--log-format", "json", "run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
            .arg(file)
            .env("STATE_DIRECTORY", directory)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut told = String::new();
        let page = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("readable"), 0, "it ended: {told}");
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            if line.contains("gateway started") {
                let web = json["fields"]["web"].as_str().or_else(|| json["web"].as_str());
                break web.unwrap_or_else(|| panic!("no page in {line}")).to_owned();
            }
            told.push_str(&line);
        };
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, told, page }
    }
}

impl Drop for Process {
    /// SIGKILL: nothing can be put in order.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
