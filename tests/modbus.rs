//! The Modbus driver on real sockets and ptys, against pymodbus and against faults.

#[path = "modbus/bench.rs"]
mod bench;
#[path = "modbus/faults.rs"]
mod faults;
#[path = "modbus/pymodbus.rs"]
mod pymodbus;
