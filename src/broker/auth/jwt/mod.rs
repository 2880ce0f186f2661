//! JSON Web Tokens (RFC 7519) in the place of passwords: signature, issuer, audience, times, claims.
//!
//! Verified with ring, whose ECDSA and Ed25519 take signatures in the form that JWS has; the rest is three base64
//! fields and a few claims, so no library of its own is worth its crates. Pure apart from reading key files; the
//! time is given. Deliberately absent: encrypted tokens, `none`, fetching keys over the network. Invariant: a claim
//! is looked at only after the signature was found right, and no part of a token comes into an error or the log.

mod config;
mod keys;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

pub use config::{BrokerJwt, JwtKey};
pub use keys::KeysError;

use super::passwords::check_name;
use crate::broker::access::Claims;
use crate::broker::sync::lock;
use keys::{Algorithm, KeyId, Keys};

/// Longest token in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Most entries of one list in a token.
const MAX_ENTRIES: usize = 256;

/// Longest entry of a list in bytes.
const MAX_ENTRY: usize = 1_024;

/// The beginning of 2025 in seconds since 1970. A clock before it was never set: it cannot tell what has expired.
const CLOCK_FLOOR: i64 = 1_735_689_600;

/// The end of the year 9999.
const LATEST: f64 = 253_402_300_799.0;

/// What a token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Token {
    pub(in crate::broker) user: Arc<str>,
    /// What it may do beside what the access file says.
    pub(in crate::broker) claims: Arc<Claims>,
    /// Seconds since 1970 from which on the token is worth nothing.
    expires: i64,
    key: KeyId,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is no signed token: {0}")]
    Malformed(&'static str),
    #[error("no key for its algorithm and key identifier: is the key missing, or was it removed?")]
    NoKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("this machine's clock was never set: what has expired cannot be told")]
    Clock,
    #[error("it expired {0} s ago")]
    Expired(i64),
    #[error("it is not valid for another {0} s; are both clocks right?")]
    NotYet(i64),
    #[error("its issuer is another one")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("the client calls itself by another name than the token does")]
    Name,
    #[error("one of the topic filters that it grants is none")]
    Filter,
    #[error("claim `{claim}`: {what}")]
    Claim {
        /// As the configuration names it.
        claim: String,
        what: &'static str,
    },
}

impl Refusal {
    /// Whether somebody may be trying out tokens: this one is not the issuer's.
    pub(super) fn is_forged(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::NoKey | Self::Signature)
    }
}

/// Tokens as a configuration wants them, with the keys of now.
pub(super) struct Tokens {
    section: BrokerJwt,
    keys: ArcSwap<Keys>,
    /// What was wrong with the files when they were last looked at.
    told: Mutex<Option<String>>,
}

impl Tokens {
    /// Without keys until [`Self::reload`].
    pub(super) fn new(section: BrokerJwt) -> Self {
        Self { section, keys: ArcSwap::default(), told: Mutex::default() }
    }

    /// Takes in what the key files hold now. Returns whether it differs from before.
    pub(super) fn reload(&self) -> Result<bool, KeysError> {
        let mut told = lock(&self.told);
        let keys = match Keys::read(&self.section) {
            Ok(keys) => keys,
            Err(error) => {
                // A mistake is told once, not at every look.
                let text = Some(error.to_string());
                let known = *told == text;
                *told = text;
                return if known { Ok(false) } else { Err(error) };
            }
        };
        *told = None;
        if keys.same(&self.keys.load()) {
            return Ok(false);
        }
        tracing::info!(keys = keys.len(), "keys of tokens read");
        self.keys.store(Arc::new(keys));
        Ok(true)
    }

    /// Checks a token at a moment in seconds since 1970. Takes computing: not for a thread that serves clients.
    pub(super) fn verify(&self, token: &str, name: Option<&str>, now: i64) -> Result<Token, Refusal> {
        let claims = verify(token, &self.section, &self.keys.load(), now)?;
        match name {
            Some(name) if *name != *claims.user => Err(Refusal::Name),
            _ => Ok(claims),
        }
    }

    /// Whether the key that signed is still trusted.
    pub(super) fn trusts(&self, token: &Token) -> bool {
        self.keys.load().holds(&token.key)
    }

