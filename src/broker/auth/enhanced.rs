//! Logging in by SCRAM-SHA-256, in two steps with the client's answer between them.
//!
//! The first step computes nothing that costs time and tells nobody who exists. The second is delayed for those who
//! guess, like a password. Invariant: an exchange serves one try.

use std::sync::Arc;

use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::passwords::StoredPassword;
use super::scram::{Bad, ClientFirst, Exchange};
use super::{Auth, Login, MAX_NAME};
use crate::broker::access::Peer;
use crate::broker::codec::{CodecError, ReasonCode};
use crate::broker::stats::{Counters, add};
use crate::broker::sync::lock;

/// The one method of enhanced authentication that is served.
pub(in crate::broker) const METHOD: &str = "SCRAM-SHA-256";

/// Bytes of chance in the server's part of a nonce.
const NONCE: usize = 18;

/// A login that waits for the client's last message.
pub(in crate::broker) struct Pending {
    exchange: Exchange,
    name: String,
    /// The user, if there is one who can log in like this.
    found: Option<(Arc<str>, Arc<StoredPassword>)>,
}

const REFUSED: CodecError =
    CodecError { code: ReasonCode::BAD_USER_NAME_OR_PASSWORD, what: "user name or password is wrong" };

impl Auth {
    /// Whether clients can log in by a method of enhanced authentication.
    pub(in crate::broker) fn serves(&self, method: &str) -> bool {
        method == METHOD && self.users.load().as_ref().is_some_and(|users| users.serve_scram())
    }

    /// Takes the client's first message. Returns the server's.
    pub(in crate::broker) fn begin(&self, first: Option<&[u8]>) -> Result<(Pending, String), CodecError> {
        let not_served = CodecError {
            code: ReasonCode::BAD_AUTHENTICATION_METHOD,
            what: "no user can log in by this method",
        };
        let first = first.ok_or(CodecError::protocol("the method's first message is missing"))?;
        let first = ClientFirst::parse(first).map_err(told)?;
        if first.name.len() > MAX_NAME {
            // Names are remembered where somebody guesses.
            return Err(told(Bad::Message("the user name is longer than 256 bytes")));
        }
        let users = self.users.load_full().ok_or(not_served)?;
        let verifier = users.verifier(&first.name, &self.secret).ok_or(not_served)?;
        let mut random = [0; NONCE];
        let failed = CodecError { code: ReasonCode::UNSPECIFIED, what: "the system gives no random numbers" };
        SystemRandom::new().fill(&mut random).map_err(|_| failed)?;
        let (exchange, challenge) = Exchange::begin(&first, verifier, &BASE64.encode(&random));
        let found = users.get(&first.name).filter(|(_, stored)| stored.scram().is_some());
        let found = found.map(|(user, stored)| (Arc::clone(user), Arc::clone(stored)));
        Ok((Pending { exchange, name: first.name, found }, challenge))
    }

    /// Takes the client's last message, after the delay for those who guess. Returns who it is, and the server's last.
    pub(in crate::broker) async fn finish(
        &self,
        pending: Pending,
        last: Option<&[u8]>,
        peer: &Peer,
        counters: &Counters,
    ) -> Result<(Login, String), CodecError> {
        let busy =
            CodecError { code: ReasonCode::CONNECTION_RATE_EXCEEDED, what: "too many tries to log in" };
        let waited = async {
            let _place = self.checks.try_acquire().map_err(|_| busy)?;
            let address = peer.address.ip();
            let admitted = lock(&self.throttle).admit(address, Some(&pending.name), Instant::now());
            tokio::time::sleep(admitted.map_err(|_| busy)?).await;
            Ok(())
        };
        waited.await.inspect_err(|_| add(&counters.logins_refused, 1))?;
        self.judge(pending, last, peer.address, counters)
    }

    /// As [`Self::finish`], at once: for a client that is connected as this user already.
    pub(in crate::broker) fn judge(
        &self,
        pending: Pending,
        last: Option<&[u8]>,
        peer: std::net::SocketAddr,
        counters: &Counters,
    ) -> Result<(Login, String), CodecError> {
        let Pending { exchange, name, found } = pending;
        let proved = last.ok_or(Bad::Message("it is missing")).and_then(|last| exchange.finish(last));
        let refused = match (proved, found) {
            (Ok(answer), Some((user, stored))) => {
                lock(&self.throttle).succeeded(&name);
                return Ok((Login::by_password(user, stored), answer));
            }
            (Err(bad @ Bad::Message(_)), _) => told(bad),
            _ => REFUSED,
        };
        lock(&self.throttle).failed(peer.ip(), Some(&name), Instant::now());
        add(&counters.logins_refused, 1);
        tracing::warn!(%peer, user = %name.escape_debug(), what = refused.what, "login by {METHOD} refused");
        Err(refused)
    }
}

impl Pending {
    /// Whether this is the user that a client said it is.
    pub(in crate::broker) fn is_for(&self, user: &str) -> bool {
        self.name == user
    }
}

fn told(bad: Bad) -> CodecError {
    match bad {
        Bad::Message(what) => CodecError { code: ReasonCode::NOT_AUTHORIZED, what },
        Bad::Proof => REFUSED,
    }
}
