//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: messages, proofs and what is stored of a password.
//!
//! Pure: random numbers are given. Deliberately absent: channel binding (`SCRAM-SHA-256-PLUS` is not offered, so
//! the flags `n` and `y` are right and `p` is refused), and SASLprep: passwords of this form are printable ASCII,
//! for which it changes nothing, and user names are compared as they are. Invariant: nothing is computed here
//! that depends on the number of iterations while a client logs in; that work is the client's.

use std::num::NonZeroU32;

use data_encoding::BASE64;
use ring::{digest, hmac, pbkdf2};

use super::passwords::{MAX_ROUNDS, base64};

/// Fewest iterations that are stored (RFC 7677 section 4).
pub const MIN_ROUNDS: u32 = 4_096;

/// Iterations of a new password unless said otherwise: what OWASP recommends for PBKDF2 with SHA-256.
pub const DEFAULT_ROUNDS: u32 = 600_000;

/// Largest message of a client, in bytes.
pub(super) const MAX_MESSAGE: usize = 2_048;

/// Bytes of a salt.
const SALT: usize = 16;

/// Shortest and longest random part of a client, in characters.
const NONCE: std::ops::RangeInclusive<usize> = 8..=256;

const KEY: usize = digest::SHA256_OUTPUT_LEN;

/// What is stored of a password. It proves that a client knows the password, and does not let anybody log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Verifier {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    stored_key: [u8; KEY],
    server_key: [u8; KEY],
}

/// Why a message of a client ends its login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It does not follow RFC 5802, or asks for what is not offered.
    Message(&'static str),
    /// The password is another one.
    Proof,
}

/// A client's first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// The GS2 header, which the last message repeats.
    header: &'a str,
    /// What stands behind it.
    bare: &'a str,
    /// The user.
    pub(super) name: String,
    nonce: &'a str,
}

/// A login between the server's first message and the client's last.
pub(super) struct Exchange {
    verifier: Verifier,
    /// What `c=` must hold.
    binding: String,
    /// Both random parts.
    nonce: String,
    /// `client-first-bare,server-first,` of the text that is signed.
    signed: String,
}

/// What the salts of users that do not exist are made from.
///
/// Chance, made when the program starts: it depends on no user, so nobody can work it out, and a change of the password file
/// changes no salt of those who are not in it. It is not kept: whoever asked for a name before a restart and asks again after
/// it sees whether the salt is another one, and so whether the name was a user's. That is worth less than a secret
/// on the disk that had to be guarded like the passwords; who has a name still needs the password.
pub(super) struct Secret([u8; KEY]);

impl Secret {
    pub(super) fn new(random: [u8; KEY]) -> Self {
        Self(random)
    }
}

impl Verifier {
    /// From a password.
    ///
    /// # Errors
    /// The password or the number of iterations cannot be used.
    pub(super) fn new(password: &[u8], salt: [u8; SALT], rounds: u32) -> Result<Self, &'static str> {
        if !password.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(
                "a password for SCRAM holds printable ASCII characters only: clients differ in the others",
            );
        }
        let rounds = checked_rounds(rounds)?;
        Ok(Self::derive(password, salt.to_vec(), rounds))
    }

    fn derive(password: &[u8], salt: Vec<u8>, rounds: NonZeroU32) -> Self {
        let mut salted = [0; KEY];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, &mut salted);
        let client_key = sign(&salted, b"Client Key");
        Self { rounds, salt, stored_key: hash(&client_key), server_key: sign(&salted, b"Server Key") }
    }

    /// Whether this is the password. Takes as long as the number of iterations says.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let own = Self::derive(password, self.salt.clone(), self.rounds);
        hash(&own.stored_key) == hash(&self.stored_key)
    }

    /// Reads `i=rounds`, salt, stored key and server key, as the password file has them.
    pub(super) fn parse(rounds: &str, salt: &str, stored: &str, server: &str) -> Result<Self, &'static str> {
        let rounds = rounds.strip_prefix("i=").and_then(|rounds| rounds.parse().ok());
        let rounds = checked_rounds(rounds.ok_or("the number of rounds is out of range")?)?;
        let key = |text| base64(text)?.try_into().map_err(|_| "the hash is damaged: not 32 bytes");
        let salt = base64(salt)?;
        if !(8..=64).contains(&salt.len()) {
            return Err("the hash is damaged: the salt has not 8 to 64 bytes");
        }
        Ok(Self { rounds, salt, stored_key: key(stored)?, server_key: key(server)? })
    }

    /// As the password file has it.
    pub(super) fn text(&self) -> String {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        format!("$scram-sha-256$i={}${salt}${stored}${server}", self.rounds)
    }

    /// Stands for a user that does not exist: looks like this one, is the same at every try, and fits no password.
    pub(super) fn decoy(&self, secret: &Secret, name: &str) -> Self {
        let part = |what: &str| sign(&secret.0, format!("{what}:{name}").as_bytes());
        let salt = part("salt").iter().copied().cycle().take(self.salt.len()).collect();
        Self { rounds: self.rounds, salt, stored_key: part("stored"), server_key: part("server") }
    }
}

