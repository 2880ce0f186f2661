//! From what people wrote to plan parts: every mistake is named together with its remedy.
//!
//! Pure. Invariant: a [`Wiring`] that leaves here names an instance that can be asked for.

use std::time::Duration;

use super::config::{DeviceConfig, PointConfig, SessionItem, SnmpConfig, UserConfig, Version};
use super::syntax::{MAX_OCTETS, Syntax};
use super::{Oid, Session, Unlock, Wiring, Writing};
use crate::driver::address::host_and_port;
use crate::driver::text::ExtractConfig;
use crate::driver::text::extract::{Form, Pick, Suffix};
use crate::model::{Access, Secret, Value};

/// The longest time to wait for an answer that makes sense.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The most repetitions of a request.
const MAX_RETRIES: u8 = 5;

/// The most objects in one request: what fits a datagram of 1,472 bytes with long numbers.
const MAX_OBJECTS: u16 = 64;

/// The shortest password from which a key may be made (RFC 3414, section 11.2).
const MIN_PASSWORD: usize = 8;

/// The longest name of a user (RFC 3414, section 2.4).
const MAX_NAME: usize = 32;

/// The most objects that are set before or after a write.
const MAX_SESSION: usize = 8;

/// The longest community and context that are sent.
const MAX_WORD: usize = 255;

/// Where an agent listens.
pub(super) const PORT: u16 = 161;

impl SnmpConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.endpoint().err());
        if self.timeout.0.is_zero() || self.timeout.0 > MAX_WAIT {
            let timeout = self.timeout;
            problems.push(format!("timeout {timeout}: use more than nothing and at most 60s, such as 1s"));
        }
        if self.retries > MAX_RETRIES {
            problems.push(format!("retries {}: use 0 … {MAX_RETRIES}", self.retries));
        }
        if !(1..=MAX_OBJECTS).contains(&self.max_objects) {
            problems.push(format!("max-objects {}: use 1 … {MAX_OBJECTS}", self.max_objects));
        }
        match (&self.user, &self.community, self.spoken()) {
            (Some(_), Some(_), _) => {
                problems.push("community belongs to versions 1 and 2c, user to version 3: keep one".into());
            }
            (Some(_), None, Version::V1 | Version::V2c) => {
                problems.push("user belongs to version 3: say version: v3, or leave it out".into());
            }
            (None, _, Version::V3) => problems.push("version v3 needs a user: user: { name: … }".into()),
            (None, Some(community), _) if !(1..=MAX_WORD).contains(&community.reveal().len()) => {
                problems.push(format!("community: 1 … {MAX_WORD} bytes"));
            }
            _ => {}
        }
        match &self.write_community {
            Some(_) if self.spoken() == Version::V3 => {
                problems.push(
                    "write-community belongs to versions 1 and 2c: give the user the right to write".into(),
                );
            }
            Some(community) if !(1..=MAX_WORD).contains(&community.reveal().len()) => {
                problems.push(format!("write-community: 1 … {MAX_WORD} bytes"));
            }
            _ => {}
        }
        problems.extend(self.user.iter().flat_map(UserConfig::problems));
        problems
    }

    /// Host and port of the address.
    ///
    /// # Errors
    /// Says how an address is written.
    pub fn endpoint(&self) -> Result<(String, u16), String> {
        let wrong = || {
            let written = &self.address;
            format!("address `{written}`: write a host, such as 192.0.2.40, ups.example or [2001:db8::1]:161")
        };
        host_and_port(&self.address, PORT).ok_or_else(wrong)
    }
}

impl UserConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=MAX_NAME).contains(&self.name.len()) {
            problems.push(format!("user: a name has 1 … {MAX_NAME} bytes"));
        }
        for (key, password) in [("password", &self.password), ("privacy-password", &self.privacy_password)] {
            if password.as_ref().is_some_and(|password| password.reveal().len() < MIN_PASSWORD) {
                problems
                    .push(format!("{key}: a password of version 3 has at least {MIN_PASSWORD} characters"));
            }
        }
        if self.privacy_password.is_some() && self.password.is_none() {
            problems
                .push("privacy-password needs a password: what is encrypted is authenticated, too".into());
        }
        if self.context.as_ref().is_some_and(|context| context.len() > MAX_WORD) {
            problems.push(format!("context: at most {MAX_WORD} bytes"));
        }
        problems
    }
}

