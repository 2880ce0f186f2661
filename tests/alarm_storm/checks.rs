//! What must be so after every kill: of states and journal, of the outputs in the device, of the audit log.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::people::{Asked, Given};
use super::plant::{LAMPS, LEVELS, Plant};
use super::{Gateway, PATIENCE};

/// What was answered stands, unless somebody has asked for something else since.
pub(crate) fn states(alarms: &HashMap<String, Json>, asked: &HashMap<String, Asked>, round: u64) {
    for (alarm, last) in asked.iter().filter(|(_, last)| last.answered) {
        let state = alarms[alarm]["state"].as_str().unwrap();
        let sound = match last.action {
            "take-out" => state == "out-of-service",
            "shelve" => state == "shelved",
            "put-back" => state != "out-of-service",
            // One that was out of service stays so; one that chatters may have been shelved again by its class.
            _ => state != "shelved" || alarms[alarm]["class"] == "noise",
        };
        assert!(sound, "round {round}: `{alarm}` is {state} after {last:?}");
    }
}

/// Every event of an alarm begins where the one before has ended, over all kills, and nothing that was active comes again.
pub(crate) fn journal(journal: &[Json], done: &[String], round: u64) {
    let mut at: HashMap<&str, &str> = HashMap::new();
    let mut said: HashMap<&str, u32> = HashMap::new();
    for event in journal {
        let word = |key: &str| event[key].as_str().unwrap_or_default();
        let (alarm, from, to) = (word("alarm"), word("from"), word("to"));
        let before = at.insert(alarm, to).unwrap_or("normal");
        assert_eq!(from, before, "round {round}: a gap before {event}");
        assert!(
            !(word("event") == "raised" && from.starts_with("active")),
            "round {round}: it was active: {event}"
        );
        if word("event") != "raised" {
            *said.entry(word("comment")).or_default() += 1;
        }
    }
    for comment in done {
        assert_eq!(
            said.get(comment.as_str()),
            Some(&1),
            "round {round}: what was answered is in the journal once"
        );
    }
}

/// Whether an alarm holds its lamp; `None` where its state does not tell.
fn holds(alarm: &Json) -> Option<bool> {
    match alarm["state"].as_str().unwrap() {
        "out-of-service" | "suppressed" => Some(false),
        "latched" => Some(true),
        // Behind a shelf one that latches may do so, which nothing but its lamp shows.
        "shelved" if alarm["active"] == false => None,
        _ => Some(alarm["active"] == true),
    }
}

/// Waits until every output stands as it shall, then looks at the device itself: lamps are lit by the alarms
/// that hold them and by nobody else, and what people had set or held is gone.
///
/// The plant stands still, so alarms and outputs come to rest.
pub(crate) fn outputs(gateway: &Gateway, plant: &Plant, round: u64) {
    let deadline = Instant::now() + PATIENCE;
    let look = || -> HashMap<String, Option<bool>> {
        gateway.alarms().iter().map(|(name, alarm)| (name.clone(), holds(alarm))).collect()
    };
    loop {
        let before = look();
        let found = wrong(&before, gateway.get("/api/v1/outputs").as_array().unwrap(), &plant.outputs());
        // Nothing has moved between the two looks.
        let moving = before != look();
        if found.is_none() && !moving {
            return;
        }
        assert!(Instant::now() < deadline, "round {round}: {found:?}, moving: {moving}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What stands as it must not.
fn wrong(
    alarms: &HashMap<String, Option<bool>>,
    outputs: &[Json],
    device: &BTreeMap<String, u32>,
) -> Option<String> {
    for output in outputs {
        let name = output["name"].as_str().unwrap().strip_prefix("plant/").unwrap();
        let holders: Vec<&str> =
            output["holders"].as_array().unwrap().iter().map(|one| one["owner"].as_str().unwrap()).collect();
        let is = device[name];
        if output["due"] == true || !output["setpoint"].is_null() {
            return Some(format!("{output} is due or set"));
        }
        if LEVELS.contains(&name) {
            match is == 0 && holders.is_empty() {
                true => continue,
                false => return Some(format!("{name} is {is} in the device, held by {holders:?}")),
            }
        }
        let lamp: usize = name.strip_prefix("lamp").unwrap().parse().unwrap();
        for alarm in [2 * lamp, 2 * lamp + 1].map(|number| format!("a{number}")) {
            let listed = holders.iter().any(|owner| *owner == alarm);
            if alarms[&alarm].is_some_and(|holds| holds != listed) {
                return Some(format!("{name} is held by {holders:?}; by {alarm}: {:?}", alarms[&alarm]));
            }
        }
        if (is != 0) == holders.is_empty() {
            return Some(format!("{name} is {is} in the device, held by {holders:?}"));
        }
    }
    (outputs.len() != LAMPS + LEVELS.len()).then(|| format!("{} outputs", outputs.len()))
}

/// What was written since the start: nothing that people had asked for before, and no lamp went out whose alarm
/// held it the whole time.
pub(crate) fn writes(writes: &[(String, u32)], journal: &[Json], known: usize, round: u64) {
    for (name, value) in writes.iter().filter(|(name, _)| LEVELS.contains(&name.as_str())) {
        assert_eq!(*value, 0, "round {round}: {name} was set again by nobody");
    }
    for lamp in 0..LAMPS {
        let lit = [2 * lamp, 2 * lamp + 1].map(|number| format!("a{number}")).iter().any(|alarm| {
            let of = |events: &[Json]| -> Vec<String> {
                let own = events.iter().filter(|event| event["alarm"] == **alarm);
                own.map(|event| event["to"].as_str().unwrap().to_owned()).collect()
            };
            let held = |state: &String| state.starts_with("active") || state == "latched";
            of(&journal[..known]).last().is_some_and(held) && of(&journal[known..]).iter().all(held)
        });
        let out = writes.iter().any(|(name, value)| *name == format!("lamp{lamp}") && *value == 0);
        assert!(!(lit && out), "round {round}: lamp{lamp} went out though its alarm held it: {writes:?}");
    }
}

/// The chain holds, and every command that was answered is in it with that outcome.
pub(crate) fn audit(directory: &Path, given: &HashMap<Given, u32>, round: u64) {
    let file = directory.join("audit.sqlite");
    let mut verify = Command::new(env!("CARGO_BIN_EXE_iogate"));
    let verified = verify.args(["audit", "verify", "--file"]).arg(&file).output().unwrap();
    assert!(verified.status.success(), "round {round}: {verified:?}");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let mut counts = connection
        .prepare("SELECT subject, new, outcome, count(*) FROM audit WHERE origin LIKE 'web page%' GROUP BY 1, 2, 3")
        .unwrap();
    let rows = counts.query_map([], |row| {
        let given = Given { output: row.get(0)?, value: row.get(1)?, outcome: row.get(2)? };
        Ok((given, row.get::<_, u32>(3)?))
    });
    let kept: HashMap<Given, u32> = rows.unwrap().map(Result::unwrap).collect();
    for (given, count) in given {
        let found = kept.get(given).copied().unwrap_or(0);
        assert!(
            found >= *count,
            "round {round}: {given:?} was answered {count} times and is kept {found} times"
        );
    }
}
