//! Instruments that speak in lines, over ptys and sockets, with what goes wrong on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "ascii/bench.rs"]
mod bench;
#[path = "ascii/faults.rs"]
mod faults;
#[path = "ascii/instruments.rs"]
mod instruments;
