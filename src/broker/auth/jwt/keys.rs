//! The keys that tokens are checked with, out of PEM files, JSON Web Key Sets (RFC 7517) and secrets.
//!
//! A key's kind decides its one algorithm; what a token says must agree with it, so that no public key can be
//! passed off as a shared secret. Deliberately absent: fetching a key set from a server. Invariants: no part of a
//! secret comes into an error; keys of unknown kinds are left out of a set, damaged ones spoil it.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ring::{digest, hmac};
use serde::Deserialize;
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::oid_registry::{OID_EC_P256, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::config::{BrokerJwt, JwtKey, Source};

/// Largest key file in bytes.
const MAX_FILE: u64 = 256 << 10;

/// Most keys of all files: a token without `kid` may be tried with each.
const MAX_KEYS: usize = 32;

/// Shortest secret in bytes: as long as the hash (RFC 7518 section 3.2).
const MIN_SECRET: usize = digest::SHA256_OUTPUT_LEN;

/// Shortest and longest RSA modulus in bytes (RFC 7518 section 3.3; the upper limit is ring's).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read.
    #[error("the key file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("the key file {}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        what: &'static str,
    },
}

/// Algorithms of RFC 7518 and RFC 8037 that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
    Hs256,
}

/// Tells keys apart without showing them.
pub(super) type KeyId = [u8; digest::SHA256_OUTPUT_LEN];

/// One key.
pub(super) struct Key {
    pub(super) id: KeyId,
    kid: Option<Box<str>>,
    material: Material,
}

enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(UnparsedPublicKey<Vec<u8>>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
    Secret(hmac::Key),
}

/// All keys of a configuration.
#[derive(Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    ids: HashSet<KeyId>,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }
}

impl Key {
    /// The one algorithm that this key is for.
    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa(_) => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Secret(_) => Algorithm::Hs256,
        }
    }

    /// Whether the signature is this key's.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
            Material::P256(key) | Material::Ed25519(key) => key.verify(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    fn new(kid: Option<&str>, material: Material, bytes: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        bytes.iter().for_each(|part| context.update(digest::digest(&digest::SHA256, part).as_ref()));
        let mut id = KeyId::default();
        id.copy_from_slice(context.finish().as_ref());
        Self { id, kid: kid.map(Into::into), material }
    }

    fn rsa(kid: Option<&str>, n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|&byte| byte == 0).collect::<Vec<_>>();
        let (n, e) = (strip(n), strip(e));
        if !RSA_BYTES.contains(&n.len()) || e.is_empty() {
            return Err("the RSA key has not 2048 to 8192 bits");
        }
        let parts = [n.clone(), e.clone()];
        let material = Material::Rsa(RsaPublicKeyComponents { n, e });
        Ok(Self::new(kid, material, &[&parts[0], &parts[1]]))
    }

    /// `point`: uncompressed.
    fn p256(kid: Option<&str>, point: &[u8]) -> Result<Self, &'static str> {
        if point.len() != 65 || point.first() != Some(&4) {
            return Err("the P-256 key is no uncompressed point");
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.to_vec());
        Ok(Self::new(kid, Material::P256(key), &[point]))
    }

    fn ed25519(kid: Option<&str>, bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() != 32 {
            return Err("the Ed25519 key has not 32 bytes");
        }
        let key = UnparsedPublicKey::new(&ED25519, bytes.to_vec());
        Ok(Self::new(kid, Material::Ed25519(key), &[bytes]))
    }

    fn secret(kid: Option<&str>, bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < MIN_SECRET {
            return Err("the secret is shorter than 32 bytes; make one by `openssl rand -base64 48`");
        }
        Ok(Self::new(kid, Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)), &[bytes]))
    }

    fn from_pem(kid: Option<&str>, pem: &[u8]) -> Result<Self, &'static str> {
        const KINDS: &str = "holds no RSA, P-256 or Ed25519 key";
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| "holds no `BEGIN PUBLIC KEY` in PEM form; a certificate's is given by `openssl x509 -pubkey -noout`")?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KINDS)?;
        if info.algorithm.algorithm == OID_SIG_ED25519 {
            return Self::ed25519(kid, &info.subject_public_key.data);
        }
        match info.parsed().map_err(|_| KINDS)? {
            PublicKey::RSA(key) => Self::rsa(kid, key.modulus, key.exponent),
            PublicKey::EC(point) => {
                let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
                if curve.is_some_and(|curve| curve == OID_EC_P256) {
                    Self::p256(kid, point.data())
                } else {
                    Err(KINDS)
                }
            }
            _ => Err(KINDS),
        }
    }
}

/// One entry of a key set. Members that are not known are left out (RFC 7517 section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl Jwk {
    /// `None`: a key for something else.
    fn key(&self) -> Option<Result<Key, &'static str>> {
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("oct", _) => Algorithm::Hs256,
            _ => return None,
        };
        if !signs || self.alg.as_deref().is_some_and(|name| Algorithm::named(name) != Some(algorithm)) {
            return None;
        }
        let kid = self.kid.as_deref();
        Some(match algorithm {
            Algorithm::Rs256 => self.two(&self.n, &self.e).and_then(|(n, e)| Key::rsa(kid, &n, &e)),
            Algorithm::Es256 => {
                self.two(&self.x, &self.y).and_then(|(x, y)| Key::p256(kid, &[&[4], &x[..], &y].concat()))
            }
            Algorithm::EdDsa => base64(self.x.as_deref()).and_then(|x| Key::ed25519(kid, &x)),
            Algorithm::Hs256 => base64(self.k.as_deref()).and_then(|k| Key::secret(kid, &k)),
        })
    }

    fn two(&self, one: &Option<String>, two: &Option<String>) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
        Ok((base64(one.as_deref())?, base64(two.as_deref())?))
    }
}

