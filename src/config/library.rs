//! The profiles as a library: which there are, what one holds, whether one is right, and a configuration that
//! tries one out.
//!
//! Absent: where profiles are found and how they are read (`profile`), and how they are shown (`handbook`).
//! Invariant: a profile is right when a device with all of its points is.

use std::path::Path;
use std::sync::Arc;

use super::context::{Context, Surroundings};
use super::drivers::DriverKind;
use super::plan::Plan;
use super::problem::{Problem, Report};
use super::profile::{Library, Profile, shipped_profiles};
use super::repeat::Item;
use super::source::Span;
use super::words::{Class, DeviceClass, Grade};

/// A place in no file, for messages about names that were asked for.
const NOWHERE: Span = Span { file: u16::MAX, start: 0, end: 0 };

/// The name of the device and the channel in a configuration that tries a profile.
const TRIAL: &str = "device";

/// What a profile says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSummary {
    /// Its name.
    pub name: String,
    /// Who makes the device.
    pub vendor: String,
    /// The models.
    pub models: Vec<String>,
    /// What kind of device it is.
    pub kind: &'static str,
    /// The driver.
    pub driver: &'static str,
    /// How far its facts can be trusted.
    pub grade: &'static str,
    /// Where they come from.
    pub source: String,
    /// What a technician should know.
    pub notes: Option<String>,
    /// What people call the device in Korean.
    pub label_ko: Option<String>,
    /// Its points; copies are one row.
    pub points: Vec<PointRow>,
}

/// A point, or the copies of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointRow {
    /// Its name; for copies the first and the last.
    pub name: String,
    /// What people call it, in English and in Korean.
    pub label: Option<String>,
    /// The Korean one.
    pub label_ko: Option<String>,
    /// Where it is, in the words of the profile.
    pub place: String,
    /// Its unit.
    pub unit: Option<String>,
    /// `r`, `rw` or `w`.
    pub access: String,
    /// What it is.
    pub class: &'static str,
    /// Whether it is read unless the configuration says otherwise.
    pub enabled: bool,
    /// How far its facts can be trusted, where that differs from the profile.
    pub grade: Option<&'static str>,
}

/// The names of all profiles: those of the program and of the folders around a configuration.
#[must_use]
pub fn profile_names(around: &Surroundings) -> Vec<String> {
    let cx = Context::new(around);
    Library::new(&cx, &[]).names().into_iter().collect()
}

/// What the profile of this name holds.
///
/// # Errors
/// That there is none, or every mistake in it.
pub fn profile_summary(name: &str, around: &Surroundings) -> Result<ProfileSummary, Report> {
    with_profile(name, around, summary)
}

/// A configuration with one device of the profile and all of its points, also those that it leaves out.
///
/// # Errors
/// That there is no such profile, or every mistake in it.
pub fn profile_trial(name: &str, around: &Surroundings) -> Result<Plan, Report> {
    let text = with_profile(name, around, |profile| trial_text(profile, true))?;
    super::load_str(&text, name, around)
}

/// The same as a configuration file would have it: only with the points that are read.
///
/// # Errors
/// As for [`profile_trial`].
pub fn profile_device(name: &str, around: &Surroundings) -> Result<Plan, Report> {
    let text = with_profile(name, around, |profile| trial_text(profile, false))?;
    super::load_str(&text, name, around)
}

/// Everything that should be looked at in a profile that is right.
///
/// # Errors
/// Every mistake in it.
pub fn check_profile(name: &str, around: &Surroundings) -> Result<Vec<Problem>, Report> {
    profile_trial(name, around).map(|plan| plan.warnings)
}

/// Where the profile in a file is found, and under which name.
///
/// # Errors
/// When the file's name is no name of a profile.
pub fn profile_file(path: &Path) -> Result<(Surroundings, String), String> {
    let wrong = || format!("{}: a profile is a file such as vendor/model.yaml", path.display());
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(wrong)?;
    if path.extension().is_none_or(|extension| extension != "yaml") {
        return Err(wrong());
    }
    if !path.is_file() {
        return Err(format!("{}: there is no such file", path.display()));
    }
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let around = Surroundings { profile_dirs: vec![folder.to_path_buf()], ..Surroundings::none() };
    Ok((around, name.to_owned()))
}

fn with_profile<T>(
    name: &str,
    around: &Surroundings,
    use_it: impl FnOnce(&Profile) -> T,
) -> Result<T, Report> {
    let cx = Context::new(around);
    let profile = Library::new(&cx, &[]).get(&cx, name, NOWHERE);
    let made = profile.filter(|profile| profile.about.is_some()).map(|profile| use_it(&profile));
    match made {
        Some(made) if cx.error_count() == 0 => Ok(made),
        _ => Err(Report::new(name, cx.into_problems())),
    }
}

