//! Bridges against upstream brokers of other people, over links that behave and links that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

mod aedes;
mod cloud;
mod downlink;
mod forward;
mod gateway;
mod killed;
mod limits;
mod links;
mod mosquitto;
mod proxy;
mod rabbitmq;
mod secure;
mod strict;