fn checked_rounds(rounds: u32) -> Result<NonZeroU32, &'static str> {
    let rounds = NonZeroU32::new(rounds).filter(|rounds| (MIN_ROUNDS..=MAX_ROUNDS).contains(&rounds.get()));
    rounds.ok_or("the number of iterations must lie between 4,096 and 2,000,000")
}

fn sign(key: &[u8], text: &[u8]) -> [u8; KEY] {
    let mut out = [0; KEY];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref());
    out
}

fn hash(bytes: &[u8]) -> [u8; KEY] {
    let mut out = [0; KEY];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

impl<'a> ClientFirst<'a> {
    /// Reads the first message.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Bad> {
        let text = text(bytes)?;
        let (flag, rest) = text.split_once(',').ok_or(Bad::Message("no GS2 header"))?;
        let (identity, bare) = rest.split_once(',').ok_or(Bad::Message("no GS2 header"))?;
        match flag {
            // `y`: the client could bind the channel and believes that the server cannot. That is so.
            "n" | "y" => {}
            _ => return Err(Bad::Message("channel binding is not offered")),
        }
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n="));
        // `m=` in this place asks for an extension that must be understood (RFC 5802 section 5.1).
        let name = unescape(name.ok_or(Bad::Message("no user name, or an extension before it"))?)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| NONCE.contains(&nonce.len()) && printable(nonce));
        let nonce = nonce.ok_or(Bad::Message("no random part of 8 to 256 characters"))?;
        extensions(fields)?;
        if !identity.is_empty() && identity.strip_prefix("a=").map(unescape) != Some(Ok(name.clone())) {
            return Err(Bad::Message("nobody acts as somebody else here"));
        }
        let header = &text[..text.len() - bare.len()];
        Ok(Self { header, bare, name, nonce })
    }
}

