//! The rules that hold the house together, as tests: layers, sizes, headers, words that must not ship.
//!
//! Absent on purpose: whatever rustc, clippy or rustfmt check already. Every checker is a function over
//! text with tests of its own on bad input, so that a rule that has stopped biting is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken rule is a failed test")]

#[path = "house/code.rs"]
mod code;
#[path = "house/layers.rs"]
mod layers;
#[path = "house/manifest.rs"]
mod manifest;
#[path = "house/paths.rs"]
mod paths;
#[path = "house/text.rs"]
mod text;
#[path = "house/tree.rs"]
mod tree;
#[path = "house/yaml.rs"]
mod yaml;

use tree::{files, rust_sources};

/// Fails with every complaint at once, one a line.
#[track_caller]
fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

#[test]
fn modules_use_only_lower_layers() {
    let found: Vec<_> = rust_sources("src").iter().flat_map(layers::complaints).collect();
    expect_none(&found);
}

#[test]
fn the_architecture_names_every_module() {
    let architecture = std::fs::read_to_string(tree::root().join("ARCHITECTURE.md")).unwrap();
    expect_none(&layers::undocumented(&rust_sources("src"), &architecture));
}

#[test]
fn the_model_does_no_io() {
    let found: Vec<_> = rust_sources("src").iter().flat_map(layers::impurities).collect();
    expect_none(&found);
}

#[test]
fn functions_are_short() {
    let found: Vec<_> = rust_sources("src").iter().flat_map(code::long_functions).collect();
    expect_none(&found);
}

#[test]
fn files_are_short() {
    let sizes: Vec<_> = rust_sources("src").iter().map(|s| (s.path.clone(), code::length(&s.text))).collect();
    expect_none(&code::long_files(&sizes));
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = ["src", "tests", "benches"].map(rust_sources).concat();
    assert!(!all.is_empty());
    let found: Vec<_> = all.iter().filter_map(code::missing_header).collect();
    expect_none(&found);
}

#[test]
fn nothing_is_left_unfinished() {
    let all = ["src", "tests", "benches"].map(rust_sources).concat();
    let found: Vec<_> = all.iter().flat_map(code::unfinished).collect();
    expect_none(&found);
}

#[test]
fn no_path_of_one_machine_is_shipped() {
    let found: Vec<_> = files(".").iter().flat_map(text::machine_paths).collect();
    expect_none(&found);
}

#[test]
fn shell_scripts_parse() {
    let scripts: Vec<_> = files(".").into_iter().filter(text::is_shell_script).collect();
    assert!(scripts.len() >= 4, "the scripts were not found: {scripts:?}");
    let found: Vec<_> = scripts.iter().filter_map(|script| text::shell_error(&script.path)).collect();
    expect_none(&found);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let found: Vec<_> = files(".").iter().flat_map(text::broken_links).collect();
    expect_none(&found);
}

#[test]
fn no_dependency_needs_a_newer_rust_than_promised() {
    let found = manifest::too_new(&manifest::metadata(), env!("CARGO_PKG_RUST_VERSION"));
    expect_none(&found);
}

#[test]
fn every_shipped_configuration_loads() {
    let shipped: Vec<_> = files("config").into_iter().filter(|file| file.path.ends_with(".yaml")).collect();
    let (profiles, configurations): (Vec<_>, Vec<_>) =
        shipped.iter().partition(|file| file.path.starts_with("config/profiles/"));
    assert!(!profiles.is_empty() && !configurations.is_empty());
    let mut found: Vec<_> =
        configurations.iter().filter_map(|file| yaml::configuration_fault(file)).collect();
    found.extend(profiles.iter().filter_map(|file| yaml::profile_fault(file)));
    expect_none(&found);
}
