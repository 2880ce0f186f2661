//! `iogate record`: watches a running gateway for a while and writes what it saw as a rule test.
//!
//! `sample` gathers what the API tells, `write` makes the text of a test of it. The text is run at once, as
//! `iogate test` would, so that nobody keeps a recording that does not hold. Values are looked at twice per poll; how
//! alarms changed and what people commanded is taken from the gateway's journals, which miss nothing. Absent:
//! readings between two looks, such as those of an input that changes without being polled.

mod sample;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value as Json;

use super::mqtt::http::Place;
use super::mqtt::{Failure, place, report as conclude, understand};
use super::{ConfigFile, Exit, complain};
use crate::config::{self, Plan};
use crate::driver::virtual_points;
use crate::model::units::{Period, count};
use crate::model::{Point, PointId};
use crate::ruletest::{judge, live};
use sample::Recording;

/// The longest and the shortest time between two looks that is chosen by itself.
const EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// How long the gateway may take to write down what has happened, ten times over.
const WRITTEN_DOWN: Duration = Duration::from_millis(500);

/// The most entries of a journal that are taken in.
const MAX_TOLD: usize = 200_000;

/// The longest recording.
const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `record` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where the gateway's web page is, instead of what the configuration says.
    #[arg(long, value_name = "http://HOST:PORT")]
    url: Option<String>,
    /// For how long: `10m`, `2h`.
    #[arg(long = "for", value_name = "TIME")]
    time: Period,
    /// An alarm to record; all of them when none is named.
    #[arg(long = "alarm", value_name = "NAME")]
    alarms: Vec<String>,
    /// A point to record besides those that the alarms look at.
    #[arg(long = "point", value_name = "DEVICE/POINT")]
    points: Vec<String>,
    /// How often the gateway is looked at: twice in the shortest poll of the points when left out, at most 50 times a second.
    #[arg(long, value_name = "TIME")]
    every: Option<Period>,
    /// What the test is called; the time when left out.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The file to write, such as `site.monday.test.yaml`; one that is there is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// What is recorded.
struct Scope {
    /// Points that are read, by name, in the order of the configuration.
    inputs: Vec<Arc<str>>,
    /// Outputs, by name.
    outputs: Vec<Arc<str>>,
    /// Alarms, with the outputs that each acts on.
    alarms: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// The shortest poll of all points.
    poll: Duration,
}

/// Records and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let plan = match super::load(arguments.file.path()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let recorded = prepare(arguments, &plan).and_then(|(place, scope)| record(arguments, &place, &scope));
    match recorded {
        Ok(text) => check(arguments, text),
        Err(failure) => conclude(Err(failure)),
    }
}

fn prepare(arguments: &Arguments, plan: &Plan) -> Result<(Place, Scope), Failure> {
    if arguments.time.0 > MAX_TIME || arguments.time.0.is_zero() {
        return Err(Failure::Refused(format!("--for takes up to {}", Period(MAX_TIME))));
    }
    if arguments.output.exists() {
        let what = format!("{} is there already; choose another name", arguments.output.display());
        return Err(Failure::Refused(what));
    }
    let scope = Scope::new(plan, &arguments.alarms, &arguments.points).map_err(Failure::Refused)?;
    Ok((place(Some(arguments.file.path()), arguments.url.as_deref())?, scope))
}

/// Looks at the gateway until the time is over; returns the text of the test.
fn record(arguments: &Arguments, place: &Place, scope: &Scope) -> Result<String, Failure> {
    let mut recording: Option<Recording> = None;
    let every = arguments.every.map_or((scope.poll / 2).clamp(EVERY.0, EVERY.1), |every| every.0);
    let begun = Instant::now();
    loop {
        let look = Instant::now();
        let points = understand(&place.get("/api/v1/points")?)?;
        let alarms = understand(&place.get("/api/v1/alarms")?)?;
        match &mut recording {
            None => {
                let status = understand(&place.get("/api/v1/status")?)?;
                recording =
                    Some(Recording::begin(scope, &status, &points, &alarms).map_err(Failure::Refused)?);
                super::print(&format!("recording {} for {}\n", scope.describe(), arguments.time));
            }
            Some(recording) => recording.take(&points, &alarms).map_err(Failure::Refused)?,
        }
        let left = arguments.time.0.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(every.saturating_sub(look.elapsed()).min(left));
    }
    let Some(mut recording) = recording else {
        return Err(Failure::Refused("nothing was recorded".into()));
    };
    std::thread::sleep(WRITTEN_DOWN);
    if let Some(events) = told_since(place, "alarms/journal", recording.begun)? {
        recording.take_journal(&events).map_err(Failure::Refused)?;
    }
    match told_since(place, "audit", recording.begun)? {
        Some(records) => recording.take_commands(scope, &records),
        None => recording.notes.push("Without people's commands: the gateway shows no audit log.".into()),
    }
    Ok(write::case(&recording, scope, arguments.name.as_deref()))
}

