//! `iogate test`: the rule tests of a configuration and of the files beside it.
//!
//! Beside `site.yaml` stand `site.test.yaml` and `site.<anything>.test.yaml`. Absent: running a test, which
//! `ruletest` does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{ConfigFile, Exit, complain, print};
use crate::config::cases::Case;
use crate::config::{self, Plan};
use crate::model::units::count;
use crate::ruletest::{judge, live, text};

/// How the names of files of rule tests end.
const SUFFIX: &str = ".test.yaml";

/// The most files of rule tests beside one configuration.
const MAX_FILES: usize = 1_000;

/// What `test` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Another file of rule tests; those beside the configuration (`site.test.yaml`, `site.*.test.yaml`) need no naming.
    #[arg(long = "cases", value_name = "FILE")]
    cases: Vec<PathBuf>,
    /// Only the tests whose name or file holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print everything that happens in each test.
    #[arg(long)]
    timeline: bool,
}

/// Runs the tests and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let path = arguments.file.path();
    let files = match files_beside(path) {
        Ok(files) => files.into_iter().chain(arguments.cases.iter().cloned()).collect::<Vec<_>>(),
        Err(message) => {
            complain(&message);
            return Exit::Config;
        }
    };
    let plan = match config::load_with_tests(path, &files) {
        Ok(plan) => plan,
        Err(report) => {
            complain(&report.to_string());
            return Exit::Config;
        }
    };
    let wanted = |case: &&Case| {
        let only = arguments.only.as_deref();
        only.is_none_or(|text| case.name.contains(text) || case.place.file.contains(text))
    };
    let cases: Vec<&Case> = plan.tests.iter().filter(wanted).collect();
    if cases.is_empty() {
        complain(&nothing_to_do(path, &plan));
        return Exit::Config;
    }
    let (report, failed) = report(&plan, &cases, arguments.timeline);
    match (print(&report), failed) {
        (Exit::Ok, true) => Exit::Failed,
        (exit, _) => exit,
    }
}

fn nothing_to_do(path: &Path, plan: &Plan) -> String {
    if plan.tests.is_empty() {
        let beside = path.with_extension("test.yaml");
        return format!(
            "{}: there are no tests; write them under `tests:`, or into {} (docs/rule-tests.md)",
            path.display(),
            beside.display()
        );
    }
    format!("none of {} is meant by --only", count(plan.tests.len(), "test"))
}

/// What came of the tests, and whether one has failed.
fn report(plan: &Plan, cases: &[&Case], timeline: bool) -> (String, bool) {
    let mut out = String::new();
    let (mut failed, mut plant) = (0, Duration::ZERO);
    let begun = Instant::now();
    for case in cases {
        let place = format!("{}:{}", case.place.file, case.place.line);
        let happened = match live(plan, case) {
            Ok(happened) => happened,
            Err(error) => {
                failed += 1;
                let _ = writeln!(out, "FAIL  {} ({place})\n      {error}", case.name);
                continue;
            }
        };
        plant += case.until;
        let verdict = judge(case, &happened, &plan.points);
        let word = if verdict.differences.is_empty() { "ok  " } else { "FAIL" };
        failed += usize::from(!verdict.differences.is_empty());
        let _ = writeln!(out, "{word}  {} ({place})", case.name);
        out.push_str(&indented(&verdict.to_string()));
        if timeline {
            out.push_str(&indented(&text::timeline(&happened, &plan.points)));
        }
    }
    let _ = writeln!(
        out,
        "\n{}: {} passed, {failed} failed; {} of plant time in {} ms",
        count(cases.len(), "test"),
        cases.len() - failed,
        text::time(plant),
        begun.elapsed().as_millis(),
    );
    (out, failed > 0)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

/// The files of rule tests that belong to a configuration, by name.
fn files_beside(config: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let Some(stem) = config.file_stem().map(|stem| format!("{}.", stem.to_string_lossy())) else {
        return Ok(Vec::new());
    };
    // That the folder cannot be read is told of when the configuration is.
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(here) else { return Ok(Vec::new()) };
    let belongs = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // `site.test.yaml` and `site.x.test.yaml`; the dot before `test` may be the one behind the stem.
        name.len() >= stem.len() + SUFFIX.len() - 1 && name.starts_with(&stem) && name.ends_with(SUFFIX)
    };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| folder.join(entry.file_name())).filter(belongs).collect();
    if files.len() > MAX_FILES {
        return Err(format!("{}: more than {MAX_FILES} files of tests", folder.display()));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_tests_stand_beside_their_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "site.yaml",
            "site.test.yaml",
            "site.night.test.yaml",
            "siteb.test.yaml",
            "test.yaml",
            "x.site.test.yaml",
        ];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = files_beside(&folder.path().join("site.yaml")).unwrap();
        let found: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(found, ["site.night.test.yaml", "site.test.yaml"]);
        assert!(files_beside(Path::new("/nowhere/site.yaml")).unwrap().is_empty());
    }
}
