//! The broker from outside: packets over real sockets, time under control over pipes, real peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

mod access;
mod admin;
mod browser;
mod client;
mod conformance;
mod connect;
mod fair;
mod fuzz;
mod jwt;
mod limits;
mod listen;
mod local;
mod malformed;
mod peers;
mod proxy;
mod publish;
mod qos;
mod restart;
mod retained;
mod scram;
mod session;
mod share;
mod slow;
mod statements;
mod storm;
mod subscribe;
mod sys;
mod takeover;
mod tls;
mod users;
mod version5;
mod websocket;
mod will;
