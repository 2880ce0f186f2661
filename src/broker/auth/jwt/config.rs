//! The `broker.jwt` section of the configuration.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::units::Period;

/// Clients that log in with a token of an OAuth or OpenID server: a signed JWT in the place of the password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BrokerJwt {
    /// Keys that tokens may be signed with.
    pub keys: Vec<JwtKey>,
    /// What `iss` must be, to the letter.
    pub issuer: String,
    /// What `aud` must be or contain: the name that the issuer knows this broker by.
    pub audience: String,
    /// The claim that names the user. A client that sends a user name as well must send this one.
    #[serde(default = "sub")]
    pub user_claim: String,
    /// The claim that lists roles: a list, or a text with spaces between them. `realm_access.roles` looks into an object.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// The claim that lists topic filters which the client may read: whose messages it gets.
    #[serde(default)]
    pub read_claim: Option<String>,
    /// The claim that lists topic filters which the client may publish to.
    #[serde(default)]
    pub write_claim: Option<String>,
    /// The claim that lists topic filters which the client may subscribe to.
    #[serde(default)]
    pub subscribe_claim: Option<String>,
    /// By how much the issuer's clock may differ from this one when `exp` and `nbf` are looked at.
    #[serde(default = "leeway")]
    pub leeway: Period,
    /// How long a connection may outlive its token.
    #[serde(default = "grace")]
    pub grace: Period,
}

/// One key, or a set of them: exactly one of `pem`, `jwks` and `secret`. A key serves one algorithm, whatever a token says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct JwtKey {
    /// PEM file with a public key: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    pub pem: Option<PathBuf>,
    /// File with a JSON Web Key Set. Keys of other kinds in it are left out.
    pub jwks: Option<PathBuf>,
    /// File with a secret of at least 32 bytes for HS256, readable for the gateway's user only.
    pub secret: Option<PathBuf>,
    /// Identifier of a `pem` or `secret` key: tokens with another `kid` are not tried with it.
    pub kid: Option<String>,
}

fn sub() -> String {
    "sub".into()
}

fn leeway() -> Period {
    Period::from_secs(30)
}

fn grace() -> Period {
    Period::from_secs(0)
}

/// Longest leeway in seconds: a token that expired longer ago is expired by any clock.
const MAX_LEEWAY: u64 = 600;

impl BrokerJwt {
    /// Whether tokens say themselves what their bearer may do, without roles of the access file.
    pub(in crate::broker) fn grants(&self) -> bool {
        self.read_claim.is_some() || self.write_claim.is_some() || self.subscribe_claim.is_some()
    }

    /// What is wrong with the section, one sentence each, without looking into files.
    pub(in crate::broker) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut add = |text: &str| problems.push(format!("broker.jwt.{text}"));
        if self.keys.is_empty() {
            add("keys: name at least one key, such as `[{ pem: /etc/iogate/issuer.pem }]`");
        }
        for key in &self.keys {
            key.check(&mut add);
        }
        for (name, text) in
            [("issuer", &self.issuer), ("audience", &self.audience), ("user-claim", &self.user_claim)]
        {
            if text.is_empty() {
                add(&format!("{name}: must not be empty"));
            }
        }
        if self.leeway.0.as_secs() > MAX_LEEWAY {
            add("leeway: at most 10m");
        }
        problems
    }
}

impl JwtKey {
    /// The file and what is in it.
    pub(super) fn source(&self) -> Option<(&Path, Source)> {
        match (&self.pem, &self.jwks, &self.secret) {
            (Some(path), None, None) => Some((path, Source::Pem)),
            (None, Some(path), None) => Some((path, Source::Jwks)),
            (None, None, Some(path)) => Some((path, Source::Secret)),
            _ => None,
        }
    }

    fn check(&self, add: &mut impl FnMut(&str)) {
        match self.source() {
            None => add("keys: every key has exactly one of `pem`, `jwks` and `secret`"),
            Some((path, _)) if !path.is_absolute() => add("keys: files are named by absolute paths"),
            Some((_, Source::Jwks)) if self.kid.is_some() => {
                add("keys: the keys of a `jwks` bring their own `kid`");
            }
            Some(_) => {}
        }
    }
}

/// What a key file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Pem,
    Jwks,
    Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_must_be_said_is_enough() {
        let read = |yaml: &str| serde_yaml::from_str::<BrokerJwt>(yaml).map(|jwt| jwt.problems().join("\n"));
        assert_eq!(read("{ keys: [{ pem: /a }], issuer: i, audience: a }").unwrap(), "");
        assert!(read("{ keys: [{ pem: /a }], issuer: i }").is_err());
        assert!(read("{ keys: [{ pem: /a }], issuer: i, audience: a, algorithm: none }").is_err());
        for (yaml, what) in [
            ("{ keys: [], issuer: i, audience: a }", "at least one"),
            ("{ keys: [{ pem: a }], issuer: i, audience: a }", "absolute"),
            ("{ keys: [{ pem: /a, jwks: /b }], issuer: i, audience: a }", "exactly one"),
            ("{ keys: [{}], issuer: i, audience: a }", "exactly one"),
            ("{ keys: [{ jwks: /a, kid: x }], issuer: i, audience: a }", "their own"),
            ("{ keys: [{ pem: /a }], issuer: '', audience: a }", "issuer: must not be empty"),
            ("{ keys: [{ pem: /a }], issuer: i, audience: a, leeway: 1h }", "at most"),
        ] {
            assert!(read(yaml).unwrap().contains(what), "{yaml}");
        }
    }
}
