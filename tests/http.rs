//! HTTP devices and the W&T Web-IO family: the driver against simulated devices that run as a process of their
//! own, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "http/bench.rs"]
mod bench;
#[path = "http/faults.rs"]
mod faults;
#[path = "http/gateway.rs"]
mod gateway;
#[path = "http/generic.rs"]
mod generic;
#[path = "http/peers.rs"]
mod peers;
#[path = "http/profiles.rs"]
mod profiles;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/web_io.rs"]
mod web_io;
