//! Why a value could not be read, in the words of somebody who edits a file.

use std::fmt;

use serde::de;

use super::super::context::Context;
use super::super::source::Span;
use super::super::suggest::advice;

/// Why a value could not be read.
#[derive(Debug)]
pub(in crate::config) enum DeError {
    /// It is recorded already.
    Recorded,
    /// A required key is missing.
    Missing(&'static str),
    /// To be recorded where it arose.
    Text(String, Option<String>),
}

impl DeError {
    pub(in crate::config) fn text(message: impl Into<String>) -> Self {
        Self::Text(message.into(), None)
    }

    pub(in crate::config) fn with_help(self, help: impl Into<String>) -> Self {
        match self {
            Self::Text(message, _) => Self::Text(message, Some(help.into())),
            other => other,
        }
    }

    /// Records the error at this place unless it is recorded already.
    pub(super) fn settle(self, cx: &Context<'_>, span: Span) -> Self {
        match self {
            Self::Recorded => {}
            Self::Missing(key) => cx.error(span, format!("`{key}` is missing"), format!("add `{key}:`")),
            Self::Text(message, help) => cx.error(span, message, help),
        }
        Self::Recorded
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded => f.write_str("recorded"),
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::Text(message, _) => f.write_str(message),
        }
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::text(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::text(format!("`{variant}` is not known here"));
        match advice(variant, expected.iter().copied()) {
            Some(help) => error.with_help(help),
            None => error,
        }
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::text(format!("{expected} is needed here"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        let plain = expected.to_string();
        let wanted = plain.strip_prefix("a tuple of size ").unwrap_or(&plain);
        Self::text(format!("a list of {wanted} values is needed here, not of {length}"))
    }
}
