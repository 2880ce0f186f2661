//! First-out: which alarm of a group came first, so that the cause can be told from what followed it.
//!
//! The first alarm that asks for attention while nothing else of its group does is the first-out, until nothing
//! of the group asks to be acknowledged any more (ISA-18.1 sequences reset their first-out likewise). What is
//! shelved, suppressed or out of service asks nobody. Invariant: a group has a first-out only while one of its
//! alarms is unacknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alarm::rule::Rule;
use crate::model::{AlarmGroup, AlarmState, AlarmStatus, FirstOut};

/// What counts of one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Member {
    unacknowledged: bool,
    active: bool,
}

/// All groups.
#[derive(Debug)]
pub struct Groups {
    /// By name.
    all: Vec<AlarmGroup>,
    /// By the place of an alarm, its groups.
    of: Vec<Box<[usize]>>,
    members: Vec<Member>,
}

/// A number that the state of one alarm has a part in.
fn shift(number: &mut usize, was: bool, is: bool) -> bool {
    match (was, is) {
        (false, true) => *number += 1,
        (true, false) => *number = number.saturating_sub(1),
        _ => {}
    }
    was != is
}

impl Groups {
    /// The groups of these rules, in which nothing is the matter.
    #[must_use]
    pub fn new(rules: &[Rule]) -> Self {
        let names: BTreeMap<&Arc<str>, usize> =
            rules.iter().flat_map(|rule| rule.groups.iter()).map(|name| (name, 0)).collect();
        let places: BTreeMap<&Arc<str>, usize> = names.into_keys().zip(0..).collect();
        let group = |name: &&Arc<str>| AlarmGroup {
            name: Arc::clone(name),
            first_out: None,
            unacknowledged: 0,
            active: 0,
        };
        let of = |rule: &Rule| {
            let mut own: Vec<usize> =
                rule.groups.iter().filter_map(|name| places.get(name).copied()).collect();
            own.sort_unstable();
            own.dedup();
            own.into()
        };
        Self {
            all: places.keys().map(group).collect(),
            of: rules.iter().map(of).collect(),
            members: vec![Member::default(); rules.len()],
        }
    }

    /// Every group, by name.
    #[must_use]
    pub fn all(&self) -> &[AlarmGroup] {
        &self.all
    }

    /// In which groups an alarm is the first-out.
    pub fn led_by<'a>(&'a self, place: usize, name: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let leads =
            move |group: &&AlarmGroup| group.first_out.as_ref().is_some_and(|first| *first.alarm == *name);
        self.of[place].iter().map(|group| &self.all[*group]).filter(leads).map(|group| &group.name)
    }

    /// Takes in how an alarm stands now. What has changed is told: the group, and whether its first-out has.
    pub fn step(
        &mut self,
        place: usize,
        status: &AlarmStatus,
        unix_us: i64,
        mut tell: impl FnMut(&AlarmGroup, bool),
    ) {
        let now = Member {
            unacknowledged: status.state.is_unacknowledged(),
            active: status.active && !status.state.is_silent(),
        };
        let was = std::mem::replace(&mut self.members[place], now);
        for group in &self.of[place] {
            let group = &mut self.all[*group];
            let mut changed = shift(&mut group.unacknowledged, was.unacknowledged, now.unacknowledged);
            changed |= shift(&mut group.active, was.active, now.active);
            let first = match &group.first_out {
                Some(_) if group.unacknowledged == 0 => Some(None),
                None if status.state == AlarmState::ActiveUnacknowledged => {
                    Some(Some(FirstOut { alarm: Arc::clone(&status.name), unix_us }))
                }
                _ => None,
            };
            let moved = first.is_some();
            if let Some(first) = first {
                group.first_out = first;
            }
            if changed || moved {
                tell(group, moved);
            }
        }
    }

    /// Sets everything as it stood before a restart. A first-out that is not known any more is the alarm that
    /// has asked for attention for the longest time.
    pub fn restore<'a>(
        &mut self,
        statuses: impl Iterator<Item = AlarmStatus>,
        first_out: impl Fn(&str) -> Option<(&'a str, i64)>,
    ) {
        let mut eldest: Vec<Option<FirstOut>> = vec![None; self.all.len()];
        let mut known: Vec<Option<FirstOut>> = vec![None; self.all.len()];
        for (place, status) in statuses.enumerate() {
            for group in &self.of[place] {
                let name = &self.all[*group].name;
                if let Some((_, unix_us)) = first_out(name).filter(|(alarm, _)| **alarm == *status.name) {
                    known[*group] = Some(FirstOut { alarm: Arc::clone(&status.name), unix_us });
                }
                let unix_us = status.since.map_or(i64::MAX, |since| since.unix_us);
                let elder = eldest[*group].as_ref().is_none_or(|other| unix_us < other.unix_us);
                if status.state.is_unacknowledged() && elder {
                    eldest[*group] = Some(FirstOut { alarm: Arc::clone(&status.name), unix_us });
                }
            }
            self.step(place, &status, 0, |_, _| {});
        }
        for ((group, known), eldest) in self.all.iter_mut().zip(known).zip(eldest) {
            group.first_out = known.or(eldest).filter(|_| group.unacknowledged > 0);
        }
    }
}

#[cfg(test)]
#[path = "first_out_tests.rs"]
mod tests;
