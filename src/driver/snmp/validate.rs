//! From what people wrote to plan parts: every mistake is named together with its remedy.
//!
//! Pure. Invariant: a [`Wiring`] that leaves here names an instance that can be asked for.

use std::time::Duration;

use super::config::{PointConfig, SnmpConfig, UserConfig, Version};
use super::{Oid, Wiring};
use crate::driver::address::host_and_port;
use crate::driver::text::ExtractConfig;
use crate::driver::text::extract::Form;

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
    /// Where the point is and what it is. `writable` is its access.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn wiring(&self, text: &ExtractConfig, writable: bool) -> Result<Wiring, String> {
        if writable {
            return Err("oid: SNMP points are only read: use access: r".into());
        }
        let written = self.oid.as_deref().ok_or("name the instance: oid: 1.3.6.1.2.1.33.1.2.4.0")?;
        let oid = instance(written)?;
        let extract = text.extract()?;
        if self.counts.is_some() && !matches!(extract.form, Form::Number { .. } | Form::Integer) {
            return Err("counts belongs to numbers: remove it, or `as`".into());
        }
        if self.counts.is_some() && text.given().iter().any(|(key, given)| *given && *key != "as") {
            return Err("counts is made of the counter as it is: remove what is taken out of texts".into());
        }
        Ok(Wiring { oid, extract, counter: self.counts })
    }
}

/// An object identifier that is asked for.
fn instance(written: &str) -> Result<Oid, String> {
    let wrong = |why: &str| format!("oid {written}: {why}, such as 1.3.6.1.2.1.33.1.2.4.0");
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
