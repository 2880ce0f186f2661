//! One exchange with a host: a kept connection, one request, its whole answer, and what became of it.
//!
//! Invariants: one request at a time; a request whose answer was lost takes its connection with it, so that
//! a late answer meets nobody; a write goes out at most once, and never after its deadline. Absent:
//! schedules, points, publishing.

mod client;

use crate::model::Reason;

pub use client::{Client, Terms};

/// What became of a request; named by what its asker does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The host cannot be reached: back off.
    #[error("{0}")]
    Connect(String),
    /// No whole answer in time: the connection is given up.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended before the answer did.
    #[error("connection lost: {0}")]
    Lost(String),
    /// What came is no answer: the connection is given up.
    #[error("unfit answer: {0}")]
    Malformed(String),
    /// The device refuses this request; others may go on.
    #[error("HTTP status {code}{hint}", code = .0, hint = status_hint(*.0))]
    Status(u16),
    /// The deadline of a write was over before it could go out.
    #[error("too late")]
    Expired,
}

impl Failure {
    /// What it says about the points that were to be read.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Timeout | Self::Expired => Reason::Timeout,
            Self::Connect(_) | Self::Lost(_) => Reason::NoConnection,
            Self::Malformed(_) => Reason::MalformedReply,
            Self::Status(status) => Reason::HttpStatus(*status),
        }
    }
}

/// What helps, for the statuses that technicians meet.
const fn status_hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (redirects are not followed: name the page itself)",
        401 => " (login: user and password)",
        403 => " (a password is needed, or HTTP access to this is not released on the device)",
        404 => " (no such page, or it is not enabled on the device)",
        503 => " (busy)",
        _ => "",
    }
}
