//! Every shipped profile reads known raw words and replies into the expected values, and its documentation is
//! in step with it.
//!
//! The cases are `tests/profiles/<vendor>-<model>.yaml`: registers (or replies to requests, or lines), what each
//! point must be, and variations of both. With `UPDATE_EXPECTED=1` the pages in `docs/` are written anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "profiles/case.rs"]
mod case;
#[path = "profiles/coverage.rs"]
mod coverage;
#[path = "profiles/read.rs"]
mod read;
#[path = "profiles/simulated.rs"]
mod simulated;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use iogate::config::{self, Surroundings};

use case::Case;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The profiles as they lie in the folder; the program holds the same.
fn around() -> Surroundings {
    Surroundings { profile_dirs: vec![root().join("config/profiles")], ..Surroundings::none() }
}

fn cases() -> Vec<(PathBuf, Case)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("tests/profiles"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), Case::load(&path))).collect()
}

#[test]
fn every_profile_has_a_case() {
    let tested: BTreeSet<String> = cases().into_iter().map(|(_, case)| case.profile).collect();
    let shipped: BTreeSet<String> = config::shipped_profiles().collect();
    let untested: Vec<&String> = shipped.difference(&tested).collect();
    assert!(untested.is_empty(), "add tests/profiles/<vendor>-<model>.yaml for {untested:?}");
    let unknown: Vec<&String> = tested.difference(&shipped).collect();
    assert!(unknown.is_empty(), "cases for profiles that are not shipped: {unknown:?}");
    assert!(shipped.len() >= 60, "{} profiles", shipped.len());
}

#[test]
fn every_profile_reads_what_its_case_says() {
    let mut wrong = Vec::new();
    for (path, case) in cases() {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(stem, case.profile.replace('/', "-"), "the file is named after its profile");
        wrong.extend(read::complaints(&case).into_iter().map(|complaint| format!("{stem}: {complaint}")));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_point_of_a_profile_is_in_its_case() {
    for (path, case) in cases() {
        let plan = config::profile_device(&case.profile, &around()).unwrap();
        for point in plan.points.iter().filter(|point| point.access.readable()) {
            let name = point.name.split_once('/').unwrap().1;
            assert!(
                case.expect.contains_key(name),
                "{}: `{name}` is not expected to be anything",
                path.display()
            );
        }
    }
}

/// The kinds and grades add up, every profile has points with English and Korean names, and none is silent about
/// where its facts come from.
#[test]
fn profiles_say_what_they_are() {
    for profile in config::shipped_summaries().unwrap_or_else(|report| panic!("{report}")) {
        assert!(profile.source.len() > 8, "{}: {}", profile.name, profile.source);
        assert!(!profile.points.is_empty() && profile.kind != "other", "{}", profile.name);
        for point in &profile.points {
            assert!(
                point.label.is_some() && point.label_ko.is_some(),
                "{}: {} has no names",
                profile.name,
                point.name
            );
        }
    }
}

/// The units that shipped profiles use; a new one is entered here when no other says the same.
const UNITS: [&str; 32] = [
    "kWh", "V", "W", "A", "°C", "Hz", "Wh", "var", "VA", "kvarh", "%", "%RH", "kW", "ppm", "g", "bit", "s",
    "°", "varh", "hPa", "g/m³", "g/kg", "ppb", "min", "kvar", "kVA", "kJ/kg", "h", "VAh", "Ah", "1/s", "mA",
];

#[test]
fn units_are_from_one_list() {
    for name in config::shipped_profiles() {
        let plan = config::profile_device(&name, &around()).unwrap_or_else(|report| panic!("{report}"));
        for point in plan.points.iter() {
            let known = point.unit.as_deref().is_none_or(|unit| UNITS.contains(&unit));
            assert!(known, "{}: the unit {:?} is not in the list", point.name, point.unit);
        }
    }
}

#[test]
fn the_pages_are_in_step() {
    let docs = root().join("docs");
    let pages =
        config::profile_pages(&config::shipped_summaries().unwrap_or_else(|report| panic!("{report}")));
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    for (path, text) in &pages {
        let file = docs.join(path);
        if update {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == *text,
            "docs/{path} is out of step: run UPDATE_EXPECTED=1 cargo test --test profiles"
        );
    }
    for entry in std::fs::read_dir(docs.join("profiles")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("profiles/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(pages.contains_key(&name), "docs/{name} belongs to no profile: remove it");
    }
}
