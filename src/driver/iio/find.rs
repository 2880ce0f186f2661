//! Which `iio:deviceN` is the one that is meant.
//!
//! Invariant: of two devices that fit, none is taken: a value of the wrong one would be worse than none.

use std::fs;
use std::path::{Path, PathBuf};

use super::MAX_FILE;
use crate::driver::local::bench::Fault;
use crate::driver::onewire::read_small;

/// The most devices that are looked through.
const MAX_DEVICES: usize = 256;

/// Whether the device in this folder has this name.
pub(super) fn is_named(folder: &Path, name: &str) -> bool {
    word(folder, "name").is_some_and(|own| own == name)
}

/// The folder of the device of this name, and at this place where several have it.
///
/// # Errors
/// When there is no such device, or more than one.
pub(super) fn device(root: &Path, name: &str, at: Option<&str>) -> Result<PathBuf, Fault> {
    let entries = fs::read_dir(root).map_err(|error| {
        let shown = root.display();
        Fault::Bus(format!("{shown}: {error}; is the driver of the chip loaded?"))
    })?;
    let devices = entries.flatten().map(|entry| entry.path());
    let mut devices: Vec<PathBuf> = devices.filter(|path| is_device(path)).take(MAX_DEVICES).collect();
    devices.sort();
    let found: Vec<&PathBuf> =
        devices.iter().filter(|path| is_named(path, name) && at.is_none_or(|at| is_at(path, at))).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => {
            let others: Vec<String> = devices.iter().filter_map(|path| word(path, "name")).collect();
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            let place = at.map_or_else(String::new, |at| format!(" at {at}"));
            Err(Fault::Absent(format!("no IIO device is called {name}{place}; there are: {others}")))
        }
        [first, second, ..] => Err(Fault::Absent(format!(
            "{} and {} are both called {name}: say which by iio-at, with {} or {}",
            shown(first),
            shown(second),
            place(first),
            place(second),
        ))),
    }
}

fn is_device(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("iio:device"))
}

fn is_at(path: &Path, at: &str) -> bool {
    let parts = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    word(path, "label").is_some_and(|label| label == at)
        || parts.components().any(|part| part.as_os_str().to_string_lossy() == at)
}

/// By what the device can be told from others: its label, or the place above it.
fn place(path: &Path) -> String {
    word(path, "label").unwrap_or_else(|| {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let above = real.parent().and_then(Path::file_name).unwrap_or_default();
        above.to_string_lossy().into_owned()
    })
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn word(folder: &Path, file: &str) -> Option<String> {
    let text = read_small(&folder.join(file), MAX_FILE).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
