//! "Did you mean": the known name that is nearest to a misspelt one.

/// The most known names that a message lists.
const MAX_LISTED: usize = 16;

/// The known name that was probably meant.
#[must_use]
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(word);
    let limit = (plain.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let other = normal(candidate);
        let distance = if other == plain {
            0
        } else if plain.len() >= 3 && (other.starts_with(&plain) || other.ends_with(&plain)) {
            1
        } else {
            strsim::damerau_levenshtein(&plain, &other)
        };
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
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
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(advice("xyz", ["a", "b"]), Some("known here: a, b".into()));
        assert_eq!(advice("xyz", []), None);
    }
}
