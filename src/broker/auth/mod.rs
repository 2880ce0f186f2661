//! Who a client is: users, their passwords and tokens, and the delay for those who guess.
//!
//! Passwords are checked on threads of their own, one at a time, so that hashing never holds up clients. A
//! password that was right is remembered by a keyed digest until it changes: a thousand clients that come back
//! at once need no thousand hashes. Invariant: with a password file in the configuration, nobody logs in by
//! name before the file was read.

mod enhanced;
pub mod jwt;
mod means;
mod passwords;
mod recall;
mod scram;
mod throttle;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use ring::hmac;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use jwt::KeysError;
pub use means::LoginMeans;
pub use passwords::{BadLine, check_line, check_name, hash, hash_scram};
pub use scram::{DEFAULT_ROUNDS as SCRAM_ROUNDS, MIN_ROUNDS as SCRAM_MIN_ROUNDS};

pub(super) use enhanced::{METHOD, Pending};
pub(super) use means::Means;
pub(super) use recall::Proof;

use super::access::{Claims, Peer};
use super::codec::{CodecError, Connect, ReasonCode};
use super::config::Config;
use super::stats::{Counters, add};
use super::sync::lock;
use super::trie::FastHash;
use super::watched::{Look, Watched, read};
use crate::clock::Clock;
use jwt::{Token, Tokens, token};
use passwords::{StoredPassword, Users};
use throttle::Throttle;

/// Password checks that run or wait at one time; more are refused.
const MAX_CHECKS: usize = 64;

/// Passwords remembered as right.
const MAX_KNOWN: usize = 4_096;

/// Largest password file in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Longest user name that is looked at, in bytes.
const MAX_NAME: usize = 256;

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("the password file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line is not understood; nothing of the file is used then.
    #[error("the password file {} cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line.
        source: BadLine,
    },
}

/// The users of a broker and what is needed to check them.
pub(super) struct Auth {
    clock: Clock,
    tokens: Option<Arc<Tokens>>,
    file: Option<Watched>,
    users: ArcSwapOption<Users>,
    throttle: Mutex<Throttle>,
    turn: Arc<Semaphore>,
    checks: Semaphore,
    known: Mutex<std::collections::HashSet<[u8; 32], FastHash>>,
    key: hmac::Key,
    secret: scram::Secret,
}

/// Who logged in.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: Arc<str>,
    /// What the password file had for the user, if that is how it logged in.
    password: Option<Arc<StoredPassword>>,
    /// What the login grants beside the access file.
    pub(super) claims: Option<Arc<Claims>>,
    /// What a token said of the user, if that is how it logged in.
    pub(super) token: Option<Arc<Token>>,
}

/// What a change of the users means for somebody who logged in before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Unchanged,
    /// The password is another one.
    Changed,
    /// The user is gone.
    Gone,
}

impl Login {
    fn by_certificate(user: Arc<str>) -> Self {
        Self { user, password: None, claims: None, token: None }
    }

    fn by_password(user: Arc<str>, stored: Arc<StoredPassword>) -> Self {
        Self { user, password: Some(stored), claims: None, token: None }
    }

    fn by_token(token: Token) -> Self {
        let (user, claims) = (Arc::clone(&token.user), Arc::clone(&token.claims));
        Self { user, password: None, claims: Some(claims), token: Some(Arc::new(token)) }
    }
}

impl Auth {
    /// With the files that [`Self::reload`] and [`Self::reload_keys`] read.
    pub(super) fn new(config: &Config) -> Self {
        let random = ring::rand::SystemRandom::new();
        #[allow(clippy::expect_used, reason = "the system's random numbers do not fail once it has started")]
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("random numbers");
        #[allow(clippy::expect_used, reason = "as above")]
        let secret = ring::rand::generate(&random).expect("random numbers").expose();
        Self {
            clock: Clock::system(),
            tokens: config.jwt.clone().map(|section| Arc::new(Tokens::new(section))),
            file: config.password_file.clone().map(|path| Watched::new(path, MAX_FILE)),
            users: ArcSwapOption::empty(),
            throttle: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            checks: Semaphore::new(MAX_CHECKS),
            known: Mutex::default(),
            key,
            secret: scram::Secret::new(secret),
        }
    }

    /// Whether there is a password file.
    pub(super) fn has_users(&self) -> bool {
        self.file.is_some()
    }

    /// How clients log in where nothing else is said.
    pub(super) fn usual_means(&self) -> Means {
        Means::usual(self.has_users(), self.has_tokens())
    }

    /// Whether clients can log in by tokens.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Takes in what the files with the keys of tokens hold now. Returns whether it differs from before.
    pub(super) fn reload_keys(&self) -> Result<bool, KeysError> {
        self.tokens.as_ref().map_or(Ok(false), |tokens| tokens.reload())
    }

    /// Takes in what the password file holds now. Returns whether it differs from before.
    pub(super) fn reload(&self, look: Look) -> Result<bool, UsersError> {
        let Some(file) = &self.file else { return Ok(false) };
        let path = || file.path().to_owned();
        let text = file.look(look).map_err(|source| UsersError::Unreadable { path: path(), source })?;
        let Some(text) = text else { return Ok(false) };
        let users = parse(file.path(), &text)?;
        tracing::info!(users = users.len(), "password file read");
        self.users.store(Some(Arc::new(users)));
        Ok(true)
    }

