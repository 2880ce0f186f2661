//! Detectors: whether the condition of an alarm holds, as far as its inputs tell. Pure.
//!
//! A reading is first taken into the [`Memory`] of its alarm and looked at after all readings of a batch were
//! taken, so that an expression over several points never sees half of a poll. Nothing here allocates once
//! the memory is made. Absent: delays, life cycles, and which readings belong to which alarm. Invariant: a
//! reading that is bad changes no number; whoever needs that number is [`Sight::Blind`] until a good one.

mod limits;
mod rate;

use std::time::{Duration, Instant};

use crate::model::expression::Expression;
use crate::model::{Quality, Reading, Stamp, Value};

pub use limits::Limits;
pub use rate::{Rate, Window};

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// At or above `high-high`.
    HighHigh,
    /// At or above `high`.
    High,
    /// At or below `low`.
    Low,
    /// At or below `low-low`.
    LowLow,
    /// It has risen too much within the time.
    Rising,
    /// It has fallen too much within the time.
    Falling,
    /// Too far above its reference.
    Above,
    /// Too far below its reference.
    Below,
    /// In one of the states that are watched for.
    State,
    /// An input is not good.
    Bad,
    /// No good reading for too long.
    Stale,
    /// The device does not answer.
    NoAnswer,
    /// It has not moved for too long.
    NoChange,
    /// The formula holds.
    Formula,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 14] = [
        Self::HighHigh,
        Self::High,
        Self::Low,
        Self::LowLow,
        Self::Rising,
        Self::Falling,
        Self::Above,
        Self::Below,
        Self::State,
        Self::Bad,
        Self::Stale,
        Self::NoAnswer,
        Self::NoChange,
        Self::Formula,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HighHigh => "high-high",
            Self::High => "high",
            Self::Low => "low",
            Self::LowLow => "low-low",
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Above => "above",
            Self::Below => "below",
            Self::State => "state",
            Self::Bad => "bad",
            Self::Stale => "stale",
            Self::NoAnswer => "no-answer",
            Self::NoChange => "no-change",
            Self::Formula => "formula",
        }
    }

    /// Whether it is one of the outer limits.
    #[must_use]
    pub const fn is_extreme(self) -> bool {
        matches!(self, Self::HighHigh | Self::LowLow)
    }

    /// Whether going from this one to `next` asks for attention anew: further out, or to the other side.
    #[must_use]
    pub fn worsens_to(self, next: Self) -> bool {
        let eases = matches!((self, next), (Self::HighHigh, Self::High) | (Self::LowLow, Self::Low));
        self != next && !eases
    }
}

/// What is seen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The condition holds.
    Beyond(Condition),
    /// It neither holds nor is it gone: inside the limit, but not by the hysteresis.
    Between,
    /// It is gone.
    Inside,
    /// The inputs do not tell.
    Blind,
}

/// What is watched for.
#[derive(Debug, Clone, PartialEq)]
pub enum Detector {
    /// Up to four levels of one point.
    Limits(Limits),
    /// How much one point moves within a time.
    Rate(Rate),
    /// How far a point lies from its reference.
    Deviation {
        /// `high` and `low` are the distances above and below.
        limits: Limits,
        /// What it is measured against.
        from: Reference,
    },
    /// One of these values.
    States(Box<[Value]>),
    /// The quality of inputs.
    Quality {
        /// Of how many of them, from the first one on.
        inputs: usize,
        /// Which of their readings are alarming at once.
        grade: Grade,
        /// How long there may be no good reading of the first input.
        stale: Option<Duration>,
    },
    /// The device does not answer.
    NoAnswer,
    /// The point stands still.
    NoChange {
        /// For how long it may.
        during: Duration,
        /// By more than this it must have moved, in the point's unit.
        by: f64,
    },
    /// A condition over the inputs.
    Formula(Formula),
}

/// Which readings are alarming as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// None of them.
    Never,
    /// Bad ones.
    Bad,
    /// Bad and uncertain ones.
    NotGood,
}

/// What a deviation is measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// This number.
    Fixed(f64),
    /// The second input.
    Input,
}

