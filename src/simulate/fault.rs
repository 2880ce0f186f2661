//! What can be wrong with a simulated device, for how long, and what that does to its next answer.
//!
//! Pure: time comes in. Invariant: a device without a fault answers as the standard says; every fault ends
//! by its time, by its count or when it is cleared.

use std::fmt;
use std::time::{Duration, Instant};

use crate::driver::modbus::register::Table;

/// The most faults that one device has at a time.
pub const MAX_FAULTS: usize = 32;

/// The longest delay of an answer.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// A span of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which table.
    pub table: Table,
    /// First address as on the wire.
    pub address: u16,
    /// How many addresses.
    pub count: u16,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Takes no notice of requests.
    Dead,
    /// Every answer takes this much longer.
    Slow(Duration),
    /// Answers only after the master has given up: by this much, or a quarter beyond the device's timeout.
    Late(Option<Duration>),
    /// The answer is a whole frame with a valid check, but holds less than was asked for.
    Short,
    /// The answer ends in its middle; on TCP the connection is closed there.
    Cut,
    /// The answer bears the number of another unit.
    WrongUnit,
    /// The answer bears another function code.
    WrongFunction,
    /// The answer bears another transaction number (Modbus TCP only).
    WrongTransaction,
    /// The echo of a write differs from what was written.
    WrongEcho,
    /// The answer's check (CRC or LRC) is wrong (not on Modbus TCP, which has none).
    Corrupt,
    /// Values stand still.
    Frozen,
    /// The connection is reset in the place of an answer (HTTP).
    Reset,
    /// The answer says that it is half as long as it is (HTTP).
    WrongLength,
    /// Address and name stand in front of the answer, as the setting "GET header" of a W&T Web-IO does.
    Prefix,
    /// Refuses with this HTTP status.
    Status(u16),
    /// Refuses with this exception code, everywhere or where a request touches the span.
    Exception {
        /// The code, 1 to 255.
        code: u8,
        /// Where.
        at: Option<Span>,
    },
}

/// When a fault ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// When it is cleared.
    None,
    /// After this time.
    For(Duration),
    /// After this many answers that it spoilt.
    Times(u32),
}

/// Why a fault cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A device has enough of them.
    #[error("a device has at most {MAX_FAULTS} faults at a time; `clear` it first")]
    TooMany,
    /// The frames of the channel have no such part.
    #[error("{0}")]
    NotHere(&'static str),
    /// Too long.
    #[error("a delay is at most {} s", MAX_DELAY.as_secs())]
    TooLong,
}

/// The faults of one device.
#[derive(Debug, Default)]
pub struct Faults {
    active: Vec<Active>,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    until: Option<Instant>,
    left: Option<u32>,
}

/// What the faults do to one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// No answer.
    pub dead: bool,
    /// Additional time before the answer.
    pub delay: Duration,
    /// Leave something out.
    pub short: bool,
    /// Stop in the middle.
    pub cut: bool,
    /// Bear another unit's number.
    pub wrong_unit: bool,
    /// Bear another function code.
    pub wrong_function: bool,
    /// Bear another transaction number.
    pub wrong_transaction: bool,
    /// Echo something else.
    pub wrong_echo: bool,
    /// Spoil the check.
    pub corrupt: bool,
    /// Refuse with this code.
    pub exception: Option<u8>,
    /// Reset the connection.
    pub reset: bool,
    /// Tell a wrong length.
    pub wrong_length: bool,
    /// Put address and name in front.
    pub prefix: bool,
    /// Refuse with this HTTP status.
    pub status: Option<u16>,
}

impl Span {
    /// Whether the two have an address in common.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        let end = |span: &Self| u32::from(span.address) + u32::from(span.count);
        self.table == other.table
            && u32::from(self.address) < end(other)
            && u32::from(other.address) < end(self)
    }
}

impl Faults {
    /// Adds a fault, in the place of one of the same kind.
    ///
    /// # Errors
    /// When the device has too many or a delay is too long.
    pub fn add(&mut self, fault: Fault, limit: Limit, now: Instant) -> Result<(), FaultError> {
        let delay = match fault {
            Fault::Slow(delay) | Fault::Late(Some(delay)) => delay,
            _ => Duration::ZERO,
        };
        if delay > MAX_DELAY {
            return Err(FaultError::TooLong);
        }
        self.prune(now);
        self.active.retain(|active| !active.fault.replaced_by(&fault));
        if self.active.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        let (until, left) = match limit {
            Limit::None => (None, None),
            Limit::For(span) => (now.checked_add(span), None),
            Limit::Times(count) => (None, Some(count)),
        };
        self.active.push(Active { fault, until, left });
        Ok(())
    }

    /// Makes the device sound again. Returns how many faults it had.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.active).len()
    }

    /// Whether values stand still.
    pub fn frozen(&mut self, now: Instant) -> bool {
        self.prune(now);
        self.active.iter().any(|active| active.fault == Fault::Frozen)
    }

    /// What becomes of the answer to a request that touches `spans`, from a device with this timeout.
    pub fn effects(&mut self, spans: &[Option<Span>], timeout: Duration, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if self.active.is_empty() {
            return effects;
        }
        self.prune(now);
        for active in &mut self.active {
            if active.fault.spoil(&mut effects, spans, timeout)
                && let Some(left) = &mut active.left
            {
                *left = left.saturating_sub(1);
            }
        }
        effects.delay = effects.delay.min(MAX_DELAY * 2);
        self.prune(now);
        effects
    }

    /// What is wrong now, in words.
    #[must_use]
    pub fn describe(&self, now: Instant) -> Vec<String> {
        let in_force = |active: &&Active| active.in_force(now);
        self.active.iter().filter(in_force).map(|active| active.fault.to_string()).collect()
    }

    fn prune(&mut self, now: Instant) {
        self.active.retain(|active| active.in_force(now));
    }
}

