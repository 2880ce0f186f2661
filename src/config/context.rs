//! What a load has read so far and what it found wrong.
//!
//! Invariant: nothing here stops a load; every check records what it finds and goes on.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;

use super::problem::{Level, Problem};
use super::source::{Sources, Span};

/// Looks up an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String>>;

/// What a configuration may refer to besides itself.
pub struct Surroundings {
    /// Relative paths in the configuration start here.
    pub directory: PathBuf,
    /// Where profiles are looked for, in this order, after the configuration's own `profile-path`.
    pub profile_dirs: Vec<PathBuf>,
    /// The environment for `${NAME}`.
    pub environment: Environment,
}

/// One load under way.
pub(super) struct Context<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) sources: RefCell<Sources>,
    problems: RefCell<Vec<Problem>>,
    errors: Cell<usize>,
    /// Nodes whose reading failed, by address: a second reading of the same section leaves them out.
    pub(super) failed: RefCell<HashSet<usize>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(around: &'a Surroundings) -> Self {
        Self {
            around,
            sources: RefCell::default(),
            problems: RefCell::default(),
            errors: Cell::new(0),
            failed: RefCell::default(),
        }
    }

    /// Records a mistake.
    pub(super) fn error(&self, span: Span, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.record(Level::Error, Some(span), message.into(), help.into());
    }

    /// Records something that should be looked at.
    pub(super) fn warning(&self, span: Span, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.record(Level::Warning, Some(span), message.into(), help.into());
    }

    /// Records something worth knowing.
    pub(super) fn note(&self, span: Span, message: impl Into<String>) {
        self.record(Level::Note, Some(span), message.into(), None);
    }

    /// Records a mistake that belongs to no place in a file.
    pub(super) fn error_nowhere(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.record(Level::Error, None, message.into(), help.into());
    }

    fn record(&self, level: Level, span: Option<Span>, message: String, help: Option<String>) {
        if level == Level::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let mut problem = Problem::new(level, &self.sources.borrow(), span, message);
        problem.help = help;
        self.problems.borrow_mut().push(problem);
    }

    /// How many mistakes were recorded so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors.get()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}
