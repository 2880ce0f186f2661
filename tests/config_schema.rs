//! The schema, the reference and the shipped YAML files are kept in step with the types that read them.
//!
//! With `UPDATE_EXPECTED=1` the files made from the types are written anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use iogate::config::{self, Surroundings};

const BEGIN: &str = "<!-- begin: made from the schema -->\n";
const END: &str = "<!-- end: made from the schema -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a shipped file with what it must hold, or writes it.
#[track_caller]
fn in_step(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is out of step: run UPDATE_EXPECTED=1 cargo test --test config_schema"
    );
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn shipped() -> Vec<PathBuf> {
    let mut found = Vec::new();
    yaml_files(&root().join("config"), &mut found);
    // The broker's rules are a form of their own.
    found.retain(|path| !path.ends_with("config/access.yaml"));
    assert!(found.len() > 10, "the shipped files were not found: {found:?}");
    found
}

fn is_profile(path: &Path) -> bool {
    path.starts_with(root().join("config/profiles"))
}

fn pretty(schema: &serde_json::Value) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}

#[test]
fn the_schema_files_are_in_step() {
    in_step("config/iogate.schema.json", &pretty(&config::schema()));
    in_step("config/profile.schema.json", &pretty(&config::profile_schema()));
}

#[test]
fn the_reference_is_in_step() {
    let text = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the marker before the tables");
    let (_, after) = rest.split_once(END).expect("the marker behind the tables");
    in_step("docs/configuration.md", &format!("{before}{BEGIN}\n{}{END}{after}", config::reference()));
}

#[test]
fn every_shipped_file_names_its_schema() {
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().next().unwrap_or_default();
        let named = line
            .strip_prefix("# yaml-language-server: $schema=")
            .map(|name| path.parent().unwrap().join(name));
        let named = named.unwrap_or_else(|| panic!("{} begins with no schema line", path.display()));
        let expected =
            if is_profile(&path) { "config/profile.schema.json" } else { "config/iogate.schema.json" };
        assert_eq!(
            named.canonicalize().unwrap(),
            root().join(expected).canonicalize().unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_shipped_configuration_loads() {
    for path in shipped().into_iter().filter(|path| !is_profile(path)) {
        if let Err(report) = config::load(&path) {
            panic!("{report}");
        }
    }
}

/// Also the points that are switched off, which a plain use of the profile would leave out.
#[test]
fn every_shipped_profile_loads_with_all_its_points() {
    let names: Vec<String> = config::shipped_profiles().collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let text = std::fs::read_to_string(root().join(format!("config/profiles/{name}.yaml"))).unwrap();
        match config::profile_trial(&name, &Surroundings::none()) {
            Ok(plan) => assert!(plan.points.len() >= text.matches("enabled: off").count().max(1), "{name}"),
            Err(report) => panic!("{report}"),
        }
    }
}

/// What an independent validator says of pairs of schema and file: PyPI's jsonschema, installed by tests/peers.sh.
fn validate(files: impl IntoIterator<Item = PathBuf>) -> Result<(), String> {
    let venv = root().join("tests/.peers/venv/bin/python");
    let python = if venv.exists() { venv } else { "python3".into() };
    let mut command = Command::new(python);
    command.arg(root().join("tests/peers/validate_yaml.py"));
    for path in files {
        let schema =
            if is_profile(&path) { "config/profile.schema.json" } else { "config/iogate.schema.json" };
        command.arg(root().join(schema)).arg(path);
    }
    let output = command.output().expect("python3; tests/peers.sh installs what it needs");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
}

fn cases(begin: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/config-cases");
    let mut found = Vec::new();
    yaml_files(&folder, &mut found);
    let of_case = |path: &PathBuf| {
        path.strip_prefix(&folder).is_ok_and(|rest| rest.to_string_lossy().starts_with(begin))
    };
    found.retain(|path| of_case(path) && path.ends_with("config.yaml"));
    assert!(!found.is_empty(), "no case begins with {begin}");
    found
}

#[test]
fn every_shipped_file_is_valid_by_its_schema() {
    validate(shipped().into_iter().chain(cases("good-"))).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn the_schema_finds_wrong_keys_and_words_by_itself() {
    let said = validate(cases("wrong-keys")).unwrap_err();
    for mistake in ["chanels", "modbus-tpc", "inptu", "hysterisis"] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
}
