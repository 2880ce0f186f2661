//! What is wrong with a configuration, and how it is shown.
//!
//! Invariant: a [`Problem`] carries everything it needs to be shown; it outlives the texts.

use std::fmt;
use std::sync::Arc;

use super::source::{Place, Sources, Span};
use crate::model::units::count;

/// The most problems that one report shows; the rest is counted.
pub(super) const MAX_SHOWN: usize = 100;

/// The most columns of a line that are shown around a mistake.
const MAX_COLUMNS: usize = 110;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing starts with it.
    Error,
    /// It starts, and somebody should look at it.
    Warning,
    /// Worth knowing.
    Note,
}

/// One problem: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// Where it is; `None` when it belongs to no place in a file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    span: Option<Span>,
}

/// Why a configuration was refused: every problem that was found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    origin: Arc<str>,
    problems: Vec<Problem>,
}

impl Problem {
    pub(super) fn new(level: Level, sources: &Sources, span: Option<Span>, message: String) -> Self {
        let place = span.and_then(|span| sources.place(span));
        Self { level, place, message, help: None, span }
    }
}

impl Report {
    /// Sorts by place and leaves out what was found twice.
    pub(super) fn new(origin: &str, mut problems: Vec<Problem>) -> Self {
        tidy(&mut problems);
        Self { origin: origin.into(), problems }
    }

    /// Everything that was found, warnings included.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What keeps the configuration from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.level == Level::Error)
    }
}

/// Sorts by place and removes repetitions: the copies of a repeated entry share their mistakes.
pub(super) fn tidy(problems: &mut Vec<Problem>) {
    problems.sort_by(|a, b| a.span.cmp(&b.span).then(a.level.cmp(&b.level)));
    let mut seen = std::collections::HashSet::new();
    problems.retain(|problem| seen.insert((problem.span, problem.message.clone())));
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.level, self.message)?;
        let mut margin = 2;
        if let Some(place) = &self.place {
            margin = place.line.to_string().len().max(2);
            writeln!(f, "{:margin$}--> {}:{}:{}", "", place.file, place.line, place.column)?;
            let (shown, before) = excerpt(place);
            writeln!(f, "{:margin$} |", "")?;
            writeln!(f, "{:>margin$} | {shown}", place.line)?;
            let carets = caret_width(place, MAX_COLUMNS);
            writeln!(f, "{:margin$} | {:before$}{:^<carets$}", "", "", "")?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "{:margin$} = help: {help}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(MAX_SHOWN) {
            writeln!(f, "{problem}")?;
        }
        let (shown, total) = (MAX_SHOWN.min(self.problems.len()), self.problems.len());
        if shown < total {
            writeln!(f, "… and {} more\n", total - shown)?;
        }
        let errors = self.errors().count();
        let warnings = self.problems.iter().filter(|p| p.level == Level::Warning).count();
        write!(f, "{}: {}", self.origin, count(errors, "error"))?;
        if warnings > 0 {
            write!(f, ", {}", count(warnings, "warning"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// The part of the line that is shown, and how many columns stand before the mistake.
fn excerpt(place: &Place) -> (String, usize) {
    let chars: Vec<char> = place.text.chars().collect();
    let at = (place.column - 1).min(chars.len());
    let wide: usize = chars.iter().map(|c| columns(*c)).sum();
    if wide <= MAX_COLUMNS {
        return (printable(&chars), chars[..at].iter().map(|c| columns(*c)).sum());
    }
    let from = at.saturating_sub(MAX_COLUMNS / 3);
    let to = (from + MAX_COLUMNS).min(chars.len());
    let head = if from > 0 { "… " } else { "" };
    let tail = if to < chars.len() { " …" } else { "" };
    let before = head.chars().count() + chars[from..at].iter().map(|c| columns(*c)).sum::<usize>();
    (format!("{head}{}{tail}", printable(&chars[from..to])), before)
}

fn caret_width(place: &Place, limit: usize) -> usize {
    let marked = place.text.chars().skip(place.column - 1).take(place.length);
    marked.map(columns).sum::<usize>().clamp(1, limit)
}

/// Control characters would move the caret line out of place.
fn printable(chars: &[char]) -> String {
    chars.iter().map(|c| if c.is_control() { ' ' } else { *c }).collect()
}

/// How many terminal columns a character takes: 2 for Hangul, CJK and full-width forms, 0 for marks that combine.
const fn columns(c: char) -> usize {
    match c as u32 {
        0x0300..=0x036F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, start: u32, end: u32) -> Problem {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", text);
        Problem::new(Level::Error, &sources, Some(Span { file, start, end }), "wrong".into())
    }

    #[test]
    fn the_caret_stands_under_the_mistake_also_after_wide_letters() {
        let text = "온도: { hihg: 3 }";
        let start = text.find("hihg").unwrap() as u32;
        let shown = problem(text, start, start + 4).to_string();
        assert_eq!(
            shown,
            "error: wrong\n  --> a.yaml:1:7\n   |\n 1 | 온도: { hihg: 3 }\n   |         ^^^^\n"
        );
    }

    #[test]
    fn long_lines_are_cropped_around_the_mistake() {
        let text = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let shown = problem(&text, 500, 501).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[3].chars().count() < 130, "{shown}");
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().nth(caret), Some('x'), "{shown}");
    }

    #[test]
    fn repetitions_are_left_out_and_the_order_is_that_of_the_file() {
        let report =
            Report::new("a.yaml", vec![problem("abc", 2, 3), problem("abc", 0, 1), problem("abc", 2, 3)]);
        let columns: Vec<usize> = report.errors().map(|p| p.place.as_ref().unwrap().column).collect();
        assert_eq!(columns, [1, 3]);
        assert!(report.to_string().ends_with("a.yaml: 2 errors"));
    }
}