fn base64(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a key of the set is not whole")?;
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| "a key of the set is damaged: no base64url")
}

fn from_set(text: &[u8], open: bool) -> Result<Vec<Key>, &'static str> {
    let set: Jwks = serde_json::from_slice(text).map_err(|_| "is no JSON Web Key Set")?;
    let mut keys = Vec::new();
    for entry in set.keys {
        // An entry of a form from elsewhere is as unknown as a key of an unknown kind.
        let Ok(entry) = serde_json::from_value::<Jwk>(entry) else { continue };
        let Some(key) = entry.key() else { continue };
        let key = key?;
        if open && key.algorithm() == Algorithm::Hs256 {
            return Err(OPEN);
        }
        keys.push(key);
    }
    if keys.is_empty() { Err("has no key for RS256, ES256, EdDSA or HS256") } else { Ok(keys) }
}

const OPEN: &str = "holds a secret and can be read by others; `chmod 600` it";

impl Keys {
    /// Reads every file that the section names.
    pub(super) fn read(section: &BrokerJwt) -> Result<Self, KeysError> {
        let mut all = Self::default();
        for entry in &section.keys {
            let Some((path, source)) = entry.source() else { continue };
            let bad = |what| KeysError::Content { path: path.into(), what };
            let (bytes, open) = file(path)?;
            for key in parse(entry, source, &bytes, open).map_err(bad)? {
                all.ids.insert(key.id);
                all.keys.push(key);
            }
            if all.keys.len() > MAX_KEYS {
                return Err(bad("with the other files there are more than 32 keys"));
            }
        }
        Ok(all)
    }

    /// Those that may have signed a token with this header.
    pub(super) fn fitting<'k>(
        &'k self,
        algorithm: Algorithm,
        kid: Option<&'k str>,
    ) -> impl Iterator<Item = &'k Key> {
        let named = move |key: &&Key| match (kid, key.kid.as_deref()) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        self.keys.iter().filter(move |key| key.algorithm() == algorithm).filter(named)
    }

    /// Whether a key is still there.
    pub(super) fn holds(&self, id: &KeyId) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether these are the same keys.
    pub(super) fn same(&self, other: &Self) -> bool {
        let names = |keys: &Self| keys.keys.iter().map(|key| (key.id, key.kid.clone())).collect::<Vec<_>>();
        names(self) == names(other)
    }
}

fn parse(entry: &JwtKey, source: Source, bytes: &[u8], open: bool) -> Result<Vec<Key>, &'static str> {
    let kid = entry.kid.as_deref();
    match source {
        Source::Pem => Key::from_pem(kid, bytes).map(|key| vec![key]),
        Source::Jwks => from_set(bytes, open),
        Source::Secret if open => Err(OPEN),
        Source::Secret => {
            // An editor ends a line; that is no part of the secret.
            let end =
                bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
            Key::secret(kid, &bytes[..end]).map(|key| vec![key])
        }
    }
}

/// What a file holds, and whether anybody on this machine may read it.
fn file(path: &Path) -> Result<(Vec<u8>, bool), KeysError> {
    let unreadable = |source| KeysError::Unreadable { path: path.into(), source };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.len() > MAX_FILE {
        return Err(KeysError::Content { path: path.into(), what: "is larger than 256 KiB" });
    }
    Ok((std::fs::read(path).map_err(unreadable)?, about.mode() & 0o004 != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Result<usize, &'static str> {
        from_set(text.as_bytes(), false).map(|keys| keys.len())
    }

    #[test]
    fn keys_for_something_else_are_left_out_and_damaged_ones_spoil_the_set() {
        let secret = format!(r#"{{"kty":"oct","k":"{}"}}"#, BASE64URL_NOPAD.encode(&[7; 32]));
        let with = |more: &str| set(&format!(r#"{{"keys":[{secret}{more}]}}"#));
        assert_eq!(with(""), Ok(1));
        for other in [
            r#",{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
            r#",{"kty":"RSA","alg":"RS512","n":"AA","e":"AQAB"}"#,
            r#",{"kty":"RSA","alg":"HS256","n":"AA","e":"AQAB"}"#,
            r#",{"kty":"RSA","use":"enc","n":"AA","e":"AQAB"}"#,
            r#",{"kty":"oct","key_ops":["sign"],"k":"AA"}"#,
            r#",{"kty":"new"}, 7, {"crv":"P-256"}"#,
        ] {
            assert_eq!(with(other), Ok(1), "{other}");
        }
        for (damaged, what) in [
            (r#",{"kty":"RSA","n":"AA","e":"AQAB"}"#, "2048"),
            (r#",{"kty":"RSA","e":"AQAB"}"#, "not whole"),
            (r#",{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, "32 bytes"),
            (r#",{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, "point"),
            (r#",{"kty":"oct","k":"AA"}"#, "shorter"),
            (r#",{"kty":"oct","k":"A=!"}"#, "base64url"),
        ] {
            assert!(with(damaged).is_err_and(|told| told.contains(what)), "{damaged}");
        }
        assert!(set("{\"keys\":[]}").is_err() && set("[]").is_err());
        assert_eq!(from_set(format!(r#"{{"keys":[{secret}]}}"#).as_bytes(), true).err(), Some(OPEN));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_set(&bytes, false);
            prop_assert!(Key::from_pem(None, &bytes).is_err());
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", data_encoding::BASE64.encode(&bytes));
            let _ = Key::from_pem(None, pem.as_bytes());
        }
    }
}