/// What a journal of the API tells since a moment, in milliseconds since 1970, the oldest first; `None` where the
/// gateway has no such journal or does not show it.
fn told_since(place: &Place, journal: &str, since: i64) -> Result<Option<Vec<Json>>, Failure> {
    let from = Timestamp::from_millisecond(since).unwrap_or(Timestamp::UNIX_EPOCH);
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let answer = place.get(&format!("/api/v1/{journal}?limit=1000&from={from}{before}"))?;
        if matches!(answer.status, 403 | 503) {
            return Ok(None);
        }
        let page = understand(&answer)?;
        let page = page.get("records").unwrap_or(&page).as_array().cloned().unwrap_or_default();
        let Some(last) = page.last() else { break };
        before = format!("&before={}", last["id"]);
        all.extend(page);
        if all.len() > MAX_TOLD {
            return Err(Failure::Refused(format!(
                "more than {MAX_TOLD} entries in `{journal}`: record for a shorter time"
            )));
        }
    }
    all.reverse();
    Ok(Some(all))
}

/// Writes the file and runs its test.
fn check(arguments: &Arguments, text: String) -> Exit {
    if let Err(error) = std::fs::write(&arguments.output, text) {
        complain(&format!("{}: {error}", arguments.output.display()));
        return Exit::Failed;
    }
    let path = arguments.file.path();
    let files = [arguments.output.clone()];
    let plan = match config::load_with_tests(path, &files) {
        Ok(plan) => plan,
        Err(report) => {
            complain(&format!("the recording does not fit the configuration: {report}"));
            return Exit::Failed;
        }
    };
    match replay(&plan, &arguments.output) {
        Ok(()) => super::print(&format!("{}: recorded, and it passes\n", arguments.output.display())),
        Err(difference) => {
            complain(&format!(
                "{}: recorded, but it does not pass; something acted on the plant that the recording does not hold:\n{difference}",
                arguments.output.display()
            ));
            Exit::Failed
        }
    }
}

fn replay(plan: &Plan, file: &Path) -> Result<(), String> {
    let name = file.display().to_string();
    for case in plan.tests.iter().filter(|case| *case.place.file == *name) {
        let happened = live(plan, case).map_err(|error| error.to_string())?;
        let verdict = judge(case, &happened, &plan.points);
        if !verdict.differences.is_empty() {
            return Err(verdict.to_string());
        }
    }
    Ok(())
}

impl Scope {
    fn new(plan: &Plan, alarms: &[String], points: &[String]) -> Result<Self, String> {
        for name in alarms {
            if !plan.alarms.iter().any(|rule| *rule.name == **name) {
                return Err(format!("there is no alarm `{name}` in the configuration"));
            }
        }
        let mut wanted: BTreeSet<PointId> = BTreeSet::new();
        for name in points {
            let point = plan.points.by_name(name);
            wanted
                .insert(point.ok_or_else(|| format!("there is no point `{name}` in the configuration"))?.id);
        }
        let mut acting = BTreeMap::new();
        let meant = |name: &Arc<str>| alarms.is_empty() || alarms.iter().any(|wanted| **wanted == **name);
        for rule in plan.alarms.iter().filter(|rule| meant(&rule.name)) {
            wanted.extend(&rule.inputs);
            wanted.extend(rule.actions.iter().map(|action| action.output));
            let outputs = rule.actions.iter().map(|action| Arc::clone(&plan.points.get(action.output).name));
            acting.insert(Arc::clone(&rule.name), outputs.collect());
        }
        if wanted.is_empty() {
            return Err(
                "there is nothing to record: no alarm looks at any point; name some with --point".into()
            );
        }
        let wanted = with_sources(plan, wanted);
        let own = |point: &&Point| wanted.contains(&point.id) && point.access.readable();
        let poll = plan.points.iter().filter(own).map(|point| point.poll).min().unwrap_or(EVERY.1);
        let outputs = plan.points.iter().filter(own).filter(|point| point.access.writable());
        let inputs = plan.points.iter().filter(own).filter(|point| !point.access.writable());
        Ok(Self {
            inputs: inputs.map(|point| Arc::clone(&point.name)).collect(),
            outputs: outputs.map(|point| Arc::clone(&point.name)).collect(),
            alarms: acting,
            poll,
        })
    }

    /// What is recorded, for people.
    fn describe(&self) -> String {
        format!(
            "{}, {}, {}",
            count(self.inputs.len(), "point"),
            count(self.outputs.len(), "output"),
            count(self.alarms.len(), "alarm")
        )
    }
}

/// The points with those that computed ones are computed from in the place of these.
fn with_sources(plan: &Plan, mut wanted: BTreeSet<PointId>) -> BTreeSet<PointId> {
    let computed: BTreeMap<PointId, &[PointId]> = plan
        .channels
        .iter()
        .filter_map(|channel| channel.driver.get::<virtual_points::Plan>())
        .flat_map(|plan| &plan.devices)
        .flat_map(|device| &device.points)
        .map(|point| (point.id, &*point.inputs))
        .collect();
    // Nothing is computed from itself, so this ends.
    while let Some(point) = wanted.iter().find(|point| computed.contains_key(point)).copied() {
        wanted.remove(&point);
        wanted.extend(computed.get(&point).into_iter().copied().flatten());
    }
    wanted
}
