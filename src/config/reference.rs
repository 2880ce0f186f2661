//! Reference.
pub fn reference() -> String { todo!() }
