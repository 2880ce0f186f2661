//! iogate: field devices to MQTT topics, with broker, alarms, control and a status page in one program.
//!
//! The modules form layers; each may use only what stands above it in ARCHITECTURE.md's list.
//! A test (`tests/house.rs`) reads the `crate::` paths and holds the walls.

pub mod model;

pub mod backoff;
pub mod clock;

pub mod bus;
pub mod journal;
pub mod sqlite;
pub mod transport;

pub mod broker;
pub mod driver;

pub mod command;

pub mod alarm;
pub mod audit;
pub mod bridge;
pub mod notify;
pub mod publish;
pub mod web;

pub mod config;
pub mod import;
pub mod simulate;
pub mod systemd;

pub mod gateway;

pub mod ruletest;

pub mod cli;
