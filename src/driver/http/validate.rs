//! From what people wrote to plan parts: every mistake is named together with its remedy.
//!
//! Pure. Invariant: a [`Wiring`] that leaves here has paths that are request targets, and a terminal that the
//! family can have.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;

use super::config::{DeviceConfig, HttpConfig, PointConfig, SetConfig};
use super::extract::{Extract, Form, MAX_TEXT, Suffix};
use super::request::{MAX_BODY, MAX_PATH, PLACEHOLDER, Payload, Request, Template, Verb};
use super::wut::{Kind, MAX_ANALOG, MAX_DIGITAL, Slot};
use crate::driver::address::host_and_port;
use crate::driver::text::ExtractConfig;
use crate::model::Value;

/// The longest time to wait for an answer or connection that makes sense.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The largest answer that may be permitted.
const MAX_RESPONSE: u64 = 4 << 20;

/// The most headers of a device.
const MAX_HEADERS: usize = 16;

/// How a point is read and written.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The request whose answer holds it; `None` when it is only written.
    pub request: Option<Request>,
    /// Where it stands in that answer.
    pub extract: Extract,
    /// How it is written.
    pub template: Option<Template>,
    /// The terminal that it is, on a W&T Web-IO.
    pub slot: Option<Slot>,
}

impl Wiring {
    /// Whether the device takes whole numbers only.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !matches!(self.extract.form, Form::Number { .. })
    }

    /// Whether the device can be sent a raw value.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn encodable(&self, raw: &Value) -> Result<(), String> {
        match (raw, &self.extract.form) {
            (Value::Text(text), _) if text.len() > MAX_TEXT || has_control(text) => {
                Err(format!("a text has at most {MAX_TEXT} bytes and no control characters"))
            }
            (Value::Int(number), Form::Integer) if *number < 0 && self.slot.is_some() => {
                Err(format!("a counter cannot be {number}"))
            }
            _ => Ok(()),
        }
    }
}

impl HttpConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.endpoint().err());
        for (key, wait) in [("timeout", self.timeout), ("connect-timeout", self.connect_timeout)] {
            if wait.0.is_zero() || wait.0 > MAX_WAIT {
                problems.push(format!("{key} {wait}: use more than nothing and at most 60s, such as 3s"));
            }
        }
        if self.pause.0 > MAX_WAIT {
            problems.push(format!("pause {}: at most 60s", self.pause));
        }
        if !(1..=MAX_RESPONSE).contains(&self.max_response.0) {
            problems.push(format!("max-response {}: use 1B … 4MiB", self.max_response));
        }
        if let Some(login) = &self.login
            && (login.user.is_empty() || login.user.contains([':', '"']) || has_control(&login.user))
        {
            problems.push("login user: give a name without `:`, quotes and control characters".into());
        }
        problems
    }

    /// Host and port of the address.
    ///
    /// # Errors
    /// Says how an address is written.
    pub fn endpoint(&self) -> Result<(String, u16), String> {
        let wrong = || {
            let written = &self.address;
            let hint = if written.contains("://") { " (without http://)" } else { "" };
            format!(
                "address `{written}`: write a host{hint}, such as 192.0.2.20, box.example:8080 or [2001:db8::1]:80"
            )
        };
        let usual = if self.tls.is_some() { 443 } else { 80 };
        host_and_port(&self.address, usual).ok_or_else(wrong)
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.headers.len() > MAX_HEADERS {
            problems.push(format!("headers: at most {MAX_HEADERS}"));
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name.as_str()).is_err() || HeaderValue::try_from(value.as_str()).is_err()
            {
                problems.push(format!("headers: `{name}` and its value must be a plain HTTP header"));
            } else if ["host", "content-length", "connection", "transfer-encoding", "authorization"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
            {
                problems.push(format!("headers: `{name}` is the gateway's own to set: remove it"));
            }
        }
        if let Some(identify) = &self.identify {
            problems.extend(path("identify", &identify.page).err());
            if identify.contains.trim().is_empty() {
                problems.push("identify: `contains` needs a text that only the right device shows".into());
            }
        }
        problems
    }
}

