//! What the crates in Cargo.lock ask of the compiler.

use std::process::Command;

use serde_json::Value;

use crate::tree;

/// What `cargo metadata` tells of every crate in Cargo.lock, other platforms included.
pub(crate) fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(tree::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// Crates that need a newer Rust than this project promises.
pub(crate) fn too_new(metadata: &Value, promised: &str) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let needs = |package: &Value| {
        Some((package["name"].as_str()?.to_owned(), package["rust_version"].as_str()?.to_owned()))
    };
    packages
        .iter()
        .filter_map(needs)
        .filter(|(_, version)| parts(version) > parts(promised))
        .map(|(name, version)| format!("{name} needs Rust {version}, rust-version is {promised}"))
        .collect()
}

/// `1.89` and `1.89.0` are the same.
fn parts(version: &str) -> Vec<u32> {
    let part = |part: &str| part.parse().expect("a version is made of numbers");
    let mut parts: Vec<u32> = version.split('.').map(part).collect();
    while parts.last() == Some(&0) {
        parts.pop();
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn crates_that_ask_for_more_are_found() {
        let metadata = json!({ "packages": [
            { "name": "old", "rust_version": "1.9" },
            { "name": "same", "rust_version": "1.89" },
            { "name": "same in full", "rust_version": "1.89.0" },
            { "name": "silent", "rust_version": null },
            { "name": "new", "rust_version": "1.90.0" },
        ] });
        assert_eq!(too_new(&metadata, "1.89"), ["new needs Rust 1.90.0, rust-version is 1.89"]);
    }
}
