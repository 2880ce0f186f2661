//! Child processes: what they cost, and that they end.
//!
//! CPU time is read from the kernel's per-thread run times in nanoseconds, memory from the summed-up maps.
//! Invariant: a process started here does not outlive its handle.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running child.
pub(crate) struct Process {
    child: Child,
    /// When it was started.
    pub(crate) spawned: Instant,
}

/// What a process holds in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident pages, also those shared with others, in KiB.
    pub(crate) rss_kib: u64,
    /// Resident pages, shared ones by their share, in KiB.
    pub(crate) pss_kib: u64,
    /// Resident pages that are written to or have no file behind them, in KiB.
    pub(crate) anonymous_kib: u64,
}

impl Process {
    /// Starts a program that writes nothing anywhere, except errors to this terminal.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let spawned = Instant::now();
        let child =
            command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self { child, spawned })
    }

    /// Bytes that it has caused to be written to disks, by the system's account.
    pub(crate) fn written(&self) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Ok(line.ok_or("no write_bytes in /proc/PID/io")?.parse()?)
    }

    /// Fails when the process has ended.
    pub(crate) fn check(&mut self) -> Outcome {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the measured process ended: {status}").into()),
        }
    }

    /// CPU time of all its threads so far, in nanoseconds. A thread that has ended is not counted any more.
    pub(crate) fn cpu_ns(&self) -> Outcome<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(sum)
    }

    /// What it holds in memory now.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        let all = field("Rss:").zip(field("Pss:")).zip(field("Anonymous:"));
        let ((rss_kib, pss_kib), anonymous_kib) = all.ok_or("smaps_rollup has no Rss, Pss or Anonymous")?;
        Ok(Memory { rss_kib, pss_kib, anonymous_kib })
    }

    /// The most that was resident at one time since its start, in KiB.
    pub(crate) fn peak_rss_kib(&self) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let figure = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        figure.ok_or_else(|| "status has no VmHWM".into())
    }
}

/// CPU time of several processes together, in nanoseconds; fails when one of them has ended.
pub(crate) fn cpu_ns(processes: &mut [&mut Process]) -> Outcome<u64> {
    let mut sum = 0;
    for process in processes {
        process.check()?;
        sum += process.cpu_ns()?;
    }
    Ok(sum)
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address whose port is free now.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
