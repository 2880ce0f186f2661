//! Totals of counters on disk: one small JSON file per channel, replaced as a whole.
//!
//! Absent: any history. Invariant: the file holds either the former totals or the new ones, never a mixture;
//! one that cannot be read is put aside and never overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How often totals that have changed are written: what a power cut costs, against the wear of a card.
pub(super) const PERIOD: std::time::Duration = std::time::Duration::from_secs(10);

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Where systemd says that the service may keep its state.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The totals of one channel, by point.
#[derive(Debug)]
pub(super) struct Store {
    /// `None`: totals are in memory only.
    file: Option<PathBuf>,
    totals: BTreeMap<String, u64>,
    saved: BTreeMap<String, u64>,
}

impl Store {
    /// Opens the totals of a channel in `folder`, else in the service's state directory.
    pub(super) fn open(folder: Option<&Path>, channel: &str) -> Self {
        let state = || std::env::var_os(STATE_DIRECTORY).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = folder.map(Path::to_path_buf).or_else(|| state().map(|state| state.join("gpio")));
        let Some(folder) = folder else {
            tracing::warn!(channel, "no state directory: the totals of counters end with the program");
            return Self::none();
        };
        let file = folder.join(format!("{channel}.json"));
        let totals = match load(&file) {
            Ok(totals) => totals,
            Err(error) => {
                let aside = file.with_extension("json.unreadable");
                tracing::error!(channel, file = %file.display(), %error, "the totals cannot be read; counting from 0, the file is put aside");
                if let Err(error) = fs::rename(&file, &aside) {
                    tracing::error!(channel, %error, "it cannot be put aside; totals are not kept");
                    return Self::none();
                }
                BTreeMap::new()
            }
        };
        Self { file: Some(file), saved: totals.clone(), totals }
    }

    /// No totals at all.
    pub(super) fn none() -> Self {
        Self { file: None, totals: BTreeMap::new(), saved: BTreeMap::new() }
    }

    /// The total of a point.
    pub(super) fn get(&self, point: &str) -> u64 {
        self.totals.get(point).copied().unwrap_or(0)
    }

    /// Notes a total; it is written by [`Self::save`].
    pub(super) fn set(&mut self, point: &str, total: u64) {
        self.totals.insert(point.to_owned(), total);
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// When the file cannot be written; the former one stands then.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.totals != self.saved) else { return Ok(()) };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = file.with_extension("json.new");
        let mut out = fs::File::create(&new)?;
        out.write_all(&serde_json::to_vec(&self.totals)?)?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        self.saved.clone_from(&self.totals);
        Ok(())
    }
}

fn load(file: &Path) -> io::Result<BTreeMap<String, u64>> {
    let size = match fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    if size > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
    }
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_kept_and_a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("gpio");
        let mut store = Store::open(Some(&below), "pins");
        assert_eq!(store.get("meter/total"), 0);
        store.set("meter/total", 41);
        store.save().unwrap();
        assert_eq!(Store::open(Some(&below), "pins").get("meter/total"), 41);
        let file = below.join("pins.json");
        fs::write(&file, "{\"meter/total\":").unwrap();
        let mut store = Store::open(Some(&below), "pins");
        assert_eq!(store.get("meter/total"), 0);
        store.set("meter/total", 1);
        store.save().unwrap();
        assert_eq!(fs::read_to_string(below.join("pins.json.unreadable")).unwrap(), "{\"meter/total\":");
        assert_eq!(Store::open(Some(&below), "pins").get("meter/total"), 1);
    }
}