/// A condition over some of the inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// The expression; its inputs are those of the rule.
    pub expression: Expression,
    /// The inputs that occur in it.
    pub uses: Box<[usize]>,
}

/// How far an input may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Trust {
    /// There has been no reading.
    #[default]
    Unknown,
    Good,
    Uncertain,
    Bad,
}

/// What an alarm remembers of its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    numbers: Box<[f64]>,
    trust: Box<[Trust]>,
    /// The first input's value, for the message.
    value: Option<Value>,
    window: Option<Box<Window>>,
    /// Where a value stood when it last moved, and since when.
    anchor: Option<(f64, Instant)>,
    last_good: Option<Instant>,
    /// Whether the device answers, once that was heard.
    answers: Option<bool>,
}

impl Memory {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(detector: &Detector, inputs: usize) -> Self {
        let window = matches!(detector, Detector::Rate(_)).then(Box::default);
        Self {
            numbers: vec![0.0; inputs.max(1)].into(),
            trust: vec![Trust::Unknown; inputs.max(1)].into(),
            value: None,
            window,
            anchor: None,
            last_good: None,
            answers: None,
        }
    }

    /// The first input's last value.
    #[must_use]
    pub const fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// The number of an input, once there was one.
    #[must_use]
    pub fn number(&self, place: usize) -> Option<f64> {
        let known = self.trust.get(place).is_some_and(|trust| *trust != Trust::Unknown);
        self.numbers.get(place).copied().filter(|_| known)
    }

    /// Forgets how values have moved: what was before `now` does not count.
    pub fn restart(&mut self, now: Instant) {
        if let Some(window) = &mut self.window {
            **window = Window::default();
        }
        if let Some((_, since)) = &mut self.anchor {
            *since = now;
        }
    }

    /// From when on silence counts, for alarms on silence: nobody is late before the start.
    pub fn begin(&mut self, now: Instant) {
        self.last_good.get_or_insert(now);
    }

    fn usable(&self, place: usize) -> bool {
        matches!(self.trust.get(place), Some(Trust::Good | Trust::Uncertain))
    }
}

impl Formula {
    /// Whether it holds; `None` when an input that occurs in it is bad or missing, or it has no value.
    #[must_use]
    pub fn truth(&self, memory: &Memory) -> Option<bool> {
        let known = self.uses.iter().all(|place| memory.usable(*place));
        if known { self.expression.truth(&memory.numbers) } else { None }
    }
}

impl Detector {
    /// Takes a reading of the input at `place` into the memory.
    pub fn take(&self, memory: &mut Memory, place: usize, reading: &Reading) {
        if place >= memory.numbers.len() {
            return;
        }
        let number = match self {
            Self::States(states) if place == 0 => {
                let watched = |value| states.iter().any(|state| same(state, value));
                reading.value.as_ref().map(|value| f64::from(u8::from(watched(value))))
            }
            // A text has no number, and of those whose quality is watched nobody asks for one.
            Self::Quality { inputs, .. } if place < *inputs => {
                Some(reading.value.as_ref().and_then(Value::as_f64).unwrap_or(0.0))
            }
            _ => reading.value.as_ref().and_then(Value::as_f64),
        };
        let trust = match (reading.quality, number) {
            (Quality::Bad(_), _) | (_, None) => Trust::Bad,
            (Quality::Uncertain(_), Some(_)) => Trust::Uncertain,
            (Quality::Good, Some(_)) => Trust::Good,
        };
        memory.trust[place] = trust;
        let (true, Some(number)) = (trust != Trust::Bad, number) else { return };
        memory.numbers[place] = number;
        if place == 0 && *self != Self::NoAnswer {
            memory.value.clone_from(&reading.value);
            self.follow(memory, number, trust, reading.at);
        }
    }

    /// How the first input moves in time.
    fn follow(&self, memory: &mut Memory, number: f64, trust: Trust, at: Stamp) {
        if trust == Trust::Good {
            memory.last_good = Some(at.mono);
        }
        match self {
            Self::Rate(rate) => {
                if let Some(window) = &mut memory.window {
                    window.push(rate.within, number, at.mono);
                }
            }
            Self::NoChange { by, .. } => {
                let stands = memory.anchor.is_some_and(|(anchor, _)| (number - anchor).abs() <= *by);
                if !stands {
                    memory.anchor = Some((number, at.mono));
                }
            }
            _ => {}
        }
    }

