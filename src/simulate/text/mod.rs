//! Devices that answer in texts: what HTTP hosts, instruments, agents and MQTT devices have in common.
//!
//! `cell` is one point and the text that a device prints for it, `station` the points of one channel with how they
//! move and what is wrong with them, `compose` makes one text in which several points are found, `invent` turns
//! regular expressions around. Invariant: texts are made from the points alone; the drivers' parsers are not used.

mod cell;
mod compose;
mod invent;
mod station;

pub(super) use cell::{Cell, inside, raw_of};
pub(super) use compose::{compose, word};
pub(super) use station::{Operated, Planned, State, Station};
