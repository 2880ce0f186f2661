//! Whose a session is, as the log keeps it.

use std::sync::Arc;

use super::{Malformed, Source, bytes, number};
use crate::broker::access::Claims;
use crate::broker::auth::Proof;

/// The user of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Owner {
    pub(in crate::broker) user: Arc<str>,
    pub(in crate::broker) proof: Proof,
}

impl Owner {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        bytes(out, self.user.as_bytes());
        match &self.proof {
            Proof::Certificate => out.push(0),
            Proof::Password => out.push(1),
            Proof::Token(claims) => {
                out.push(2);
                for list in claims.lists() {
                    number(out, list.len() as u64);
                    list.iter().for_each(|entry| bytes(out, entry.as_bytes()));
                }
            }
        }
    }

    pub(super) fn read(from: &mut Source<'_>) -> Result<Self, Malformed> {
        let user = from.text()?.into();
        let proof = match from.byte()? {
            0 => Proof::Certificate,
            1 => Proof::Password,
            2 => {
                let (roles, read) = (list(from)?, list(from)?);
                let (write, subscribe) = (list(from)?, list(from)?);
                let claims = Claims::new(roles, read, write, subscribe).map_err(|_| Malformed)?;
                Proof::Token(Arc::new(claims))
            }
            _ => return Err(Malformed),
        };
        Ok(Self { user, proof })
    }
}

fn list(from: &mut Source<'_>) -> Result<Vec<Box<str>>, Malformed> {
    let count = from.number()?;
    // No room in advance: a damaged count ends with the bytes.
    (0..count).map(|_| from.text().map(Into::into)).collect()
}
