//! Writing YAML: maps of texts, numbers and lists, as deep as a configuration needs.
//!
//! Invariant: a text is always quoted, so that no value is taken for another type.

use std::fmt::Write as _;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A number, a truth value or a word that needs no quotes.
    Plain(String),
    /// Any text.
    Text(String),
    /// A list.
    List(Vec<Yaml>),
    /// A map, in its order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number, a truth value, or a word of letters, digits and signs that mean nothing in YAML.
    #[allow(clippy::needless_pass_by_value, reason = "literals are written more easily so")]
    pub(super) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    /// A list of texts.
    pub(super) fn texts(texts: &[String]) -> Self {
        Self::List(texts.iter().map(Self::text).collect())
    }

    /// The document. `expanded`: its reader replaces `${…}`, so that these signs are escaped.
    pub(super) fn document(&self, expanded: bool) -> String {
        let mut out = String::new();
        self.block(&mut out, 0, expanded);
        out
    }

    fn block(&self, out: &mut String, depth: usize, expanded: bool) {
        let Self::Map(entries) = self else {
            self.inline(out, expanded);
            return;
        };
        for (key, value) in entries {
            let _ = write!(out, "{:1$}{2}:", "", depth * 2, quoted_key(key));
            match value {
                Self::Map(inner) if !inner.is_empty() => {
                    out.push('\n');
                    value.block(out, depth + 1, expanded);
                }
                Self::List(items)
                    if items.len() > 1 || items.iter().any(|item| matches!(item, Self::Map(_))) =>
                {
                    out.push('\n');
                    for item in items {
                        let _ = write!(out, "{:1$}- ", "", depth * 2 + 2);
                        item.inline(out, expanded);
                        out.push('\n');
                    }
                }
                other => {
                    out.push(' ');
                    other.inline(out, expanded);
                    out.push('\n');
                }
            }
        }
    }

    fn inline(&self, out: &mut String, expanded: bool) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) if expanded && (text.contains("${") || text.contains("$$")) => {
                out.push_str(&quoted(&text.replace('$', "$$")));
            }
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.inline(out, expanded);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    let _ = write!(out, "{} {}: ", if index > 0 { "," } else { "" }, quoted_key(key));
                    value.inline(out, expanded);
                }
                out.push_str(if entries.is_empty() { "}" } else { " }" });
            }
        }
    }
}

/// A double-quoted scalar; what JSON escapes, YAML 1.2 reads (section 1.3 of its specification).
fn quoted(text: &str) -> String {
    let mut out = serde_json::Value::from(text).to_string();
    // Not printable in YAML, though JSON leaves them as they are.
    for odd in text.chars().filter(|&c| {
        matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    }) {
        out = out.replace(odd, &format!("\\u{:04x}", u32::from(odd)));
    }
    out
}

/// A key; names of the configuration need no quotes.
fn quoted_key(key: &str) -> String {
    let plain = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit());
    let word = key.starts_with(|c: char| c.is_ascii_lowercase())
        && !matches!(key, "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    if plain && word { key.to_owned() } else { quoted(key) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn maps_lists_and_texts_are_written_as_people_would() {
        let rule = Yaml::Map(vec![("topic".into(), Yaml::text("a/#")), ("qos".into(), Yaml::plain(0))]);
        let map = Yaml::Map(vec![
            ("site".into(), Yaml::text("x")),
            ("on".into(), Yaml::plain(true)),
            ("inner".into(), Yaml::Map(vec![("list".into(), Yaml::List(vec![rule]))])),
            ("empty".into(), Yaml::Map(vec![])),
        ]);
        let expected =
            "site: \"x\"\n\"on\": true\ninner:\n  list:\n    - { topic: \"a/#\", qos: 0 }\nempty: {}\n";
        assert_eq!(map.document(true), expected);
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(key in ".{1,8}", text in "(.|\\$|\\$\\{|\n){0,20}") {
            let map = Yaml::Map(vec![(key.clone(), Yaml::text(text.clone()))]);
            let read: BTreeMap<String, String> = serde_yaml::from_str(&map.document(false)).unwrap();
            prop_assert_eq!(read.get(&key), Some(&text));
        }
    }
}
