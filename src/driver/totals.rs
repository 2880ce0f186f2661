//! Totals that outlive a restart: counts, energies and running times of a channel, in one small file.
//!
//! The file is `totals/<channel>.json` in the state directory, a map from point names to numbers. It is
//! replaced as a whole (written beside, synced, renamed), so that a power cut leaves the former one. Absent:
//! when it is saved, which its owner decides; what a crash loses is what has come since. Invariant: a file
//! that cannot be read is put aside and told of, never overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder below the state directory.
const FOLDER: &str = "totals";

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The totals of one channel, by the names of their points.
#[derive(Debug, Default)]
pub struct Totals {
    path: Option<PathBuf>,
    values: BTreeMap<String, f64>,
    changed: bool,
}

impl Totals {
    /// The totals of a channel as they were saved last, of these points only. Without a state directory they
    /// begin at nothing and are not kept.
    #[must_use]
    pub fn open<'a>(state: Option<&Path>, channel: &str, points: impl IntoIterator<Item = &'a str>) -> Self {
        let path = state.map(|state| state.join(FOLDER).join(format!("{channel}.json")));
        let mut saved = path.as_deref().map(read).unwrap_or_default();
        let values = points.into_iter().filter_map(|name| saved.remove_entry(name)).collect();
        Self { path, values, changed: false }
    }

    /// The total of a point, if there is one.
    #[must_use]
    pub fn get(&self, point: &str) -> Option<f64> {
        self.values.get(point).copied()
    }

    /// Changes the total of a point. What is not finite is left out: it could not be read back.
    pub fn set(&mut self, point: &str, total: f64) {
        match self.values.get_mut(point) {
            _ if !total.is_finite() => return,
            Some(value) if *value == total => return,
            Some(value) => *value = total,
            None => drop(self.values.insert(point.to_owned(), total)),
        }
        self.changed = true;
    }

    /// Writes the file when something has changed since it was last written.
    ///
    /// # Errors
    /// What the system says; the totals count as changed still.
    pub async fn save(&mut self) -> io::Result<()> {
        let Some(path) = self.path.clone().filter(|_| self.changed) else { return Ok(()) };
        let bytes = serde_json::to_vec_pretty(&self.values)?;
        // A disk may take its time to sync; the runtime does not wait for it.
        tokio::task::spawn_blocking(move || write(&path, &bytes)).await.map_err(io::Error::other)??;
        self.changed = false;
        Ok(())
    }
}

fn read(path: &Path) -> BTreeMap<String, f64> {
    let damaged = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => error.to_string(),
        Ok(about) if about.len() > MAX_FILE_BYTES => "it is too large".to_owned(),
        Ok(_) => match fs::read(path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(values)) => return values,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        },
    };
    let aside = path.with_extension("damaged");
    let kept = fs::rename(path, &aside).is_ok();
    tracing::error!(
        file = %path.display(), reason = damaged, kept_as = kept.then(|| aside.display().to_string()),
        "the totals of a channel cannot be read; they begin at nothing"
    );
    BTreeMap::new()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The new name is on the disk only when its folder is.
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn totals_come_back_and_those_of_other_points_are_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let mut totals = Totals::open(Some(state.path()), "c", ["a/x", "a/y"]);
        assert_eq!(totals.get("a/x"), None);
        totals.set("a/x", 0.1 + 0.2);
        totals.set("a/y", f64::INFINITY);
        totals.save().await.unwrap();
        let mut totals = Totals::open(Some(state.path()), "c", ["a/x", "a/y"]);
        assert_eq!((totals.get("a/x"), totals.get("a/y")), (Some(0.1 + 0.2), None));
        totals.set("a/x", 2.0);
        totals.save().await.unwrap();
        assert_eq!(Totals::open(Some(state.path()), "c", ["a/y"]).get("a/x"), None);
        assert_eq!(Totals::open(Some(state.path()), "d", ["a/x"]).get("a/x"), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_put_aside_and_not_overwritten() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("totals/c.json");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "{\"a/x\": 12").unwrap();
        let mut totals = Totals::open(Some(state.path()), "c", ["a/x"]);
        assert_eq!(totals.get("a/x"), None);
        totals.set("a/x", 1.0);
        totals.save().await.unwrap();
        assert_eq!(fs::read_to_string(file.with_extension("damaged")).unwrap(), "{\"a/x\": 12");
        assert_eq!(Totals::open(Some(state.path()), "c", ["a/x"]).get("a/x"), Some(1.0));
    }

    #[tokio::test]
    async fn what_cannot_be_saved_is_saved_later() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("totals"), "in the way").unwrap();
        let mut totals = Totals::open(Some(state.path()), "c", ["a/x"]);
        totals.set("a/x", 1.0);
        assert!(totals.save().await.is_err());
        fs::remove_file(state.path().join("totals")).unwrap();
        totals.save().await.unwrap();
        assert_eq!(Totals::open(Some(state.path()), "c", ["a/x"]).get("a/x"), Some(1.0));
    }
}
