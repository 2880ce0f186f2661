//! Versions, such as of firmware: numbers between points.
//!
//! Pure. Invariant: what is left out counts as 0, so that 1.24 and 1.24.0 are the same.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A version of up to four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u32; 4]);

impl Version {
    /// The version in a text: the first numbers in it, so that `V1.24.3-rc1` is 1.24.3.
    #[must_use]
    pub fn found_in(text: &str) -> Option<Self> {
        let from = text.find(|c: char| c.is_ascii_digit())?;
        let numbers = &text[from..];
        let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(numbers.len());
        numbers[..end].trim_end_matches('.').parse().ok()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a version such as 1.24 or 2.0.3");
        let mut version = [0; 4];
        let mut parts = text.split('.');
        for (place, part) in version.iter_mut().zip(parts.by_ref()) {
            *place = part.parse().map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(version)) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build] = self.0;
        write!(f, "{major}.{minor}")?;
        if patch > 0 || build > 0 {
            write!(f, ".{patch}")?;
        }
        if build > 0 {
            write!(f, ".{build}")?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "pattern": r"^[0-9]+(\.[0-9]+){0,3}$",
            "description": "A version of up to four numbers, such as 1.24 or 2.0.3."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.9") < version("1.24") && version("1.24") < version("2"));
        assert_eq!((version("1.24"), version("1.24.0").to_string()), (version("1.24.0"), "1.24".to_owned()));
        assert_eq!(Version::found_in("V1.24.3-rc1"), Some(version("1.24.3")));
        assert_eq!(Version::found_in("5.10."), Some(version("5.10")));
        assert_eq!((Version::found_in(""), Version::found_in("none")), (None, None));
        for wrong in ["", "1.", "1.2.3.4.5", "a", "99999999999"] {
            assert!(wrong.parse::<Version>().unwrap_err().contains("such as 1.24"), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_reads_back(text in ".*|[0-9.]*", numbers: [u32; 4]) {
            let _ = Version::found_in(&text);
            let version = Version(numbers);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
    }
}
