//! The device simulator against independent masters and, byte by byte, on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "simulate/plant.rs"]
mod plant;

#[path = "simulate/peers.rs"]
mod peers;

#[path = "simulate/wire.rs"]
mod wire;

#[path = "simulate/line.rs"]
mod line;

#[path = "simulate/hand.rs"]
mod hand;

#[path = "simulate/site.rs"]
mod site;

#[path = "simulate/links.rs"]
mod links;

#[path = "simulate/texts.rs"]
mod texts;

#[path = "simulate/process.rs"]
mod process;
