//! A serial port made of a pty pair, found under a name that stays.
//!
//! Absent: baud rates (a pty has none; `line` keeps the time). Invariant: the link exists while the port is
//! plugged in and leads to it; unplugging takes both away, as with a USB adapter and its by-id link.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, OptionalActions, QueueSelector};

/// A plugged-in port.
#[derive(Debug)]
pub(super) struct Pty {
    master: OwnedFd,
    device: PathBuf,
    link: PathBuf,
}

impl Pty {
    /// Makes the pair and its link.
    ///
    /// # Errors
    /// When the system has no pty left or the link cannot be made.
    pub(super) fn plug_in(link: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let device = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        // Raw from the start, so that nothing is echoed to a client that does not care for terminal modes. The
        // mode stays while the master is open.
        let slave =
            rustix::fs::open(&device, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = termios::tcgetattr(&slave)?;
        modes.make_raw();
        termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
        drop(slave);
        remove_link(link);
        std::os::unix::fs::symlink(&device, link)?;
        Ok(Self { master, device, link: link.to_path_buf() })
    }

    /// The master side, non-blocking.
    #[must_use]
    pub(super) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Throws away what the last client has not read. What a new one has already sent stays.
    pub(super) fn flush(&self) {
        // A port that has just been closed has nothing to throw away.
        let _ = termios::tcflush(&self.master, QueueSelector::OFlush);
    }

    /// Whether a client died without giving back its exclusive use, so that nobody else can open the port.
    #[must_use]
    pub(super) fn is_locked(&self) -> bool {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        matches!(rustix::fs::open(&self.device, flags, Mode::empty()), Err(rustix::io::Errno::BUSY))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        remove_link(&self.link);
    }
}

/// Removes a link and nothing else: a file of that name is somebody's.
fn remove_link(link: &Path) {
    if fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink()) {
        let _ = fs::remove_file(link);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn open(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().read(true).write(true).open(path)
    }

    #[test]
    fn a_port_outlives_its_clients_and_passes_bytes_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("line-1");
        let pty = Pty::plug_in(&link).unwrap();
        for _ in 0..2 {
            let mut client = open(&link).unwrap();
            client.write_all(b"\r\n\x03\x11\xff\0").unwrap();
            let mut seen = [0; 16];
            let count = rustix::io::read(pty.master(), &mut seen).unwrap();
            assert_eq!(&seen[..count], b"\r\n\x03\x11\xff\0");
            rustix::io::write(pty.master(), b"\n\r\x04\x7f").unwrap();
            let mut back = [0; 4];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"\n\r\x04\x7f");
            assert!(!pty.is_locked());
        }
        drop(pty);
        assert!(open(&link).is_err());
        assert!(fs::symlink_metadata(&link).is_err(), "the link is gone with the port");
    }

    #[test]
    fn a_file_of_the_same_name_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("line-1");
        fs::write(&link, "mine").unwrap();
        assert!(Pty::plug_in(&link).is_err());
        assert_eq!(fs::read_to_string(&link).unwrap(), "mine");
    }
}
