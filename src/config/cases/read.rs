//! From the nodes of `tests:` to cases: names to points, alarms and devices, words to what they mean.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::form::{CaseSection, DeedSection, ExpectSection};
use super::series::{self, At, by_time};
use super::{Act, Case, DEFAULT_TOLERANCE, Deed, Expected, Given, LinkStep, MAX_CASES, MAX_TIME, Signal};
use crate::alarm::Rule;
use crate::config::alarms::Points;
use crate::config::context::Context;
use crate::config::de::read;
use crate::config::draft::{DeviceDraft, PointDraft};
use crate::config::drivers::wired_as;
use crate::config::node::{Entry, Node};
use crate::config::parts::expect_map;
use crate::config::source::{Place, Span};
use crate::config::suggest::advice;
use crate::driver::virtual_points::Sources;
use crate::model::units::Period;
use crate::model::{AlarmAction, AlarmState, PointId, Value};

/// What cases can speak of.
pub(in crate::config) struct Subjects<'a> {
    pub(in crate::config) points: &'a Points<'a>,
    pub(in crate::config) devices: &'a [DeviceDraft],
    pub(in crate::config) rules: &'a [Rule],
    /// The section `alarms`, where also those stand that are wrong themselves.
    pub(in crate::config) alarms: &'a Node,
}

/// All cases of these sections: the configuration's own and those of the files beside it.
pub(in crate::config) fn cases(cx: &Context<'_>, sections: &[&Node], subjects: &Subjects<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for node in sections {
        if !expect_map(cx, node, "`tests`") {
            continue;
        }
        for entry in node.entries() {
            if cases.len() == MAX_CASES {
                cx.error(entry.key_span, format!("more than {MAX_CASES} tests"), None);
                return cases;
            }
            cases.extend(Reader { cx, subjects, case: entry }.case());
        }
    }
    cases
}

struct Reader<'a> {
    cx: &'a Context<'a>,
    subjects: &'a Subjects<'a>,
    case: &'a Entry,
}

impl<'a> Reader<'a> {
    fn case(&self) -> Option<Case> {
        let (cx, node) = (self.cx, &self.case.value);
        if !expect_map(cx, node, &format!("the test `{}`", self.case.key)) {
            return None;
        }
        let section: CaseSection = read(cx, node)?;
        let nothing = Node::map(node.span, Vec::new());
        let expect = node.get("expect").unwrap_or(&nothing);
        read::<ExpectSection>(cx, expect)?;
        let mut case = Case {
            name: Arc::clone(&self.case.key),
            place: self.place(self.case.key_span)?,
            given: self.given(node.get("given")),
            links: self.links(node.get("devices")),
            deeds: self.deeds(node.get("do")),
            alarms: self.alarms(expect.get("alarms")),
            writes: self.writes(expect.get("writes")),
            values: self.values(expect.get("values")),
            only: section.only,
            until: Duration::ZERO,
            tolerance: section.tolerance.map_or(DEFAULT_TOLERANCE, |period| period.0),
        };
        if case.alarms.is_empty() && case.writes.is_empty() && case.values.is_empty() && !case.only {
            let help = "add `expect:`, or `only: on` when nothing at all may happen".to_owned();
            cx.error(self.case.key_span, format!("the test `{}` expects nothing", case.name), help);
        }
        let last = case.last_moment();
        case.until = section.until.map_or(last, |until| until.0);
        let place = node.span_of(&["until"]).unwrap_or(node.span);
        if case.until < last {
            let message = format!("the test ends before {}, of which it speaks", Period(last));
            cx.error(place, message, None);
        } else if case.until > MAX_TIME {
            cx.error(place, format!("a test ends after {} at the latest", Period(MAX_TIME)), None);
        }
        Some(case)
    }

    fn place(&self, span: Span) -> Option<Place> {
        self.cx.sources.borrow().place(span)
    }

    /// The entries under names, each with what `find` finds for the name.
    fn named<T>(
        &self,
        node: Option<&'a Node>,
        what: &str,
        find: impl Fn(&str, Span) -> Option<T>,
    ) -> Vec<(T, &'a Node)> {
        let Some(node) = node.filter(|node| expect_map(self.cx, node, what)) else { return Vec::new() };
        let entries = node.entries().iter();
        entries.filter_map(|entry| Some((find(&entry.key, entry.key_span)?, &entry.value))).collect()
    }

