//! "Did you mean": the known name that is nearest to a misspelt one.

/// The most known names that a message lists.
const MAX_LISTED: usize = 16;

/// Words of other systems and the ones that mean the same here.
const SYNONYMS: [(&str, &str); 18] = [
    ("uint8", "u8"),
    ("int8", "i8"),
    ("uint16", "u16"),
    ("word", "u16"),
    ("int16", "i16"),
    ("short", "i16"),
    ("uint32", "u32"),
    ("int32", "i32"),
    ("uint64", "u64"),
    ("int64", "i64"),
    ("float", "f32"),
    ("float32", "f32"),
    ("real", "f32"),
    ("double", "f64"),
    ("float64", "f64"),
    ("string", "text"),
    ("slave", "unit"),
    ("register", "holding"),
];

/// The known name that was probably meant.
#[must_use]
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(word);
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == plain).map(|(_, own)| *own);
    let length = plain.chars().count();
    let limit = (length / 3).max(1);
    let mut best: Option<((usize, usize), &str)> = None;
    for candidate in known {
        let other = normal(candidate);
        let distance = if other == plain || synonym == Some(candidate) {
            0
        } else if plain.len() >= 3 && (other.starts_with(&plain) || other.ends_with(&plain)) {
            1
        } else {
            strsim::damerau_levenshtein(&plain, &other)
        };
        // Among equals the one of the same length: `wr` is rather `rw` than `r`.
        let likeness = (distance, other.chars().count().abs_diff(length));
        if distance <= limit && best.is_none_or(|(least, _)| likeness < least) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// A sentence for the help line: the nearest name, or the list of known ones.
#[must_use]
pub(super) fn advice<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    list(&known)
}

/// `known: a, b, c`.
fn list(known: &[&str]) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    let more = if known.len() > MAX_LISTED { ", …" } else { "" };
    Some(format!("known here: {}{more}", known[..known.len().min(MAX_LISTED)].join(", ")))
}

/// Case, `_` and `-` do not matter for likeness.
fn normal(word: &str) -> String {
    word.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_word() {
        let known = ["holding", "heartbeat", "temperature", "on-delay"];
        for (word, meant) in [
            ("hodling", "holding"),
            ("temp", "temperature"),
            ("on_delay", "on-delay"),
            ("Holding", "holding"),
        ] {
            assert_eq!(nearest(word, known), Some(meant), "{word}");
        }
        assert_eq!(nearest("wr", ["r", "rw", "w"]), Some("rw"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(advice("xyz", ["a", "b"]), Some("known here: a, b".into()));
        assert_eq!(advice("xyz", []), None);
    }
}
