//! One exchange with one unit: request out, checked answer in.
//!
//! tokio-modbus encodes requests, numbers transactions and decodes answers. It never touches the line: it
//! talks to a [`valve`] in memory, and only a frame that [`frame`] has found to fit its request in every
//! byte that can be known beforehand passes on to it. [`link`] moves the bytes, keeps the silences and
//! makes sure that an answer which comes too late is lost.

pub mod ask;
pub mod frame;
pub mod link;
pub mod timing;
pub mod valve;

pub use ask::{Answer, Ask};
pub use frame::Framing;
pub use link::{ExchangeError, Link};
pub use timing::Timing;