fn trial_text(profile: &Profile, all: bool) -> String {
    let (channel, device) = profile.kind.trial();
    let mut text = format!(
        "site: trial\nchannels: {{ {TRIAL}: {{ {channel} }} }}\ndevices:\n  {TRIAL}:\n    channel: {TRIAL}\n    profile: {}\n",
        profile.name
    );
    if !device.is_empty() {
        text.push_str(&format!("    {device}\n"));
    }
    let off: Vec<&Item> = profile.points.iter().filter(|item| all && !is_enabled(item)).collect();
    if !off.is_empty() {
        text.push_str("    points:\n");
        off.iter().for_each(|item| text.push_str(&format!("      '{}': {{ enabled: on }}\n", item.name)));
    }
    text
}

fn text_of<'a>(item: &'a Item, key: &str) -> Option<&'a str> {
    item.node.get(key).and_then(super::node::Node::text)
}

fn is_enabled(item: &Item) -> bool {
    !matches!(text_of(item, "enabled"), Some("off" | "no" | "false"))
}

fn summary(profile: &Profile) -> ProfileSummary {
    let about = profile.about.as_ref();
    let own = |text: fn(&super::sections::ProfileSection) -> String| about.map(text).unwrap_or_default();
    ProfileSummary {
        name: profile.name.to_string(),
        vendor: own(|about| about.vendor.clone()),
        models: about.map(|about| about.models.clone()).unwrap_or_default(),
        kind: about.map_or(DeviceClass::Other, |about| about.kind).word(),
        driver: profile.kind.key(),
        grade: about.map_or(Grade::Community, |about| about.grade).word(),
        source: own(|about| about.source.trim().to_owned()),
        notes: about.and_then(|about| about.notes.as_deref()).map(|notes| notes.trim().to_owned()),
        label_ko: about.and_then(|about| about.label_ko.clone()),
        points: rows(profile),
    }
}

/// One row per entry of the profile; the copies of an entry share their place in the file.
fn rows(profile: &Profile) -> Vec<PointRow> {
    let mut rows = Vec::new();
    for copies in profile.points.chunk_by(|a, b| a.key_span == b.key_span) {
        let (Some(first), Some(last)) = (copies.first(), copies.last()) else { continue };
        rows.push(row(profile.kind, first, last));
    }
    rows
}

fn row(kind: DriverKind, first: &Item, last: &Item) -> PointRow {
    let span = |a: &str, b: &str| if a == b { a.to_owned() } else { format!("{a} … {b}") };
    let label = |key| Some(span(text_of(first, key)?, text_of(last, key)?));
    let class = match text_of(first, "class") {
        Some("setting") => Class::Setting,
        Some("diagnosis") => Class::Diagnosis,
        _ => Class::Measurement,
    };
    let grades = [Grade::Community, Grade::Library, Grade::Manufacturer, Grade::Hardware];
    PointRow {
        name: span(&first.name, &last.name),
        label: label("label"),
        label_ko: label("label-ko"),
        place: place(kind, first),
        unit: text_of(first, "unit").map(str::to_owned),
        access: text_of(first, "access").unwrap_or("r").to_owned(),
        class: class.word(),
        enabled: is_enabled(first),
        grade: grades.map(Grade::word).into_iter().find(|word| text_of(first, "grade") == Some(*word)),
    }
}

/// Where a point is: its address and what makes a value of what is there, as the profile has it.
fn place(kind: DriverKind, item: &Item) -> String {
    let mut words: Vec<String> = Vec::new();
    for key in kind.addresses() {
        words.extend(text_of(item, key).map(|text| format!("{key} {text}")));
    }
    if let Some(models) = item.node.get("model") {
        let numbers = super::profile::texts(models);
        words.insert(0, format!("model {}", numbers.join(" or ")));
    }
    for key in ["type", "order", "bit"] {
        words.extend(text_of(item, key).map(|text| match key {
            "bit" => format!("bit {text}"),
            _ => text.to_owned(),
        }));
    }
    words.extend(text_of(item, "scale").map(|scale| format!("× {scale}")));
    words.extend(text_of(item, "exponent").map(|address| format!("× 10^[{address}]")));
    for (key, word) in [("scale-by", "scale by"), ("status-by", "status by"), ("when", "when")] {
        words.extend(item.node.get(key).map(|_| format!("({word} another register)")));
    }
    words.join(" ")
}

/// The summaries of the profiles that are part of the program, by name.
///
/// # Errors
/// Every mistake in the first that has one.
pub fn shipped_summaries() -> Result<Vec<ProfileSummary>, Report> {
    let around = Surroundings::none();
    let mut names: Vec<Arc<str>> = shipped_profiles().map(Into::into).collect();
    names.sort();
    names.iter().map(|name| profile_summary(name, &around)).collect()
}
