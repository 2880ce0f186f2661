//! What people write about the box itself.
//!
//! Every struct here is one section; unknown keys are refused by the loader. No key means something else
//! here than in another driver's sections.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::ValueKind;

/// The box itself: `box: { system: {} }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SystemConfig {}

/// Which figure of the box a point is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// The figure.
    pub figure: Option<FigureWord>,
    /// With `figure: disk-used` or `disk-free`, a folder on the disk that is meant; `/` when left out.
    pub disk: Option<PathBuf>,
    /// With `figure: temperature`, the sensor by the name that the kernel gives it (`cpu-thermal`, `k10temp`); that of the processor when left out.
    pub sensor: Option<String>,
}

/// A figure of the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FigureWord {
    /// A temperature in °C.
    Temperature,
    /// The part of all processors' time that was in use since the last reading, in %.
    CpuUsed,
    /// How many tasks ran or wanted to, on average over one minute.
    #[serde(rename = "load-1")]
    Load1,
    /// The same over five minutes.
    #[serde(rename = "load-5")]
    Load5,
    /// The same over fifteen minutes.
    #[serde(rename = "load-15")]
    Load15,
    /// The part of the memory that is in use, in %.
    MemoryUsed,
    /// The memory that programs can still get, in MiB.
    MemoryFree,
    /// The part of a disk that is in use, in %.
    DiskUsed,
    /// The space on a disk that is left for programs, in MiB.
    DiskFree,
    /// Seconds since the box started.
    Uptime,
    /// Whether the supply voltage of a Raspberry Pi is too low now.
    UnderVoltage,
    /// Whether a Raspberry Pi is slowed down now.
    Throttled,
    /// Whether a Raspberry Pi had too low a voltage or was slowed down since it started.
    ThrottledBefore,
}

/// A figure, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// The temperature of a sensor, or that of the processor.
    Temperature(Option<String>),
    /// The part of a disk that is in use.
    DiskUsed(PathBuf),
    /// What is left of a disk.
    DiskFree(PathBuf),
    /// Any other one.
    Plain(FigureWord),
}

impl Figure {
    /// The unit that it comes in.
    #[must_use]
    pub const fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Temperature(_) => Some("°C"),
            Self::DiskUsed(_) | Self::Plain(FigureWord::CpuUsed | FigureWord::MemoryUsed) => Some("%"),
            Self::DiskFree(_) | Self::Plain(FigureWord::MemoryFree) => Some("MiB"),
            Self::Plain(FigureWord::Uptime) => Some("s"),
            Self::Plain(_) => None,
        }
    }

    /// What kind of value it has.
    #[must_use]
    pub const fn kind(&self) -> ValueKind {
        match self {
            Self::Plain(FigureWord::UnderVoltage | FigureWord::Throttled | FigureWord::ThrottledBefore) => {
                ValueKind::Bool
            }
            _ => ValueKind::Float,
        }
    }
}

impl PointConfig {
    /// The figure.
    ///
    /// # Errors
    /// What does not fit, and how to mend it.
    pub fn figure(&self) -> Result<Figure, String> {
        let Some(figure) = self.figure else {
            return Err("say which figure of the box it is, such as figure: temperature".into());
        };
        let on_disk = matches!(figure, FigureWord::DiskUsed | FigureWord::DiskFree);
        if self.disk.is_some() && !on_disk {
            return Err("disk is of use for disk-used and disk-free only: remove it".into());
        }
        if self.sensor.is_some() && figure != FigureWord::Temperature {
            return Err("sensor is of use for a temperature only: remove it".into());
        }
        let disk = self.disk.clone().unwrap_or_else(|| "/".into());
        if !disk.is_absolute() {
            return Err(format!("disk {}: give a whole path, such as /var", disk.display()));
        }
        Ok(match figure {
            FigureWord::Temperature => Figure::Temperature(self.sensor.clone()),
            FigureWord::DiskUsed => Figure::DiskUsed(disk),
            FigureWord::DiskFree => Figure::DiskFree(disk),
            other => Figure::Plain(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_make_no_sense_are_refused_with_a_remedy() {
        let figure = |yaml: &str| serde_yaml::from_str::<PointConfig>(yaml).unwrap().figure();
        for (yaml, part) in [
            ("{}", "figure: temperature"),
            ("{ figure: uptime, disk: /var }", "disk-used"),
            ("{ figure: load-1, sensor: x }", "temperature"),
            ("{ figure: disk-used, disk: var }", "whole path"),
        ] {
            let message = figure(yaml).unwrap_err();
            assert!(message.contains(part), "{yaml}: {message}");
        }
        assert_eq!(figure("{ figure: disk-free }"), Ok(Figure::DiskFree("/".into())));
        assert_eq!(figure("{ figure: throttled }").unwrap().kind(), ValueKind::Bool);
    }
}
