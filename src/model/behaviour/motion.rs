//! A behaviour at work: the value at a time.
//!
//! Time comes in as the span since the simulation began. Invariant: a [`Motion`] has passed all checks, so
//! it gives a value of its point's kind at any time and never one that is not finite.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::Duration;

use super::super::{Value, ValueKind};
use super::{Behaviour, Count, Follows, Literal, MAX_STEPS, Ramp, Responds, Sine, Square, Steps, Walk};

/// Disturbances change this often; readings between two changes agree with each other.
const NOISE_TICK_MS: u128 = 100;

/// The most random steps that are caught up with after a long pause; the value stays within its limits.
const MAX_CATCH_UP: u128 = 100_000;

/// The most changes of an output that a delayed contact remembers.
const MAX_EDGES: usize = 64;

/// One moving value.
#[derive(Debug, Clone)]
pub struct Motion {
    form: Form,
    kind: ValueKind,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Form {
    Constant(Value),
    Steps { values: Vec<Value>, every: Duration },
    Ramp(Ramp),
    Sine(Sine),
    Walk { walk: Walk, at: f64, steps: u128, random: fastrand::Rng },
    Count(Count),
    Square { period: Duration, on: Duration, phase: Duration },
    Follows { follows: Follows, state: bool, edges: VecDeque<(Duration, bool)>, input: bool },
    Responds { responds: Responds, at: f64, since: Duration },
}

impl Motion {
    /// Prepares `behaviour` for a point of `kind`. The seed decides everything random about it.
    ///
    /// # Errors
    /// One sentence about what does not fit.
    pub fn new(behaviour: &Behaviour, kind: ValueKind, seed: u64) -> Result<Self, String> {
        Ok(Self { form: Form::new(behaviour, kind, seed)?, kind, seed })
    }

    /// Whether the value can ever change.
    #[must_use]
    pub const fn is_constant(&self) -> bool {
        matches!(self.form, Form::Constant(_))
    }

    /// The value at `time` since the start. `drive` is the state of the output that it depends on, 0 for off
    /// to 1 for on, and has been so since the last call. A time before the last one counts as the last one.
    pub fn at(&mut self, time: Duration, drive: f64) -> Value {
        match &mut self.form {
            Form::Constant(value) => value.clone(),
            Form::Steps { values, every } => {
                let step = time.as_nanos() / every.as_nanos() % values.len() as u128;
                values[step as usize].clone()
            }
            Form::Square { period, on, phase } => {
                Value::Bool((time + *phase).as_nanos() % period.as_nanos() < on.as_nanos())
            }
            Form::Follows { follows, state, edges, input } => {
                Value::Bool(follow(follows, state, edges, input, time, drive >= 0.5))
            }
            number => {
                let value = number.number(time, drive, self.seed);
                if self.kind == ValueKind::Integer {
                    Value::Int(value.round() as i64)
                } else {
                    Value::Float(value)
                }
            }
        }
    }
}

impl Form {
    fn new(behaviour: &Behaviour, kind: ValueKind, seed: u64) -> Result<Self, String> {
        match behaviour {
            Behaviour::Constant(Literal(text)) => return Ok(Self::Constant(Value::parse(text, kind)?)),
            Behaviour::Steps(steps) => return Self::steps(steps, kind),
            Behaviour::Square(_) | Behaviour::Follows(_) if kind != ValueKind::Bool => {
                return Err("`square` and `follows` are for digital points".into());
            }
            Behaviour::Square(square) => return Self::square(square),
            Behaviour::Follows(follows) => {
                let state = follows.inverted;
                let follows = follows.clone();
                return Ok(Self::Follows { follows, state, edges: VecDeque::new(), input: false });
            }
            _ => {}
        }
        if !matches!(kind, ValueKind::Integer | ValueKind::Float) {
            return Err("only points that hold a number can move like this; \
                        digital ones take `constant`, `steps`, `square` or `follows`"
                .into());
        }
        Self::numeric(behaviour, seed)
    }

    fn numeric(behaviour: &Behaviour, seed: u64) -> Result<Self, String> {
        Ok(match behaviour {
            Behaviour::Ramp(ramp) => {
                finite(&[("from", ramp.from), ("to", ramp.to), ("noise", ramp.noise)])?;
                positive("period", ramp.period.0)?;
                Self::Ramp(ramp.clone())
            }
            Behaviour::Sine(sine) => {
                finite(&[("mean", sine.mean), ("amplitude", sine.amplitude), ("noise", sine.noise)])?;
                positive("period", sine.period.0)?;
                Self::Sine(sine.clone())
            }
            Behaviour::Walk(walk) => {
                finite(&[
                    ("step", walk.step),
                    ("low", walk.low),
                    ("high", walk.high),
                    ("start", walk.start),
                ])?;
                positive("every", walk.every.0)?;
                if !(walk.low..=walk.high).contains(&walk.start) {
                    return Err("`start` must lie between `low` and `high`".into());
                }
                let random = fastrand::Rng::with_seed(seed);
                Self::Walk { walk: walk.clone(), at: walk.start, steps: 0, random }
            }
            Behaviour::Count(count) => {
                finite(&[("start", count.start), ("by", count.by)])?;
                positive("every", count.every.0)?;
                Self::Count(count.clone())
            }
            Behaviour::Responds(responds) => {
                let start = responds.start.unwrap_or(responds.off);
                let noise = responds.noise;
                finite(&[("off", responds.off), ("on", responds.on), ("start", start), ("noise", noise)])?;
                positive("time-constant", responds.time_constant.0)?;
                Self::Responds { responds: responds.clone(), at: start, since: Duration::ZERO }
            }
            _ => return Err("not a behaviour of numbers".into()),
        })
    }