    /// Takes in whether the device answers.
    pub fn take_link(&self, memory: &mut Memory, online: bool) {
        if *self == Self::NoAnswer {
            memory.answers = Some(online);
        }
    }

    /// What the memory comes to, while `current` counts.
    #[must_use]
    pub fn look(&self, memory: &mut Memory, current: Option<Condition>, now: Instant) -> Sight {
        let sight = |holds: bool, condition| if holds { Sight::Beyond(condition) } else { Sight::Inside };
        match self {
            Self::Quality { inputs, grade, stale } => quality(memory, *inputs, *grade, *stale, now),
            Self::NoAnswer => memory.answers.map_or(Sight::Blind, |yes| sight(!yes, Condition::NoAnswer)),
            Self::Formula(formula) => {
                formula.truth(memory).map_or(Sight::Blind, |holds| sight(holds, Condition::Formula))
            }
            _ if !memory.usable(0) => Sight::Blind,
            Self::Limits(limits) => limits.look(memory.numbers[0], current),
            Self::Rate(rate) => match &mut memory.window {
                Some(window) => rate.look(window, memory.numbers[0], current, now),
                None => Sight::Blind,
            },
            Self::Deviation { limits, from } => {
                let reference = match from {
                    Reference::Fixed(number) => Some(*number),
                    Reference::Input => memory.usable(1).then(|| memory.numbers[1]),
                };
                reference.map_or(Sight::Blind, |reference| {
                    deviation(limits.look(memory.numbers[0] - reference, current.map(as_limit)))
                })
            }
            Self::States(_) => sight(memory.numbers[0] == 1.0, Condition::State),
            Self::NoChange { during, .. } => {
                let still = memory.anchor.is_some_and(|(_, since)| now >= since + *during);
                sight(still, Condition::NoChange)
            }
        }
    }

    /// When to look again though no reading may come.
    #[must_use]
    pub fn due(&self, memory: &Memory, current: Option<Condition>, now: Instant) -> Option<Instant> {
        let due = match self {
            Self::Quality { stale, .. } => Some(memory.last_good? + (*stale)?),
            Self::NoChange { during, .. } => Some(memory.anchor?.1 + *during),
            Self::Rate(rate) if current.is_some() => Some(now + rate.step()),
            _ => None,
        };
        due.filter(|due| *due > now)
    }
}

fn quality(memory: &Memory, inputs: usize, grade: Grade, stale: Option<Duration>, now: Instant) -> Sight {
    let trust = &memory.trust[..inputs.min(memory.trust.len())];
    let bad = |trust: &Trust| match trust {
        Trust::Bad => grade != Grade::Never,
        Trust::Uncertain => grade == Grade::NotGood,
        Trust::Good | Trust::Unknown => false,
    };
    if trust.iter().any(bad) {
        return Sight::Beyond(Condition::Bad);
    }
    if let (Some(stale), Some(last)) = (stale, memory.last_good)
        && now >= last + stale
    {
        return Sight::Beyond(Condition::Stale);
    }
    // How long ago the last good one was, is known whatever came since.
    let unknown = grade != Grade::Never && trust.contains(&Trust::Unknown);
    if unknown { Sight::Blind } else { Sight::Inside }
}

/// The limits of a deviation are told as its own conditions.
fn deviation(sight: Sight) -> Sight {
    match sight {
        Sight::Beyond(Condition::High | Condition::HighHigh) => Sight::Beyond(Condition::Above),
        Sight::Beyond(_) => Sight::Beyond(Condition::Below),
        other => other,
    }
}

const fn as_limit(condition: Condition) -> Condition {
    if matches!(condition, Condition::Above) { Condition::High } else { Condition::Low }
}

/// Whether a value is the state that is meant: texts to the letter, all else by its number.
fn same(state: &Value, value: &Value) -> bool {
    match (state, value) {
        (Value::Text(wanted), Value::Text(is)) => wanted == is,
        (wanted, is) => wanted.as_f64().is_some_and(|wanted| is.as_f64() == Some(wanted)),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
