//! SQLite files as the gateway keeps them: opened for good, with their tables, or put aside when damaged.
//!
//! Write-ahead log with full syncs: what is committed outlives a kill and a power cut. Absent: what the tables
//! mean, and threads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a writer and readers wait for each other.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    /// There is no folder for it.
    #[error("there is no folder {}: create it, or have STATE_DIRECTORY name another", .0.display())]
    Folder(PathBuf),
    /// Its tables are those of another version of the program.
    #[error("it was made by another version of iogate (tables {0})")]
    Version(i64),
}

/// Opens a file for writing. `steps` make its tables, each those of one version from those of the version before; an
/// older file is brought up to date.
///
/// # Errors
/// It cannot be opened, or its tables are of a later version.
pub fn open(path: &Path, steps: &[&str]) -> Result<Connection, OpenError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(OpenError::Folder(folder.to_owned()));
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let left = usize::try_from(found).ok().and_then(|done| steps.get(done..));
    let Some(left) = left else { return Err(OpenError::Version(found)) };
    if !left.is_empty() {
        let transaction = connection.transaction()?;
        left.iter().try_for_each(|step| transaction.execute_batch(step))?;
        transaction.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Opens a file for reading, also while somebody writes to it.
///
/// # Errors
/// What the database says.
pub fn open_to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Whether the file itself is at fault.
#[must_use]
pub fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Renames a damaged file and removes those that belong to it: its log must not be taken for the new one's.
///
/// # Errors
/// What the system says.
pub fn put_aside(path: &Path) -> Result<PathBuf, std::io::Error> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(".damaged");
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(with(suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("state");
        let error = open(&missing.join("audit.sqlite"), &[]).unwrap_err().to_string();
        assert!(error.contains(&*missing.to_string_lossy()) && error.contains("create it"), "{error}");
        open(&folder.path().join("audit.sqlite"), &[]).unwrap();
    }
}