    fn steps(steps: &Steps, kind: ValueKind) -> Result<Self, String> {
        positive("every", steps.every.0)?;
        if steps.values.is_empty() || steps.values.len() > MAX_STEPS {
            return Err(format!("`values` takes 1 to {MAX_STEPS} values"));
        }
        let values: Result<Vec<Value>, String> =
            steps.values.iter().map(|Literal(text)| Value::parse(text, kind)).collect();
        Ok(Self::Steps { values: values?, every: steps.every.0 })
    }

    fn square(square: &Square) -> Result<Self, String> {
        positive("period", square.period.0)?;
        let on = square.on.map_or(square.period.0 / 2, |on| on.0);
        if on > square.period.0 {
            return Err("`on` must not be longer than `period`".into());
        }
        Ok(Self::Square { period: square.period.0, on, phase: square.phase.0 })
    }

    /// The value of a behaviour of numbers; the digital ones count as 0.
    fn number(&mut self, time: Duration, drive: f64, seed: u64) -> f64 {
        match self {
            Self::Ramp(ramp) => {
                let share = share_of(time, ramp.period.0);
                let way = match ramp.returns {
                    true => 1.0 - (2.0 * share - 1.0).abs(),
                    false => share,
                };
                ramp.from + (ramp.to - ramp.from) * way + noise(seed, time, ramp.noise)
            }
            Self::Sine(sine) => {
                let share = share_of(time + sine.phase.0, sine.period.0);
                sine.mean + sine.amplitude * (TAU * share).sin() + noise(seed, time, sine.noise)
            }
            Self::Walk { walk, at, steps, random } => {
                let due = time.as_nanos() / walk.every.0.as_nanos();
                for _ in 0..due.saturating_sub(*steps).min(MAX_CATCH_UP) {
                    let next = *at + walk.step * (2.0 * random.f64() - 1.0);
                    *at = next.clamp(walk.low, walk.high);
                }
                *steps = due.max(*steps);
                *at
            }
            Self::Count(count) => {
                let steps = (time.as_nanos() / count.every.0.as_nanos()) as f64;
                count.start + count.by * steps
            }
            Self::Responds { responds, at, since } => {
                let spent = time.saturating_sub(*since);
                let target = responds.off + (responds.on - responds.off) * drive.clamp(0.0, 1.0);
                let left = (-spent.as_secs_f64() / responds.time_constant.0.as_secs_f64()).exp();
                *at = target + (*at - target) * left;
                *since = time.max(*since);
                *at + noise(seed, time, responds.noise)
            }
            Self::Constant(_) | Self::Steps { .. } | Self::Square { .. } | Self::Follows { .. } => 0.0,
        }
    }
}

/// A contact that takes the output's state after its delay. Swift changes are passed on one by one.
fn follow(
    follows: &Follows,
    state: &mut bool,
    edges: &mut VecDeque<(Duration, bool)>,
    input: &mut bool,
    time: Duration,
    drive: bool,
) -> bool {
    if drive != *input {
        *input = drive;
        if edges.len() == MAX_EDGES {
            edges.pop_front();
        }
        edges.push_back((time + follows.delay.0, drive != follows.inverted));
    }
    while let Some((due, next)) = edges.front().copied()
        && due <= time
    {
        *state = next;
        edges.pop_front();
    }
    *state
}

/// How much of the present round is over, 0 to 1.
fn share_of(time: Duration, period: Duration) -> f64 {
    (time.as_nanos() % period.as_nanos()) as f64 / period.as_nanos() as f64
}

/// A disturbance within ±`most`, the middle being likelier than the ends. It depends on the seed and the
/// time alone (two rounds of the finaliser of SplitMix64), so that looking does not change it.
fn noise(seed: u64, time: Duration, most: f64) -> f64 {
    if most == 0.0 {
        return 0.0;
    }
    let tick = (time.as_millis() / NOISE_TICK_MS) as u64;
    let first = mix(seed ^ tick.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let second = mix(first);
    most * (unit(first) + unit(second) - 1.0)
}

const fn mix(seed: u64) -> u64 {
    let a = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

/// 0 to 1 from the upper 53 bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Numbers beyond this are no measurement, and their sums could leave the range of an f64.
const LARGEST: f64 = 1e300;

fn finite(numbers: &[(&str, f64)]) -> Result<(), String> {
    match numbers.iter().find(|(_, number)| !number.is_finite() || number.abs() > LARGEST) {
        Some((name, _)) => Err(format!("`{name}` must be a finite number")),
        None => Ok(()),
    }
}

fn positive(name: &str, period: Duration) -> Result<(), String> {
    if period.is_zero() { Err(format!("`{name}` must be longer than 0")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "motion_tests.rs"]
mod tests;
