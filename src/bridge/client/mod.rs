//! The client of an upstream broker: dialling, and the packets.
//!
//! A client of its own on the broker's codec: ARCHITECTURE.md says why. Absent: whatever is sent and when, which is
//! `session`'s.

pub(crate) mod dial;
pub(crate) mod error;
pub(crate) mod packet;
pub(crate) mod tls;