    fn point(&self, name: &str, span: Span) -> Option<(PointId, &'a PointDraft)> {
        self.subjects.points.find(self.cx, name, span)
    }

    fn output(&self, name: &str, span: Span) -> Option<(PointId, &'a PointDraft)> {
        let (id, draft) = self.point(name, span)?;
        if !draft.point.access.writable() {
            self.cx.error(span, format!("`{name}` is no output"), "name a point with access: rw".to_owned());
            return None;
        }
        Some((id, draft))
    }

    fn alarm(&self, name: &str, span: Span) -> Option<Arc<str>> {
        let rules = self.subjects.rules;
        let found = rules.iter().find(|rule| &*rule.name == name).map(|rule| Arc::clone(&rule.name));
        if found.is_none() && self.subjects.alarms.entry(name).is_none() {
            let help = advice(name, rules.iter().map(|rule| &*rule.name));
            self.cx.error(span, format!("there is no alarm `{name}`"), help);
        }
        found
    }

    fn device(&self, name: &str, span: Span) -> Option<Arc<str>> {
        let devices = self.subjects.devices;
        let found =
            devices.iter().find(|device| &*device.name == name).map(|device| Arc::clone(&device.name));
        if found.is_none() {
            let help = advice(name, devices.iter().map(|device| &*device.name));
            self.cx.error(span, format!("there is no device `{name}`"), help);
        }
        found
    }

    fn given(&self, node: Option<&'a Node>) -> Vec<Given> {
        let read_points = self.named(node, "`given`", |name, span| {
            let (id, draft) = self.point(name, span)?;
            if wired_as::<Sources>(&draft.wiring).is_some() {
                let help = "give the points that it is computed from".to_owned();
                self.cx.error(span, format!("`{name}` is computed and cannot be given"), help);
                return None;
            }
            if !draft.point.access.readable() {
                self.cx.error(span, format!("`{name}` is write-only and never read"), None);
                return None;
            }
            Some((id, draft))
        });
        let mut given: Vec<Given> = Vec::new();
        for ((point, draft), node) in read_points {
            let signals = series::signals(self.cx, node, draft).into_iter();
            given.extend(signals.map(|(at, signal)| Given { at, point, signal }));
        }
        given.sort_by_key(|given| given.at);
        given
    }

    fn links(&self, node: Option<&'a Node>) -> Vec<LinkStep> {
        let mut links = Vec::new();
        for (device, node) in self.named(node, "`devices`", |name, span| self.device(name, span)) {
            for entry in by_time(self.cx, node, &format!("`{device}`")) {
                let online = match entry.node.text() {
                    Some("online") => true,
                    Some("offline") => false,
                    _ => {
                        self.cx.error(entry.node.span, "a device is online or offline", None);
                        continue;
                    }
                };
                links.push(LinkStep { at: entry.at, device: Arc::clone(&device), online });
            }
        }
        links.sort_by_key(|link| link.at);
        links
    }

    /// What must be, by time, under each name.
    fn expected<T, N>(
        &self,
        named: Vec<(N, &'a Node)>,
        read: impl Fn(&N, &At<'a>) -> Option<T>,
    ) -> Vec<(N, Vec<Expected<T>>)> {
        let list = |name: &N, node: &'a Node| {
            let entries = by_time(self.cx, node, "an expectation").into_iter();
            let read = |entry: At<'a>| {
                let what = read(name, &entry)?;
                Some(Expected { at: entry.at, what, place: self.place(entry.node.span)? })
            };
            entries.filter_map(read).collect()
        };
        named
            .into_iter()
            .map(|(name, node)| {
                let list = list(&name, node);
                (name, list)
            })
            .collect()
    }

    fn alarms(&self, node: Option<&'a Node>) -> Vec<(Arc<str>, Vec<Expected<AlarmState>>)> {
        let named = self.named(node, "`alarms`", |name, span| self.alarm(name, span));
        self.expected(named, |_, entry| {
            let text = entry.node.text().unwrap_or_default();
            let state = AlarmState::ALL.into_iter().find(|state| state.word() == text);
            if state.is_none() {
                let help = advice(text, AlarmState::ALL.map(AlarmState::word));
                self.cx.error(entry.node.span, format!("`{text}` is not the state of an alarm"), help);
            }
            state
        })
    }

