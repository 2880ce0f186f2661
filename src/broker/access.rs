//! What a client may do.
//!
//! Everybody is anonymous and equal; the rules that hold for all stand here, and every CONNECT, PUBLISH
//! and SUBSCRIBE of a client passes through. Publishers inside the program do not.

use super::codec::{Connect, ReasonCode};

/// Whether a client may connect.
///
/// # Errors
/// Enhanced authentication is refused with 0x8C ([MQTT-4.12.0-1]); a user name and password are accepted
/// as they are, like any broker that allows anonymous access does.
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
