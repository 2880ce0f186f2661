//! The start of a log: whatever is in its directory, it goes on from there.
//!
//! Invariants: no file with records in it is removed or changed, except that a seal is put behind the
//! segment that was being written; the next position is higher than any that was ever given.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::format::{Reason, Seal, encode, seed_of};
use super::options::{Level, Options};
use super::scan::{Scan, Step};
use super::shared::Shared;
use super::survey::{self, Gap, LOCK, Segment, Survey, SurveyError, segment_name};
use super::writer::Writer;
use super::{Finding, SnapshotFile};
use crate::clock::Clock;

/// After records were lost whose number is not known, positions go on so much higher: more than could wait
/// unsynced.
pub(super) const JUMP: u64 = 1 << 24;

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Position that the next record gets.
    pub next: u64,
    /// Position of the oldest record; as `next` if there is none.
    pub first: u64,
    /// The log was closed in order, or is new.
    pub clean: bool,
    /// Positions missing between segments and behind the last one. Damage inside of sealed segments is found when
    /// they are read.
    pub gaps: Vec<Gap>,
    /// Bytes of a record that was being written when the process or the machine stopped; it had not been
    /// acknowledged.
    pub torn_bytes: u64,
    /// Files that are left alone, and damage.
    pub findings: Vec<Finding>,
    /// Unfinished files that were removed.
    pub removed: u64,
    /// Snapshots, the newest last.
    pub snapshots: Vec<SnapshotFile>,
}

/// Why a log was not opened. Nothing in its directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path}: another process has this log open")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error("{path}: {error}; the log needs a directory that can be written")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Its files cannot be read as a log.
    #[error("{path}: {error}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: SurveyError,
    },
}

pub(super) fn open(
    dir: &Path,
    options: Options,
    files: Arc<dyn Files>,
    clock: Clock,
) -> Result<(Writer, Recovery), OpenError> {
    let unusable = |error| OpenError::Unusable { path: dir.to_owned(), error };
    files.make_dir(dir).map_err(unusable)?;
    let held = files.lock(&dir.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { path: dir.to_owned() },
        _ => unusable(error),
    })?;
    let survey = survey::survey(&*files, dir)
        .map_err(|error| OpenError::Unreadable { path: dir.to_owned(), error })?;
    let (next, jump, mut recovery) = judge(&survey, &options);
    for name in &survey.stale {
        // One that stays is found again at the next start.
        recovery.removed += u64::from(files.remove(&dir.join(name)).is_ok());
    }
    let log = survey.log.unwrap_or_else(|| fastrand::u128(..).to_le_bytes());
    let mut segments = survey.segments;
    let mut doubtful = None;
    if let Some(last) = segments.last_mut()
        && secure(&*files, dir, seed_of(&log), last).is_err()
    {
        // What the process before wrote and did not sync may never reach the disk.
        doubtful = Some((last.base, frames_of(&*files, dir, seed_of(&log), last)));
    }
    report(dir, &recovery);
    let shared = Shared::new(dir.to_owned(), files, options, log, segments, held);
    shared.queue.lock().next = next;
    shared.marks.start(next - 1);
    let mut writer = Writer::new(Arc::new(shared), clock, survey.next_number, jump);
    if let Some((from, frames)) = doubtful {
        writer.write_again(from, frames);
    }
    Ok((writer, recovery))
}

/// Where positions go on, and why there, if not behind the last record.
fn judge(survey: &Survey, options: &Options) -> (u64, Option<Reason>, Recovery) {
    let mut recovery = Recovery {
        findings: survey.findings.clone(),
        gaps: survey.gaps.clone(),
        snapshots: survey.snapshots.clone(),
        clean: survey.segments.last().is_none_or(|last| last.closed),
        ..Recovery::default()
    };
    // A snapshot may be newer than the log behind it, if the power failed.
    let known = survey.snapshots.last().map_or(1, |snapshot| snapshot.position);
    let Some(last) = survey.segments.last() else {
        (recovery.first, recovery.next) = (known, known);
        return (known, None, recovery);
    };
    recovery.torn_bytes = last.torn_bytes;
    let reason = if last.closed {
        None
    } else if last.boot != options.boot {
        // With readers that see only what is synced, nobody saw what is gone.
        (options.readers != Level::Power).then_some(Reason::PowerLoss)
    } else {
        (last.torn_bytes > 0 && !last.cut_off).then_some(Reason::Damaged)
    };
    let end = last.end.max(known);
    let next = if reason.is_some() { end + JUMP } else { end };
    if next > last.end {
        let reason = reason.unwrap_or(Reason::Damaged);
        recovery.gaps.push(Gap { from: last.end, to: next, reason });
    }
    recovery.next = next;
    recovery.first = survey.segments[0].base;
    (next, reason, recovery)
}

/// Syncs the last segment, which the process before may not have come to. Without a seal it gets one, behind
/// everything in the file, so that its end is known from now on; what is torn stays.
fn secure(files: &dyn Files, dir: &Path, seed: u32, last: &mut Segment) -> io::Result<()> {
    let file = files.open_write(&dir.join(segment_name(last.number)))?;
    if !last.sealed {
        let mut bytes = Vec::new();
        Seal { end: last.end, sealed_us: last.time_us, closed: false }.encode(&mut bytes, seed);
        file.write_at(&bytes, file.size()?)?;
    }
    file.sync()?;
    files.sync_dir(dir)?;
    last.bytes = file.size()?;
    Ok(())
}

/// The records of a segment, encoded: as many of them as can be read.
fn frames_of(files: &dyn Files, dir: &Path, seed: u32, segment: &Segment) -> Vec<u8> {
    let mut frames = Vec::new();
    let Ok(file) = files.open(&dir.join(segment_name(segment.number))) else { return frames };
    let mut scan = Scan::new(seed, segment.base);
    while let Ok(Step::Record { position, kind, payload }) = scan.step(&*file) {
        encode(&mut frames, seed, position, kind, &[scan.payload(payload)]);
    }
    frames
}

fn report(dir: &Path, recovery: &Recovery) {
    let dir = dir.display();
    for finding in &recovery.findings {
        tracing::warn!(%dir, file = finding.file, what = finding.what, "the log has a file that is not as it should be");
    }
    for gap in &recovery.gaps {
        tracing::warn!(%dir, from = gap.from, to = gap.to, reason = gap.reason.text(), "the log has a gap");
    }
    if !recovery.clean {
        tracing::info!(%dir, next = recovery.next, torn_bytes = recovery.torn_bytes, "the log was not closed in order; it goes on");
    }
}
