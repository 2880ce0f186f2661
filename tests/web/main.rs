//! The page and its API over real sockets and in a real browser.

mod api;
mod client;
mod limits;
mod live;
mod plant;
