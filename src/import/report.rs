//! What became of every line that was read.
//!
//! Invariant: no note holds a secret; whoever makes one leaves it out.

use std::fmt;

use serde::Serialize;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in the result.
    Carried,
    /// iogate does this by itself.
    Same,
    /// It is in the result, but means something else there.
    Changed,
    /// It is not in the result.
    Dropped,
}

/// One line and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What stands there, without secrets.
    pub directive: String,
    /// What became of it.
    pub fate: Fate,
    /// Where it went, or what to do about it.
    pub text: String,
}

/// What became of every line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One note per line and more, in the order in which the lines were read.
    pub notes: Vec<Note>,
    /// What differs though no line speaks of it.
    pub remarks: Vec<String>,
}

/// Where a line stands and what it says; notes are made about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) file: std::rc::Rc<str>,
    pub(super) line: usize,
    pub(super) shown: String,
}

impl Report {
    /// Notes what became of a line.
    pub(super) fn note(&mut self, about: &Subject, fate: Fate, text: impl Into<String>) {
        let Subject { file, line, shown } = about;
        let (file, directive) = (file.to_string(), shown.clone());
        self.notes.push(Note { file, line: *line, directive, fate, text: text.into() });
    }

    pub(super) fn carried(&mut self, about: &Subject, text: impl Into<String>) {
        self.note(about, Fate::Carried, text);
    }

    pub(super) fn same(&mut self, about: &Subject, text: impl Into<String>) {
        self.note(about, Fate::Same, text);
    }

    pub(super) fn changed(&mut self, about: &Subject, text: impl Into<String>) {
        self.note(about, Fate::Changed, text);
    }

    pub(super) fn dropped(&mut self, about: &Subject, text: impl Into<String>) {
        self.note(about, Fate::Dropped, text);
    }

    /// How many notes have this fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.notes.iter().filter(|note| note.fate == fate).count()
    }

    fn section(&self, f: &mut fmt::Formatter<'_>, fate: Fate, title: &str) -> fmt::Result {
        if self.count(fate) > 0 {
            writeln!(f, "\n{title}")?;
        }
        for note in self.notes.iter().filter(|note| note.fate == fate) {
            writeln!(f, "  {}:{}: {}\n      {}", note.file, note.line, note.directive, note.text)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} lines carried over, {} the same without a setting, {} changed, {} not carried over",
            self.count(Fate::Carried),
            self.count(Fate::Same),
            self.count(Fate::Changed),
            self.count(Fate::Dropped)
        )?;
        self.section(f, Fate::Changed, "Changed; look at these:")?;
        self.section(f, Fate::Dropped, "Not carried over:")?;
        if !self.remarks.is_empty() {
            writeln!(f, "\nWhat else differs:")?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  {remark}"))
    }
}
