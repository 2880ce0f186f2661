//! Digest access authentication (RFC 7616): a challenge in, the header that answers it out.
//!
//! Pure: the client nonce comes in. MD5 stands in the RFC and in most devices; it protects nothing but this
//! header here. Absent: `auth-int` and `userhash`, which no field device asks for. Invariant: the password
//! leaves in no other form than inside a hash.

use md5::{Digest as _, Md5};

/// The longest challenge that is read, in bytes.
const MAX_CHALLENGE: usize = 4096;

/// How many parameters one challenge may have.
const MAX_PARAMETERS: usize = 32;

/// The hash that a challenge asks for; the stronger one counts as greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-256.
    Sha256,
}

/// What a device asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The hash of the password is bound to the session (`MD5-sess`).
    session: bool,
    /// Quality of protection `auth` is offered; without it, the older form of RFC 2069 is meant.
    protected: bool,
    /// The former nonce was too old, and only that.
    pub stale: bool,
}

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// The verb of the request.
    pub verb: &'a str,
    /// Its path with the query.
    pub path: &'a str,
    /// A number that nobody can foretell.
    pub client_nonce: &'a str,
    /// How often this nonce of the device has been used, this time included.
    pub count: u32,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => data_encoding::HEXLOWER.encode(&Md5::digest(text.as_bytes())),
            Self::Sha256 => {
                let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
                data_encoding::HEXLOWER.encode(hash.as_ref())
            }
        }
    }
}

impl Challenge {
    /// The strongest challenge of these `WWW-Authenticate` headers that can be answered.
    pub fn strongest<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        headers.filter_map(Self::parse).max_by_key(|challenge| challenge.algorithm)
    }

    /// Reads one header; `None` when it is no digest challenge that can be answered.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") || header.len() > MAX_CHALLENGE {
            return None;
        }
        let parameters = parameters(rest)?;
        let find = |key: &str| {
            let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            found.map(|(_, value)| value.clone())
        };
        let word = find("algorithm").unwrap_or_else(|| "MD5".into()).to_ascii_uppercase();
        let algorithm = match word.strip_suffix("-SESS").unwrap_or(&word) {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            _ => return None,
        };
        let offered = find("qop");
        let protected = offered
            .as_deref()
            .is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if offered.is_some() && !protected {
            return None;
        }
        Some(Self {
            realm: find("realm")?,
            nonce: find("nonce")?,
            opaque: find("opaque"),
            algorithm,
            session: word.ends_with("-SESS"),
            protected,
            stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The header `Authorization` for a request (RFC 7616, section 3.4).
    #[must_use]
    pub fn answer(&self, asking: &Asking<'_>) -> String {
        let Asking { user, password, verb, path, client_nonce, count } = *asking;
        let hash = |text: &str| self.algorithm.hash(text);
        let mut who = hash(&format!("{user}:{}:{password}", self.realm));
        if self.session {
            who = hash(&format!("{who}:{}:{client_nonce}", self.nonce));
        }
        let what = hash(&format!("{verb}:{path}"));
        let nonce = &self.nonce;
        let response = if self.protected {
            hash(&format!("{who}:{nonce}:{count:08x}:{client_nonce}:auth:{what}"))
        } else {
            hash(&format!("{who}:{nonce}:{what}"))
        };
        let algorithm = match (self.algorithm, self.session) {
            (Algorithm::Md5, false) => "MD5",
            (Algorithm::Md5, true) => "MD5-sess",
            (Algorithm::Sha256, false) => "SHA-256",
            (Algorithm::Sha256, true) => "SHA-256-sess",
        };
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", algorithm={algorithm}, response=\"{response}\"",
            quoted(user),
            quoted(&self.realm),
            quoted(nonce),
            quoted(path),
        );
        if self.protected {
            header.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{client_nonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            header.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
        }
        header
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// `name=value, name="quoted value"`; `None` when it is nothing of the kind.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() && found.len() < MAX_PARAMETERS {
        let (name, tail) = rest.split_once('=')?;
        let tail = tail.trim_start();
        let (value, tail) = match tail.strip_prefix('"') {
            Some(inside) => quoted_value(inside)?,
            None => {
                let end = tail.find(',').unwrap_or(tail.len());
                (tail[..end].trim().to_owned(), &tail[end..])
            }
        };
        found.push((name.trim().to_owned(), value));
        rest = tail.trim_start_matches([' ', '\t', ',']);
    }
    Some(found)
}

/// A value up to its closing quote, and what follows.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &text[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 7616, section 3.9.1.
    fn example(algorithm: &str) -> (Challenge, String) {
        let header = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let challenge = Challenge::parse(&header).unwrap();
        let answer = challenge.answer(&Asking {
            user: "Mufasa",
            password: "Circle of Life",
            verb: "GET",
            path: "/dir/index.html",
            client_nonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            count: 1,
        });
        (challenge, answer)
    }

    #[test]
    fn the_answers_are_those_of_the_rfc() {
        let (_, md5) = example("MD5");
        assert!(md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{md5}");
        assert!(md5.contains("nc=00000001") && md5.contains("qop=auth,") && md5.contains("opaque=\"FQhe/"));
        let (_, sha) = example("SHA-256");
        let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(sha.contains(wanted), "{sha}");
        assert!(!sha.contains("Circle"));
    }

    #[test]
    fn the_form_of_rfc_2069_goes_without_a_client_nonce() {
        let old = Challenge::parse("Digest realm=\"r\",nonce=\"n\"").unwrap();
        let asking = Asking { user: "u", password: "p", verb: "GET", path: "/", client_nonce: "c", count: 1 };
        let answer = old.answer(&asking);
        // MD5(MD5(u:r:p):n:MD5(GET:/))
        assert!(!answer.contains("cnonce") && answer.contains("algorithm=MD5"), "{answer}");
    }

    #[test]
    fn the_strongest_challenge_is_answered() {
        let both = [
            "Digest realm=\"r\", nonce=\"1\", qop=auth, algorithm=MD5",
            "Digest realm=\"r\", nonce=\"2\", qop=auth, algorithm=SHA-256-sess, stale=TRUE",
            "Basic realm=\"r\"",
            "Digest realm=\"r\", nonce=\"3\", algorithm=SHA-512",
            "Digest realm=\"r\", nonce=\"4\", qop=auth-int",
        ];
        let chosen = Challenge::strongest(both.into_iter()).unwrap();
        assert_eq!((chosen.nonce.as_str(), chosen.session, chosen.stale), ("2", true, true));
        assert_eq!(Challenge::strongest(both[2..].iter().copied()), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(header in ".*|[Dd]igest ([a-z]+=\"?[^\"]*\"?, ?)*") {
            let _ = Challenge::parse(&header);
        }

        #[test]
        fn quoted_values_read_back(realm in "[^\u{0}-\u{1f}]{0,30}", nonce in "[a-zA-Z0-9/+=]{1,30}") {
            let header = format!("Digest realm=\"{}\", nonce=\"{nonce}\", qop=\"auth\"", quoted(&realm));
            let challenge = Challenge::parse(&header).unwrap();
            prop_assert_eq!((challenge.realm, challenge.nonce), (realm, nonce));
        }
    }
}
