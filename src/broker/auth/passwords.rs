//! The password file: one `user:hash` a line.
//!
//! New hashes are argon2id in the PHC form; PBKDF2 (`$7$`) and salted SHA-512 (`$6$`) of Mosquitto's
//! `mosquitto_passwd` are read, so that a file can be taken over; `$scram-sha-256$` serves SCRAM, too. Invariants: a line that is not understood
//! makes the whole file unusable; no error shows what a line holds behind the user's name.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, pbkdf2};

use super::scram::{Secret, Verifier};

/// Longest user name in bytes.
const MAX_NAME: usize = 256;

/// Most users in one file.
const MAX_USERS: usize = 10_000;

/// Most memory that checking one password may take, in KiB: more could not be afforded on a small machine.
const MAX_MEMORY_KIB: u32 = 256 << 10;

/// Most rounds of one check.
pub(super) const MAX_ROUNDS: u32 = 2_000_000;

/// Bytes of a new salt.
const SALT: usize = 16;

/// The users of a broker.
#[derive(Default)]
pub(super) struct Users {
    by_name: BTreeMap<Arc<str>, Arc<StoredPassword>>,
    /// Somebody who can log in by SCRAM.
    scram: Option<Verifier>,
}

/// One user's password, hashed.
#[derive(PartialEq, Eq)]
pub(super) struct StoredPassword {
    /// The hash as the file has it.
    pub(super) text: Box<str>,
    form: Form,
}

#[derive(PartialEq, Eq)]
enum Form {
    Argon2(Box<PasswordHash>),
    Pbkdf2 { rounds: NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
    Sha512 { salt: Vec<u8>, hash: Vec<u8> },
    Scram(Box<Verifier>),
}

/// Why a password file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Users {
    /// Reads a file's text. Empty lines and lines that begin with `#` are left out.
    pub(super) fn parse(text: &str) -> Result<Self, BadLine> {
        // An editor may be about to write it; to have no users takes a comment, as `iogate passwd` leaves one.
        if text.trim().is_empty() {
            return Err(BadLine { line: 1, what: "the file is empty; add a user by `iogate passwd`" });
        }
        let mut by_name = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |what| BadLine { line: index + 1, what };
            let (name, hash) = line.split_once(':').ok_or(bad("not of the form user:hash"))?;
            check_name(name).map_err(bad)?;
            let stored = StoredPassword::parse(hash).map_err(bad)?;
            if by_name.insert(name.into(), Arc::new(stored)).is_some() {
                return Err(bad("the user stands in the file twice"));
            }
            if by_name.len() > MAX_USERS {
                return Err(bad("more than 10,000 users"));
            }
        }
        // The first of them, so that it stays the same when others change.
        let scram = by_name.values().find_map(|stored| stored.scram().cloned());
        Ok(Self { by_name, scram })
    }

    pub(super) fn get(&self, name: &str) -> Option<(&Arc<str>, &Arc<StoredPassword>)> {
        self.by_name.get_key_value(name)
    }

    /// Whether anybody can log in by SCRAM.
    pub(super) fn serve_scram(&self) -> bool {
        self.scram.is_some()
    }

    /// What SCRAM needs of a user: of one who does not exist, or has no such password, something that looks the same.
    pub(super) fn verifier(&self, name: &str, secret: &Secret) -> Option<Verifier> {
        let decoy = self.scram.as_ref()?.decoy(secret, name);
        Some(self.get(name).and_then(|(_, stored)| stored.scram().cloned()).unwrap_or(decoy))
    }

    /// Some user's password, if there is a user.
    pub(super) fn any(&self) -> Option<&Arc<StoredPassword>> {
        self.by_name.values().next()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Whether a user can have this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err("a user name has 1 to 256 bytes");
    }
    // `+`, `#` and `/` would let a name in `%u` select other users' topics.
    if name.chars().any(|c| c.is_control() || matches!(c, ':' | '+' | '#' | '/')) {
        return Err("a user name holds no `:`, `+`, `#`, `/` or control character");
    }
    Ok(())
}

/// Whether a line of a password file can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check_line(line: &str) -> Result<(), &'static str> {
    Users::parse(line).map(|_| ()).map_err(|bad| bad.what)
}

/// Hashes a password for the file.
///
/// # Errors
/// The system gives no random numbers, or no memory.
pub fn hash(password: &[u8]) -> Result<String, &'static str> {
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
    let hashed = Argon2::default().hash_password_with_salt(password, &salt);
    hashed.map(|hash| hash.to_string()).map_err(|_| "the password cannot be hashed")
}

/// Hashes a password for the file in the form that serves SCRAM-SHA-256, with this many iterations.
///
/// # Errors
/// The password is not of printable ASCII characters, the number is out of range, or the system gives no random numbers.
pub fn hash_scram(password: &[u8], rounds: u32) -> Result<String, &'static str> {
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
    Verifier::new(password, salt, rounds).map(|verifier| verifier.text())
}