impl PointConfig {
    /// How the point is read and written. `readable` and `writable` are its access.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn wiring(
        &self,
        text: &ExtractConfig,
        device: &DeviceConfig,
        readable: bool,
        writable: bool,
    ) -> Result<Wiring, String> {
        match self.slot()? {
            Some(slot) => self.terminal(slot, text, device, writable),
            None => self.generic(text, readable, writable),
        }
    }

    fn slot(&self) -> Result<Option<Slot>, String> {
        let named = [
            (Kind::AnalogIn, "analog-in", self.analog_in),
            (Kind::AnalogOut, "analog-out", self.analog_out),
            (Kind::DigitalIn, "digital-in", self.digital_in),
            (Kind::DigitalOut, "digital-out", self.digital_out),
            (Kind::Counter, "counter", self.counter),
        ];
        let mut found = named.into_iter().filter_map(|(kind, key, number)| Some((kind, key, number?)));
        let Some((kind, key, number)) = found.next() else { return Ok(None) };
        if let Some((_, second, _)) = found.next() {
            return Err(format!(
                "a point is one terminal only, but both {key} and {second} are named; remove one"
            ));
        }
        let analog = matches!(kind, Kind::AnalogIn | Kind::AnalogOut);
        if analog && !(1..=MAX_ANALOG).contains(&number) {
            return Err(format!("{key} {number}: analog terminals are counted 1 … {MAX_ANALOG}"));
        }
        if !analog && number > MAX_DIGITAL {
            return Err(format!(
                "{key} {number}: digital terminals and counters are counted 0 … {MAX_DIGITAL}"
            ));
        }
        Ok(Some(Slot { kind, number }))
    }

    fn terminal(
        &self,
        slot: Slot,
        text: &ExtractConfig,
        device: &DeviceConfig,
        writable: bool,
    ) -> Result<Wiring, String> {
        let analog = matches!(slot.kind, Kind::AnalogIn | Kind::AnalogOut);
        let own = [
            ("get", self.get.is_some()),
            ("post", self.post.is_some()),
            ("body", self.body.is_some()),
            ("set", self.set.is_some()),
        ];
        let odd = own.into_iter().chain(text.given()).filter(|(key, _)| {
            // A terminal's text is known but for the unit behind it and what stands for no value.
            *key != "missing" && !(*key == "suffix" && analog)
        });
        if let Some((key, _)) = odd.into_iter().find(|(_, given)| *given) {
            return Err(format!("{key} is known for a {} terminal already: remove it", slot.kind.word()));
        }
        let password = device.wut_password.as_ref().map_or("", |secret| secret.reveal());
        let template = if writable { slot.template(password) } else { None };
        if writable && template.is_none() {
            let word = slot.kind.word();
            return Err(format!("a {word} terminal cannot be written: use access: r, or name an output"));
        }
        let mut extract = slot.extract(text.suffix(Suffix::Any));
        extract.missing.extend(text.missing.iter().cloned());
        Ok(Wiring { request: Some(slot.request(password)), extract, template, slot: Some(slot) })
    }

    fn generic(&self, text: &ExtractConfig, readable: bool, writable: bool) -> Result<Wiring, String> {
        let request = self.request()?;
        if readable && request.is_none() {
            return Err(
                "name where the point is: get or post with a path, or a terminal such as analog-in".into()
            );
        }
        if !readable && request.is_some() {
            return Err("get and post are of no use for a point that is only written: remove them".into());
        }
        let template = match (&self.set, writable) {
            (None, false) => None,
            (Some(_), false) => return Err("set needs access: rw or w".into()),
            (None, true) => {
                return Err(
                    "say how the point is written: set: { get: /path?value={value} } or post with a body"
                        .into(),
                );
            }
            (Some(set), true) => Some(template(set)?),
        };
        let extract = text.extract()?;
        Ok(Wiring { request, extract, template, slot: None })
    }

    fn request(&self) -> Result<Option<Request>, String> {
        let media = || self.content_type.clone();
        match (&self.get, &self.post) {
            (Some(_), Some(_)) => Err("a point has one request only, but both get and post are named".into()),
            (Some(at), None) => {
                if self.body.is_some() || self.content_type.is_some() {
                    return Err("body and content-type belong to post: remove them, or use post".into());
                }
                path("get", at)?;
                Ok(Some(Request::get(at.as_str())))
            }
            (None, Some(at)) => {
                path("post", at)?;
                let payload = payload(self.body.as_deref().unwrap_or_default(), media())?;
                Ok(Some(Request { verb: Verb::Post, payload: Some(payload), ..Request::get(at.as_str()) }))
            }
            (None, None) => Ok(None),
        }
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Checks the target of a request.
fn path(key: &str, text: &str) -> Result<(), String> {
    let shape = text.replace(PLACEHOLDER, "0");
    let good = shape.starts_with('/') && shape.len() <= MAX_PATH && !shape.contains('#');
    if !good
        || shape.bytes().any(|byte| !byte.is_ascii_graphic())
        || PathAndQuery::try_from(shape.as_str()).is_err()
    {
        return Err(format!(
            "{key} {text}: a path begins with `/` and has no blanks or `#`; write others as %XX"
        ));
    }
    Ok(())
}

fn payload(body: &str, media: Option<String>) -> Result<Payload, String> {
    let media = media.unwrap_or_else(|| "application/x-www-form-urlencoded".into());
    if HeaderValue::try_from(media.as_str()).is_err() {
        return Err(format!("content-type {media}: use a media type such as application/json"));
    }
    if body.len() > MAX_BODY {
        return Err(format!("body: at most {MAX_BODY} bytes"));
    }
    Ok(Payload { media, text: body.to_owned() })
}

fn template(set: &SetConfig) -> Result<Template, String> {
    let named = [(Verb::Get, &set.get), (Verb::Post, &set.post), (Verb::Put, &set.put)];
    let mut found = named.into_iter().filter_map(|(verb, at)| Some((verb, at.as_ref()?)));
    let (Some((verb, at)), None) = (found.next(), found.next()) else {
        return Err("set: name one request: get, post or put with a path".into());
    };
    path("set", at)?;
    let payload = match (verb, &set.body) {
        (Verb::Get, Some(_)) => return Err("set: a body goes with post or put".into()),
        (Verb::Get, None) => None,
        (_, body) => Some(payload(body.as_deref().unwrap_or_default(), set.content_type.clone())?),
    };
    let holds = |text: &str| text.contains(PLACEHOLDER);
    if !holds(at) && !payload.as_ref().is_some_and(|payload| holds(&payload.text)) {
        return Err(format!("set: put {PLACEHOLDER} where the setpoint belongs, in the path or the body"));
    }
    let word = |own: &Option<String>, usual: &str| own.clone().unwrap_or_else(|| usual.to_owned());
    Ok(Template {
        request: Request { verb, payload, ..Request::get(at.as_str()) },
        on: word(&set.on, "on"),
        off: word(&set.off, "off"),
        comma: set.decimal_comma,
    })
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
