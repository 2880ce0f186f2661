//! The Yocto layer: the linter accepts the recipe, its crates are those of Cargo.lock, its licences and its
//! version are those of this project.
//!
//! Absent on purpose: a build by bitbake, which needs hours and gigabytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const RECIPE: &str = "yocto/meta-iogate/recipes-connectivity/iogate/iogate_git.bb";
const CRATES: &str = "yocto/meta-iogate/recipes-connectivity/iogate/iogate-crates.inc";
const LAYER: &str = "yocto/meta-iogate/conf/layer.conf";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// Runs a program of the Python environment that `tests/peers.sh` makes.
fn peer(program: &str, arguments: &[&Path]) -> Output {
    let path = root().join("tests/.peers/venv/bin").join(program);
    let output = Command::new(&path).args(arguments).current_dir(root()).output();
    output.unwrap_or_else(|error| panic!("{}: {error}; `bash tests/peers.sh` installs it", path.display()))
}

fn lint(files: &[PathBuf]) -> Output {
    let options = ["--quiet", "--mode", "all", "--release", "wrynose"].map(Path::new);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    peer("oelint-adv", &[&options[..], &files].concat())
}

#[test]
fn the_linter_accepts_the_layer() {
    let output = lint(&[root().join(RECIPE), root().join(LAYER)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("oelint."), "{said}");
}

#[test]
fn the_linter_finds_a_bad_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("iogate_git.bb");
    fs::write(&recipe, text(RECIPE).replace("SUMMARY =", "SUMARY =")).unwrap();
    fs::copy(root().join(CRATES), folder.path().join("iogate-crates.inc")).unwrap();
    let output = lint(&[recipe]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("oelint.var.mandatoryvar.SUMMARY"), "{said}");
}

#[test]
fn the_crates_are_those_of_the_lock_file() {
    let output = peer("python", &[Path::new("yocto/update-crates.py"), Path::new("--check")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The script is not all there is: count on another way.
    let locked = text("Cargo.lock").matches("\nchecksum = ").count();
    assert!(locked > 50);
    assert_eq!(text(CRATES).matches("    crate://crates.io/").count(), locked);
    assert_eq!(text(CRATES).matches(".sha256sum] = \"").count(), locked);
}

#[test]
fn a_stale_list_of_crates_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("yocto/update-crates.py");
    fs::create_dir_all(folder.path().join(CRATES).parent().unwrap()).unwrap();
    fs::copy(root().join("yocto/update-crates.py"), &script).unwrap();
    fs::write(folder.path().join(CRATES), text(CRATES)).unwrap();
    let lock = text("Cargo.lock").replacen("checksum = \"", "checksum = \"0", 1);
    fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
    let output = peer("python", &[&script, Path::new("--check")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("out of step"));
}

#[test]
fn licences_are_named_with_their_checksums() {
    let recipe = text(RECIPE);
    let output =
        Command::new("md5sum").args(["LICENSE-APACHE", "LICENSE-MIT"]).current_dir(root()).output().unwrap();
    let sums = String::from_utf8(output.stdout).unwrap();
    assert_eq!(sums.lines().count(), 2);
    for line in sums.lines() {
        let (sum, file) = line.split_once("  ").unwrap();
        assert!(recipe.contains(&format!("file://{file};md5={sum}")), "{line}");
    }
}

#[test]
fn the_recipe_has_this_version() {
    let wanted = concat!("PV = \"", env!("CARGO_PKG_VERSION"), "+git\"");
    assert!(text(RECIPE).contains(wanted), "{wanted}");
}

#[test]
fn what_the_recipe_installs_is_there() {
    let recipe = text(RECIPE);
    let sources: Vec<&str> =
        recipe.split("${S}/").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert!(sources.len() >= 3, "{sources:?}");
    for source in sources {
        assert!(root().join(source).exists(), "the recipe installs {source}, which is not there");
    }
}
