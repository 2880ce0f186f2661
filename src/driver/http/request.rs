//! One request as it goes to a device, and templates with a setpoint in them.
//!
//! Pure. Invariant: what a request prints for logs never holds its query or body, where devices want their
//! passwords.

use std::fmt;

use crate::model::Value;

/// What stands for the setpoint in a template.
pub const PLACEHOLDER: &str = "{value}";

/// The longest path and query, in bytes.
pub const MAX_PATH: usize = 2048;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 16 << 10;

/// What is done with the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Verb {
    /// The verb as it goes to the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What is sent with a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its media type.
    pub media: String,
    /// The text.
    pub text: String,
}

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What is done.
    pub verb: Verb,
    /// Path and query.
    pub path: String,
    /// What is sent.
    pub payload: Option<Payload>,
    /// The device resets the connection behind its answer (`/portinfo` of the W&T Web-IOs).
    pub resets: bool,
}

impl Request {
    /// Fetches a path.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { verb: Verb::Get, path: path.into(), payload: None, resets: false }
    }

    /// The path without what may be secret.
    #[must_use]
    pub fn public_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.word(), self.public_path())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a point is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The request with [`PLACEHOLDER`] in its path or payload.
    pub request: Request,
    /// What the setpoint is for on.
    pub on: String,
    /// What it is for off.
    pub off: String,
    /// Numbers are written with a decimal comma.
    pub comma: bool,
}

impl Template {
    /// The request for a raw value.
    #[must_use]
    pub fn fill(&self, raw: &Value) -> Request {
        let text = match raw {
            Value::Bool(state) => if *state { &self.on } else { &self.off }.clone(),
            Value::Float(_) if self.comma => raw.to_string().replace('.', ","),
            other => other.to_string(),
        };
        let mut request = self.request.clone();
        request.path = request.path.replace(PLACEHOLDER, &encoded(&text));
        if let Some(payload) = &mut request.payload {
            let text = match payload.media.split(';').next().map(str::trim) {
                Some("application/x-www-form-urlencoded") => encoded(&text),
                Some("application/json") => json_inside(&text),
                _ => text,
            };
            payload.text = payload.text.replace(PLACEHOLDER, &text);
        }
        request
    }
}

/// Everything but the unreserved characters as `%XX` (RFC 3986, section 2.3).
#[must_use]
pub fn encoded(text: &str) -> String {
    escape(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

/// Only what cannot stand in a query as it is: devices with small web servers may not know `%XX`.
#[must_use]
pub fn lightly_encoded(text: &str) -> String {
    escape(text, |byte| byte.is_ascii_graphic() && !b"#&%+<>\"\\^`{|}".contains(&byte))
}

fn escape(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A text inside quotes that the template has already.
fn json_inside(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    crate::model::value::write_json_string(text, &mut quoted);
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inside).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(path: &str, media: &str, body: &str) -> Template {
        let payload = Some(Payload { media: media.into(), text: body.into() });
        let request = Request { verb: Verb::Post, path: path.into(), payload, resets: false };
        Template { request, on: "ON".into(), off: "OFF".into(), comma: true }
    }

    #[test]
    fn the_setpoint_takes_its_place() {
        let form = template("/set?v={value}", "application/x-www-form-urlencoded", "Set={value}");
        let filled = form.fill(&Value::Bool(true));
        assert_eq!((filled.path.as_str(), filled.payload.unwrap().text.as_str()), ("/set?v=ON", "Set=ON"));
        assert_eq!(form.fill(&Value::Float(10.5)).path, "/set?v=10%2C5");
        let json = template("/rpc", "application/json; charset=utf-8", r#"{"text":"{value}"}"#);
        assert_eq!(json.fill(&Value::from("a\"b")).payload.unwrap().text, r#"{"text":"a\"b"}"#);
    }

    #[test]
    fn a_printed_request_holds_no_secret() {
        let mut request = Request::get("/allout?PW=hunter2&");
        request.payload = Some(Payload { media: "text/plain".into(), text: "hunter2".into() });
        assert_eq!(format!("{request} {request:?}"), "GET /allout GET /allout");
    }

    proptest! {
        #[test]
        fn a_filled_path_stays_one_word(text in ".*") {
            let filled = template("/set?v={value}&", "text/plain", "").fill(&Value::from(text.as_str()));
            prop_assert!(filled.path.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(filled.path.matches('&').count(), 1);
            prop_assert!(lightly_encoded(&text).bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&'));
        }
    }
}
