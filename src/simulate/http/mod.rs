//! Simulated HTTP devices: hosts that answer on loopback ports as the devices of a configuration would.
//!
//! `host` holds the points (`text`), `web_io` answers as a W&T Web-IO does and `generic` as any other
//! device whose answers the configuration describes; `wire` is HTTP/1.1 as a small device speaks it, `port`
//! serves it, `serve` makes it part of a simulation. What cannot be
//! made is answered with 501.
//! Invariant: answers are made from the points alone; the driver's parsers are not used here.

mod generic;
mod host;
mod port;
mod serve;
mod web_io;
mod wire;

pub(super) use host::Host;
use port::HttpPort;
