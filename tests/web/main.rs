//! The page and its API over real sockets and in a real browser.

mod plant;
