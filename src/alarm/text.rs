//! Messages with values: `Platen at {value} {unit}, limit {limit}`. Pure.
//!
//! The text is taken apart once, with the configuration; it is put together when an alarm changes, never per
//! reading. Invariant: a message that was accepted has no place that cannot be filled; a value that is not
//! there is an en dash.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::Texts;

/// The names that can stand in braces.
pub const PLACES: [&str; 7] = ["value", "unit", "limit", "reference", "condition", "point", "alarm"];

/// One text in its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// An index into [`PLACES`].
    Place(usize),
}

/// A message in the languages of the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// English, or the language of whoever wrote the configuration.
    pub en: Option<Template>,
    /// Korean.
    pub ko: Option<Template>,
}

/// What is put in, in the order of [`PLACES`].
pub type Values = [Option<String>; PLACES.len()];

impl Template {
    /// Takes a text apart. `{{` and `}}` are braces.
    ///
    /// # Errors
    /// The name in braces that means nothing, or what else is wrong, and the bytes that are meant.
    pub fn parse(text: &str) -> Result<Self, (std::ops::Range<usize>, String)> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let begin = text.len() - rest.len() + at;
            plain.push_str(&rest[..at]);
            let sign = &rest[at..=at];
            if rest[at + 1..].starts_with(sign) {
                plain.push_str(sign);
                rest = &rest[at + 2..];
                continue;
            }
            let Some(end) = rest[at..].find('}').filter(|_| sign == "{") else {
                return Err((begin..begin + 1, format!("`{sign}` stands alone; write it twice to mean it")));
            };
            let name = &rest[at + 1..at + end];
            let Some(place) = PLACES.iter().position(|place| *place == name) else {
                return Err((begin..begin + end + 1, format!("nothing is called `{{{name}}}`")));
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Place(place));
            rest = &rest[at + end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// A text without places.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// The text with these values.
    #[must_use]
    pub fn fill(&self, values: &Values) -> Arc<str> {
        let mut out = String::new();
        for part in &self.parts {
            // Writing into memory cannot fail.
            let _ = match part {
                Part::Text(text) => out.write_str(text),
                Part::Place(place) => out.write_str(values[*place].as_deref().unwrap_or("–")),
            };
        }
        out.into()
    }
}

impl Message {
    /// One text for everybody.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { en: Some(Template::plain(text)), ko: None }
    }

    /// The texts with these values.
    #[must_use]
    pub fn fill(&self, values: &Values) -> Texts {
        let fill = |template: &Option<Template>| template.as_ref().map(|template| template.fill(values));
        Texts { en: fill(&self.en), ko: fill(&self.ko) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        PLACES.map(|place| (place != "reference").then(|| place.to_uppercase()))
    }

    #[test]
    fn places_are_filled_and_what_is_not_there_is_a_dash() {
        let template = Template::parse("온도 {value}{unit} ({limit}), {{x}}: {reference}").unwrap();
        assert_eq!(&*template.fill(&values()), "온도 VALUEUNIT (LIMIT), {x}: –");
        assert_eq!(Template::parse("a {valu} b").unwrap_err(), (2..8, "nothing is called `{valu}`".into()));
        assert_eq!(Template::parse("가} b").unwrap_err().0, 3..4);
        assert_eq!(Template::parse("a {").unwrap_err().0, 2..3);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_doubled_braces_come_back(text in "[^{}]{0,10}[{}가a]{0,6}.{0,10}") {
            let _ = Template::parse(&text);
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(&*Template::parse(&doubled).unwrap().fill(&values()), text.as_str());
        }
    }
}
