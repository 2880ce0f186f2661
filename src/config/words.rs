//! Values of the configuration that are one of a few words: classes, kinds, grades, languages, reasons.
//!
//! Absent: values with a form of their own (`values`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Reason;

/// When readings are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReportWhen {
    /// When the value has moved beyond the deadband or the quality has changed.
    #[default]
    Change,
    /// With every reading.
    Always,
}

/// What a reserved raw number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SentinelReason {
    /// The sensor is broken or missing.
    SensorFault,
    /// Below its span: a broken wire.
    SensorUnder,
    /// Above its span: a short circuit.
    SensorOver,
    /// There is no such measurement, or not now.
    NotAvailable,
    /// Outside what the device can measure.
    OutOfRange,
}

/// What a point is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Class {
    /// What the device measures or switches.
    #[default]
    Measurement,
    /// How the device is set up.
    Setting,
    /// What the device says of itself.
    Diagnosis,
}

/// What kind of device a profile is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DeviceClass {
    /// Temperature, humidity, pressure, CO2.
    Climate,
    /// Energy meters.
    Meter,
    /// Inverters and storage.
    Inverter,
    /// Digital and analog inputs and outputs.
    RemoteIo,
    /// Uninterruptible and other power supplies.
    Power,
    /// Scales and other instruments.
    Instrument,
    /// Anything else.
    #[default]
    Other,
}

/// How far a fact about a device can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    /// From a community page, or sources disagree: check it on the device.
    Community,
    /// From a maintained open-source library.
    Library,
    /// From the manufacturer's manual.
    Manufacturer,
    /// Tested on the device.
    Hardware,
}

/// A language of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Class {
    /// How long such a point may rest between two readings where nothing is said.
    #[must_use]
    pub(super) const fn rest(self) -> Duration {
        match self {
            Self::Measurement => Duration::ZERO,
            Self::Setting => Duration::from_secs(60),
            Self::Diagnosis => Duration::from_secs(10),
        }
    }

    /// The word for it.
    #[must_use]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Measurement => "measurement",
            Self::Setting => "setting",
            Self::Diagnosis => "diagnosis",
        }
    }
}

impl DeviceClass {
    /// The word for it.
    #[must_use]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Climate => "climate",
            Self::Meter => "meter",
            Self::Inverter => "inverter",
            Self::RemoteIo => "remote-io",
            Self::Power => "power",
            Self::Instrument => "instrument",
            Self::Other => "other",
        }
    }
}

impl Grade {
    /// The word for it.
    #[must_use]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Library => "library",
            Self::Manufacturer => "manufacturer",
            Self::Hardware => "hardware",
        }
    }
}

impl SentinelReason {
    /// The reason that a reading is given.
    #[must_use]
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::SensorFault => Reason::SensorFault,
            Self::SensorUnder => Reason::SensorUnder,
            Self::SensorOver => Reason::SensorOver,
            Self::NotAvailable => Reason::NotAvailable,
            Self::OutOfRange => Reason::OutOfRange,
        }
    }
}
