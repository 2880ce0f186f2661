//! Why a link to an upstream broker failed, in words that a technician can act upon.
//!
//! Invariant: no password, token or key stands in an error.

use std::path::PathBuf;

use crate::broker::codec::ReasonCode;

/// Why a link failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The host's name leads to no address.
    #[error("the name {host} cannot be resolved: {source}")]
    Dns {
        /// The host.
        host: String,
        /// What the resolver says.
        source: std::io::Error,
    },
    /// Nobody listens there, or a firewall refuses.
    #[error("{place} refuses connections")]
    Refused {
        /// Host and port.
        place: String,
    },
    /// There is no way to the host.
    #[error("{place} cannot be reached: {source}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something took too long.
    #[error("{what} did not come in time")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
    /// The proxy does not pass the connection on.
    #[error("the proxy {place} does not pass the connection on: {what}")]
    Proxy {
        /// Host and port of the proxy.
        place: String,
        /// What it says.
        what: String,
    },
    /// TLS cannot be agreed upon, or the server is not who it should be.
    #[error("TLS: {what}")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// The WebSocket handshake fails.
    #[error("WebSocket: {what}")]
    WebSocket {
        /// What is wrong.
        what: String,
    },
    /// A file that is needed cannot be used.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The broker does not let the gateway in.
    #[error("the broker does not let the gateway in: {what}")]
    NotAuthorised {
        /// The broker's answer.
        what: String,
    },
    /// The broker does not let the gateway in now.
    #[error("the broker refuses the connection: {what}")]
    NotNow {
        /// The broker's answer.
        what: String,
    },
    /// The broker takes no more for now: a quota is used up, or messages come too fast for it.
    #[error("a quota of the broker is used up: {what}")]
    Quota {
        /// The broker's answer.
        what: String,
    },
    /// The broker ended the connection and said why.
    #[error("the broker ended the connection: {what}")]
    Dismissed {
        /// The broker's reason.
        what: String,
    },
    /// The connection ended without a word.
    #[error("the connection was closed by the other side")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(std::io::Error),
    /// What upstream sent cannot be kept here: it is not acknowledged, so that upstream sends it again.
    #[error("what the broker sent cannot be kept here: {what}")]
    NotKept {
        /// Why.
        what: String,
    },
    /// What came is not MQTT, or not as it should be.
    #[error("the broker sends what it may not: {what}")]
    Protocol {
        /// What is wrong.
        what: String,
    },
}

/// Whether a code says that the broker takes no more for now.
pub(crate) fn is_about_quota(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::QUOTA_EXCEEDED | ReasonCode::MESSAGE_RATE_TOO_HIGH | ReasonCode::CONNECTION_RATE_EXCEEDED
    )
}

impl LinkError {
    /// Whether trying again soon is of no use: somebody must change something first, or a quota must fill up again.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        matches!(self, Self::NotAuthorised { .. } | Self::File { .. } | Self::Tls { .. } | Self::Quota { .. })
    }

    /// Reads from and writes to a connection that was open.
    pub(crate) fn broken(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | BrokenPipe => Self::Closed,
            _ => Self::Broken(error),
        }
    }
}
