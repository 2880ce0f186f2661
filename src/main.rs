//! The `iogate` program.
fn main() {}
