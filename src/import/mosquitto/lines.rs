//! The lines of `mosquitto.conf` and of the files that it includes.
//!
//! As Mosquitto 2 reads them: a line that begins with `#` is a comment, the first word is the directive, the rest its
//! value. Invariant: a folder is included once, and never from within an included file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::import::Files;
use crate::import::report::{Report, Subject};

/// Most files of one configuration.
const MAX_FILES: usize = 1_000;

/// Most lines of all files.
const MAX_LINES: usize = 100_000;

/// Longest part of a line that a report shows, in characters.
const MAX_SHOWN: usize = 120;

/// Directives whose values are secrets.
const SECRETS: [&str; 4] = ["remote_password", "password", "local_password", "bridge_psk"];

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) about: Subject,
}

/// Reads a configuration with what it includes.
///
/// # Errors
/// The file itself cannot be read, in words.
pub(super) fn read(main: &Path, files: &dyn Files, report: &mut Report) -> Result<Vec<Directive>, String> {
    let text = files.read(main).map_err(|why| format!("{}: {why}", main.display()))?;
    let mut lines = Vec::new();
    let mut folders = HashSet::new();
    for directive in directives(main, &text) {
        if directive.name != "include_dir" {
            lines.push(directive);
            continue;
        }
        let folder = PathBuf::from(&directive.value);
        if directive.value.is_empty() || !folders.insert(folder.clone()) {
            report.dropped(&directive.about, "the folder is missing or was included before");
            continue;
        }
        include(&folder, files, &directive, &mut lines, report);
    }
    if lines.len() > MAX_LINES {
        return Err(format!("{}: more than {MAX_LINES} lines", main.display()));
    }
    Ok(lines)
}

/// The files of a folder that end with `.conf`, in the order in which Mosquitto takes them.
fn include(
    folder: &Path,
    files: &dyn Files,
    by: &Directive,
    lines: &mut Vec<Directive>,
    report: &mut Report,
) {
    let mut found = match files.list(folder) {
        Ok(found) => found,
        Err(why) => {
            report.dropped(&by.about, format!("the folder cannot be read: {why}"));
            return;
        }
    };
    found.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    found.sort();
    found.truncate(MAX_FILES);
    report.carried(&by.about, format!("{} files of it are in this result", found.len()));
    for path in found {
        let text = match files.read(&path) {
            Ok(text) => text,
            Err(why) => {
                report.dropped(&by.about, format!("{}: {why}", path.display()));
                continue;
            }
        };
        for directive in directives(&path, &text) {
            if directive.name == "include_dir" {
                report.dropped(&directive.about, "Mosquitto includes only from its main file");
            } else {
                lines.push(directive);
            }
        }
    }
}

/// The directives of one text.
pub(super) fn directives(path: &Path, text: &str) -> Vec<Directive> {
    let file: Rc<str> = path.display().to_string().into();
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (name, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = value.trim();
        let shown = if SECRETS.contains(&name) { "(a secret)" } else { value };
        let shown = format!("{name} {shown}")
            .trim_end()
            .chars()
            .take(MAX_SHOWN)
            .flat_map(char::escape_debug)
            .collect();
        let about = Subject { file: Rc::clone(&file), line: index + 1, shown };
        Some(Directive { name: name.to_owned(), value: value.to_owned(), about })
    });
    lines.collect()
}

impl Directive {
    /// The value as `true` or `false`; anything else is noted.
    pub(super) fn switch(&self, report: &mut Report) -> Option<bool> {
        match self.value.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => {
                report.dropped(&self.about, "neither `true` nor `false`");
                None
            }
        }
    }

    /// The value as a whole number; anything else is noted.
    pub(super) fn number(&self, report: &mut Report) -> Option<i64> {
        let number = self.value.parse().ok();
        if number.is_none() {
            report.dropped(&self.about, "not a whole number");
        }
        number
    }

    /// The value as an absolute path; a relative one is taken from the folder of the file that names it.
    pub(super) fn path(&self) -> Option<PathBuf> {
        if self.value.is_empty() {
            return None;
        }
        let folder = Path::new(&*self.about.file).parent().unwrap_or(Path::new("/"));
        Some(folder.join(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_words_and_values_and_secrets_are_not_shown() {
        let lines = directives(Path::new("/m.conf"), "# c\n\n  port 1883 \nremote_password se cret\nuser\n");
        let words: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.value.as_str())).collect();
        assert_eq!(words, [("port", "1883"), ("remote_password", "se cret"), ("user", "")]);
        assert_eq!(lines[1].about.shown, "remote_password (a secret)");
        assert_eq!((lines[1].about.line, lines[2].about.shown.as_str()), (4, "user"));
    }
}
