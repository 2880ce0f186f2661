//! Configurations as people write them, right and wrong: every case is a folder with its expected outcome.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a failed test"
)]

use std::path::{Path, PathBuf};

use iogate::config::{self, Surroundings};

/// The environment of every case.
fn environment(name: &str) -> Option<String> {
    match name {
        "PLC_ADDRESS" => Some("192.0.2.10:502".into()),
        _ => None,
    }
}

fn surroundings(folder: &Path) -> Surroundings {
    Surroundings {
        directory: folder.to_path_buf(),
        profile_dirs: vec![folder.join("profiles")],
        environment: Box::new(environment),
    }
}

fn outcome(folder: &Path) -> String {
    let text = std::fs::read(folder.join("config.yaml")).unwrap();
    let text = String::from_utf8(text).unwrap();
    let outcome = match config::load_str(&text, "config.yaml", &surroundings(folder)) {
        Ok(plan) => config::check_report(&plan),
        Err(report) => report.to_string(),
    };
    let shown = folder.display().to_string();
    outcome.replace(&format!("{shown}/"), "").trim_end().to_owned() + "\n"
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config-cases");
    let mut cases: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// With `UPDATE_EXPECTED=1` the expectations are written anew; look at the difference before you commit it.
#[test]
fn every_case_comes_out_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let (file, outcome) = (case.join("expected.txt"), outcome(&case));
        if update {
            std::fs::write(&file, &outcome).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if outcome != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}\n--- found\n{outcome}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
