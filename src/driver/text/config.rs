//! What people write about values in texts, for every driver whose devices speak in texts.
//!
//! A section of its own, read from the same map as the driver's. Invariant: an [`Extract`] that leaves here
//! has a regular expression that compiles within its limit, and a form that fits its keys.

use regex::RegexBuilder;
use schemars::JsonSchema;
use serde::Deserialize;

use super::extract::{Extract, Form, Pick, Split, Suffix};

/// The most memory that a compiled regular expression takes.
const MAX_REGEX_BYTES: usize = 256 << 10;

/// The longest regular expression, separator or word, in bytes.
const MAX_WORD: usize = 1024;

/// The last column of a line that can be named.
const MAX_COLUMN: u16 = 4095;

/// Where the value stands in a text, and what it is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ExtractConfig {
    /// Where the value stands in a JSON text, as a JSON pointer: `/sensors/0/temperature`.
    pub json: Option<String>,
    /// Which part of the text the value is, where separators divide it.
    pub split: Option<SplitConfig>,
    /// A regular expression; its first group is the value.
    pub regex: Option<String>,
    /// Which columns of the text the value is, first and last, counted from 0: `[4, 11]`.
    pub columns: Option<(u16, u16)>,
    /// What the value is; `number` when nothing is said.
    #[serde(rename = "as")]
    pub form: Option<FormWord>,
    /// One bit of a hexadecimal number, 0 … 63, 0 being the least significant.
    pub hex_bit: Option<u8>,
    /// The number has a decimal comma: `23,4`.
    pub decimal_comma: bool,
    /// What follows the number, such as `°C`; anything else is a bad reading. `*` takes any text.
    pub suffix: Option<String>,
    /// The word for on; on, true, yes and 1 when left out.
    pub on_word: Option<String>,
    /// The word for off; off, false, no and 0 when left out.
    pub off_word: Option<String>,
    /// Texts that stand for "no value", such as `----`.
    pub missing: Vec<String>,
}

/// A part of a text between separators.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SplitConfig {
    /// What stands between the parts.
    #[serde(default = "SplitConfig::default_separator")]
    pub separator: String,
    /// Which part, counted from 0; with `after`, from the part behind that label.
    #[serde(default)]
    pub index: u16,
    /// The part that stands before those that are counted.
    #[serde(default)]
    pub after: Option<String>,
    /// Leave out an IP address and the part behind it (the device's name) where the answer begins with them.
    #[serde(default)]
    pub skip_address: bool,
}

/// What the text of a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormWord {
    /// A real number.
    Number,
    /// A whole number.
    Integer,
    /// On or off.
    State,
    /// A whole number in hexadecimal digits.
    Hex,
    /// A text.
    Text,
}

impl ExtractConfig {
    /// Everything that it says.
    ///
    /// # Errors
    /// What does not fit, and how to mend it.
    pub fn extract(&self) -> Result<Extract, String> {
        Ok(Extract { pick: self.pick()?, form: self.form()?, missing: self.missing.clone() })
    }

