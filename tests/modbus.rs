//! The Modbus driver on real sockets and ptys, against pymodbus and against faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "modbus/bench.rs"]
mod bench;
#[path = "modbus/faults.rs"]
mod faults;
#[path = "modbus/functions.rs"]
mod functions;
#[path = "modbus/profiles.rs"]
mod profiles;
#[path = "modbus/pymodbus.rs"]
mod pymodbus;
#[path = "modbus/rules.rs"]
mod rules;
