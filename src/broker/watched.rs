//! A file that is taken in again whenever it changes.
//!
//! Absent: what the file means. Invariants: what it holds is handed out once, so a mistake in it is told once; a look by the
//! watcher hands out only what was there at the look before as well, so a file that is being written in place is never
//! taken in half.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ring::digest;

use super::sync::lock;

/// One watched file.
pub(super) struct Watched {
    path: PathBuf,
    max_bytes: u64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Digest of what was handed out last.
    taken: Option<digest::Digest>,
    /// Digest of what the last look found, if it was something else.
    candidate: Option<digest::Digest>,
    /// The last look failed, and that was told.
    failed: bool,
}

/// Who looks at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The watcher: what has just changed may be half written.
    Passing,
    /// Somebody who says that the file is ready.
    Asked,
}

impl Watched {
    pub(super) fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes, seen: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds, if that is to be taken in now.
    pub(super) fn look(&self, look: Look) -> io::Result<Option<String>> {
        let mut seen = lock(&self.seen);
        let text = match read(&self.path, self.max_bytes) {
            Ok(text) => text,
            Err(_) if look == Look::Passing && seen.failed => return Ok(None),
            Err(error) => {
                seen.failed = true;
                return Err(error);
            }
        };
        seen.failed = false;
        let found = digest::digest(&digest::SHA256, text.as_bytes());
        let same =
            |known: &Option<digest::Digest>| known.is_some_and(|known| known.as_ref() == found.as_ref());
        if same(&seen.taken) {
            seen.candidate = None;
            return Ok(None);
        }
        if look == Look::Passing && !same(&seen.candidate) {
            seen.candidate = Some(found);
            return Ok(None);
        }
        *seen = Seen { taken: Some(found), ..Seen::default() };
        Ok(Some(text))
    }
}

/// Reads a text file of at most `max_bytes`.
pub(super) fn read(path: &Path, max_bytes: u64) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > max_bytes {
        return Err(io::Error::other(format!("it is larger than {} MiB", max_bytes >> 20)));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_is_not_taken_in_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let watched = Watched::new(path.clone(), 64);
        assert!(watched.look(Look::Passing).is_err());
        assert_eq!(watched.look(Look::Passing).unwrap(), None, "told once");
        assert!(watched.look(Look::Asked).is_err());
        write("a\nb\n");
        let look = |look| watched.look(look).unwrap();
        assert_eq!(look(Look::Asked).as_deref(), Some("a\nb\n"));
        assert_eq!(look(Look::Passing), None);
        // Truncated, half written, whole.
        for text in ["", "a\n", "a\nb\nc\n"] {
            write(text);
            assert_eq!(look(Look::Passing), None, "{text:?}");
        }
        assert_eq!(look(Look::Passing).as_deref(), Some("a\nb\nc\n"));
        assert_eq!((look(Look::Passing), look(Look::Asked)), (None, None));
        // Back to what is in force before anybody noticed.
        write("x");
        assert_eq!(look(Look::Passing), None);
        write("a\nb\nc\n");
        assert_eq!((look(Look::Passing), look(Look::Passing)), (None, None));
        write("y");
        assert_eq!(look(Look::Asked).as_deref(), Some("y"));
        write(&"long".repeat(20));
        assert!(watched.look(Look::Asked).unwrap_err().to_string().contains("larger"));
    }
}
