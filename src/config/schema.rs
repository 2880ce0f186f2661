//! JSON Schema.
pub fn schema() -> serde_json::Value { todo!() } pub fn profile_schema() -> serde_json::Value { todo!() }
