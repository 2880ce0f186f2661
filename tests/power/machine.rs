//! A machine whose power can be cut: a user-mode kernel with a disk of its own, and this system's files to read.
//!
//! Killing the kernel takes everything with it that it had not written to its disk, as a power cut does.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Lines that begin with this are for the test; the rest is what kernel and programs say.
pub(crate) const MARK: &str = "@";

/// The kernel, where `tests/kernel.sh` finds it too.
pub(crate) fn kernel() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("IOGATE_HIL").map(PathBuf::from);
    let shared = here.ancestors().map(|folder| folder.join("shared/hil"));
    let folders = named.into_iter().chain([here.join("tests/.hil")]).chain(shared);
    folders.map(|folder| folder.join("linux-uml")).find(|path| path.exists())
}

/// Makes the disk.
pub(crate) fn make_disk(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(96 << 20).unwrap();
    let made = Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F"]).arg(path).output();
    let made = made.expect("mkfs.ext4 is part of e2fsprogs");
    assert!(made.status.success(), "{made:?}");
}

pub(crate) struct Machine {
    process: Child,
    lines: Receiver<String>,
    /// What was said, for when something is wrong.
    pub(crate) transcript: Vec<String>,
}

impl Machine {
    /// Boots, and runs this test program's `inside_the_machine` there, with variables of its own.
    pub(crate) fn boot(kernel: &Path, folder: &Path, variables: &[(&str, String)]) -> Self {
        let program = std::env::current_exe().unwrap();
        let script = folder.join("init");
        let mut text = String::from(
            "#!/bin/sh\nmount -t proc none /proc\nmount -t tmpfs none /run\nmkdir /run/data\n\
             mount -t ext4 /dev/ubda /run/data || echo '@no disk'\nip link set lo up\n",
        );
        for (name, value) in variables {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
        let arguments = "inside_the_machine --exact --ignored --nocapture";
        text.push_str(&format!("{} {arguments}\necho '@exit '$?\nsleep 1000\n", program.display()));
        std::fs::write(&script, text).unwrap();
        let mut permissions = std::fs::metadata(&script).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        std::fs::set_permissions(&script, permissions).unwrap();
        // In a process namespace of its own: nothing of it is left when it is killed.
        let mut command = Command::new("unshare");
        command.args(["-p", "-f", "--kill-child=KILL"]).arg(kernel).arg("mem=256M");
        command.arg(format!("ubd0={}", folder.join("disk").display()));
        command.args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "panic=1"]);
        command.arg(format!("init={}", script.display())).args(["con=null", "con0=fd:0,fd:1"]);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines, transcript: Vec::new() }
    }

    /// The next line for the test, if it comes in time.
    pub(crate) fn line(&mut self, until: Instant) -> Option<String> {
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let marked = line.strip_prefix(MARK).map(str::to_owned);
                    self.transcript.push(line);
                    if marked.is_some() {
                        return marked;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Cuts the power. Returns what had been said before and was not read yet.
    pub(crate) fn cut(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // The end of its output is the end of its last process.
        let end = Instant::now() + Duration::from_secs(20);
        let mut rest = Vec::new();
        while let Some(line) = self.line(end) {
            rest.push(line);
        }
        assert!(Instant::now() < end, "something of the machine is still there");
        rest
    }
}

/// Says something to the test.
pub(crate) fn say(what: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{what}").and_then(|()| out.flush()).unwrap();
}