    /// What has become of somebody who logged in.
    pub(super) fn standing(&self, login: &Login) -> Standing {
        let trusted = |token| self.tokens.as_ref().is_some_and(|tokens| tokens.trusts(token));
        if login.token.as_ref().is_some_and(|token| !trusted(token)) {
            return Standing::Changed;
        }
        let Some(password) = &login.password else { return Standing::Unchanged };
        match self
            .users
            .load()
            .as_ref()
            .and_then(|users| Some(users.get(&login.user)?.1.text == password.text))
        {
            Some(true) => Standing::Unchanged,
            Some(false) => Standing::Changed,
            None => Standing::Gone,
        }
    }

    /// Finds out who a client is. `None`: nobody in particular, where the listener allows that.
    pub(super) async fn login(
        &self,
        peer: &Peer,
        connect: &Connect<'_>,
        counters: &Counters,
    ) -> Result<Option<Login>, CodecError> {
        if let Some(user) = &peer.user {
            return Ok(Some(Login::by_certificate(Arc::clone(user))));
        }
        let password = connect.password.unwrap_or_default();
        let checked = match (connect.username, token(password)) {
            (name, Some(token)) if peer.means.jwt => self.check_token(peer, name, token).await,
            (Some(name), _) if peer.means.password => self.check(peer, name, password).await,
            _ if peer.means.anonymous => return Ok(None),
            _ => {
                let what = peer.means.wanted();
                return Err(CodecError { code: ReasonCode::NOT_AUTHORIZED, what });
            }
        };
        if checked.is_err() {
            add(&counters.logins_refused, 1);
        }
        checked.map(Some)
    }

    async fn check(&self, peer: &Peer, name: &str, password: &[u8]) -> Result<Login, CodecError> {
        let wrong = CodecError {
            code: ReasonCode::BAD_USER_NAME_OR_PASSWORD,
            what: "user name or password is wrong",
        };
        let users = self.users.load_full();
        let Some(users) = users.filter(|_| name.len() <= MAX_NAME) else { return Err(wrong) };
        let found = users.get(name).map(|(name, stored)| (Arc::clone(name), Arc::clone(stored)));
        if let Some((user, stored)) = &found
            && lock(&self.known).contains(&self.mark(stored, password))
        {
            return Ok(Login::by_password(Arc::clone(user), Arc::clone(stored)));
        }
        let busy =
            CodecError { code: ReasonCode::CONNECTION_RATE_EXCEEDED, what: "too many tries to log in" };
        let Ok(_place) = self.checks.try_acquire() else { return Err(busy) };
        let address = peer.address.ip();
        let admitted = lock(&self.throttle).admit(address, Some(name), Instant::now());
        tokio::time::sleep(admitted.map_err(|_| busy)?).await;
        let right = match &found {
            Some((_, stored)) => self.verify(Arc::clone(stored), password).await,
            None => {
                // As long as for a user that exists, so that the time does not tell which ones do.
                let _ = self.verify(Arc::clone(decoy(&users)?), password).await;
                false
            }
        };
        match found.filter(|_| right) {
            Some((user, stored)) => {
                self.remember(self.mark(&stored, password));
                lock(&self.throttle).succeeded(name);
                Ok(Login::by_password(user, stored))
            }
            None => {
                lock(&self.throttle).failed(address, Some(name), Instant::now());
                let user = name.escape_debug();
                tracing::warn!(peer = %peer.address, %user, "login refused: user name or password is wrong");
                Err(wrong)
            }
        }
    }

    async fn verify(&self, stored: Arc<StoredPassword>, password: &[u8]) -> bool {
        let password = password.to_vec();
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return false };
        let checked = tokio::task::spawn_blocking(move || {
            // Held until the end even if the client goes away meanwhile.
            let _turn = turn;
            stored.verify(&password)
        });
        checked.await.unwrap_or(false)
    }

    /// Stands for a password that was right for a stored one; useless outside this process.
    fn mark(&self, stored: &StoredPassword, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(stored.text.as_bytes());
        context.update(&[0]);
        context.update(password);
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    fn remember(&self, mark: [u8; 32]) {
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(mark);
    }
}

fn decoy(users: &Users) -> Result<&Arc<StoredPassword>, CodecError> {
    let what = "user name or password is wrong";
    users.any().ok_or(CodecError { code: ReasonCode::BAD_USER_NAME_OR_PASSWORD, what })
}

/// Whether a password file can be used.
///
/// # Errors
/// It cannot be read, or a line is not understood.
pub fn check_file(path: &Path) -> Result<(), UsersError> {
    let text = read(path, MAX_FILE);
    let text = text.map_err(|source| UsersError::Unreadable { path: path.into(), source })?;
    parse(path, &text).map(|_| ())
}

fn parse(path: &Path, text: &str) -> Result<Users, UsersError> {
    Users::parse(text).map_err(|source| UsersError::Content { path: path.into(), source })
}
