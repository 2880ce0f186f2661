//! What a client may do.
//!
//! All clients are equal; the rules that hold for all stand here, and every CONNECT, PUBLISH
//! and SUBSCRIBE of a client passes through. Publishers inside the program do not.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::codec::{Connect, ReasonCode};

/// What is known of a client before its CONNECT.
pub(super) struct Peer {
    /// Where it connects from.
    pub(super) address: SocketAddr,
    /// When it connected: its CONNECT is due some time after this.
    pub(super) accepted: Instant,
    /// The user that its certificate names.
    pub(super) user: Option<Arc<str>>,
    /// It may stay nobody in particular.
    pub(super) anonymous: bool,
}

impl Peer {
    /// A client that has just connected.
    pub(super) fn new(address: SocketAddr, anonymous: bool) -> Self {
        Self { address, accepted: Instant::now(), user: None, anonymous }
    }
}

/// Whether a client may connect.
///
/// # Errors
/// Enhanced authentication is refused with 0x8C ([MQTT-4.12.0-1]). Who the client is, is found out in `auth`;
/// without a password file a user name is accepted as it is, like any broker that allows anonymous access does.
pub(super) fn may_connect(connect: &Connect<'_>) -> Result<(), ReasonCode> {
    match connect.auth_method {
        Some(_) => Err(ReasonCode::BAD_AUTHENTICATION_METHOD),
        None => Ok(()),
    }
}

/// Whether a client may publish to a topic: names that begin with `$` belong to the server (section 4.7.2).
pub(super) fn may_publish(topic: &str) -> Result<(), ReasonCode> {
    if topic.starts_with('$') { Err(ReasonCode::NOT_AUTHORIZED) } else { Ok(()) }
}

/// Whether a client may subscribe to a filter: all but shared subscriptions, which are not served.
pub(super) fn may_subscribe(filter: &str) -> Result<(), ReasonCode> {
    if filter == "$share" || filter.starts_with("$share/") {
        Err(ReasonCode::SHARED_NOT_SUPPORTED)
    } else {
        Ok(())
    }
}
