//! The moments at which alarms must be looked at though no reading comes: the earliest of many, at fixed cost.
//!
//! A tree over all alarms whose every node knows the earliest moment below it: setting one costs a walk to
//! the root, finding the next one a look at it. Nothing is allocated after the start, however often delays
//! begin and end. Invariant: the root is the earliest of all moments that are set.

use std::time::Instant;

/// One moment or none for each of a fixed number of alarms.
#[derive(Debug)]
pub(super) struct Timers {
    /// Node 1 is the root; the children of `n` are `2n` and `2n + 1`; the second half are the leaves.
    nodes: Box<[Option<Instant>]>,
}

impl Timers {
    /// Timers for this many alarms.
    #[must_use]
    pub(super) fn new(count: usize) -> Self {
        Self { nodes: vec![None; 2 * count.max(1).next_power_of_two()].into() }
    }

    /// The moment of one alarm.
    #[must_use]
    pub(super) fn get(&self, index: usize) -> Option<Instant> {
        self.nodes[self.leaves() + index]
    }

    /// Sets the moment of one alarm.
    pub(super) fn set(&mut self, index: usize, due: Option<Instant>) {
        let mut node = self.leaves() + index;
        self.nodes[node] = due;
        while node > 1 {
            node /= 2;
            let earliest = earlier(self.nodes[2 * node], self.nodes[2 * node + 1]);
            if self.nodes[node] == earliest {
                return;
            }
            self.nodes[node] = earliest;
        }
    }

    /// The earliest moment.
    #[must_use]
    pub(super) fn next(&self) -> Option<Instant> {
        self.nodes[1]
    }

    /// An alarm whose moment has come.
    #[must_use]
    pub(super) fn due(&self, now: Instant) -> Option<usize> {
        let next = self.next().filter(|next| *next <= now)?;
        let mut node = 1;
        while node < self.leaves() {
            node *= 2;
            if self.nodes[node] != Some(next) {
                node += 1;
            }
        }
        Some(node - self.leaves())
    }

    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_earliest_is_always_found(
            count in 1usize..20, steps in prop::collection::vec((0usize..20, prop::option::of(0u64..50)), 0..100),
        ) {
            let start = Instant::now();
            let at = |s: u64| start + Duration::from_secs(s);
            let (mut timers, mut plain) = (Timers::new(count), vec![None; count]);
            for (index, due) in steps {
                let index = index % count;
                timers.set(index, due.map(at));
                plain[index] = due;
                let least = plain.iter().flatten().min().copied();
                prop_assert_eq!(timers.next(), least.map(at));
                prop_assert_eq!(timers.get(index), due.map(at));
                match (timers.due(at(25)), least.filter(|least| *least <= 25)) {
                    (Some(found), Some(least)) => prop_assert_eq!(plain[found], Some(least)),
                    (found, least) => prop_assert!(found.is_none() && least.is_none()),
                }
            }
        }
    }
}
