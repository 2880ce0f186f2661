//! Who a session belonged to before the program was started anew.
//!
//! The log keeps how a client had logged in, because what counts for its session follows from that: a user of the password file
//! has to be one still, and a token's claims are what its client may do until it brings another. Absent: the
//! token itself and every secret; a client that comes back logs in as anybody does. Invariant: what the files of
//! now do not grant is not remembered from earlier.

use std::sync::Arc;

use super::{Auth, Login};
use crate::broker::access::Claims;

/// How somebody had logged in, as far as it outlives the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Proof {
    /// As a user of the password file.
    Password,
    /// By a token that said this.
    Token(Arc<Claims>),
    /// By a certificate.
    Certificate,
}

impl Login {
    /// How it was found out who the client is.
    pub(in crate::broker) fn proof(&self) -> Proof {
        match (&self.password, &self.claims) {
            (Some(_), _) => Proof::Password,
            (None, Some(claims)) => Proof::Token(Arc::clone(claims)),
            (None, None) => Proof::Certificate,
        }
    }
}

impl Auth {
    /// The login of a session from before the program started. `None`: there is no such user any more.
    pub(in crate::broker) fn recall(&self, user: &Arc<str>, proof: &Proof) -> Option<Login> {
        let known = Login::by_certificate(Arc::clone(user));
        match proof {
            Proof::Certificate => Some(known),
            Proof::Token(claims) => Some(Login { claims: Some(Arc::clone(claims)), ..known }),
            Proof::Password => {
                let users = self.users.load();
                let (user, stored) = users.as_ref()?.get(user)?;
                Some(Login::by_password(Arc::clone(user), Arc::clone(stored)))
            }
        }
    }
}
