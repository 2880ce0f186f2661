//! What people write about GPIO lines, and what it comes to.

use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::line::EdgeDetection;
use schemars::JsonSchema;
use serde::Deserialize;

use super::find::LineId;
use crate::driver::entry::RawForm;
use crate::model::units::Period;
use crate::model::{Access, Value};

/// The longest time that a line must rest before it counts, and the longest pulse.
const MAX_DEBOUNCE: Duration = Duration::from_secs(10);
const MAX_PULSE: Duration = Duration::from_secs(3600);

/// The longest name of a line or chip (uAPI: 32 bytes with the final zero).
const MAX_NAME: usize = 31;

/// GPIO lines: `pins: { gpio: { chip: pinctrl-rp1 } }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GpioConfig {
    /// The chip by its label (`pinctrl-rp1`), name (`gpiochip0`) or path. Labels survive a renumbering. Without it, lines are found by their names on any chip.
    pub chip: Option<String>,
    /// Where counters keep their totals, a folder; `gpio` in the service's state directory when left out.
    pub totals: Option<PathBuf>,
}

/// What GPIO adds to a device's section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// The GPIO chip of this device's lines, where it is another than the channel's.
    pub gpio_chip: Option<String>,
}

/// What GPIO adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// A GPIO line by its name (`GPIO17`), or by its number on the chip.
    pub gpio: Option<String>,
    /// A low level means on.
    pub active_low: Option<bool>,
    /// The pull resistor of the chip; left as it is when not given.
    pub bias: Option<Bias>,
    /// How long an input must rest before its change counts.
    pub debounce: Option<Period>,
    /// How an output drives its line; push-pull when not given.
    pub drive: Option<Drive>,
    /// What is read of the line; its state when not given.
    pub measure: Option<Measure>,
    /// Which edges are counted; rising when not given.
    pub edge: Option<Edge>,
    /// The output goes off by itself after this time. It is written only: `access: w`.
    pub pulse: Option<Period>,
}

/// A pull resistor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// To the supply.
    PullUp,
    /// To ground.
    PullDown,
    /// None.
    Disabled,
}

/// How an output drives its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// Both ways.
    PushPull,
    /// To ground only.
    OpenDrain,
    /// To the supply only.
    OpenSource,
}

/// What is read of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// On or off.
    #[default]
    State,
    /// How many edges there were, kept over restarts.
    Count,
    /// Edges per second.
    Frequency,
    /// Edges per minute.
    Rate,
}

/// Which edges are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// From off to on.
    #[default]
    Rising,
    /// From on to off.
    Falling,
    /// All.
    Both,
}

/// Where a point is, and how its line is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// The line.
    pub line: LineId,
    /// See [`PointConfig::active_low`].
    pub active_low: Option<bool>,
    /// See [`PointConfig::bias`].
    pub bias: Option<Bias>,
    /// See [`PointConfig::debounce`].
    pub debounce: Option<Duration>,
    /// See [`PointConfig::drive`].
    pub drive: Option<Drive>,
    /// See [`PointConfig::measure`].
    pub measure: Measure,
    /// See [`PointConfig::edge`].
    pub edge: Edge,
    /// See [`PointConfig::pulse`].
    pub pulse: Option<Duration>,
    /// Whether the point is an output.
    pub output: bool,
}

impl GpioConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.chip.iter().filter_map(|chip| check_chip("chip", chip).err()).collect();
        if self.totals.as_ref().is_some_and(|path| !path.is_absolute()) {
            problems.push("totals: write a whole path, such as /var/lib/iogate/gpio".into());
        }
        problems
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        self.gpio_chip.iter().filter_map(|chip| check_chip("gpio-chip", chip).err()).collect()
    }

    /// Takes what the channel says where this device says nothing.
    pub fn inherit(&mut self, channel: &GpioConfig) {
        self.gpio_chip = self.gpio_chip.take().or_else(|| channel.chip.clone());
    }
}

fn check_chip(key: &str, chip: &str) -> Result<(), String> {
    if chip.starts_with("/dev/") || (!chip.trim().is_empty() && chip.len() <= MAX_NAME && !chip.contains('/'))
    {
        return Ok(());
    }
    Err(format!(
        "{key} {chip}: use a label such as pinctrl-rp1, a name such as gpiochip0, or a path under /dev"
    ))
}