impl PointConfig {
    /// Where the point is and what it is.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn wiring(&self, text: &ExtractConfig, access: Access) -> Result<Wiring, String> {
        let written = self.oid.as_deref().ok_or("name the instance: oid: 1.3.6.1.2.1.33.1.2.4.0")?;
        let oid = instance("oid", written)?;
        let extract = text.extract()?;
        if self.counts.is_some() && !matches!(extract.form, Form::Number { .. } | Form::Integer) {
            return Err("counts belongs to numbers: remove it, or `as`".into());
        }
        if self.counts.is_some() && text.given().iter().any(|(key, given)| *given && *key != "as") {
            return Err("counts is made of the counter as it is: remove what is taken out of texts".into());
        }
        let mut wiring = Wiring { oid, extract, counter: self.counts, writing: None };
        wiring.writing = self.writing(&wiring, access)?;
        Ok(wiring)
    }

    /// How it is written, of a point of this access.
    fn writing(&self, wiring: &Wiring, access: Access) -> Result<Option<Writing>, String> {
        if !access.writable() {
            return match (&self.set_oid, self.snmp_type) {
                (Some(_), _) => Err("set-oid needs access: rw".into()),
                (_, Some(_)) => {
                    Err("snmp-type says how a point is written: remove it, or use access: rw".into())
                }
                (None, None) => Ok(None),
            };
        }
        if wiring.counter.is_some() {
            return Err("counts: what is counted cannot be written: use access: r".into());
        }
        if self.set_oid.is_some() && !access.readable() {
            return Err(
                "set-oid is of no use for a point that is only written: name that instance as oid".into()
            );
        }
        if self.snmp_type.is_none() && (self.set_oid.is_some() || !access.readable()) {
            return Err("snmp-type: name the type of the object that is set, which is not read: integer, text or the like".into());
        }
        let form = &wiring.extract.form;
        let whole = matches!(wiring.extract.pick, Pick::Whole) && !matches!(form, Form::HexBit(_));
        if self.set_oid.is_none() && !whole {
            return Err("a point that is written is all of its object: remove json, split, regex, columns or hex-bit, or name another object to set: set-oid".into());
        }
        if self.set_oid.is_none() && matches!(form, Form::Number { suffix, .. } if *suffix != Suffix::None) {
            return Err("a number is written without what follows it: remove suffix, or name another object to set: set-oid".into());
        }
        if self.snmp_type == Some(Syntax::Text)
            && matches!(form, Form::State { on: None, .. } | Form::HexBit(_))
        {
            return Err("a state is written to a text as a word: say on-word and off-word".into());
        }
        let oid =
            self.set_oid.as_deref().map_or_else(|| Ok(wiring.oid.clone()), |oid| instance("set-oid", oid))?;
        Ok(Some(Writing { oid, syntax: self.snmp_type }))
    }
}

/// What is wrong with a session, and at which of these keys.
type Problems = Vec<(&'static [&'static str], String)>;

impl DeviceConfig {
    /// What goes around every write.
    ///
    /// # Errors
    /// Everything that is wrong, without a word of a secret.
    pub(super) fn session(&self) -> Result<Session, Problems> {
        let mut problems = Problems::new();
        let mut items = |key: &'static str, keys: &'static [&'static str], items: &[SessionItem]| {
            if items.len() > MAX_SESSION {
                problems.push((keys, format!("{key}: at most {MAX_SESSION} objects")));
            }
            let mut unlocks = Vec::new();
            for item in items {
                match item.unlock(self.write_password.as_ref()) {
                    Ok(unlock) => unlocks.push(unlock),
                    Err(problem) => problems.push((keys, format!("{key}: {problem}"))),
                }
            }
            unlocks
        };
        let open = items("write-session", &["write-session"], &self.write_session);
        let close = items("write-session-end", &["write-session-end"], &self.write_session_end);
        if problems.is_empty() { Ok(Session { open, close }) } else { Err(problems) }
    }
}

impl SessionItem {
    fn unlock(&self, password: Option<&Secret>) -> Result<Unlock, String> {
        let oid = instance("oid", &self.oid)?;
        let missing = || format!("{oid} has no value: give it one, or the device a write-password");
        let value = self.value.as_ref().or(password).ok_or_else(missing)?.clone();
        match self.syntax.encode(value.reveal()) {
            Ok(_) => Ok(Unlock { oid, syntax: self.syntax, value }),
            // What the encoder says holds the value.
            Err(_) => Err(format!("the value of {oid} is not {}", self.syntax.described())),
        }
    }
}

impl Wiring {
    /// Whether whole numbers only can be written to an object of this type.
    pub(super) const fn is_whole(&self, syntax: Option<Syntax>) -> bool {
        let number = matches!(self.extract.form, Form::Number { .. });
        !number || matches!(syntax, Some(Syntax::Integer | Syntax::Unsigned | Syntax::TimeTicks))
    }

    /// Whether a raw value can be written, as far as that is known before the object was read.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn encodable(&self, raw: &Value) -> Result<(), String> {
        let syntax = self.writing.as_ref().ok_or("the point cannot be written")?.syntax;
        match (syntax, raw) {
            (Some(syntax), raw) => syntax.encode(&self.written(raw, syntax)?).map(drop),
            (None, Value::Text(text)) if text.len() > MAX_OCTETS => {
                Err(format!("a text has at most {MAX_OCTETS} bytes"))
            }
            (None, _) => Ok(()),
        }
    }

    /// What a raw value is as a text, as the point would read it from an object of this type.
    ///
    /// # Errors
    /// Says what is missing.
    pub(super) fn written(&self, raw: &Value, syntax: Syntax) -> Result<String, String> {
        let text = syntax == Syntax::Text;
        Ok(match (raw, &self.extract.form) {
            (Value::Bool(state), Form::State { on: Some(on), off: Some(off) }) => {
                if *state { on } else { off }.clone()
            }
            (Value::Bool(_), _) if text => {
                return Err("the object is a text: say on-word and off-word".into());
            }
            (Value::Bool(state), _) => u8::from(*state).to_string(),
            (raw, Form::Number { comma: true, .. }) if text => raw.to_string().replace('.', ","),
            (Value::Int(number), Form::Hex) => format!("{number:X}"),
            (Value::UInt(number), Form::Hex) => format!("{number:X}"),
            (raw, _) => raw.to_string(),
        })
    }
}

/// An object identifier that is asked for or set.
fn instance(key: &str, written: &str) -> Result<Oid, String> {
    let wrong = |why: &str| format!("{key} {written}: {why}, such as 1.3.6.1.2.1.33.1.2.4.0");
    let digits = written.strip_prefix('.').unwrap_or(written);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits.split('.').all(plain) {
        return Err(wrong("write the number of an instance; names of a MIB are not known here"));
    }
    let oid = Oid::parse(digits).map_err(|_| wrong("its parts are numbers below 2^32"))?;
    if oid.arcs().len() < 3 || oid.to_ber().is_err() {
        return Err(wrong("this is no instance"));
    }
    Ok(oid)
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