    /// Whether a connection has outlived its token by more than it may.
    pub(super) fn expired(&self, token: &Token, now: i64) -> bool {
        let grace = self.section.leeway.0.max(self.section.grace.0);
        now >= token.expires.saturating_add(i64::try_from(grace.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Whether the key files that the section names can be used.
///
/// # Errors
/// The file, and what is wrong with it.
pub(in crate::broker) fn check_files(section: &BrokerJwt) -> Result<(), KeysError> {
    Keys::read(section).map(|_| ())
}

/// A password that has the form of a token.
pub(super) fn token(password: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(password).ok()?;
    // Every header is an object, and `{` begins as `e` in base64.
    (text.starts_with('e') && text.bytes().filter(|&byte| byte == b'.').count() == 2).then_some(text)
}

fn verify(token: &str, section: &BrokerJwt, keys: &Keys, now: i64) -> Result<Token, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed("longer than 16 KiB"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed("not three parts"))?;
    let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed("not three parts"))?;
    let (header, signature) = (object(header)?, base64(signature)?);
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    let algorithm = algorithm.ok_or(Refusal::Malformed("not signed by RS256, ES256, EdDSA or HS256"))?;
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Refusal::Malformed("it demands an extension"));
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(Refusal::Malformed("its key identifier is no text")),
    };
    let mut fitting = keys.fitting(algorithm, kid).peekable();
    if fitting.peek().is_none() {
        return Err(Refusal::NoKey);
    }
    let signed_by = fitting.find(|key| key.verify(message.as_bytes(), &signature));
    let key = signed_by.ok_or(Refusal::Signature)?.id;
    judge(&object(payload)?, section, key, now)
}

/// Looks at the claims of a token whose signature is right.
fn judge(claims: &Map<String, Value>, section: &BrokerJwt, key: KeyId, now: i64) -> Result<Token, Refusal> {
    let claim = |name: &str, what| Refusal::Claim { claim: name.to_owned(), what };
    if claims.get("iss").and_then(Value::as_str) != Some(&section.issuer) {
        return Err(Refusal::Issuer);
    }
    let meant = |value: &Value| value.as_str() == Some(&section.audience);
    match claims.get("aud") {
        Some(Value::Array(all)) if all.iter().any(meant) => {}
        Some(one) if meant(one) => {}
        _ => return Err(Refusal::Audience),
    }
    let leeway = i64::try_from(section.leeway.0.as_secs()).unwrap_or(i64::MAX);
    let time = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => moment(value).map(Some).ok_or(claim(name, "is no moment in seconds")),
    };
    let expires = time("exp")?.ok_or(claim("exp", "is missing"))?;
    if now < CLOCK_FLOOR {
        return Err(Refusal::Clock);
    }
    if now >= expires.saturating_add(leeway) {
        return Err(Refusal::Expired(now - expires));
    }
    if let Some(begin) = time("nbf")?.filter(|begin| now < begin.saturating_sub(leeway)) {
        return Err(Refusal::NotYet(begin - now));
    }
    let name = look_up(claims, &section.user_claim).and_then(Value::as_str);
    let user = name.ok_or(claim(&section.user_claim, "names no user"))?;
    check_name(user).map_err(|what| claim(&section.user_claim, what))?;
    let list = |wanted: &Option<String>| match wanted {
        None => Ok(Vec::new()),
        Some(name) => entries(look_up(claims, name)).map_err(|what| claim(name, what)),
    };
    let granted = Claims::new(
        list(&section.roles_claim)?,
        list(&section.read_claim)?,
        list(&section.write_claim)?,
        list(&section.subscribe_claim)?,
    );
    // The message would show what stands in the token.
    let granted = granted.map_err(|_| Refusal::Filter)?;
    Ok(Token { user: user.into(), claims: Arc::new(granted), expires, key })
}

/// A NumericDate (RFC 7519 section 2), which may have a fraction.
fn moment(value: &Value) -> Option<i64> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds))?;
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
    Some(seconds as i64)
}

/// A claim by its name, or by a path of names with dots between them; names with dots in them go first.
fn look_up<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    })
}

/// A list of texts, or one text of words; a claim that is not there lists nothing.
fn entries(value: Option<&Value>) -> Result<Vec<Box<str>>, &'static str> {
    const WRONG: &str = "is no list of texts";
    let all: Vec<&str> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(words)) => words.split_ascii_whitespace().collect(),
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect::<Option<_>>().ok_or(WRONG)?,
        Some(_) => return Err(WRONG),
    };
    if all.len() > MAX_ENTRIES || all.iter().any(|entry| entry.len() > MAX_ENTRY) {
        return Err("has more than 256 entries, or one of more than 1,024 bytes");
    }
    Ok(all.into_iter().map(Into::into).collect())
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(&base64(part)?).map_err(|_| Refusal::Malformed("a part is no JSON object"))
}

fn base64(part: &str) -> Result<Vec<u8>, Refusal> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Refusal::Malformed("a part is no base64url"))
}

#[cfg(test)]
mod tests;
