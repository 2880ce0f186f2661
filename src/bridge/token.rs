//! Tokens in the place of passwords: JSON Web Tokens (RFC 7519) and shared access signatures, signed with ring.
//!
//! Pure but for ring's random numbers: keys and the time are handed in. Invariant: no key and no token stands in an error.

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use ring::{hmac, rsa};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use tokio_rustls::rustls;

use super::config::{Jwt, JwtAlgorithm, Sas};
use super::shape::percent;

/// Signs a token. `key` is the content of the key's file; `subject` is filled in already.
///
/// # Errors
/// Why the key cannot be used, in words.
pub(crate) fn jwt(config: &Jwt, key: &[u8], subject: Option<&str>, now_s: u64) -> Result<String, String> {
    let mut header = Map::new();
    header.insert("alg".into(), format!("{:?}", config.algorithm).into());
    header.insert("typ".into(), "JWT".into());
    let mut claims: Map<String, Value> =
        config.claims.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let put = |map: &mut Map<String, Value>, name: &str, value: Option<&str>| {
        map.extend(value.map(|value| (name.to_owned(), Value::from(value))));
    };
    put(&mut header, "kid", config.key_id.as_deref());
    put(&mut claims, "aud", config.audience.as_deref());
    put(&mut claims, "iss", config.issuer.as_deref());
    put(&mut claims, "sub", subject);
    claims.insert("iat".into(), now_s.into());
    claims.insert("exp".into(), now_s.saturating_add(config.lifetime.0.as_secs()).into());
    let encode = |part: Map<String, Value>| {
        data_encoding::BASE64URL_NOPAD.encode(Value::Object(part).to_string().as_bytes())
    };
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(config.algorithm, key, signed.as_bytes())?;
    Ok(format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&signature)))
}

fn sign(algorithm: JwtAlgorithm, key: &[u8], text: &[u8]) -> Result<Vec<u8>, String> {
    let random = SystemRandom::new();
    let unusable = |_| format!("the key cannot be used for {algorithm:?}");
    let failed = |_| "signing failed".to_owned();
    match algorithm {
        JwtAlgorithm::HS256 => {
            let secret = key.trim_ascii_end();
            if secret.is_empty() {
                return Err("the secret is empty".into());
            }
            Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec())
        }
        JwtAlgorithm::RS256 => {
            let pair = match private(key)? {
                PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
                other => RsaKeyPair::from_pkcs8(other.secret_der()),
            };
            let pair: rsa::KeyPair = pair.map_err(unusable)?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&signature::RSA_PKCS1_SHA256, &random, text, &mut signature).map_err(failed)?;
            Ok(signature)
        }
        JwtAlgorithm::ES256 => {
            let der = private(key)?;
            let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::from_pkcs8(kind, der.secret_der(), &random).map_err(unusable)?;
            Ok(pair.sign(&random, text).map_err(failed)?.as_ref().to_vec())
        }
        JwtAlgorithm::EdDSA => {
            let der = private(key)?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der()).map_err(unusable)?;
            Ok(pair.sign(text).as_ref().to_vec())
        }
    }
}

fn private(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let key =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| "holds no private key in PEM form".to_owned())?;
    match key {
        PrivateKeyDer::Sec1(_) => {
            Err("holds a key in SEC1 form; turn it into PKCS#8: openssl pkcs8 -topk8 -nocrypt".into())
        }
        other => Ok(other),
    }
}

/// Signs a shared access signature for a resource.
///
/// # Errors
/// The key is not base64.
pub(crate) fn sas(config: &Sas, key: &[u8], resource: &str, now_s: u64) -> Result<String, String> {
    let key =
        data_encoding::BASE64.decode(key.trim_ascii()).map_err(|_| "holds no key in base64".to_owned())?;
    let mut token = String::from("SharedAccessSignature sr=");
    let start = token.len();
    percent(&mut token, resource);
    let ends = now_s.saturating_add(config.lifetime.0.as_secs());
    let text = format!("{}\n{ends}", &token[start..]);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    token.push_str("&sig=");
    percent(&mut token, &data_encoding::BASE64.encode(signature.as_ref()));
    token.push_str(&format!("&se={ends}"));
    if let Some(policy) = &config.policy {
        token.push_str("&skn=");
        percent(&mut token, policy);
    }
    Ok(token)
}

