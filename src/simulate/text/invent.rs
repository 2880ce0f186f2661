//! A text that a regular expression finds a value in: the shortest way through the expression, with the value
//! in the place of its first group.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The longest text that is made.
const MAX_TEXT: usize = 16 << 10;

/// A text in which `regex` finds `value`; `None` where no such text could be made. Where one of several words may stand
/// it is one of `others`, which somebody else looks for there.
pub(super) fn text(regex: &Regex, value: &str, others: &[String]) -> Option<String> {
    let hir = regex_syntax::parse(regex.as_str()).ok()?;
    let mut out = Vec::new();
    walk(&hir, &Wanted { value, others }, &mut out)?;
    let text = String::from_utf8(out).ok()?;
    let found = regex.captures(&text)?.get(1)?.as_str() == value;
    found.then_some(text)
}

/// What the text is to hold.
struct Wanted<'a> {
    value: &'a str,
    others: &'a [String],
}

impl Wanted<'_> {
    /// Whether this is a word that somebody else looks for.
    fn is_other(&self, way: &Hir) -> bool {
        let HirKind::Literal(literal) = way.kind() else { return false };
        self.others.iter().any(|other| other.as_bytes() == &*literal.0)
    }
}

fn walk(hir: &Hir, wanted: &Wanted<'_>, out: &mut Vec<u8>) -> Option<()> {
    if out.len() > MAX_TEXT {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            Some(())
        }
        HirKind::Class(class) => {
            let c = match class {
                Class::Unicode(class) => class.ranges().first()?.start(),
                Class::Bytes(class) => char::from(class.ranges().first()?.start()),
            };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Some(())
        }
        HirKind::Repetition(repetition) => {
            (0..repetition.min).try_for_each(|_| walk(&repetition.sub, wanted, out))
        }
        HirKind::Capture(capture) if capture.index == 1 => {
            out.extend_from_slice(wanted.value.as_bytes());
            Some(())
        }
        HirKind::Capture(capture) => walk(&capture.sub, wanted, out),
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| walk(part, wanted, out)),
        // The one that leads to the value, where only some do.
        HirKind::Alternation(ways) => {
            let leads = |way: &&Hir| way.properties().explicit_captures_len() > 0;
            let way = ways.iter().find(leads).or_else(|| ways.iter().find(|way| wanted.is_other(way)));
            walk(way.or_else(|| ways.first())?, wanted, out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_find_their_value_in_what_is_made_for_them() {
        for (regex, value) in [
            (r"Temperature</td>\s*<td>([-0-9,]+)", "23,4"),
            (r"(?i)t\w{3}: *(\d+) ?(C|F)?$", "21"),
            (r"^(?:a|b=(\d))", "7"),
            (r"([A-Z]+)", "RUN"),
        ] {
            let regex = Regex::new(regex).unwrap();
            let text = text(&regex, value, &[]).unwrap();
            assert_eq!(regex.captures(&text).unwrap().get(1).unwrap().as_str(), value, "{text}");
        }
        assert_eq!(text(&Regex::new(r"([0-9]+)").unwrap(), "no digits", &[]), None);
        let regex = Regex::new("^(?:ST|US),([0-9]+)").unwrap();
        assert_eq!(text(&regex, "5", &["US".into()]).as_deref(), Some("US,5"));
    }
}
