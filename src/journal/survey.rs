//! What is in a log's directory: its files in order, and what is wrong with them.
//!
//! Reads only, so it serves the start of a log and `iogate log` alike. Sealed segments are believed by
//! their header and seal, which are two reads however long they are; only unsealed ones are walked
//! through. Invariant: foreign files are named and left alone.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{File, Files};
use super::format::{BadHeader, FileKind, HEADER, Header, Reason, SEAL, Seal, seed_of};
use super::scan::{Scan, Step, Trail};

/// Name of the lock file.
pub(super) const LOCK: &str = "lock";

/// Ending of files that are not finished.
pub(super) const TEMPORARY: &str = ".tmp";

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Its place in the order of files.
    pub number: u64,
    /// Position of its first record.
    pub base: u64,
    /// Position behind its last record.
    pub end: u64,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// Whether it was finished in order; if not, it was walked through to find its end.
    pub sealed: bool,
    /// Whether the log was closed in order behind it.
    pub closed: bool,
    /// When it was sealed, or made if it was not: microseconds since 1970.
    pub time_us: i64,
    /// Why it does not begin where the one before it ended, if the log said so.
    pub jump: Option<Reason>,
    /// Bytes behind its last record that are no record.
    pub torn_bytes: u64,
    /// Those bytes are the beginning of a record, as a process leaves them that was killed.
    pub cut_off: bool,
    pub(super) boot: [u8; 16],
}

/// A snapshot of the state that the log's owner keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The first position that is not in it.
    pub position: u64,
    /// Length of its file in bytes.
    pub bytes: u64,
}

/// Positions that are missing: from, up to and without, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first position missing.
    pub from: u64,
    /// The first position behind that is not missing.
    pub to: u64,
    /// Why.
    pub reason: Reason,
}

/// Something about a file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// What is the matter with it.
    pub what: &'static str,
}

/// The directory of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Tells logs apart; `None`: there is no log yet.
    pub log: Option<[u8; 16]>,
    /// In order of their positions; each ends where the next begins, at the latest.
    pub segments: Vec<Segment>,
    /// In order of their positions.
    pub snapshots: Vec<SnapshotFile>,
    /// Positions missing between segments.
    pub gaps: Vec<Gap>,
    /// Files that are left alone, and segments with damage.
    pub findings: Vec<Finding>,
    /// Unfinished files, and segments whose records all stand in later ones.
    pub stale: Vec<String>,
    /// No file has this number or a higher one.
    pub next_number: u64,
}

/// Why a directory cannot be read as a log.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// A newer program wrote it.
    #[error(
        "{file}: written in version {version} of the log's format; this program knows {} and older ones: use the newer program, or another directory",
        super::format::VERSION
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u16,
    },
    /// The directory itself cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

/// The name of a snapshot's file.
pub(super) fn snapshot_name(position: u64) -> String {
    format!("{position:016x}.snap")
}

fn number_of(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let known = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    known.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Looks through a directory. Changes nothing.
///
/// # Errors
/// The directory cannot be read, or a newer program wrote a file in it.
pub fn survey(files: &dyn Files, dir: &Path) -> Result<Survey, SurveyError> {
    let mut names =
        files.list(dir).map_err(|error| SurveyError::Unreadable { path: dir.to_owned(), error })?;
    names.sort();
    let mut work = Work { files, dir, survey: Survey::default(), unreadable: None, found: Vec::new() };
    for (name, bytes) in names {
        work.look(name, bytes)?;
    }
    work.finish()
}

struct Work<'a> {
    files: &'a dyn Files,
    dir: &'a Path,
    survey: Survey,
    /// Why the first of the files that cannot be read cannot.
    unreadable: Option<SurveyError>,
    found: Vec<(String, u64, Header)>,
}