impl StoredPassword {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let form = match text.split('$').collect::<Vec<_>>()[..] {
            ["", "argon2id", ..] => argon2id(text)?,
            ["", "7", rounds, salt, hash] => Form::Pbkdf2 {
                rounds: rounds
                    .parse()
                    .ok()
                    .filter(|rounds: &NonZeroU32| rounds.get() <= MAX_ROUNDS)
                    .ok_or("the number of rounds is out of range")?,
                salt: base64(salt)?,
                hash: sha512_sized(hash)?,
            },
            ["", "6", salt, hash] => Form::Sha512 { salt: base64(salt)?, hash: sha512_sized(hash)? },
            ["", "scram-sha-256", rounds, salt, stored, server] => {
                Form::Scram(Box::new(Verifier::parse(rounds, salt, stored, server)?))
            }
            _ => return Err("the hash is of no known form; set the password by `iogate passwd`"),
        };
        Ok(Self { text: text.into(), form })
    }

    /// What SCRAM needs, if the password is stored so.
    pub(super) fn scram(&self) -> Option<&Verifier> {
        if let Form::Scram(verifier) = &self.form { Some(verifier) } else { None }
    }

    /// Whether this is the password. Takes tens of milliseconds of computing: not for a thread that serves clients.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match &self.form {
            Form::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Form::Pbkdf2 { rounds, salt, hash } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, *rounds, salt, password, hash).is_ok()
            }
            Form::Scram(verifier) => verifier.verify(password),
            Form::Sha512 { salt, hash } => {
                let mut context = digest::Context::new(&digest::SHA512);
                context.update(password);
                context.update(salt);
                // Compared by digests of the digests, so that the time tells nothing of the hash.
                let own = digest::digest(&digest::SHA256, context.finish().as_ref());
                own.as_ref() == digest::digest(&digest::SHA256, hash).as_ref()
            }
        }
    }
}

fn argon2id(text: &str) -> Result<Form, &'static str> {
    const WRONG: &str = "the argon2id hash is damaged";
    let hash = PasswordHash::new(text).map_err(|_| WRONG)?;
    let params = Params::try_from(&hash).map_err(|_| WRONG)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(WRONG);
    }
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > 64 || params.p_cost() > 16 {
        return Err("the argon2id hash asks for more memory or time than this broker gives");
    }
    Ok(Form::Argon2(Box::new(hash)))
}

pub(super) fn base64(text: &str) -> Result<Vec<u8>, &'static str> {
    BASE64.decode(text.as_bytes()).map_err(|_| "the hash is damaged: no base64")
}

fn sha512_sized(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = base64(text)?;
    if bytes.len() == digest::SHA512_OUTPUT_LEN {
        Ok(bytes)
    } else {
        Err("the hash is damaged: not 64 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn what(text: &str) -> &'static str {
        Users::parse(text).err().map_or("", |bad| bad.what)
    }

    #[test]
    fn what_is_hashed_is_verified() {
        let hashed = hash("Straße 42".as_bytes()).unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        let users = Users::parse(&format!("# people\n\nanna:{hashed}\r\n")).unwrap();
        let (_, stored) = users.get("anna").unwrap();
        assert!(stored.verify("Straße 42".as_bytes()));
        assert!(!stored.verify(b"Strasse 42") && !stored.verify(b""));
        assert!(users.get("Anna").is_none());
        assert_ne!(hash(b"x").unwrap(), hash(b"x").unwrap());
    }

    #[test]
    fn the_form_for_scram_serves_plain_passwords_too() {
        let hashed = hash_scram(b"pencil", 4_096).unwrap();
        let users = Users::parse(&format!("anna:{hashed}\nbert:{}\n", hash(b"x").unwrap())).unwrap();
        assert!(users.get("anna").unwrap().1.verify(b"pencil") && !users.get("anna").unwrap().1.verify(b"x"));
        assert!(users.serve_scram() && users.get("bert").unwrap().1.scram().is_none());
        let of = |name: &str, secret: u8| users.verifier(name, &Secret::new([secret; 32]));
        assert!(of("bert", 1) == of("bert", 1) && of("bert", 1) != of("bert", 2));
        assert!(of("bert", 1) != of("anna", 1) && of("anna", 1) == of("anna", 2));
        assert!(hash_scram(b"pencil", 1_000).is_err() && hash_scram("ü".as_bytes(), 4_096).is_err());
        assert!(!Users::parse("# nobody").unwrap().serve_scram());
    }

    #[test]
    fn one_bad_line_spoils_the_file_and_is_not_shown() {
        let good = hash(b"x").unwrap();
        assert!(what("").contains("empty") && what("# nobody\n").is_empty());
        assert!(what("anna").contains("user:hash"));
        assert!(what(":x").contains("1 to 256 bytes"));
        assert!(what(&format!("a/b:{good}")).contains("no `:`"));
        assert!(what(&format!("a:{good}\na:{good}")).contains("twice"));
        assert!(what("anna:hunter2").contains("iogate passwd"));
        assert!(what("anna:").contains("iogate passwd"));
        assert!(what("anna:$7$101$AAAA").contains("no known form"));
        assert!(what("anna:$7$0$AAAA$AAAA").contains("rounds"));
        assert!(what("anna:$7$99999999$AAAA$AAAA").contains("rounds"));
        assert!(what("anna:$7$101$AAAA$AAAA").contains("64 bytes"));
        assert!(what("anna:$scram-sha-256$i=1$AAAA$AAAA$AAAA").contains("4,096"));
        assert!(what("anna:$6$AAA$AAAA").contains("base64"));
        assert!(what("anna:$argon2id$v=19$m=19456,t=2,p=1$").contains("damaged"));
        assert!(
            what(&good.replace("m=19456", "m=4000000").replacen("$a", "anna:$a", 1)).contains("more memory")
        );
        let bad = Users::parse(&format!("a:{good}\n\nanna:hunter2\n")).err().unwrap();
        assert_eq!(bad.line, 3);
        assert!(!bad.to_string().contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-c]{0,3}:)?(\\$(6|7|argon2id|v=19|scram-sha-256|i=4096))?[$=,a-zA-Z0-9\n]{0,80}") {
            let _ = Users::parse(&text);
        }
    }
}