impl Active {
    fn in_force(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until) && self.left != Some(0)
    }
}

impl Fault {
    /// Exceptions on several registers stand side by side; of everything else there is one.
    fn replaced_by(&self, newer: &Self) -> bool {
        match (self, newer) {
            (Self::Exception { at: one, .. }, Self::Exception { at: other, .. }) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(newer),
        }
    }

    /// Enters the fault into `effects`. Returns whether it spoils this answer.
    fn spoil(&self, effects: &mut Effects, spans: &[Option<Span>], timeout: Duration) -> bool {
        match self {
            Self::Dead => effects.dead = true,
            Self::Slow(delay) => effects.delay += *delay,
            Self::Late(delay) => effects.delay += delay.unwrap_or(timeout + timeout / 4),
            Self::Short => effects.short = true,
            Self::Cut => effects.cut = true,
            Self::WrongUnit => effects.wrong_unit = true,
            Self::WrongFunction => effects.wrong_function = true,
            Self::WrongTransaction => effects.wrong_transaction = true,
            Self::WrongEcho => effects.wrong_echo = true,
            Self::Corrupt => effects.corrupt = true,
            Self::Frozen => return false,
            Self::Reset => effects.reset = true,
            Self::WrongLength => effects.wrong_length = true,
            Self::Prefix => effects.prefix = true,
            Self::Status(status) => effects.status = Some(*status),
            Self::Exception { code, at } => {
                let touched = at.is_none_or(|at| spans.iter().flatten().any(|span| span.touches(&at)));
                if touched {
                    effects.exception = Some(*code);
                }
                return touched;
            }
        }
        true
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Dead => "dead",
            Self::Slow(delay) => return write!(f, "slow {delay:?}"),
            Self::Late(Some(delay)) => return write!(f, "late {delay:?}"),
            Self::Late(None) => "late",
            Self::Short => "short",
            Self::Cut => "cut",
            Self::WrongUnit => "wrong-unit",
            Self::WrongFunction => "wrong-function",
            Self::WrongTransaction => "wrong-transaction",
            Self::WrongEcho => "wrong-echo",
            Self::Corrupt => "corrupt",
            Self::Frozen => "frozen",
            Self::Reset => "reset",
            Self::WrongLength => "wrong-length",
            Self::Prefix => "prefix",
            Self::Status(status) => return write!(f, "status {status}"),
            Self::Exception { code, at: None } => return write!(f, "exception {code}"),
            Self::Exception { code, at: Some(at) } => {
                return write!(f, "exception {code} at {} {} ({})", at.table.word(), at.address, at.count);
            }
        };
        f.write_str(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(400);

    #[test]
    fn faults_end_by_time_or_by_count() {
        let start = Instant::now();
        let mut faults = Faults::default();
        faults.add(Fault::Dead, Limit::For(Duration::from_secs(5)), start).unwrap();
        faults.add(Fault::Short, Limit::Times(2), start).unwrap();
        let at = |faults: &mut Faults, s| faults.effects(&[], TIMEOUT, start + Duration::from_secs(s));
        assert_eq!(at(&mut faults, 4), Effects { dead: true, short: true, ..Effects::default() });
        assert_eq!(at(&mut faults, 5), Effects { short: true, ..Effects::default() });
        assert_eq!(at(&mut faults, 5), Effects::default());
    }

    #[test]
    fn an_exception_strikes_only_where_it_is() {
        let now = Instant::now();
        let mut faults = Faults::default();
        let span = |address, count| Span { table: Table::Input, address, count };
        faults.add(Fault::Exception { code: 2, at: Some(span(10, 2)) }, Limit::Times(1), now).unwrap();
        assert_eq!(faults.effects(&[Some(span(0, 10))], TIMEOUT, now).exception, None);
        let holding = Span { table: Table::Holding, ..span(10, 2) };
        assert_eq!(faults.effects(&[Some(holding), None], TIMEOUT, now).exception, None);
        assert_eq!(faults.effects(&[Some(span(0, 11))], TIMEOUT, now).exception, Some(2));
        assert_eq!(faults.effects(&[Some(span(0, 11))], TIMEOUT, now).exception, None);
    }

    #[test]
    fn a_late_answer_comes_after_the_timeout_and_a_newer_fault_replaces_its_like() {
        let now = Instant::now();
        let mut faults = Faults::default();
        faults.add(Fault::Late(None), Limit::None, now).unwrap();
        assert_eq!(faults.effects(&[], TIMEOUT, now).delay, Duration::from_millis(500));
        faults.add(Fault::Late(Some(TIMEOUT)), Limit::None, now).unwrap();
        assert_eq!(faults.effects(&[], TIMEOUT, now).delay, TIMEOUT);
        assert_eq!(faults.describe(now), ["late 400ms"]);
        assert_eq!(faults.add(Fault::Slow(MAX_DELAY * 2), Limit::None, now), Err(FaultError::TooLong));
        assert_eq!((faults.clear(), faults.clear()), (1, 0));
    }
}
