//! Snapshots: the state that the log's owner keeps, in a file beside the segments.
//!
//! A snapshot takes the place of everything before its position, so the log need not be replayed from its
//! beginning. It is written under another name and renamed when it is durable; only then the older one
//! goes. Invariant: at every moment there is a whole snapshot, or none was ever finished.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{File, Files};
use super::format::{FIRST_OWN_KIND, FileKind, Header, KIND_END, MAX_PAYLOAD, encode, seed_of};
use super::options::add;
use super::pack::Packer;
use super::scan::{Scan, Step};
use super::shared::Shared;
use super::survey::{SnapshotFile, TEMPORARY, snapshot_name};

/// Bytes that are written at once.
const CHUNK: usize = 256 << 10;

/// Writes a snapshot. Dropped without [`SnapshotWriter::finish`] it leaves nothing behind.
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    file: Box<dyn File>,
    temporary: PathBuf,
    position: u64,
    offset: u64,
    packer: Packer,
    /// Records, encoded.
    buffer: Vec<u8>,
    /// What is to be written next.
    out: Vec<u8>,
    count: u64,
    finished: bool,
}

/// What a snapshot gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The first position that is not in it: the log is read from there on.
    pub position: u64,
    /// Records read.
    pub records: u64,
    /// Records that were damaged; at least so many.
    pub lost: u64,
}

impl SnapshotWriter {
    pub(super) fn new(shared: Arc<Shared>, position: u64) -> io::Result<Self> {
        let temporary = shared.dir.join(format!("{}{TEMPORARY}", snapshot_name(position)));
        let header = Header {
            kind: FileKind::Snapshot,
            jump: None,
            base: position,
            created_us: 0,
            log: shared.log,
            boot: shared.options.boot,
        };
        let file = shared.files.create(&temporary).inspect_err(|_| {
            add(&shared.counters.snapshot_failures, 1);
        })?;
        let (packer, out) = (Packer::new(shared.seed), header.encode().to_vec());
        let buffer = Vec::new();
        Ok(Self {
            shared,
            file,
            temporary,
            position,
            offset: 0,
            packer,
            buffer,
            out,
            count: 0,
            finished: false,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// It cannot be written, or is longer than a record may be; the snapshot is worth nothing then.
    pub fn push(&mut self, kind: u8, payload: &[&[u8]]) -> io::Result<()> {
        if kind >= FIRST_OWN_KIND || payload.iter().map(|part| part.len()).sum::<usize>() > MAX_PAYLOAD {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        encode(&mut self.buffer, self.shared.seed, self.count, kind, payload);
        self.count += 1;
        if self.buffer.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.shared.options.pack {
            self.packer.pack(&self.buffer, self.count, &mut self.out);
        } else {
            self.out.extend_from_slice(&self.buffer);
        }
        self.file.write_at(&self.out, self.offset)?;
        self.offset += self.out.len() as u64;
        self.buffer.clear();
        self.out.clear();
        Ok(())
    }

    /// Makes it durable, and removes older ones. Bytes written.
    ///
    /// # Errors
    /// It could not be written; the older one stays.
    pub fn finish(mut self) -> io::Result<u64> {
        let count = self.count.to_le_bytes();
        encode(&mut self.buffer, self.shared.seed, self.count, KIND_END, &[&count]);
        self.count += 1;
        self.write()?;
        self.file.sync()?;
        let (files, dir) = (&self.shared.files, &self.shared.dir);
        files.rename(&self.temporary, &dir.join(snapshot_name(self.position)))?;
        self.finished = true;
        files.sync_dir(dir)?;
        self.remove_older();
        add(&self.shared.counters.snapshots, 1);
        add(&self.shared.counters.snapshot_bytes_written, self.offset);
        Ok(self.offset)
    }

    fn remove_older(&self) {
        let own = snapshot_name(self.position);
        let (files, dir) = (&self.shared.files, &self.shared.dir);
        let older = |name: &str| name.len() == own.len() && name.ends_with(".snap") && *name < *own;
        for (name, _) in files.list(dir).unwrap_or_default() {
            if older(&name) && files.remove(&dir.join(&name)).is_err() {
                add(&self.shared.counters.remove_failures, 1);
            }
        }
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            add(&self.shared.counters.snapshot_failures, 1);
            // What cannot be removed is removed at the next start.
            let _ = self.shared.files.remove(&self.temporary);
        }
    }
}

/// Reads the newest of the snapshots, and calls `each` with its records. Without one the position is 1: the
/// whole log is to be read. Damaged records are counted and passed over.
///
/// # Errors
/// The file cannot be read.
pub(super) fn load(
    files: &dyn Files,
    dir: &Path,
    log: &[u8; 16],
    snapshots: &[SnapshotFile],
    mut each: impl FnMut(u8, &[u8]),
) -> io::Result<Loaded> {
    let mut loaded = Loaded { position: 1, ..Loaded::default() };
    let Some(newest) = snapshots.last() else { return Ok(loaded) };
    loaded.position = newest.position;
    let file = files.open(&dir.join(snapshot_name(newest.position)))?;
    let mut scan = Scan::new(seed_of(log), 0);
    loop {
        let expected = scan.expected;
        match scan.step(&*file)? {
            Step::Record { position, kind, payload } => {
                loaded.lost += position - expected;
                if kind == KIND_END {
                    return Ok(loaded);
                }
                each(kind, scan.payload(payload));
                loaded.records += 1;
            }
            Step::Sealed | Step::End(_) => {
                // Its end is gone, so at least one record is.
                loaded.lost += 1;
                return Ok(loaded);
            }
        }
    }
}