impl Exchange {
    /// Answers the first message. `random`: the server's part of the nonce.
    pub(super) fn begin(first: &ClientFirst<'_>, verifier: Verifier, random: &str) -> (Self, String) {
        let nonce = format!("{}{random}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.rounds);
        let exchange = Self {
            binding: BASE64.encode(first.header.as_bytes()),
            signed: format!("{},{challenge},", first.bare),
            nonce,
            verifier,
        };
        (exchange, challenge)
    }

    /// Checks the last message. Returns what proves to the client that the server knows the password, too.
    pub(super) fn finish(self, last: &[u8]) -> Result<String, Bad> {
        let text = text(last)?;
        let (without, proof) = text.rsplit_once(",p=").ok_or(Bad::Message("no proof"))?;
        let mut fields = without.split(',');
        if fields.next().and_then(|field| field.strip_prefix("c=")) != Some(&self.binding) {
            return Err(Bad::Message("the channel binding is not that of the first message"));
        }
        if fields.next().and_then(|field| field.strip_prefix("r=")) != Some(&self.nonce) {
            return Err(Bad::Message("the random part is not that of this login"));
        }
        extensions(fields)?;
        let proof: [u8; KEY] = BASE64
            .decode(proof.as_bytes())
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(Bad::Message("the proof is not 32 bytes in base64"))?;
        let signed = self.signed + without;
        let mut client_key = sign(&self.verifier.stored_key, signed.as_bytes());
        client_key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        // Compared by digests of the digests, so that the time tells nothing of the stored key.
        if hash(&hash(&client_key)) != hash(&self.verifier.stored_key) {
            return Err(Bad::Proof);
        }
        Ok(format!("v={}", BASE64.encode(&sign(&self.verifier.server_key, signed.as_bytes()))))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Bad> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.filter(|text| text.len() <= MAX_MESSAGE).ok_or(Bad::Message("no text, or longer than 2,048 bytes"))
}

/// `=2C` is a comma, `=3D` an equals sign, and nothing else follows one.
fn unescape(name: &str) -> Result<String, Bad> {
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix("2C").map(|rest| (',', rest));
        let (sign, rest) = rest
            .or_else(|| part.strip_prefix("3D").map(|rest| ('=', rest)))
            .ok_or(Bad::Message("the user name is not escaped as it should be"))?;
        out.push(sign);
        out.push_str(rest);
    }
    if out.is_empty() { Err(Bad::Message("the user name is empty")) } else { Ok(out) }
}

fn printable(nonce: &str) -> bool {
    nonce.bytes().all(|byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e))
}

