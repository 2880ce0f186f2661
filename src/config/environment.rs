//! `${NAME}`, `${NAME:-default}` and `$$` in scalar values.

/// Why a text could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    /// The variable is not set and no default is given.
    #[error("the environment variable `{0}` is not set")]
    Undefined(String),
    /// `${` without `}`.
    #[error("`${{` has no closing `}}`")]
    Unclosed,
    /// Not a name.
    #[error("`{0}` is not the name of an environment variable")]
    BadName(String),
}

/// Replaces the variables of `text`; `None` when there are none.
///
/// # Errors
/// When a variable is not set, or the writing is wrong. The range is the part of `text` that is meant.
pub(super) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, (ExpandError, std::ops::Range<usize>)> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        out.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            out.push('$');
            at = dollar + 2;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let close = inside.find('}').ok_or((ExpandError::Unclosed, dollar..text.len()))?;
            let end = dollar + 2 + close + 1;
            out.push_str(&variable(&inside[..close], lookup).map_err(|error| (error, dollar..end))?);
            at = end;
        } else {
            out.push('$');
            at = dollar + 1;
        }
    }
    out.push_str(&text[at..]);
    Ok(Some(out))
}

fn variable(inside: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !well_formed {
        return Err(ExpandError::BadName(name.to_owned()));
    }
    lookup(name)
        .filter(|value| !value.is_empty() || default.is_none())
        .or_else(|| default.map(str::to_owned))
        .ok_or_else(|| ExpandError::Undefined(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "PORT").then(|| "502".to_owned())
    }

    #[test]
    fn variables_defaults_and_escapes() {
        let expand = |text| expand(text, &lookup);
        assert_eq!(expand("192.0.2.1:${PORT}"), Ok(Some("192.0.2.1:502".into())));
        assert_eq!(expand("${X:-a b}/$SYS"), Ok(Some("a b/$SYS".into())));
        assert_eq!(expand("$${PORT}"), Ok(Some("${PORT}".into())));
        assert_eq!(expand("plain $x"), Ok(None));
        assert_eq!(expand("a${X}b"), Err((ExpandError::Undefined("X".into()), 1..5)));
        assert_eq!(expand("${PORT"), Err((ExpandError::Unclosed, 0..6)));
        assert_eq!(expand("${1}"), Err((ExpandError::BadName("1".into()), 0..4)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*|[${}A-Z:-]*") {
            let _ = expand(&text, &lookup);
        }

        #[test]
        fn escaped_text_comes_back(text in "[a-z${}]*") {
            let escaped = text.replace('$', "$$");
            let back = expand(&escaped, &lookup).unwrap().unwrap_or(escaped);
            prop_assert_eq!(back, text);
        }
    }
}
