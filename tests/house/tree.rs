//! Finds and reads the project's files. Knows no rule.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What is no file of the project: build results, installed peers, version control.
const FOREIGN: [&str; 5] = ["target", ".git", ".peers", "node_modules", "__pycache__"];

/// One file of the project.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Below the project's root, with `/`.
    pub(crate) path: String,
    /// Its text; pictures and other binary files are not listed.
    pub(crate) text: String,
}

/// One Rust file, parsed.
#[derive(Clone)]
pub(crate) struct Source {
    /// Below the project's root, with `/`.
    pub(crate) path: String,
    /// As written.
    pub(crate) text: String,
    /// As parsed.
    pub(crate) syntax: syn::File,
}

impl Source {
    /// Parses `text`; fails the test where that is no Rust.
    pub(crate) fn parse(path: &str, text: &str) -> Source {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Source { path: path.to_owned(), text: text.to_owned(), syntax }
    }
}

/// The project's root. Asked for at run time, so that tests built once can judge another work tree.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
    });
    &ROOT
}

/// Every text file below a folder of the project, in the order of names.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    paths.iter().filter_map(|path| read(path)).collect()
}

/// Every Rust file below a folder of the project.
pub(crate) fn rust_sources(folder: &str) -> Vec<Source> {
    files(folder)
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| Source::parse(&file.path, &file.text))
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    // A folder that does not exist yet, such as benches, holds nothing.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.expect("a folder of the project can be read")) {
        let kind = entry.file_type().expect("a file of the project has a type");
        // In a second work tree `.git` is a file.
        if FOREIGN.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_file() {
            found.push(entry.path());
        } else if kind.is_dir() {
            walk(&entry.path(), found);
        }
    }
}

fn read(path: &Path) -> Option<File> {
    let text = String::from_utf8(fs::read(path).expect("a file of the project can be read")).ok()?;
    let path = path.strip_prefix(root()).expect("found below the root");
    let path = path.strip_prefix(".").unwrap_or(path);
    Some(File { path: path.to_str().expect("names are UTF-8").to_owned(), text })
}
