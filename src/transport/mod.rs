//! Ways to the devices: serial lines, TCP connections and TLS, opened and set up.
//!
//! Absent on purpose: protocols, retries, timeouts of exchanges. What is opened here is a plain stream of
//! bytes; when it fails, its owner drops it and opens another.

pub mod pause;
pub mod serial;
pub mod tcp;
pub mod tls;

use tokio::io::{AsyncRead, AsyncWrite};

pub use pause::Pace;

/// A stream of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An opened stream of whatever kind.
pub type BoxStream = Box<dyn Stream>;

/// Why a line or connection could not be opened; in every case the caller waits and tries again.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The port is not there, taken, or may not be used.
    #[error("cannot open serial port {port}: {reason}")]
    Port {
        /// The port as configured.
        port: String,
        /// What the system says, and what helps.
        reason: String,
    },
    /// The host cannot be reached or refuses.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Host and port as configured.
        address: String,
        /// What the system says.
        reason: String,
    },
}
