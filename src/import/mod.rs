//! Configurations of other programs, made into iogate's: texts in, texts and a report out.
//!
//! Absent: touching files, which the caller does through [`Files`]. Invariants: every line of what is read has a note
//! in the report; no secret stands in the configuration or in the report; where something cannot be carried over, the
//! result lets fewer clients in, never more.

mod mosquitto;
mod report;
mod yaml;

use std::path::{Path, PathBuf};

pub use mosquitto::import as mosquitto;
pub use report::{Fate, Note, Report};

/// How the importer sees files.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The paths of the files in a folder, in any order.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, String>;
}

/// Where the result will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute path of the folder that the other files go into.
    pub folder: PathBuf,
    /// The root of every topic, which a configuration of iogate needs.
    pub site: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The configuration.
    pub yaml: String,
    /// Files that the configuration names.
    pub files: Vec<NewFile>,
    /// What became of every line.
    pub report: Report,
}

/// A file beside the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its name in the folder of the target.
    pub name: String,
    /// What it holds.
    pub text: String,
    /// Whether only its owner may read it.
    pub secret: bool,
}

impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewFile")
            .field("name", &self.name)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
