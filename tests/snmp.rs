//! SNMP agents: the driver against Debian's snmpd, against one that answers everything but what it was asked, and
//! against one that keeps what it is set to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[allow(dead_code, reason = "shared with the tests of HTTP devices, which use all of it")]
#[path = "http/bench.rs"]
mod bench;
#[path = "snmp/hostile.rs"]
mod hostile;
#[path = "snmp/keeper.rs"]
mod keeper;
#[path = "snmp/liar.rs"]
mod liar;
#[path = "snmp/peers.rs"]
mod peers;
#[path = "snmp/profiles.rs"]
mod profiles;
#[path = "snmp/writes.rs"]
mod writes;
