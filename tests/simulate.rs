//! The device simulator against independent masters and, byte by byte, on the wire.

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
