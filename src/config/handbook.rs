//! The documentation of the profiles, made from the profiles: an overview, and one page per vendor.
//!
//! Pure: texts out. Absent: writing files, which a test does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::library::{PointRow, ProfileSummary};

/// The folder of the pages, beside the overview.
const FOLDER: &str = "profiles";

/// The pages by their paths below `docs/`: `profiles.md`, and `profiles/<vendor>.md` for each vendor.
#[must_use]
pub fn pages(profiles: &[ProfileSummary]) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    pages.insert(format!("{FOLDER}.md"), overview(profiles));
    for vendor in profiles.chunk_by(|a, b| folder(a) == folder(b)) {
        let Some(first) = vendor.first() else { continue };
        let mut page = format!(
            "# Profiles: {}\n\nMade from the files in [config/profiles](../../config/profiles).\n",
            first.vendor
        );
        vendor.iter().for_each(|profile| describe(&mut page, profile));
        pages.insert(format!("{FOLDER}/{}.md", folder(first)), page);
    }
    pages
}

fn folder(profile: &ProfileSummary) -> &str {
    profile.name.split('/').next().unwrap_or(&profile.name)
}

fn overview(profiles: &[ProfileSummary]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut grades: BTreeMap<&str, usize> = BTreeMap::new();
    for profile in profiles {
        *kinds.entry(profile.kind).or_default() += 1;
        *grades.entry(profile.grade).or_default() += 1;
    }
    let counts = |counts: &BTreeMap<&str, usize>| {
        let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        words.join(", ")
    };
    let mut page = format!(
        "# Device profiles\n\nMade from the files in [config/profiles](../config/profiles); how a device uses one is said in\n\
         [configuration.md](configuration.md), how to write one in [writing-profiles.md](writing-profiles.md).\n\n\
         {} profiles: {}. Grades: {}.\n\n",
        profiles.len(),
        counts(&kinds),
        counts(&grades),
    );
    page.push_str("The grade says how far the facts can be trusted: `manufacturer` from a manual or the maker's own code, `library` from\na maintained open-source library, `community` from user pages or where sources disagree, `hardware` tested on the\ndevice. None has been tested on a device unless it says `hardware`.\n\n");
    page.push_str("| Profile | Models | Kind | Driver | Grade |\n|---|---|---|---|---|\n");
    for profile in profiles {
        let (name, models) = (&profile.name, escape(&profile.models.join(", ")));
        let anchor = name.replace(['/', '.'], "");
        let _ = writeln!(
            page,
            "| [`{name}`]({FOLDER}/{}.md#{anchor}) | {} {models} | {} | {} | {} |",
            folder(profile),
            escape(&profile.vendor),
            profile.kind,
            profile.driver,
            profile.grade,
        );
    }
    page
}

/// One profile in Markdown.
fn describe(page: &mut String, profile: &ProfileSummary) {
    let _ = write!(
        page,
        "\n## {}\n\n{} {}",
        profile.name,
        escape(&profile.vendor),
        escape(&profile.models.join(", "))
    );
    if let Some(korean) = &profile.label_ko {
        let _ = write!(page, " ({korean})");
    }
    let _ = writeln!(
        page,
        ". {} by `{}`, grade {}. Source: {}.",
        profile.kind,
        profile.driver,
        profile.grade,
        escape(&profile.source)
    );
    if let Some(notes) = &profile.notes {
        let _ = writeln!(page, "\n{}", escape(notes));
    }
    page.push_str("\n| Point | Name | 이름 | Where | Unit | Access | |\n|---|---|---|---|---|---|---|\n");
    for point in &profile.points {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            point.name,
            escape(point.label.as_deref().unwrap_or_default()),
            escape(point.label_ko.as_deref().unwrap_or_default()),
            escape(&point.place),
            escape(point.unit.as_deref().unwrap_or_default()),
            point.access,
            remarks(point),
        );
    }
}

fn remarks(point: &PointRow) -> String {
    let mut words = Vec::new();
    words.extend((!point.enabled).then(|| "off".to_owned()));
    words.extend((point.class != "measurement").then(|| point.class.to_owned()));
    words.extend(point.grade.map(str::to_owned));
    words.join(", ")
}

/// Text that cannot break a table or become markup.
fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
