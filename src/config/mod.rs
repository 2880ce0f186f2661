//! The configuration: one YAML file with its profiles becomes one validated plan, or a report of every mistake.
//!
//! The way: text → located tree (`parse`) → sections (`de`, `sections`) → drafts (`devices`, `build`) →
//! checks across them (`conflicts`, `alarms`) → [`Plan`]. Absent on purpose: running anything, sockets,
//! clocks. Invariant: a [`Plan`] needs no further check; nothing in it can be refused later for what it says.

mod alarms;
mod blame;
mod bridges;
mod build;
pub mod cases;
mod check;
mod conflicts;
mod context;
mod control;
mod conversion;
mod de;
mod devices;
mod draft;
mod drivers;
mod environment;
mod handbook;
mod library;
mod node;
mod notify;
mod oneline;
mod parse;
mod parts;
mod plan;
mod points;
mod problem;
mod profile;
mod ramp;
mod reference;
mod repeat;
mod scalar;
mod schema;
mod secret;
mod sections;
mod source;
mod suggest;
mod values;
mod virtual_points;
mod words;

use std::path::{Path, PathBuf};

pub use check::check_report;
pub use context::{Environment, Surroundings};
pub use handbook::pages as profile_pages;
pub use library::{
    PointRow, ProfileSummary, check_profile, profile_device, profile_file, profile_names, profile_summary,
    profile_trial, shipped_summaries,
};
pub use plan::{ChannelPlan, Identity, Plan};
pub use problem::{Level, Problem, Report};
pub use profile::shipped_profiles;
pub use reference::reference;
pub use schema::{profile_schema, schema};
pub use source::Place;

use context::Context;

/// Where the package installs profiles.
pub const SYSTEM_PROFILES: &str = "/usr/share/iogate/profiles";

/// Loads and validates a configuration file. Nothing is started or opened.
///
/// # Errors
/// Every mistake of the file and of the profiles it uses, each with its place.
pub fn load(path: &Path) -> Result<Plan, Report> {
    load_with_tests(path, &[])
}

/// Loads and validates a configuration that is already in memory; `origin` is what messages call it.
///
/// # Errors
/// As for [`load`].
pub fn load_str(text: &str, origin: &str, around: &Surroundings) -> Result<Plan, Report> {
    let cx = Context::new(around);
    let file = cx.sources.borrow_mut().add(origin, text);
    let plan = parse::parse(&cx, file, text).and_then(|root| plan::build(&cx, &root, &[]));
    finish(cx, origin, plan)
}

/// Loads and validates a configuration file together with files of rule tests.
///
/// # Errors
/// As for [`load`], with the mistakes of the tests.
pub fn load_with_tests(path: &Path, files: &[PathBuf]) -> Result<Plan, Report> {
    let around = Surroundings::of(path);
    let origin = path.display().to_string();
    let cx = Context::new(&around);
    let read = |path: &Path| match profile::read_text(path) {
        Ok(text) => {
            let file = cx.sources.borrow_mut().add(&path.display().to_string(), &text);
            parse::parse(&cx, file, &text)
        }
        Err(message) => {
            cx.error_nowhere(message, None);
            None
        }
    };
    let root = read(path);
    let beside: Vec<node::Node> = files.iter().filter_map(|file| read(file)).collect();
    let plan = root.and_then(|root| plan::build(&cx, &root, &beside));
    finish(cx, &origin, plan)
}

/// The plan with what should be looked at, or every mistake.
fn finish(cx: Context<'_>, origin: &str, plan: Option<Plan>) -> Result<Plan, Report> {
    let failed = cx.error_count() > 0;
    let digest = cx.sources.borrow().digest();
    match plan {
        Some(mut plan) if !failed => {
            plan.warnings = cx.into_problems();
            problem::tidy(&mut plan.warnings);
            plan.source = Identity { origin: origin.to_owned(), digest };
            Ok(plan)
        }
        _ => Err(Report::new(origin, cx.into_problems())),
    }
}

/// Loads the section `broker:` of a configuration file; the defaults if it has none. What the other
/// sections say is not looked at.
///
/// # Errors
/// Every mistake of the section, with its place, or that there is no readable file.
pub fn load_broker(path: &Path) -> Result<crate::broker::Config, Report> {
    load_section(path, plan::build_broker)
}

/// Loads the section `web:` of a configuration file; the defaults if it has none. What the other sections
/// say is not looked at.
///
/// # Errors
/// As for [`load_broker`].
pub fn load_web(path: &Path) -> Result<crate::web::Config, Report> {
    load_section(path, plan::build_web)
}

fn load_section<T>(
    path: &Path,
    build: impl FnOnce(&Context<'_>, &node::Node) -> Option<T>,
) -> Result<T, Report> {
    let around = Surroundings::of(path);
    let origin = path.display().to_string();
    let cx = Context::new(&around);
    let section = match profile::read_text(path) {
        Ok(text) => {
            let file = cx.sources.borrow_mut().add(&origin, &text);
            parse::parse(&cx, file, &text).and_then(|root| build(&cx, &root))
        }
        Err(message) => {
            cx.error_nowhere(message, None);
            None
        }
    };
    section.filter(|_| cx.error_count() == 0).ok_or_else(|| Report::new(&origin, cx.into_problems()))
}

impl Surroundings {
    /// The surroundings of a file: its folder, `profiles/` beside it, the system's profiles, and the
    /// environment of the process.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let profile_dirs = vec![directory.join("profiles"), SYSTEM_PROFILES.into()];
        Self { directory, profile_dirs, environment: Box::new(|name| std::env::var(name).ok()) }
    }

    /// Nothing besides what is part of the program; for tests and for texts that come from nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self { directory: PathBuf::new(), profile_dirs: Vec::new(), environment: Box::new(|_| None) }
    }
}
