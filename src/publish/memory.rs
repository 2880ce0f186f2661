//! The ids of commands on the disk, so that a restart does not forget them.
//!
//! One line of JSON per id, appended before its command is given; what no longer counts is left out when the file is
//! written anew, at the start and whenever it has grown by [`MAX_GROWTH`]. A line is in the system's hands once it is
//! written, so a killed process loses none; after a power cut the last may be missing. Absent: which commands are
//! refused, which `replay` says. Invariant: a file that cannot be read or written costs no command, only its memory, and
//! that is said.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::replay::REMEMBERED;

/// The file in the state directory.
const FILE: &str = "command-ids.jsonl";

/// By how much the file may grow before it is written anew, in bytes.
const MAX_GROWTH: u64 = 4 << 20;

/// The largest file that is read at the start, in bytes; of a larger one only the end counts.
const MAX_READ: u64 = 64 << 20;

/// An id that was used: by whom, which, and how long ago.
pub(super) type Known = (String, String, Duration);

/// The file of ids.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    file: Option<File>,
    growth: u64,
}

impl Memory {
    /// Opens the file in `folder`; returns what it knows, the oldest first. `unix_ms` is the wall clock.
    pub(super) fn open(folder: &Path, unix_ms: i64) -> (Self, Vec<Known>) {
        let path = folder.join(FILE);
        let known = match read(&path) {
            Ok(text) => parse(&text, unix_ms),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the ids of earlier commands cannot be read");
                Vec::new()
            }
        };
        let mut memory = Self { path, file: None, growth: 0 };
        memory.rewrite(&known, unix_ms);
        (memory, known)
    }

    /// Keeps an id. Says whether the file is to be written anew.
    pub(super) fn keep(&mut self, client: &str, id: &str, unix_ms: i64) -> bool {
        let line = line(client, id, unix_ms);
        let written = self.file.as_mut().map(|file| file.write_all(line.as_bytes()));
        if let Some(Err(error)) = written {
            self.failed(&error);
        }
        self.growth += line.len() as u64;
        self.growth > MAX_GROWTH
    }

    /// Writes the file anew with what still counts.
    pub(super) fn rewrite(&mut self, known: &[Known], unix_ms: i64) {
        self.growth = 0;
        match self.replace(known, unix_ms) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failed(&error),
        }
    }

    fn replace(&self, known: &[Known], unix_ms: i64) -> io::Result<File> {
        let fresh = self.path.with_extension("new");
        let mut text = String::new();
        for (client, id, ago) in known {
            let since = unix_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
            text.push_str(&line(client, id, since));
        }
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &self.path)?;
        OpenOptions::new().append(true).open(&self.path)
    }

    fn failed(&mut self, error: &io::Error) {
        self.file = None;
        tracing::warn!(path = %self.path.display(), %error, "the ids of commands cannot be kept: a restart forgets them");
    }
}

fn line(client: &str, id: &str, unix_ms: i64) -> String {
    format!("{}\n", serde_json::json!([client, id, unix_ms]))
}

fn read(path: &Path) -> io::Result<String> {
    use io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_READ {
        file.seek(SeekFrom::Start(length - MAX_READ))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the lines say; one that is cut off says nothing. A wall clock that was set back tells nothing of their age: they
/// count as new then.
fn parse(text: &str, unix_ms: i64) -> Vec<Known> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<(String, String, i64)>(line).ok());
    let aged = lines.map(|(client, id, since)| {
        let ago = u64::try_from(unix_ms.saturating_sub(since)).unwrap_or(0);
        (client, id, Duration::from_millis(ago))
    });
    let mut known: Vec<Known> = aged.filter(|(_, _, ago)| *ago < REMEMBERED).collect();
    known.sort_by_key(|(_, _, ago)| std::cmp::Reverse(*ago));
    known
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_outlive_a_restart_for_their_time_and_a_torn_line_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (mut memory, known) = Memory::open(folder.path(), 1_000_000);
        assert!(known.is_empty());
        assert!(!memory.keep("panel", "a\n\"1\"", 1_000_000));
        memory.keep("panel", "2", 1_300_000);
        memory.file.as_mut().unwrap().write_all(b"[\"panel\",\"3").unwrap();
        let names = |known: Vec<Known>| known.into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
        let (_, known) = Memory::open(folder.path(), 1_400_000);
        assert_eq!(names(known), ["a\n\"1\"", "2"]);
        // Over for the first; and for nobody where the clock begins again in 1970.
        assert_eq!(names(Memory::open(folder.path(), 1_600_000).1), ["2"]);
        assert_eq!(names(Memory::open(folder.path(), 0).1), ["2"]);
    }

    #[test]
    fn what_cannot_be_kept_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(FILE)).unwrap();
        let (mut memory, known) = Memory::open(folder.path(), 5);
        assert!(known.is_empty() && !memory.keep("a", "1", 5));
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), now: i64) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(FILE), bytes).unwrap();
            Memory::open(folder.path(), now);
        }
    }
}
