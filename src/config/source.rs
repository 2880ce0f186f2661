//! The texts that a configuration is made of, and places in them.
//!
//! Invariant: a [`Span`] lies inside the text it was made from and on character boundaries, so that
//! every problem can be shown with its line.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

/// A place in one of the files: bytes `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// Which file, by its index in [`Sources`].
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

/// One file's name and text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// As people know it: a path, or what the caller named it.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

/// All files that were read.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: Vec<Source>,
}

/// A place as people count it, with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
    /// How many characters of the line are meant, at least 1.
    pub length: usize,
}

impl Span {
    /// A part of this span, `start..end` in bytes from its beginning; the whole when it does not lie inside.
    #[must_use]
    pub(super) fn part(self, start: usize, end: usize) -> Self {
        let whole = (self.end - self.start) as usize;
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(from), Ok(to)) if start <= end && end <= whole => {
                Self { file: self.file, start: self.start + from, end: self.start + to }
            }
            _ => self,
        }
    }
}

impl Sources {
    /// Adds a file and tells its index. Callers bound the number and size of files.
    pub(super) fn add(&mut self, name: &str, text: &str) -> u16 {
        let index = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push(Source { name: name.into(), text: text.into() });
        index
    }

    /// SHA-256 over all texts in the order of reading, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        let mut context = Context::new(&SHA256);
        for source in &self.files {
            context.update(&(source.text.len() as u64).to_le_bytes());
            context.update(source.text.as_bytes());
        }
        data_encoding::HEXLOWER.encode(context.finish().as_ref())
    }

    /// The file of this index.
    #[must_use]
    pub(super) fn get(&self, file: u16) -> Option<&Source> {
        self.files.get(usize::from(file))
    }

    /// Line, column and line text of a span; a span over several lines is cut at the first line's end.
    #[must_use]
    pub(super) fn place(&self, span: Span) -> Option<Place> {
        let source = self.get(span.file)?;
        let text = &*source.text;
        let start = floor_boundary(text, span.start as usize);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_boundary(text, span.end as usize).clamp(start, line_end);
        Some(Place {
            file: Arc::clone(&source.name),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            length: text[start..end].trim_end().chars().count().max(1),
        })
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_count_characters_and_not_bytes() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "x: 1\n온도: zwölf\n");
        let start = "x: 1\n온도: ".len() as u32;
        let place = sources.place(Span { file, start, end: start + 6 }).unwrap();
        assert_eq!((place.line, place.column, place.length), (2, 5, 5));
        assert_eq!(place.text, "온도: zwölf");
    }

    proptest! {
        #[test]
        fn any_span_in_any_text_has_a_place(text in ".*\n?.*", start: u16, end: u16) {
            let mut sources = Sources::default();
            let file = sources.add("a", &text);
            let span = Span { file, start: u32::from(start), end: u32::from(end) };
            prop_assert!(sources.place(span).is_some());
        }
    }
}
