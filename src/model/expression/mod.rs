//! Expressions over points, for computed points and alarms: `if(fan, t - 0.5, t) > 60 and not door`.
//!
//! Numbers, names, `+ - * /`, comparisons, `and`, `or`, `not`, and the functions `min`, `max`, `abs` and `if`.
//! `parse` reads the text and tells conditions from numbers; this file holds the tree and works it out.
//! Pure. Absent on purpose: variables, loops, texts, time. Invariant: length, nesting and
//! chains have limits, so that no text exhausts the stack; working it out gives a finite number or none.

mod parse;

pub use parse::{MAX_LENGTH, SyntaxError, parse};

/// How deeply expressions may be nested, and how many parts may follow each other without brackets.
pub const MAX_DEPTH: usize = 32;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// True or false.
    Condition,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A number; `true` is 1 and `false` 0.
    Number(f64),
    /// An input, by its place.
    Input(usize),
    /// A part with a sign or `not` in front.
    One(One, Box<Self>),
    /// Two parts with an operator between.
    Two(Two, Box<Self>, Box<Self>),
    /// The least or the greatest of at least one part.
    Extreme(Extreme, Vec<Self>),
    /// `if(condition, then, otherwise)`.
    If(Box<[Self; 3]>),
}

/// What is done with one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum One {
    /// `-x`
    Negative,
    /// `not x`
    Not,
    /// `abs(x)`
    Absolute,
}

/// What is done with two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Two {
    /// `a + b`
    Plus,
    /// `a - b`
    Minus,
    /// `a * b`
    Times,
    /// `a / b`
    Over,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterOrEqual,
    /// `a == b`
    Equal,
    /// `a != b`
    NotEqual,
    /// `a and b`
    And,
    /// `a or b`
    Or,
}

/// Which one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    /// `min(…)`
    Least,
    /// `max(…)`
    Greatest,
}

impl Expression {
    /// What it comes to; conditions are 1 or 0. `None` where it has no value: a division by nothing, a number
    /// too large, or a condition that is neither 0 nor 1.
    #[must_use]
    pub fn value(&self, inputs: &[f64]) -> Option<f64> {
        let value = match self {
            Self::Number(number) => *number,
            Self::Input(place) => *inputs.get(*place)?,
            Self::One(One::Negative, part) => -part.value(inputs)?,
            Self::One(One::Absolute, part) => part.value(inputs)?.abs(),
            Self::One(One::Not, part) => number(!part.truth(inputs)?),
            Self::Two(what, left, right) => two(*what, left, right, inputs)?,
            Self::Extreme(which, parts) => {
                let mut values = parts.iter().map(|part| part.value(inputs));
                let first = values.next()??;
                values.try_fold(first, |best, next| {
                    let next = next?;
                    Some(if *which == Extreme::Least { best.min(next) } else { best.max(next) })
                })?
            }
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.truth(inputs)? { then } else { otherwise }.value(inputs)?
            }
        };
        value.is_finite().then_some(value)
    }

    /// Whether the input at `place` occurs in it.
    #[must_use]
    pub fn uses(&self, place: usize) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Input(own) => *own == place,
            Self::One(_, part) => part.uses(place),
            Self::Two(_, left, right) => left.uses(place) || right.uses(place),
            Self::Extreme(_, parts) => parts.iter().any(|part| part.uses(place)),
            Self::If(parts) => parts.iter().any(|part| part.uses(place)),
        }
    }

    /// Gives every input another place: the one that `places` names at its old one.
    pub fn move_inputs(&mut self, places: &[usize]) {
        match self {
            Self::Number(_) => {}
            Self::Input(own) => *own = places.get(*own).copied().unwrap_or(*own),
            Self::One(_, part) => part.move_inputs(places),
            Self::Two(_, left, right) => {
                left.move_inputs(places);
                right.move_inputs(places);
            }
            Self::Extreme(_, parts) => parts.iter_mut().for_each(|part| part.move_inputs(places)),
            Self::If(parts) => parts.iter_mut().for_each(|part| part.move_inputs(places)),
        }
    }

    /// Whether it holds: 1 is true and 0 is not. `None` where it has no value, or another one.
    #[must_use]
    pub fn truth(&self, inputs: &[f64]) -> Option<bool> {
        match self.value(inputs)? {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        }
    }
}

fn two(what: Two, left: &Expression, right: &Expression, inputs: &[f64]) -> Option<f64> {
    // Both sides always count: what one of them lacks must not depend on the other's value.
    if matches!(what, Two::And | Two::Or) {
        let (left, right) = (left.truth(inputs)?, right.truth(inputs)?);
        return Some(number(if what == Two::And { left && right } else { left || right }));
    }
    let (left, right) = (left.value(inputs)?, right.value(inputs)?);
    Some(match what {
        Two::Plus => left + right,
        Two::Minus => left - right,
        Two::Times => left * right,
        Two::Over => left / right,
        Two::Less => number(left < right),
        Two::LessOrEqual => number(left <= right),
        Two::Greater => number(left > right),
        Two::GreaterOrEqual => number(left >= right),
        Two::Equal => number(left == right),
        Two::NotEqual | Two::And | Two::Or => number(left != right),
    })
}

/// Whether an input can have this name: a letter, then letters, digits and `_`, and no word of the language.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let good = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    good && begins && !matches!(name, "and" | "or" | "not" | "true" | "false")
}

fn number(state: bool) -> f64 {
    f64::from(u8::from(state))
}

#[cfg(test)]
mod tests;
