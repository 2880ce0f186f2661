//! How a bridge proves who it is, and how it knows the upstream broker: password, token, TLS.
//!
//! Absent: reading the named files, which is done at every connection, so that a renewed secret counts without a
//! restart. Invariant: no secret stands in the configuration itself.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::units::Period;

/// A secret, by the file that holds it; it is read anew at every connection, without its line end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretFile {
    /// Absolute path of the file.
    pub file: PathBuf,
}

/// A token in the place of a password; exactly one of the forms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// Absolute path of a file that something else keeps up to date; read anew at every connection.
    File(PathBuf),
    /// A JSON Web Token that the gateway signs itself.
    Jwt(Jwt),
    /// A shared access signature, as Azure IoT Hub wants it.
    Sas(Sas),
}

/// A JSON Web Token (RFC 7519), signed anew for every connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jwt {
    /// Absolute path of the key: a PEM file with a private key in PKCS#8 form, or for HS256 a file with the shared secret.
    pub key: PathBuf,
    /// How the token is signed.
    pub algorithm: JwtAlgorithm,
    /// The claim `aud`.
    #[serde(default)]
    pub audience: Option<String>,
    /// The claim `iss`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The claim `sub`; may hold `{site}`, `{host}` and `{bridge}`.
    #[serde(default)]
    pub subject: Option<String>,
    /// The name of the key (`kid`) in the token's header.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Further claims, all of them texts.
    #[serde(default)]
    pub claims: IndexMap<String, String>,
    /// How long a token is valid. The bridge connects anew shortly before its end.
    #[serde(default = "an_hour")]
    pub lifetime: Period,
}

/// How a JSON Web Token is signed (RFC 7518).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    /// RSA with SHA-256, keys of 2048 bits and more.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// HMAC with SHA-256 and a shared secret.
    HS256,
}

/// A shared access signature.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sas {
    /// Absolute path of a file with the key as Azure shows it (base64).
    pub key: PathBuf,
    /// What the signature is for; with the profile `azure-iot-hub`: `<hub>/devices/<client-id>` when nothing is said.
    #[serde(default)]
    pub resource: Option<String>,
    /// Name of the shared access policy; absent for a key of the device itself.
    #[serde(default)]
    pub policy: Option<String>,
    /// How long a signature is valid. The bridge connects anew shortly before its end.
    #[serde(default = "an_hour")]
    pub lifetime: Period,
}

/// TLS towards the upstream broker: TLS 1.2 and 1.3, the server's certificate and name are always checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tls {
    /// PEM file with the roots that the server's certificate may lead to; those of the system when nothing is said.
    pub ca: Option<PathBuf>,
    /// PEM file with the gateway's own certificate, then those that lead to its root. Needs `key`.
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of `cert`.
    pub key: Option<PathBuf>,
    /// Protocols offered by ALPN, such as `x-amzn-mqtt-ca`; those of the profile when nothing is said.
    pub alpn: Vec<String>,
    /// Name that is sent (SNI) and that the certificate must carry, where it differs from the host of `url`.
    pub server_name: Option<String>,
    /// SHA-256 of the server's public key (SubjectPublicKeyInfo), in hex or base64. The certificate must carry this key, besides all other checks.
    pub pin: Option<String>,
}

fn an_hour() -> Period {
    Period::from_secs(3600)
}

/// The shortest and the longest life of a token.
const LIFETIMES: (Period, Period) = (Period::from_secs(60), Period::from_secs(365 * 86_400));