impl Work<'_> {
    fn look(&mut self, name: String, bytes: u64) -> Result<(), SurveyError> {
        if name == LOCK {
            return Ok(());
        }
        let segment = number_of(&name, ".log");
        if let Some(number) = segment {
            // Also of files that cannot be used: they keep their names.
            self.survey.next_number = self.survey.next_number.max(number + 1);
        }
        if name.ends_with(TEMPORARY) {
            self.survey.stale.push(name);
            return Ok(());
        }
        if segment.is_none() && number_of(&name, ".snap").is_none() {
            self.survey.findings.push(Finding { file: name, what: "not a file of the log; left alone" });
            return Ok(());
        }
        if bytes < HEADER as u64 {
            // Nothing can be in it: the power failed before it was durable.
            self.survey.stale.push(name);
            return Ok(());
        }
        match again(|| self.header(&name)) {
            Ok(Ok(header)) => self.found.push((name, bytes, header)),
            Ok(Err(BadHeader::Newer(version))) => return Err(SurveyError::Newer { file: name, version }),
            Ok(Err(BadHeader::Damaged)) => {
                self.survey.findings.push(Finding { file: name, what: "header damaged; left alone" });
            }
            Ok(Err(BadHeader::Foreign)) => {
                self.survey.findings.push(Finding { file: name, what: "no header; left alone" });
            }
            Err(error) if is_bad_block(&error) => {
                self.unreadable.get_or_insert(self.unreadable_file(&name, error));
                self.survey.findings.push(Finding { file: name, what: "cannot be read; left alone" });
            }
            // Too many open files, no permission: it is not the file that is bad.
            Err(error) => return Err(self.unreadable_file(&name, error)),
        }
        Ok(())
    }

    fn header(&self, name: &str) -> io::Result<Result<Header, BadHeader>> {
        let file = self.files.open(&self.dir.join(name))?;
        Ok(Header::parse(&read_up_to(&*file, 0, HEADER)?))
    }

    /// Of several logs in one directory, the one with the most files counts.
    fn choose_log(&self) -> Option<[u8; 16]> {
        let mut counts: BTreeMap<[u8; 16], usize> = BTreeMap::new();
        for (_, _, header) in &self.found {
            *counts.entry(header.log).or_default() += 1;
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(log, _)| log)
    }

    fn unreadable_file(&self, name: &str, error: io::Error) -> SurveyError {
        SurveyError::Unreadable { path: self.dir.join(name), error }
    }

    fn finish(mut self) -> Result<Survey, SurveyError> {
        let Some(log) = self.choose_log() else {
            // To begin another log beside one that cannot be read would be to forget it.
            return self.unreadable.map_or(Ok(self.survey), Err);
        };
        self.survey.log = Some(log);
        let mut segments = Vec::new();
        for (name, bytes, header) in std::mem::take(&mut self.found) {
            match (header.log == log, header.kind) {
                (false, _) => {
                    self.survey.findings.push(Finding { file: name, what: "of another log; left alone" });
                }
                (true, FileKind::Snapshot) => {
                    self.survey.snapshots.push(SnapshotFile { position: header.base, bytes });
                }
                (true, FileKind::Segment) => {
                    let number = number_of(&name, ".log").unwrap_or_default();
                    segments.push((number, bytes, header));
                }
            }
        }
        self.order(segments)?;
        Ok(self.survey)
    }

    /// From the last to the first: a later segment holds again what was in doubt in an earlier one.
    fn order(&mut self, found: Vec<(u64, u64, Header)>) -> Result<(), SurveyError> {
        let mut bound = u64::MAX;
        let mut jump = None;
        for (number, bytes, header) in found.into_iter().rev() {
            let name = segment_name(number);
            if header.base >= bound && bound != u64::MAX {
                self.survey.stale.push(name);
                continue;
            }
            let mut segment = self.measure(number, bytes, &header, bound)?;
            segment.end = segment.end.min(bound);
            if segment.end < bound && bound != u64::MAX {
                let reason = jump.unwrap_or(Reason::Damaged);
                self.survey.gaps.push(Gap { from: segment.end, to: bound, reason });
            }
            (bound, jump) = (segment.base, segment.jump);
            self.survey.segments.push(segment);
        }
        self.survey.segments.reverse();
        self.survey.gaps.reverse();
        Ok(())
    }

    fn measure(
        &mut self,
        number: u64,
        bytes: u64,
        header: &Header,
        bound: u64,
    ) -> Result<Segment, SurveyError> {
        let mut segment = Segment {
            number,
            base: header.base,
            end: header.base,
            bytes,
            sealed: false,
            closed: false,
            time_us: header.created_us,
            jump: header.jump,
            torn_bytes: 0,
            cut_off: false,
            boot: header.boot,
        };
        let name = segment_name(number);
        let seed = seed_of(&header.log);
        let path = self.dir.join(&name);
        let mut damaged = false;
        let outcome = again(|| {
            let file = self.files.open(&path)?;
            let tail = read_up_to(&*file, bytes.saturating_sub(SEAL as u64), SEAL)?;
            if let Some(seal) = Seal::parse(&tail, seed) {
                segment.end = seal.end.max(segment.base);
                (segment.sealed, segment.closed, segment.time_us) = (true, seal.closed, seal.sealed_us);
                return Ok(());
            }
            let (end, skipped, trail) = walk(&*file, seed, header.base, bound)?;
            segment.end = end;
            (segment.torn_bytes, segment.cut_off) = (trail.bytes, trail.cut_off);
            damaged = skipped > trail.bytes;
            Ok(())
        });
        match outcome {
            Ok(()) if damaged => {
                self.survey.findings.push(Finding { file: name, what: "damaged between records" });
            }
            Ok(()) => {}
            // Its end is where the next one begins.
            Err(error) if is_bad_block(&error) && bound != u64::MAX => {
                self.survey.findings.push(Finding { file: name, what: "cannot be read" });
            }
            // The log would go on at positions that it has given already.
            Err(error) => return Err(SurveyError::Unreadable { path, error }),
        }
        Ok(segment)
    }
}

/// What fails once may succeed the next time, and a log that is not read is a log that is lost.
fn again<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 0;
    loop {
        let done = act();
        tries += 1;
        if done.is_ok() || tries == 3 {
            return done;
        }
    }
}

/// Whether the disk cannot give back what was written to it (EIO).
fn is_bad_block(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Finds the end of a segment that has no seal: the position behind its last record, how many bytes were
/// passed over, and what lies behind it.
fn walk(file: &dyn File, seed: u32, base: u64, bound: u64) -> io::Result<(u64, u64, Trail)> {
    let mut scan = Scan::new(seed, base);
    loop {
        match scan.step(file)? {
            Step::Record { .. } if scan.expected >= bound => {
                return Ok((scan.expected, scan.skipped, Trail::default()));
            }
            Step::Record { .. } => {}
            Step::Sealed => return Ok((scan.expected, scan.skipped, Trail::default())),
            Step::End(trail) => return Ok((scan.expected, scan.skipped, trail)),
        }
    }
}

/// Reads up to `len` bytes from one place.
fn read_up_to(file: &dyn File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut have = 0;
    while have < len {
        match file.read_at(&mut bytes[have..], offset + have as u64)? {
            0 => break,
            read => have += read,
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}