    fn writes(&self, node: Option<&'a Node>) -> Vec<(PointId, Vec<Expected<Value>>)> {
        let named = self.named(node, "`writes`", |name, span| self.output(name, span));
        let lists = self.expected(named, |(_, draft), entry| {
            let text = entry.node.text().unwrap_or_default();
            series::value(self.cx, entry.node.span, text, draft)
        });
        lists.into_iter().map(|((id, _), list)| (id, list)).collect()
    }

    fn values(&self, node: Option<&'a Node>) -> Vec<(PointId, Vec<Expected<Signal>>)> {
        let named = self.named(node, "`values`", |name, span| self.point(name, span));
        let lists = self.expected(named, |(_, draft), entry| series::signal(self.cx, entry.node, draft));
        lists.into_iter().map(|((id, _), list)| (id, list)).collect()
    }

    fn deeds(&self, node: Option<&'a Node>) -> Vec<Deed> {
        let Some(node) = node else { return Vec::new() };
        let entries = by_time(self.cx, node, "`do`").into_iter();
        let deed = |entry: At<'a>| {
            let act = self.act(&entry)?;
            Some(Deed { at: entry.at, place: self.place(entry.key_span)?, act })
        };
        entries.filter_map(deed).collect()
    }

    fn act(&self, entry: &At<'a>) -> Option<Act> {
        let (cx, node) = (self.cx, entry.node);
        let section: DeedSection = read_map(cx, node)?;
        let span = |key: &str| node.span_of(&[key]).unwrap_or(node.span);
        let alarms = [
            ("acknowledge", &section.acknowledge, Some(AlarmAction::Acknowledge)),
            ("shelve", &section.shelve, section.r#for.map(|time| AlarmAction::Shelve(time.0))),
            ("unshelve", &section.unshelve, Some(AlarmAction::Unshelve)),
            ("take-out", &section.take_out, Some(AlarmAction::TakeOut)),
            ("put-back", &section.put_back, Some(AlarmAction::PutBack)),
        ];
        let written = alarms.iter().filter(|(_, name, _)| name.is_some()).count();
        if written + usize::from(section.write.is_some()) != 1 {
            let help =
                "several at once are a list: 2m: [{ acknowledge: a }, { write: b, value: on }]".to_owned();
            let what =
                "exactly one of acknowledge, shelve, unshelve, take-out, put-back and write is needed here";
            cx.error(node.span, what, help);
            return None;
        }
        let stray = match (&section.write, &section.shelve) {
            (None, _) if section.value.is_some() || section.outcome.is_some() => {
                Some("`value` and `outcome` belong to `write`")
            }
            (_, None) if section.r#for.is_some() => Some("`for` belongs to `shelve`"),
            _ => None,
        };
        if let Some(message) = stray {
            cx.error(node.span, message, None);
            return None;
        }
        for (key, name, action) in alarms {
            let Some(name) = name else { continue };
            let Some(action) = action else {
                cx.error(node.span, "for how long is it shelved?", "add `for: 1h`".to_owned());
                return None;
            };
            return Some(Act::Alarm(self.alarm(name, span(key))?, action));
        }
        let (id, draft) = self.output(section.write.as_deref()?, span("write"))?;
        let Some(text) = &section.value else {
            cx.error(node.span, "what shall be written?", "add `value: on`".to_owned());
            return None;
        };
        // A refusal may be what is to be shown, so a value that does not fit is for the arbiter to refuse.
        let value = match section.outcome {
            None => series::value(cx, span("value"), text, draft)?,
            Some(_) => {
                Value::parse(text, draft.point.kind).unwrap_or_else(|_| Value::Text(text.as_str().into()))
            }
        };
        Some(Act::Write(id, value, section.outcome.map(super::form::OutcomeWord::code)))
    }
}

/// As [`read`], but says what is missing where there is no map.
fn read_map<T: DeserializeOwned>(cx: &Context<'_>, node: &Node) -> Option<T> {
    expect_map(cx, node, "what somebody does").then(|| read(cx, node)).flatten()
}