impl PointConfig {
    /// Where the point is.
    ///
    /// # Errors
    /// Says what does not fit, and how to mend it.
    pub fn wiring(&self, device: &DeviceConfig, access: Access) -> Result<Wiring, String> {
        let name = self.gpio.as_deref().ok_or("name the line: gpio: GPIO17, or gpio: 17 with a chip")?;
        if name.trim().is_empty() || name.len() > MAX_NAME {
            return Err(format!("gpio {name}: a line has a name of at most {MAX_NAME} bytes, or a number"));
        }
        let line = LineId::new(device.gpio_chip.as_deref(), name);
        if line.chip.is_none() && line.number().is_some() {
            return Err(format!("gpio {name}: a number needs a chip: add `chip` to the channel"));
        }
        let wiring = Wiring {
            line,
            active_low: self.active_low,
            bias: self.bias,
            debounce: self.debounce.map(|period| period.0),
            drive: self.drive,
            measure: self.measure.unwrap_or_default(),
            edge: self.edge.unwrap_or_default(),
            pulse: self.pulse.map(|period| period.0),
            output: access.writable(),
        };
        self.check_sense(&wiring, access)?;
        Ok(wiring)
    }

    fn check_sense(&self, wiring: &Wiring, access: Access) -> Result<(), String> {
        if wiring.output && wiring.measure != Measure::State {
            return Err("measure: only a state can be written; use access: r".into());
        }
        if wiring.output && wiring.debounce.is_some() {
            return Err("debounce: it is for inputs; remove it, or use access: r".into());
        }
        if !wiring.output && (wiring.drive.is_some() || wiring.pulse.is_some()) {
            let key = if wiring.drive.is_some() { "drive" } else { "pulse" };
            return Err(format!("{key}: it is for outputs; add access: rw or w, or remove it"));
        }
        if wiring.pulse.is_some() && access.readable() {
            return Err("pulse: the output goes off by itself, so it is written only: use access: w".into());
        }
        if wiring.debounce.is_some_and(|time| time.is_zero() || time > MAX_DEBOUNCE) {
            return Err("debounce: use more than nothing and at most 10s, such as 20ms".into());
        }
        if wiring.pulse.is_some_and(|time| time < Duration::from_millis(1) || time > MAX_PULSE) {
            return Err("pulse: use 1ms … 1h".into());
        }
        if self.edge.is_some() && wiring.measure == Measure::State {
            return Err("edge: it says what is counted; add measure: count, frequency or rate".into());
        }
        Ok(())
    }
}

impl Wiring {
    /// Whether the point keeps a total.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.measure == Measure::Count
    }

    /// The edges that the point needs to see.
    pub(super) fn edges(&self) -> EdgeDetection {
        match (self.measure, self.edge) {
            (Measure::State, _) | (_, Edge::Both) => EdgeDetection::BothEdges,
            (_, Edge::Rising) => EdgeDetection::RisingEdge,
            (_, Edge::Falling) => EdgeDetection::FallingEdge,
        }
    }

    /// What the line gives.
    #[must_use]
    pub fn form(&self) -> RawForm {
        match self.measure {
            Measure::State => RawForm::state(),
            Measure::Count => RawForm::whole(Value::Int(0), Value::Int(i64::MAX), "a count"),
            Measure::Frequency => RawForm::number("a frequency", "Hz"),
            Measure::Rate => RawForm::number("a rate", "1/min"),
        }
    }

    /// Why two points cannot share their line; `None` when they can, or have different ones.
    #[must_use]
    pub fn clash(&self, other: &Self) -> Option<String> {
        fn differ<T: PartialEq>(one: Option<&T>, two: Option<&T>) -> bool {
            matches!((one, two), (Some(one), Some(two)) if one != two)
        }
        if self.line != other.line {
            return None;
        }
        if self.output && other.output {
            return Some("are outputs on one line: an output has one point".into());
        }
        let differing = [
            ("active-low", differ(self.active_low.as_ref(), other.active_low.as_ref())),
            ("bias", differ(self.bias.as_ref(), other.bias.as_ref())),
            ("debounce", differ(self.debounce.as_ref(), other.debounce.as_ref())),
        ];
        let key = differing.into_iter().find(|(_, differs)| *differs)?.0;
        Some(format!("share a line but not its {key}: give {key} at one of them only"))
    }
}
