//! A bus of files: what stands for any bus when it is simulated.
//!
//! `<folder>/<device>/<place of the point>` holds the raw value as text; a folder that is not there is a
//! device that is unplugged, an empty file a point without a value. Absent: any protocol. Invariant: files
//! are written whole (by a rename), so half a value is never read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Device;
use super::bench::{Bench, Fault, Raw, Step};
use crate::model::{Reason, Value, ValueKind};

/// The longest text of a value in bytes.
const MAX_TEXT: usize = 256;

/// The files.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    devices: Vec<(PathBuf, Vec<ValueKind>)>,
}

impl Files {
    /// The files of these devices.
    #[must_use]
    pub fn new(folder: &Path, devices: &[Device]) -> Self {
        let devices = devices.iter().map(|device| {
            let kinds = device.points.iter().map(|point| point.form.kind).collect();
            (folder.join(&*device.name), kinds)
        });
        Self { folder: folder.to_path_buf(), devices: devices.collect() }
    }

    fn point(&self, device: usize, point: usize) -> Raw {
        let (folder, kinds) = &self.devices[device];
        let text = fs::read_to_string(folder.join(point.to_string()))
            .map_err(|error| Fault::of(&error, "the simulated device"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Fault::NoValue(Reason::NotAvailable));
        }
        if text.len() > MAX_TEXT {
            return Err(Fault::Malformed("the simulated value is too long".into()));
        }
        Value::parse(text, kinds[point]).map_err(Fault::Malformed)
    }
}

impl Bench for Files {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        Step::Done(points.iter().map(|point| self.point(device, *point)).collect())
    }

    fn write(&mut self, device: usize, point: usize, raw: &Value) -> Result<(), Fault> {
        let (folder, _) = &self.devices[device];
        replace(folder, point, &raw.to_string())
            .map_err(|error| Fault::of(&error, &format!("the simulated device in {}", self.folder.display())))
    }
}

/// Writes one value whole.
///
/// # Errors
/// When the folder is not there or cannot be written.
pub fn replace(folder: &Path, point: usize, text: &str) -> io::Result<()> {
    let new = folder.join(format!(".{point}"));
    fs::write(&new, text)?;
    fs::rename(new, folder.join(point.to_string()))
}
