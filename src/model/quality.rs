//! How far a reading may be trusted, and why not.
//!
//! The three classes are those of OPC UA (Part 8, status codes Good, Uncertain, Bad). Invariant: only
//! `Good` has no reason; nothing invents a value, so a bad reading carries the last good one or none.

use std::fmt;

/// Why a reading is not good. The text of [`Reason::code`] appears in payloads, on the page and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The point has not been read since the start.
    NotYetRead,
    /// The device did not answer in time.
    Timeout,
    /// The line or connection to the device is down.
    NoConnection,
    /// The device answered with a Modbus exception of this code (Modbus Application Protocol 1.1b3, section 7).
    DeviceException(u8),
    /// The device refused the request with this HTTP status (RFC 9110, section 15).
    HttpStatus(u16),
    /// The device answered with one of its error texts.
    ErrorReply,
    /// The device answered that it cannot measure now.
    Busy,
    /// The reply did not fit the request.
    MalformedReply,
    /// The converted value lies outside the point's `range`.
    OutOfRange,
    /// The signal is below its live zero (NAMUR NE43: under 3.6 mA, a broken wire).
    SensorUnder,
    /// The signal is above its span (NAMUR NE43: over 21 mA, a short circuit).
    SensorOver,
    /// The device sent a value that it reserves for "sensor fault".
    SensorFault,
    /// The device sent a value that it reserves for "not available".
    NotAvailable,
    /// The raw number cannot be read as the point's type (BCD digit above 9, not-a-number, unknown enumeration).
    Undecodable,
    /// No good reading for longer than the point allows.
    Stale,
    /// Within the signal's limits but outside its nominal span (NE43: 3.6-3.8 mA or 20.5-21 mA).
    Saturated,
    /// A value that was written and could not be read back.
    Unverified,
}

impl Reason {
    /// The stable name of this reason in payloads and API answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotYetRead => "not-yet-read",
            Self::Timeout => "timeout",
            Self::NoConnection => "no-connection",
            Self::DeviceException(_) => "device-exception",
            Self::HttpStatus(_) => "http-status",
            Self::ErrorReply => "error-reply",
            Self::Busy => "busy",
            Self::MalformedReply => "malformed-reply",
            Self::OutOfRange => "out-of-range",
            Self::SensorUnder => "sensor-under",
            Self::SensorOver => "sensor-over",
            Self::SensorFault => "sensor-fault",
            Self::NotAvailable => "not-available",
            Self::Undecodable => "undecodable",
            Self::Stale => "stale",
            Self::Saturated => "saturated",
            Self::Unverified => "unverified",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceException(code) => write!(f, "device-exception {code}"),
            Self::HttpStatus(status) => write!(f, "http-status {status}"),
            other => f.write_str(other.code()),
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = String;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, String> {
        const PLAIN: [Reason; 15] = [
            Reason::NotYetRead,
            Reason::Timeout,
            Reason::NoConnection,
            Reason::ErrorReply,
            Reason::Busy,
            Reason::MalformedReply,
            Reason::OutOfRange,
            Reason::SensorUnder,
            Reason::SensorOver,
            Reason::SensorFault,
            Reason::NotAvailable,
            Reason::Undecodable,
            Reason::Stale,
            Reason::Saturated,
            Reason::Unverified,
        ];
        let numbered = match text.split_once(' ') {
            Some(("device-exception", code)) => code.parse().ok().map(Self::DeviceException),
            Some(("http-status", status)) => status.parse().ok().map(Self::HttpStatus),
            _ => PLAIN.into_iter().find(|reason| reason.code() == text),
        };
        numbered.ok_or_else(|| format!("`{text}` is not the reason of a quality"))
    }
}

/// The quality of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Read, decoded and inside its limits.
    Good,
    /// Usable with care.
    Uncertain(Reason),
    /// Not usable; the value beside it is the last good one.
    Bad(Reason),
}

impl Quality {
    /// Whether the reading is good.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    /// Whether the value may be acted on: good or uncertain.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Bad(_))
    }

    /// `good`, `uncertain` or `bad`.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain(_) => "uncertain",
            Self::Bad(_) => "bad",
        }
    }

    /// The reason, where there is one.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Good => None,
            Self::Uncertain(reason) | Self::Bad(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str("good"),
            Some(reason) => write!(f, "{} ({reason})", self.class()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reason_reads_back_as_it_is_written() {
        for reason in [Reason::Timeout, Reason::Stale, Reason::DeviceException(2), Reason::HttpStatus(404)] {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert!("device-exception 300".parse::<Reason>().is_err());
    }

    proptest! {
        #[test]
        fn a_text_is_the_reason_that_it_shows_or_none(text in "[a-z]{1,8}(-[a-z]{1,8})?( [0-9]{1,6})?") {
            if let Ok(reason) = text.parse::<Reason>() {
                prop_assert_eq!(reason.to_string().parse(), Ok(reason));
            }
        }
    }
}
