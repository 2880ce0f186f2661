//! What people write that is common to all drivers: sections of the file as types.
//!
//! A device or a point is several of these at once, each with its own keys of the same map, beside the
//! driver's own section. Absent: what the sections mean together (`points`, `channels`, …).

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ramp::RampSection;
use super::values::{Code, DeadbandText, Heartbeat, Qos, RawNumber, Repeat, Setpoint};
use super::words::{Class, DeviceClass, Grade, Language, ReportWhen, SentinelReason};
use crate::model::behaviour::Behaviour;
use crate::model::units::Period;
use crate::model::{Access, AfterLoss, PayloadFormat};

/// The keys of the whole file that hold a single value or a list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct SiteSection {
    /// The first part of every topic, such as `busan/factory`.
    pub site: Option<String>,
    /// Further folders in which profiles are looked for; relative ones start at this file's folder.
    pub profile_path: Vec<String>,
    /// The language of the labels of points, where a profile has them in several.
    pub language: Language,
}

/// How often points are read and how their readings are published. Given at `defaults`, at a device or
/// at a point; the nearest one counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct PublishSection {
    /// How often the point is read; `0s` is as often as the line allows, 1s when nothing is said.
    pub poll: Option<Period>,
    /// Form of the messages: `json` (value, quality, time, unit) or `raw` (the value alone, good readings only); json when nothing is said.
    pub payload: Option<PayloadFormat>,
    /// MQTT quality of service, 0 to 2; 1 when nothing is said.
    pub qos: Option<Qos>,
    /// Whether the broker keeps the last message for later subscribers; on when nothing is said.
    pub retain: Option<bool>,
    /// Publish on `change` (beyond the deadband) or `always`, with every reading; change when nothing is said.
    pub report: Option<ReportWhen>,
    /// How much a number must move before it is published: in its unit (`0.2`) or as a share of the last published value (`5%`).
    pub deadband: Option<DeadbandText>,
    /// Publish an unchanged value again after this long; `off` never does. 1m when nothing is said.
    pub heartbeat: Option<Heartbeat>,
    /// With `payload: raw`, publish uncertain readings as well.
    pub uncertain: Option<bool>,
}

/// What is said of a device, whatever its driver.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct DeviceSection {
    /// The channel that the device is attached to, by its name under `channels`.
    pub channel: Option<String>,
    /// The device's profile, such as `vaisala/hmt330`: its points and settings, on top of which this section counts.
    pub profile: Option<String>,
    /// The part of its topics between the site and the point's; the device's name when left out.
    pub topic: Option<String>,
    /// What people call it.
    pub(super) label: Option<String>,
    /// Off leaves the device out.
    pub enabled: Option<bool>,
    /// How often the points of each poll group are read, where that differs from the profile: `{ energy: 1m }`.
    pub groups: IndexMap<String, Period>,
}

/// What is said of a point, whatever its driver.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct PointSection {
    /// Engineering unit as shown, such as `°C`.
    pub unit: Option<String>,
    /// What people call it, where that differs from the name.
    pub label: Option<String>,
    /// The same in Korean.
    pub label_ko: Option<String>,
    /// What it is: a measurement (also what is measured and switched), a setting of the device, or a diagnosis of it. Without a period of their own, settings are read once a minute and diagnoses every 10s at most.
    pub class: Option<Class>,
    /// The poll group that says how often it is read.
    pub group: Option<String>,
    /// Read it when the device comes online and then hardly ever (once a week): for names and serial numbers.
    pub once: Option<bool>,
    /// Its number in the manufacturer's manual, for the reader.
    pub manual: Option<String>,
    /// Where the facts about this point come from, where that differs from the profile.
    pub source: Option<String>,
    /// The last part of its topic; the point's name when left out.
    pub topic: Option<String>,
    /// What may be done with it: `r` read, `rw` read and write, `w` write only.
    pub access: Option<Access>,
    /// The state that an output takes at start and stop, and when whoever set it is gone. Every output needs one; `none` says that it is to be left as it is.
    pub safe: Option<Setpoint>,
    /// A setpoint other than the safe state stands for this long, and then the output becomes safe: a momentary output.
    pub momentary: Option<Period>,
    /// The least time between two commands for the output; those that come earlier are refused, and alarms wait.
    pub min_interval: Option<Period>,
    /// In which steps a number is brought to its setpoint: its slope, `5/s`, or the long form. At once when nothing is said.
    pub ramp: Option<RampSection>,
    /// What becomes of an output whose device was away and may have dropped it: `safe` forgets the last setpoint, `again` writes it again, `leave` writes nothing. What an alarm or an interlock holds is always written again. safe when nothing is said.
    pub after_loss: Option<AfterLoss>,
    /// How far a read-back may lie from what was written, in the point's unit; half a raw step when left out.
    pub tolerance: Option<f64>,
    /// Off leaves the point out.
    pub enabled: Option<bool>,
    /// How the value moves under `iogate simulate` and in the demo.
    pub simulate: Option<Behaviour>,
    /// How far the facts about this point can be trusted.
    pub grade: Option<Grade>,
}