/// Optional extensions are left out (RFC 5802 section 5.1): a letter, `=`, and something.
fn extensions<'a>(fields: impl Iterator<Item = &'a str>) -> Result<(), Bad> {
    for field in fields {
        let mut bytes = field.bytes();
        let known = bytes.next().is_some_and(|name| name.is_ascii_alphabetic() && name != b'm');
        if !known || bytes.next() != Some(b'=') || bytes.next().is_none() {
            return Err(Bad::Message("an extension that is not understood"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 7677 section 3.
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const RANDOM: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const ANSWER: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn verifier() -> Verifier {
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        Verifier::new(b"pencil", salt, 4096).unwrap()
    }

    fn begin(first: &str, verifier: Verifier) -> (Exchange, String) {
        Exchange::begin(&ClientFirst::parse(first.as_bytes()).unwrap(), verifier, RANDOM)
    }

    #[test]
    fn the_example_of_the_standard_comes_out() {
        let (exchange, challenge) = begin(FIRST, verifier());
        assert_eq!(challenge, CHALLENGE);
        assert_eq!(exchange.finish(LAST.as_bytes()), Ok(ANSWER.to_owned()));
    }

    #[test]
    fn what_is_stored_is_read_again_and_proves_the_password() {
        let text = verifier().text();
        let [_, _, rounds, salt, stored, server] = text.split('$').collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let read = Verifier::parse(rounds, salt, stored, server).unwrap();
        assert!(read == verifier() && read.verify(b"pencil") && !read.verify(b"Pencil"));
        assert!(Verifier::parse("i=4095", salt, stored, server).is_err_and(|what| what.contains("4,096")));
        assert!(Verifier::parse("4096", salt, stored, server).is_err());
        assert!(Verifier::parse(rounds, "AAAA", stored, server).is_err_and(|what| what.contains("salt")));
        assert!(Verifier::parse(rounds, salt, salt, server).is_err_and(|what| what.contains("32 bytes")));
        assert!(
            Verifier::new("Straße".as_bytes(), [0; SALT], 4096).is_err_and(|what| what.contains("ASCII"))
        );
    }

    #[test]
    fn wrong_proofs_and_messages_of_another_login_are_refused() {
        let finish = |last: &str| begin(FIRST, verifier()).0.finish(last.as_bytes());
        assert_eq!(finish(&LAST.replace("p=dH", "p=dI")), Err(Bad::Proof));
        for (last, what) in [
            (LAST.replace("c=biws", "c=eSws"), "channel binding"),
            (LAST.replace("c=biws", "c=biws,x=1"), "random part"),
            (LAST.replace("k0,p", "k1,p"), "random part"),
            (LAST.replace(",p=", ",m=x,p="), "extension"),
            (LAST.replace("VQ=", "VQ"), "32 bytes"),
            (LAST.split(",p=").next().unwrap().to_owned(), "no proof"),
            (String::new(), "no proof"),
        ] {
            assert!(matches!(finish(&last), Err(Bad::Message(told)) if told.contains(what)), "{last}");
        }
        let other = Verifier::new(b"pencil", [7; SALT], 4096).unwrap();
        assert_eq!(begin(FIRST, other).0.finish(LAST.as_bytes()), Err(Bad::Proof));
        // The client believed that the server cannot bind channels: right, and it is held to what it said.
        let (exchange, _) = begin(&FIRST.replace("n,,", "y,,"), verifier());
        assert!(matches!(exchange.finish(LAST.as_bytes()), Err(Bad::Message(_))));
    }

    #[test]
    fn first_messages_are_read_as_the_grammar_says() {
        let parse = |text: &str| ClientFirst::parse(text.as_bytes()).map(|first| first.name);
        for (message, name) in [
            ("n,,n=anna,r=12345678", "anna"),
            ("y,,n=anna,r=12345678,x=more", "anna"),
            ("n,a=anna,n=anna,r=12345678", "anna"),
            ("n,a=a=3Db,n=a=3Db,r=12345678", "a=b"),
            ("n,,n=a=2C=3Db,r=12345678", "a,=b"),
            ("n,,n=Ä,r=12345678", "Ä"),
        ] {
            assert_eq!(parse(message), Ok(name.to_owned()), "{message}");
        }
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=",
            "n,,n=anna",
            "n,,n=anna,r=",
            "n,,n=anna,r=1234567",
            "n,,r=12345678,n=anna",
            "p=tls-exporter,,n=anna,r=12345678",
            "x,,n=anna,r=12345678",
            "n,a=bert,n=anna,r=12345678",
            "n,anna,n=anna,r=12345678",
            "n,,m=x,n=anna,r=12345678",
            "n,,n=an=na,r=12345678",
            "n,,n=anna=,r=12345678",
            "n,,n=anna=2c,r=12345678",
            "n,,n=anna,r=1234567\u{e9}",
            "n,,n=anna,r=1234 5678",
            "n,,n=anna,r=12345678,m=1",
            "n,,n=anna,r=12345678,",
            "n,,n=anna,r=12345678,x=",
            "n,,n=an\0na,r=12345678",
        ] {
            assert!(matches!(parse(bad), Err(Bad::Message(_))), "{bad:?}");
        }
        assert!(ClientFirst::parse(&[0xff; 20]).is_err());
        assert!(parse(&format!("n,,n={},r=12345678", "x".repeat(MAX_MESSAGE))).is_err());
    }

    #[test]
    fn a_user_that_does_not_exist_looks_like_one_that_does() {
        let (real, secret) = (verifier(), Secret::new([7; KEY]));
        let (one, two) = (real.decoy(&secret, "carl"), real.decoy(&secret, "dora"));
        assert!(one == real.decoy(&secret, "carl") && one != two && one.salt != two.salt);
        assert_eq!((one.salt.len(), one.rounds), (real.salt.len(), real.rounds));
        assert!(!one.verify(b"pencil"));
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_first_or_last_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            text in "[ny]?,?(a=x)?,?(n=[a-z=2CD3]{0,6})?,?(r=[!-~]{0,12})?(,[a-z]=?.{0,3})?",
        ) {
            let _ = ClientFirst::parse(&bytes);
            let _ = ClientFirst::parse(text.as_bytes());
            let exchange = || begin(FIRST, verifier().decoy(&Secret::new([1; KEY]), "x")).0;
            prop_assert!(exchange().finish(&bytes).is_err());
            prop_assert!(exchange().finish(text.as_bytes()).is_err());
        }

        #[test]
        fn any_name_survives_escaping(name in "[^\\x00]{1,20}") {
            let escaped = name.replace('=', "=3D").replace(',', "=2C");
            let message = format!("n,,n={escaped},r=12345678");
            prop_assert_eq!(ClientFirst::parse(message.as_bytes()).unwrap().name, name);
        }
    }
}
