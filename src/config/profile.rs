//! Device profiles: where they are found, and what one holds.
//!
//! A profile is a file `<vendor>/<model>.yaml`. The first one that is found counts: in the folders of
//! `profile-path`, in `profiles/` beside the configuration, in /usr/share/iogate/profiles, in the program.
//! Absent: how a device uses its profile (`devices`).

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rust_embed::Embed;

use super::context::Context;
use super::drivers::{self, Adapter, DriverKind};
use super::node::{Entry, Kind, Node};
use super::parse::{MAX_FILE_BYTES, parse};
use super::parts::{check_keys, expect_map, fields_of, read_part, read_part_rest};
use super::points::expand_points;
use super::repeat::Item;
use super::sections::{ProfileSection, PublishSection};
use super::source::Span;
use super::suggest::advice;

/// The profiles that are part of the program.
#[derive(Embed)]
#[folder = "config/profiles/"]
struct Shipped;

/// What every profile says of itself.
const REQUIRED: [&str; 4] = ["vendor", "models", "source", "grade"];

/// The most profile names that are gathered from one folder for a suggestion.
const MAX_NAMES: usize = 5_000;

/// The most profiles that one configuration may use.
pub(super) const MAX_PROFILES: usize = 1_000;

/// A profile, ready to be used by devices.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: Arc<str>,
    /// What it says of itself; `None` when that is wrong.
    pub(super) about: Option<ProfileSection>,
    /// The driver that it is for.
    pub(super) kind: DriverKind,
    /// The keys of the driver's device section.
    pub(super) settings: Vec<Entry>,
    pub(super) publish: PublishSection,
    pub(super) points: Vec<Item>,
}

impl Profile {
    /// What it says of itself, in one paragraph.
    pub(super) fn line(&self) -> Option<String> {
        let about = self.about.as_ref()?;
        let (vendor, models, source) = (&about.vendor, about.models.join(", "), &about.source);
        let mut line = format!("{}: {vendor} {models} ({}; {source})", self.name, about.grade.word());
        let further =
            [("firmware", &about.firmware), ("version", &about.version), ("licence", &about.licence)];
        for (word, text) in further.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?))) {
            line.push_str(&format!(", {word} {text}"));
        }
        if let Some(notes) = &about.notes {
            line.push_str(". ");
            line.push_str(notes.trim());
        }
        Some(line)
    }
}

/// Finds profiles and keeps those that were read.
pub(super) struct Library {
    folders: Vec<PathBuf>,
    loaded: HashMap<String, Option<Rc<Profile>>>,
}

impl Library {
    pub(super) fn new(cx: &Context<'_>, extra: &[String]) -> Self {
        let own = extra.iter().map(|folder| cx.around.directory.join(folder));
        let folders = own.chain(cx.around.profile_dirs.iter().cloned()).collect();
        Self { folders, loaded: HashMap::new() }
    }

    /// The profile of this name; mistakes are recorded at `span` or in the profile's file.
    pub(super) fn get(&mut self, cx: &Context<'_>, name: &str, span: Span) -> Option<Rc<Profile>> {
        if let Some(known) = self.loaded.get(name) {
            return known.clone();
        }
        if self.loaded.len() >= MAX_PROFILES {
            cx.error(span, format!("more than {MAX_PROFILES} profiles are used"), None);
            return None;
        }
        let profile = self.load(cx, name, span).map(Rc::new);
        self.loaded.insert(name.to_owned(), profile.clone());
        profile
    }

    fn load(&self, cx: &Context<'_>, name: &str, span: Span) -> Option<Profile> {
        if !well_formed(name) {
            let help = "a profile is named like its file, vendor/model: vaisala/hmt330".to_owned();
            cx.error(span, format!("`{name}` is not the name of a profile"), Some(help));
            return None;
        }
        let (shown, text) = match self.find(cx, name, span) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let names = self.names();
                let help = advice(name, names.iter().map(String::as_str));
                cx.error(span, format!("there is no profile `{name}`"), help);
                return None;
            }
            Err(()) => return None,
        };
        let file = cx.sources.borrow_mut().add(&shown, &text);
        read_profile(cx, name, &parse(cx, file, &text)?)
    }

    fn find(&self, cx: &Context<'_>, name: &str, span: Span) -> Result<Option<(String, String)>, ()> {
        let file = format!("{name}.yaml");
        for folder in &self.folders {
            let path = folder.join(&file);
            if path.is_file() {
                return match read_text(&path) {
                    Ok(text) => Ok(Some((path.display().to_string(), text))),
                    Err(message) => {
                        cx.error(span, message, None);
                        Err(())
                    }
                };
            }
        }
        let shipped = Shipped::get(&file);
        Ok(shipped
            .map(|found| (format!("(shipped) {file}"), String::from_utf8_lossy(&found.data).into_owned())))
    }

    /// The names of all profiles that could be found.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = shipped_profiles().collect();
        for folder in &self.folders {
            let vendors = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for vendor in vendors.take(MAX_NAMES) {
                let models = std::fs::read_dir(vendor.path()).into_iter().flatten().flatten();
                names.extend(models.take(MAX_NAMES).filter_map(|model| profile_name(folder, &model.path())));
            }
        }
        names
    }
}

