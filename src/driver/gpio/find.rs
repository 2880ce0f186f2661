//! From what people call a line to a chip's file and an offset on it.
//!
//! Invariant: a name that two lines or chips have is an error, never the first of them.

use std::fmt;
use std::path::PathBuf;

use gpiocdev::chip::{Chip, chips};

use crate::driver::local::Fault;

/// A line as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineId {
    /// The chip by label, name or path; any when `None`.
    pub chip: Option<String>,
    /// The line's name or number.
    pub line: String,
}

/// A line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The chip's file.
    pub(super) chip: PathBuf,
    /// The line's number on it.
    pub(super) offset: u32,
    /// Who has it already.
    pub(super) used_by: Option<String>,
    /// Whether it is an output now.
    pub(super) is_output: bool,
}

impl LineId {
    /// A line of a chip.
    #[must_use]
    pub fn new(chip: Option<&str>, line: &str) -> Self {
        Self { chip: chip.map(str::to_owned), line: line.to_owned() }
    }

    /// Its number, where it is given by number.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.line.parse().ok().filter(|_| self.line.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Looks for it among the chips of the machine.
    ///
    /// # Errors
    /// When it is not there, or more than one is.
    pub(super) fn find(&self) -> Result<Found, Fault> {
        let mut paths = chips().map_err(|_| Fault::Bus("the machine shows no GPIO chips in /dev".into()))?;
        paths.sort();
        let mut labels = Vec::new();
        let mut found: Vec<Found> = Vec::new();
        for path in paths {
            let Ok(chip) = Chip::from_path(&path) else {
                labels.push(format!("{} (not readable)", path.display()));
                continue;
            };
            let Ok(info) = chip.info() else { continue };
            let wanted = self.chip.as_deref().is_none_or(|wanted| {
                wanted == info.label || wanted == info.name || std::path::Path::new(wanted) == path
            });
            if wanted {
                found.extend(self.on(&chip, info.num_lines));
            }
            labels.push(if wanted { info.label } else { format!("{} ({})", info.name, info.label) });
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Fault::Absent(format!("there is no line {self}; chips: {}", labels.join(", ")))),
            _ => Err(Fault::Absent(format!(
                "several lines are called {self}: name the chip by {}",
                found.iter().map(|found| found.chip.display().to_string()).collect::<Vec<_>>().join(" or ")
            ))),
        }
    }

    fn on(&self, chip: &Chip, lines: u32) -> Option<Found> {
        let info = match self.number() {
            Some(number) if number < lines => chip.line_info(number).ok()?,
            Some(_) => return None,
            None => chip.find_line_info(&self.line)?,
        };
        Some(Found {
            chip: chip.path().to_path_buf(),
            offset: info.offset,
            used_by: info.used.then_some(info.consumer),
            is_output: info.direction == gpiocdev::line::Direction::Output,
        })
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.chip {
            Some(chip) => write!(f, "{} on {chip}", self.line),
            None => f.write_str(&self.line),
        }
    }
}