    /// Each key with whether it is written.
    pub(crate) fn given(&self) -> [(&'static str, bool); 11] {
        [
            ("json", self.json.is_some()),
            ("split", self.split.is_some()),
            ("regex", self.regex.is_some()),
            ("columns", self.columns.is_some()),
            ("as", self.form.is_some()),
            ("hex-bit", self.hex_bit.is_some()),
            ("decimal-comma", self.decimal_comma),
            ("suffix", self.suffix.is_some()),
            ("on-word", self.on_word.is_some()),
            ("off-word", self.off_word.is_some()),
            ("missing", !self.missing.is_empty()),
        ]
    }

    fn pick(&self) -> Result<Pick, String> {
        match (&self.json, &self.split, &self.regex, self.columns) {
            (None, None, None, None) => Ok(Pick::Whole),
            (Some(pointer), None, None, None) => {
                if !pointer.is_empty() && !pointer.starts_with('/') {
                    return Err(format!(
                        "json {pointer}: a JSON pointer begins with `/`, such as /{pointer}"
                    ));
                }
                Ok(Pick::Json(pointer.clone()))
            }
            (None, Some(config), None, None) => split(config),
            (None, None, Some(text), None) => regex(text),
            (None, None, None, Some((first, last))) if first <= last && last <= MAX_COLUMN => {
                Ok(Pick::Columns(usize::from(first), usize::from(last)))
            }
            (None, None, None, Some((first, last))) => Err(format!(
                "columns [{first}, {last}]: name the first and the last column, counted from 0, such as [4, 11]"
            )),
            _ => Err("json, split, regex and columns exclude each other: keep one".into()),
        }
    }

    fn form(&self) -> Result<Form, String> {
        let word = match (self.form, self.hex_bit) {
            (None | Some(FormWord::Hex), Some(bit @ 0..=63)) => return Ok(Form::HexBit(bit)),
            (None | Some(FormWord::Hex), Some(bit)) => return Err(format!("hex-bit {bit}: use 0 … 63")),
            (Some(_), Some(_)) => return Err("hex-bit is a bit of a hexadecimal number: remove `as`".into()),
            (word, None) => word.unwrap_or(FormWord::Number),
        };
        let numeric = self.decimal_comma || self.suffix.is_some();
        if numeric && word != FormWord::Number {
            return Err("decimal-comma and suffix belong to numbers: remove them, or say as: number".into());
        }
        let worded = self.on_word.is_some() || self.off_word.is_some();
        if worded && word != FormWord::State {
            return Err("on-word and off-word belong to states: say as: state, or remove them".into());
        }
        if self.on_word.is_some() != self.off_word.is_some() {
            return Err("on-word and off-word go together: give both".into());
        }
        Ok(match word {
            FormWord::Number => Form::Number { comma: self.decimal_comma, suffix: self.suffix(Suffix::None) },
            FormWord::Integer => Form::Integer,
            FormWord::State => Form::State { on: self.on_word.clone(), off: self.off_word.clone() },
            FormWord::Hex => Form::Hex,
            FormWord::Text => Form::Text,
        })
    }

    /// What follows a number, where it is said.
    pub(crate) fn suffix(&self, otherwise: Suffix) -> Suffix {
        match self.suffix.as_deref() {
            None => otherwise,
            Some("*") => Suffix::Any,
            Some(text) => Suffix::Exact(text.to_owned()),
        }
    }
}

fn split(config: &SplitConfig) -> Result<Pick, String> {
    if config.separator.is_empty() || config.separator.len() > MAX_WORD {
        return Err("split: the separator is empty; name what stands between the parts, such as \";\"".into());
    }
    Ok(Pick::Split(Split {
        separator: config.separator.clone(),
        after: config.after.clone(),
        index: usize::from(config.index),
        skip_address: config.skip_address,
    }))
}

fn regex(text: &str) -> Result<Pick, String> {
    if text.len() > MAX_WORD {
        return Err(format!("regex: at most {MAX_WORD} bytes"));
    }
    let built = RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    let regex = built.map_err(|error| {
        let message = error.to_string();
        let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("regex: {last}")
    })?;
    if regex.captures_len() < 2 {
        return Err("regex: put the value into a group, such as Temp: ([0-9.]+)".into());
    }
    Ok(Pick::Regex(Box::new(regex)))
}

impl SplitConfig {
    fn default_separator() -> String {
        ";".to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A driver's section and the one about texts, from one map.
    pub(crate) fn sections<T: serde::de::DeserializeOwned>(yaml: &str) -> (T, ExtractConfig) {
        let map: serde_json::Map<String, serde_json::Value> = serde_yaml::from_str(yaml).unwrap();
        let keys = ExtractConfig::default().given().map(|(key, _)| key);
        let (text, own) = map.into_iter().partition(|(key, _)| keys.contains(&key.as_str()));
        (
            serde_json::from_value(serde_json::Value::Object(own)).unwrap(),
            serde_json::from_value(serde_json::Value::Object(text)).unwrap(),
        )
    }

    #[test]
    fn every_key_is_among_those_given() {
        let unknown = serde_json::from_value::<ExtractConfig>(serde_json::json!({ "no-such": 1 }));
        let message = unknown.unwrap_err().to_string();
        let known = message.split("expected one of ").nth(1).unwrap();
        let keys = ExtractConfig::default().given().map(|(key, _)| format!("`{key}`"));
        assert_eq!(known, keys.join(", "));
    }

    #[test]
    fn columns_are_told_from_first_to_last() {
        let extract = |yaml: &str| serde_yaml::from_str::<ExtractConfig>(yaml).unwrap().extract();
        assert!(matches!(extract("{ columns: [4, 11] }").unwrap().pick, Pick::Columns(4, 11)));
        assert!(extract("{ columns: [5, 4] }").unwrap_err().contains("[4, 11]"));
        assert!(extract("{ columns: [0, 5000] }").is_err());
        assert!(extract("{ columns: [0, 5], json: /a }").unwrap_err().contains("keep one"));
    }
}
