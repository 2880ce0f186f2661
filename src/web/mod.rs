//! The local web page and its API.

pub mod config;

pub use config::Config;