/// The names of the profiles that are part of the program.
pub fn shipped_profiles() -> impl Iterator<Item = String> {
    Shipped::iter().filter_map(|file| file.strip_suffix(".yaml").map(str::to_owned))
}

/// The texts of a list, or the one text.
pub(super) fn texts(node: &Node) -> Vec<&str> {
    match &node.kind {
        Kind::List(nodes) => nodes.iter().filter_map(Node::text).collect(),
        _ => node.text().into_iter().collect(),
    }
}

fn profile_name(folder: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(folder).ok()?.to_str()?;
    below.strip_suffix(".yaml").map(str::to_owned)
}

/// Lower-case words with digits, `.`, `-` and `_`, in one or two folders; never a way out of the folder.
fn well_formed(name: &str) -> bool {
    let levels: Vec<&str> = name.split('/').collect();
    let good = |level: &&str| {
        !level.is_empty()
            && !level.starts_with('.')
            && level.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    (1..=3).contains(&levels.len()) && levels.iter().all(good)
}

/// A file's text, within the limit; the message names the file and the reason.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES as u64 {
        return Err(format!("{shown} is larger than {} MiB", MAX_FILE_BYTES >> 20));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown} is not UTF-8 text: a wrong byte stands on line {line}; save the file as UTF-8")
    })
}

fn read_profile(cx: &Context<'_>, name: &str, root: &Node) -> Option<Profile> {
    if !expect_map(cx, root, "a profile") {
        return None;
    }
    let keys: Vec<&str> = drivers::in_profiles().map(Adapter::key).collect();
    let lists = [fields_of::<ProfileSection>(), fields_of::<PublishSection>(), &keys, &["points"]];
    check_keys(cx, root, &lists);
    let missing = REQUIRED.into_iter().filter(|key| root.get(key).is_none());
    missing.for_each(|key| cx.error(root.span, format!("`{key}` is missing"), format!("add `{key}:`")));
    let about = read_part::<ProfileSection>(cx, root);
    let publish = read_part_rest(cx, root).unwrap_or_default();
    let mut named = drivers::in_profiles().filter(|kind| root.get(kind.key()).is_some());
    let kind = named.next().unwrap_or_else(drivers::usual);
    if let Some(second) = named.next() {
        let key = root.entry(second.key()).map_or(root.span, |entry| entry.key_span);
        let help = Some("a profile is for one driver; write two profiles".to_owned());
        cx.error(key, "the profile names two drivers", help);
    }
    let settings = root.get(kind.key()).cloned().unwrap_or_else(|| Node::map(root.span, vec![]));
    if root.get(kind.key()).is_none() {
        let help =
            Some("add `modbus: {}`, with the device's settings where they differ from the usual".to_owned());
        cx.error(root.span, "the profile does not say which driver it is for", help);
    }
    kind.check_profile(cx, &settings);
    let points = root.get("points").map(|node| expand_points(cx, node)).unwrap_or_default();
    if points.is_empty() {
        cx.error(root.span, "the profile has no points", Some("add `points:`".to_owned()));
    }
    let settings = match settings.kind {
        Kind::Map(entries) => entries,
        _ => Vec::new(),
    };
    Some(Profile { name: name.into(), about, kind, settings, publish, points })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_name_cannot_leave_its_folder() {
        for good in ["vaisala/hmt330", "mine", "a/b-c_1.2"] {
            assert!(well_formed(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../secret", "a/../b", "a//b", "a b", "a/b/c/d", "a\\b"] {
            assert!(!well_formed(bad), "{bad}");
        }
    }
}
