//! The page and its API over real sockets and in a real browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

mod api;
mod audit;
mod bridges;
mod browser;
mod client;
mod limits;
mod live;
mod mqtt;
mod outputs;
mod page;
mod plant;