/// From raw numbers to values and back.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct ConversionSection {
    /// Engineering units per raw unit: value = raw × scale + offset. Never 0.
    pub scale: Option<f64>,
    /// The value at raw 0.
    pub offset: Option<f64>,
    /// A straight line through two points, instead of scale and offset.
    pub span: Option<SpanSection>,
    /// Raw numbers from this one up mean −(raw − this): the sign-magnitude coding of some sensors.
    pub sign_magnitude: Option<Code>,
    /// Raw numbers that are no measurement, and what they mean: `{ 0x7FFF: sensor-fault }`.
    pub sentinels: IndexMap<RawNumber, SentinelReason>,
    /// Texts for raw codes: `{ 0: Idle, 1: Run }`.
    #[serde(rename = "enum")]
    pub enumeration: IndexMap<Code, String>,
    /// The digital state is the inverse of the raw bit.
    pub invert: Option<bool>,
    /// A power factor in four-quadrant coding: a number beyond ±1 means ±2 minus it.
    pub quadrants: Option<bool>,
    /// Decimal places kept, 0 to 15.
    #[schemars(range(min = 0, max = 15))]
    pub round: Option<u8>,
    /// Permitted values `[lowest, highest]`: others are bad readings, and are refused when written.
    pub range: Option<(f64, f64)>,
}

/// A straight line through two points: 4 … 20 mA → 0 … 10 bar.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SpanSection {
    /// The two raw ends.
    pub raw: (f64, f64),
    /// The values at these ends.
    pub value: (f64, f64),
    /// Judge the signal by NAMUR NE43: a 4-20 mA loop under 3.6 mA or over 21 mA is a fault.
    #[serde(default)]
    pub ne43: bool,
}

/// Copies of an entry. `{n}` in its name and texts stands for the number of the copy.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RepeatSection {
    /// The numbers `1..8` (both included), or the words `[north, south]`, that `{n}` stands for.
    pub repeat: Option<Repeat>,
    /// How far the address (of a point) or the unit (of a device) moves from one copy to the next; as far as one copy reaches when left out.
    pub step: Option<i64>,
}

/// What a profile says of itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ProfileSection {
    /// Who makes the device.
    pub vendor: String,
    /// The models that the profile fits.
    pub models: Vec<String>,
    /// What kind of device it is.
    #[serde(default)]
    pub kind: DeviceClass,
    /// What people call the device in Korean.
    #[serde(default)]
    pub label_ko: Option<String>,
    /// Poll groups of the points and how often they are read: `{ energy: 10s }`.
    #[serde(default)]
    pub groups: IndexMap<String, Period>,
    /// The firmware that the facts hold for, where it matters: `1.8.3 and later`.
    #[serde(default)]
    pub firmware: Option<String>,
    /// The version of the profile itself.
    #[serde(default)]
    pub version: Option<String>,
    /// The licence of the data that the profile was made from, where it has one: `Apache-2.0`.
    #[serde(default)]
    pub licence: Option<String>,
    /// Where the facts come from.
    pub source: String,
    /// How far the facts can be trusted, unless a point says otherwise.
    pub grade: Grade,
    /// What a technician should know.
    #[serde(default)]
    pub notes: Option<String>,
    /// The settings that the device leaves the factory with.
    #[serde(default)]
    pub factory: FactorySection,
}

/// The settings that a device leaves the factory with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct FactorySection {
    /// Unit identifier; used when the device in the configuration names none.
    pub unit: Option<u8>,
    /// Bits per second.
    pub baud: Option<u32>,
    /// Parity.
    pub parity: Option<crate::driver::modbus::config::Parity>,
    /// Data bits.
    pub data_bits: Option<u8>,
    /// Stop bits.
    pub stop_bits: Option<u8>,
}

impl PointSection {
    /// What people call it in this language.
    #[must_use]
    pub(super) fn label_in(&self, language: Language) -> Option<&str> {
        let korean = self.label_ko.as_deref().filter(|_| language == Language::Ko);
        korean.or(self.label.as_deref())
    }
}

impl PublishSection {
    /// What this section says, and where it says nothing, what `wider` says.
    #[must_use]
    pub(super) fn over(self, wider: Self) -> Self {
        Self {
            poll: self.poll.or(wider.poll),
            payload: self.payload.or(wider.payload),
            qos: self.qos.or(wider.qos),
            retain: self.retain.or(wider.retain),
            report: self.report.or(wider.report),
            deadband: self.deadband.or(wider.deadband),
            heartbeat: self.heartbeat.or(wider.heartbeat),
            uncertain: self.uncertain.or(wider.uncertain),
        }
    }
}
