//! Why a connection came to nothing before its CONNECT was accepted, for counters and log.

use std::io;

use crate::broker::access::Peer;
use crate::broker::codec::{CodecError, ReasonCode};
use crate::broker::core::Core;
use crate::broker::stats::add;

/// Why a connection comes to nothing.
pub(super) enum Refused {
    /// The client or the network ended it.
    Lost(Option<io::Error>),
    /// The client is told why.
    Code(CodecError),
    /// It took longer than it may.
    Late,
    /// The broker stops.
    Stopped,
}

impl Refused {
    /// Counts it, and says so in the log.
    pub(super) fn note(&self, core: &Core, peer: &Peer) {
        let (counters, peer) = (&core.counters, peer.address);
        match self {
            Self::Stopped => return,
            Self::Late => {
                add(&counters.connects_late, 1);
                tracing::debug!(%peer, "no CONNECT in time");
            }
            Self::Lost(error) => tracing::debug!(%peer, ?error, "connection closed before its CONNECT"),
            Self::Code(error) => {
                let too_large = error.code == ReasonCode::PACKET_TOO_LARGE;
                add(&counters.packets_too_large, u64::from(too_large));
                tracing::warn!(%peer, code = %error.code, what = error.what, "CONNECT refused");
            }
        }
        add(&counters.connects_refused, 1);
    }
}

impl From<CodecError> for Refused {
    fn from(error: CodecError) -> Self {
        Self::Code(error)
    }
}