/// When a token expires, in seconds since 1970, if it is a JSON Web Token that says so, or a shared access signature.
pub(crate) fn expiry(token: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(token).ok()?;
    if let Some(fields) = text.strip_prefix("SharedAccessSignature ") {
        return fields.split('&').find_map(|field| field.strip_prefix("se=")).and_then(|at| at.parse().ok());
    }
    let claims = data_encoding::BASE64URL_NOPAD.decode(text.split('.').nth(1)?.as_bytes()).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?["exp"].as_u64()
}

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair, UnparsedPublicKey};

    use super::*;
    use crate::model::units::Period;

    fn config(algorithm: JwtAlgorithm) -> Jwt {
        Jwt {
            key: "/k".into(),
            algorithm,
            audience: Some("project".into()),
            issuer: None,
            subject: None,
            key_id: Some("one".into()),
            claims: [("role".to_owned(), "gateway".to_owned())].into_iter().collect(),
            lifetime: Period::from_secs(600),
        }
    }

    /// Splits a token into what was signed, its parts and its signature.
    fn parts(token: &str) -> (&str, Value, Value, Vec<u8>) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |text: &str| data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let read = |text: &str| serde_json::from_slice(&decode(text)).unwrap();
        (signed, read(header), read(claims), decode(signature))
    }

    #[test]
    fn tokens_say_what_they_should_and_are_signed() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let token =
            jwt(&config(JwtAlgorithm::ES256), pair.serialize_pem().as_bytes(), Some("me"), 1000).unwrap();
        let (signed, header, claims, signature) = parts(&token);
        assert_eq!(header, serde_json::json!({ "alg": "ES256", "typ": "JWT", "kid": "one" }));
        let wanted =
            serde_json::json!({ "aud": "project", "sub": "me", "iat": 1000, "exp": 1600, "role": "gateway" });
        assert_eq!(claims, wanted);
        let public = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key_raw());
        public.verify(signed.as_bytes(), &signature).unwrap();

        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let token = jwt(&config(JwtAlgorithm::EdDSA), pair.serialize_pem().as_bytes(), None, 1000).unwrap();
        let (signed, _, claims, signature) = parts(&token);
        assert_eq!(claims.get("sub"), None);
        let own = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pair.serialize_der()).unwrap();
        let public = UnparsedPublicKey::new(&signature::ED25519, own.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn the_known_answer_of_hs256_comes_out() {
        // The signature of `openssl dgst -sha256 -hmac secret` over the same text.
        let token = jwt(&config(JwtAlgorithm::HS256), b"secret\n", None, 1000).unwrap();
        let (signed, _, _, signature) = parts(&token);
        let again = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), signed.as_bytes());
        assert_eq!(signature, again.as_ref());
        assert!(jwt(&config(JwtAlgorithm::HS256), b"\n", None, 0).unwrap_err().contains("empty"));
    }

    #[test]
    fn keys_that_do_not_fit_are_named_without_their_content() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        let error = jwt(&config(JwtAlgorithm::RS256), pair.as_bytes(), None, 0).unwrap_err();
        assert_eq!(error, "the key cannot be used for RS256");
        assert!(jwt(&config(JwtAlgorithm::ES256), b"secret", None, 0).unwrap_err().contains("PEM"));
    }

    #[test]
    fn signatures_for_the_hub_have_their_form() {
        let config = Sas {
            key: "/k".into(),
            resource: None,
            policy: Some("p".into()),
            lifetime: Period::from_secs(60),
        };
        let token = sas(&config, b"a2V5\n", "hub.example.com/devices/gw", 1000).unwrap();
        let signature =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"key"), b"hub.example.com%2Fdevices%2Fgw\n1060");
        let mut wanted = "SharedAccessSignature sr=hub.example.com%2Fdevices%2Fgw&sig=".to_owned();
        percent(&mut wanted, &data_encoding::BASE64.encode(signature.as_ref()));
        assert_eq!(token, wanted + "&se=1060&skn=p");
        assert!(sas(&config, b"?", "r", 0).is_err());
    }

    #[test]
    fn tokens_tell_when_they_expire() {
        let claims = data_encoding::BASE64URL_NOPAD.encode(br#"{"exp":1234,"aud":"a"}"#);
        assert_eq!(expiry(format!("e30.{claims}.sig").as_bytes()), Some(1234));
        assert_eq!(expiry(b"SharedAccessSignature sr=a&sig=b&se=99&skn=c"), Some(99));
        for other in [&b"opaque"[..], b"a.b.c", b"e30.e30.", &[0xff]] {
            assert_eq!(expiry(other), None);
        }
    }
}
