//! Logging in by a token, and what becomes of it while the client is connected.
//!
//! Invariant: the log says why a token was refused and shows nothing of it.

use std::sync::Arc;

use tokio::time::Instant;

use super::jwt::{Refusal, Token};
use super::{Auth, Login};
use crate::broker::access::Peer;
use crate::broker::codec::{CodecError, ReasonCode};
use crate::broker::core::Core;
use crate::broker::sync::lock;

/// A microsecond count in seconds, rounded down.
const MICROS: i64 = 1_000_000;

impl Auth {
    /// Checks a token. `name`: what the client calls itself beside it.
    pub(super) async fn check_token(
        &self,
        peer: &Peer,
        name: Option<&str>,
        token: &str,
    ) -> Result<Login, CodecError> {
        let busy =
            CodecError { code: ReasonCode::CONNECTION_RATE_EXCEEDED, what: "too many tries to log in" };
        let Ok(_place) = self.checks.try_acquire() else { return Err(busy) };
        let address = peer.address.ip();
        let admitted = lock(&self.throttle).admit(address, None, Instant::now());
        tokio::time::sleep(admitted.map_err(|_| busy)?).await;
        let refused = match self.verify_token(name, token).await {
            Some(Ok(token)) => return Ok(Login::by_token(token)),
            Some(Err(refused)) => refused,
            None => return Err(busy),
        };
        tracing::warn!(peer = %peer.address, reason = %refused, "token refused");
        if refused.is_forged() {
            lock(&self.throttle).failed(address, None, Instant::now());
            let code = ReasonCode::BAD_USER_NAME_OR_PASSWORD;
            return Err(CodecError { code, what: "the token is not signed by a key that is trusted here" });
        }
        // The issuer's own: a device behind the same address as others may well come with an old one.
        let what = match refused {
            Refusal::Expired(_) => "the token has expired",
            Refusal::NotYet(_) => "the token is not valid yet",
            Refusal::Clock => "this server's clock is not set",
            _ => "the token is not for this server or this user",
        };
        Err(CodecError { code: ReasonCode::NOT_AUTHORIZED, what })
    }

    /// Off the threads that serve clients, in its turn. `None`: it could not be done.
    async fn verify_token(&self, name: Option<&str>, token: &str) -> Option<Result<Token, Refusal>> {
        let (tokens, name, token) = (self.tokens.clone()?, name.map(str::to_owned), token.to_owned());
        let now = self.now();
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            tokens.verify(&token, name.as_deref(), now)
        });
        checked.await.ok()
    }

    /// Whether the token of a client that is connected holds no more.
    pub(in crate::broker) fn has_expired(&self, login: &Login) -> bool {
        match (&self.tokens, &login.token) {
            (Some(tokens), Some(token)) => tokens.expired(token, self.now()),
            _ => false,
        }
    }

    /// Seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.stamp().unix_us.div_euclid(MICROS)
    }
}

impl Core {
    /// Ends the connections that have outlived their tokens. The wall clock is asked, so that one that is set late counts.
    pub(in crate::broker) fn end_expired(self: &Arc<Self>) {
        if !self.auth.has_tokens() {
            return;
        }
        for session in self.registry.all() {
            let epoch = {
                let mut state = lock(&session.state);
                let expired = state.login.as_ref().is_some_and(|login| self.auth.has_expired(login));
                if !expired || state.link.is_none() {
                    continue;
                }
                state.revoked = true;
                state.epoch
            };
            tracing::info!(client = &*session.id, "the client's token has expired");
            self.detach(&session, epoch, true, None);
        }
    }
}