impl Token {
    /// What is wrong, one sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let (path, lifetime) = match self {
            Self::File(path) => (path, None),
            Self::Jwt(jwt) => (&jwt.key, Some(jwt.lifetime)),
            Self::Sas(sas) => (&sas.key, Some(sas.lifetime)),
        };
        let mut problems = Vec::new();
        problems.extend(relative("token", path));
        if lifetime.is_some_and(|lifetime| lifetime < LIFETIMES.0 || lifetime > LIFETIMES.1) {
            problems.push("token: `lifetime` must be 1m … 365d".into());
        }
        if let Self::Jwt(jwt) = self {
            let taken = ["aud", "iss", "sub", "iat", "exp"];
            if let Some(name) = jwt.claims.keys().find(|name| taken.contains(&name.as_str())) {
                problems
                    .push(format!("token: the claim `{name}` has a key of its own or is set by the gateway"));
            }
        }
        problems
    }

    /// How long what is made is valid; `None` for a file.
    #[must_use]
    pub fn lifetime(&self) -> Option<std::time::Duration> {
        match self {
            Self::File(_) => None,
            Self::Jwt(jwt) => Some(jwt.lifetime.0),
            Self::Sas(sas) => Some(sas.lifetime.0),
        }
    }
}

impl Tls {
    /// What is wrong, one sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, path) in [("tls.ca", &self.ca), ("tls.cert", &self.cert), ("tls.key", &self.key)] {
            problems.extend(path.as_deref().and_then(|path| relative(name, path)));
        }
        if self.cert.is_some() != self.key.is_some() {
            problems.push("tls: `cert` and `key` belong together".into());
        }
        if self.alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
            problems.push("tls: the names of `alpn` have 1 … 255 bytes".into());
        }
        if self.pin.as_deref().is_some_and(|pin| pin_bytes(pin).is_none()) {
            problems
                .push("tls: `pin` must be a SHA-256 hash: 64 hex digits, or 44 characters of base64".into());
        }
        problems
    }

    /// The hash that is pinned.
    #[must_use]
    pub fn pinned(&self) -> Option<[u8; 32]> {
        self.pin.as_deref().and_then(pin_bytes)
    }
}

/// A SHA-256 hash as people write it: hex with or without colons, or base64.
fn pin_bytes(text: &str) -> Option<[u8; 32]> {
    use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
    let text = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha256/")).unwrap_or(text);
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    let bytes = match plain.len() {
        64 => HEXLOWER_PERMISSIVE.decode(plain.as_bytes()).ok(),
        _ => BASE64.decode(plain.as_bytes()).ok(),
    };
    bytes?.try_into().ok()
}

/// Complains about a path that depends on where the program is started.
pub(super) fn relative(name: &str, path: &Path) -> Option<String> {
    (!path.is_absolute()).then(|| format!("{name}: `{}` must be an absolute path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_form_and_sane_lives() {
        let token = |yaml: &str| serde_yaml::from_str::<Token>(yaml).map(|token| token.problems().join("; "));
        assert_eq!(token("file: /run/token").unwrap(), "");
        assert_eq!(token("jwt: { key: /k, algorithm: RS256, audience: a }").unwrap(), "");
        assert!(token("sas: { key: k }").unwrap().contains("absolute"));
        assert!(token("jwt: { key: /k, algorithm: ES256, lifetime: 1s }").unwrap().contains("1m … 365d"));
        assert!(token("jwt: { key: /k, algorithm: ES256, claims: { exp: x } }").unwrap().contains("`exp`"));
        assert!(token("jwt: { key: /k, algorithm: none }").is_err());
        assert!(token("{ file: /a, sas: { key: /k } }").is_err());
    }

    #[test]
    fn pins_are_hashes() {
        let hex = "00".repeat(31) + "0F";
        let base64 = data_encoding::BASE64.encode(&[7; 32]);
        let tls = |pin: &str| Tls { pin: Some(pin.to_owned()), ..Tls::default() };
        assert_eq!(tls(&hex).pinned().unwrap()[31], 15);
        assert_eq!(tls(&format!("sha256/{base64}")).pinned(), Some([7; 32]));
        assert!(tls("abc").problems()[0].contains("SHA-256"));
        assert!(Tls { cert: Some("/a".into()), ..Tls::default() }.problems()[0].contains("together"));
        assert!(Tls { ca: Some("a".into()), ..Tls::default() }.problems()[0].contains("absolute"));
    }
}
