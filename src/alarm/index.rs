//! Which alarms look at which point. Made once; a point that nobody watches costs two loads.

use std::ops::Range;

use super::rule::Rule;

/// The inputs of all rules, by point.
#[derive(Debug)]
pub(super) struct Index {
    /// Where the entries of a point begin, by point; one more at the end.
    starts: Box<[u32]>,
    entries: Box<[Watcher]>,
}

/// One input of one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watcher {
    /// Which alarm.
    pub(super) alarm: u32,
    /// Which of its inputs.
    pub(super) place: u32,
}

impl Index {
    /// The index of these rules over so many points.
    #[must_use]
    pub(super) fn new(rules: &[Rule], points: usize) -> Self {
        let mut starts = vec![0u32; points + 1];
        for input in rules.iter().flat_map(|rule| &rule.inputs) {
            starts[input.index() + 1] += 1;
        }
        for point in 0..points {
            starts[point + 1] += starts[point];
        }
        let mut free: Vec<u32> = starts.clone();
        let mut entries = vec![Watcher { alarm: 0, place: 0 }; starts[points] as usize];
        for (alarm, rule) in (0u32..).zip(rules) {
            for (place, input) in (0u32..).zip(&rule.inputs) {
                let next = &mut free[input.index()];
                entries[*next as usize] = Watcher { alarm, place };
                *next += 1;
            }
        }
        Self { starts: starts.into(), entries: entries.into() }
    }

    /// Who watches a point.
    #[must_use]
    pub(super) fn watchers(&self, point: usize) -> &[Watcher] {
        let bounds = self.starts.get(point).zip(self.starts.get(point + 1));
        let range = bounds.map_or(Range::default(), |(from, to)| *from as usize..*to as usize);
        &self.entries[range]
    }
}
