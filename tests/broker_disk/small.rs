//! A file system of 1 MiB, gone when dropped.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Small(tempfile::TempDir);

impl Small {
    /// `None` where the test may not mount.
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes so many bytes of it away, or as many as there are.
    pub(crate) fn fill(&self, bytes: usize) {
        let filled = std::fs::write(self.filler(), vec![0; bytes]);
        assert!(
            filled.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::StorageFull),
            "{filled:?}"
        );
    }

    /// Gives them back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
