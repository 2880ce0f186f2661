//! `iogate alarms`: the alarms of a running gateway and their journal, through its local API.
//!
//! Absent: any way around the API; who may not act there may not act here. Invariant: with `--json` standard
//! output holds the API's own answer.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::Exit;
use super::mqtt::http::{Place, encode};
use super::mqtt::table::{plain, table};
use super::mqtt::{Failure, place, report, understand};
use crate::model::AlarmRecord;
use crate::model::units::Period;

/// How many events of the journal are listed when nothing is said.
const DEFAULT_EVENTS: u32 = 50;

/// How many events are asked for at a time: what the API gives at most.
const MAX_PAGE: u32 = 1_000;

/// What `alarms` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration of the running gateway; only where its web page listens is looked at.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the gateway's web page is, instead of what the configuration says.
    #[arg(long, value_name = "http://HOST:PORT", global = true, conflicts_with = "config")]
    url: Option<String>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the alarms that are not normal.
    List {
        /// Also those that are.
        #[arg(long)]
        all: bool,
    },
    /// List what has happened, the newest first.
    Journal {
        /// To this alarm only.
        alarm: Option<String>,
        /// How many events, at most 1000; 50 when nothing is said.
        #[arg(short = 'n', long)]
        limit: Option<u32>,
        /// Of this kind only: raised, returned, acknowledged, shelved …
        #[arg(long, value_name = "KIND")]
        event: Option<String>,
        /// Only those of this moment and later: 2026-11-21T08:00:00Z.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Only those before this moment.
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// Print CSV, of all events that are wanted unless -n says how many.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// Only those before the event with this id.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
    },
    /// Show how many alarms there are and were, which come most often, and which of a group came first.
    Rates,
    /// Acknowledge an alarm; a latched one is let go.
    Acknowledge(Whom),
    /// Put an alarm aside for a time.
    Shelve {
        #[command(flatten)]
        whom: Whom,
        /// For how long: `30m`, `8h`, at most `24h`.
        #[arg(long = "for", value_name = "TIME", default_value = "1h")]
        time: Period,
    },
    /// Take an alarm from the shelf.
    Unshelve(Whom),
    /// Take an alarm out of service, with its outputs.
    TakeOut(Whom),
    /// Put an alarm back into service.
    PutBack(Whom),
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// The alarm.
    #[arg(required_unless_present = "group")]
    alarm: Option<String>,
    /// All alarms of a group, in the place of one.
    #[arg(long, conflicts_with = "alarm")]
    group: Option<String>,
    /// Who wants it; the name of the user of the system when left out.
    #[arg(long, env = "USER")]
    user: Option<String>,
    /// Why.
    #[arg(long)]
    comment: Option<String>,
}

/// Does one thing and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let place = place(arguments.config.as_deref(), arguments.url.as_deref());
    report(place.and_then(|place| act(&place, arguments)))
}

fn act(place: &Place, arguments: &Arguments) -> Result<String, Failure> {
    let order = |whom: &Whom, action: &str, time: Option<Period>| {
        let mut body = json!({ "action": action });
        let time = time.map(|time| time.to_string());
        let words = [
            ("alarm", &whom.alarm),
            ("group", &whom.group),
            ("user", &whom.user),
            ("comment", &whom.comment),
            ("for", &time),
        ];
        for (key, word) in words {
            if let Some(word) = word {
                body[key] = json!(word);
            }
        }
        understand(&place.post("/api/v1/alarms", &body)?)
    };
    let answer = match &arguments.action {
        None | Some(Action::List { .. }) => understand(&place.get("/api/v1/alarms")?)?,
        Some(journal @ Action::Journal { csv: true, .. }) => {
            return export(place, journal);
        }
        Some(journal @ Action::Journal { limit, before, .. }) => {
            let path = journal_path(journal, limit.unwrap_or(DEFAULT_EVENTS), *before);
            understand(&place.get(&path)?)?
        }
        Some(Action::Rates) => understand(&place.get("/api/v1/alarms/rates")?)?,
        Some(Action::Acknowledge(whom)) => order(whom, "acknowledge", None)?,
        Some(Action::Shelve { whom, time }) => order(whom, "shelve", Some(*time))?,
        Some(Action::Unshelve(whom)) => order(whom, "unshelve", None)?,
        Some(Action::TakeOut(whom)) => order(whom, "take-out", None)?,
        Some(Action::PutBack(whom)) => order(whom, "put-back", None)?,
    };
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    Ok(match &arguments.action {
        None => alarms(&answer, false),
        Some(Action::List { all }) => alarms(&answer, *all),
        Some(Action::Journal { .. }) => journal(&answer),
        Some(Action::Rates) => rates(&answer),
        Some(_) => alarms(&answer, true),
    })
}

/// Where the journal is asked for: so many events, before this one.
fn journal_path(action: &Action, limit: u32, before: Option<i64>) -> String {
    let Action::Journal { alarm, event, from, to, .. } = action else { return String::new() };
    let (limit, before) = (Some(limit.to_string()), before.map(|id| id.to_string()));
    let asked = [
        ("limit", &limit),
        ("alarm", alarm),
        ("event", event),
        ("from", from),
        ("to", to),
        ("before", &before),
    ];
    let words = asked.iter().filter_map(|(key, word)| Some(format!("{key}={}", encode(word.as_deref()?))));
    format!("/api/v1/alarms/journal?{}", words.collect::<Vec<_>>().join("&"))
}

/// The journal as CSV, read page by page.
fn export(place: &Place, action: &Action) -> Result<String, Failure> {
    let Action::Journal { limit, before, .. } = action else { return Ok(String::new()) };
    let (mut out, mut left, mut before) =
        (AlarmRecord::CSV_HEAD.to_owned(), limit.unwrap_or(u32::MAX), *before);
    loop {
        let page = left.min(MAX_PAGE);
        let answer = understand(&place.get(&journal_path(action, page, before))?)?;
        for row in rows(&answer) {
            let record: AlarmRecord = serde_json::from_value(row.clone())
                .map_err(|error| Failure::Refused(format!("the answer is no journal: {error}")))?;
            record.write_csv(row["time"].as_str().unwrap_or_default(), &mut out);
            before = Some(record.id);
        }
        let got = u32::try_from(rows(&answer).len()).unwrap_or(page);
        left = left.saturating_sub(got);
        if got < page || left == 0 {
            return Ok(out);
        }
    }
}

fn rows(answer: &Json) -> &[Json] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

fn alarms(answer: &Json, all: bool) -> String {
    let quiet = |alarm: &&Json| all || alarm["state"] != "normal" || alarm["pending"] == true;
    let subject =
        |alarm: &Json| plain(if alarm["point"].is_null() { &alarm["device"] } else { &alarm["point"] });
    let shown: Vec<Vec<String>> = rows(answer)
        .iter()
        .filter(quiet)
        .map(|alarm| {
            let words = ["name", "state", "severity", "condition", "value", "since", "by", "message"];
            let mut row: Vec<String> = words.iter().map(|word| plain(&alarm[*word])).collect();
            row.insert(1, subject(alarm));
            row.push(note(alarm));
            row
        })
        .collect();
    let columns =
        ["ALARM", "POINT", "STATE", "SEVERITY", "CONDITION", "VALUE", "SINCE", "BY", "MESSAGE", "NOTE"];
    format!("{}{} of {} alarms\n", table(&columns, &shown), shown.len(), rows(answer).len())
}

/// What else is to be said of an alarm: that it chatters, with the offer to shelve it, and which groups it leads.
fn note(alarm: &Json) -> String {
    let mut notes: Vec<String> = Vec::new();
    if alarm["chattering"] == true {
        let offer =
            alarm["shelveOffer"].as_str().map(|time| format!(": shelve --for {}?", plain(&json!(time))));
        notes.push(format!("chattering{}", offer.unwrap_or_default()));
    }
    notes.extend(rows(&alarm["firstOf"]).iter().map(|group| format!("first of {}", plain(group))));
    notes.join(", ")
}

fn rates(answer: &Json) -> String {
    let figures = [
        ("alarms in 10 minutes", "last10Minutes"),
        ("alarms in an hour", "lastHour"),
        ("alarms in a day", "lastDay"),
        ("most in 10 minutes of that day", "peak10Minutes"),
        ("minutes of that day in floods", "floodedMinutes"),
        ("standing", "standing"),
        ("unacknowledged", "unacknowledged"),
        ("shelved", "shelved"),
        ("suppressed by design", "suppressed"),
        ("out of service", "outOfService"),
        ("chattering", "chattering"),
    ];
    let figures: Vec<Vec<String>> =
        figures.iter().map(|(words, key)| vec![(*words).to_owned(), plain(&answer[*key])]).collect();
    let frequent = rows(&answer["mostFrequent"]).iter();
    let frequent: Vec<Vec<String>> =
        frequent.map(|one| vec![plain(&one["alarm"]), plain(&one["count"])]).collect();
    let group = |group: &Json| {
        let first = &group["firstOut"];
        [&group["name"], &group["active"], &group["unacknowledged"], &first["alarm"], &first["at"]]
            .map(plain)
            .to_vec()
    };
    let groups: Vec<Vec<String>> = rows(&answer["groups"]).iter().map(group).collect();
    let mut parts = vec![table(&["FIGURE", "NOW"], &figures)];
    if !frequent.is_empty() {
        parts.push(table(&["MOST FREQUENT", "IN A DAY"], &frequent));
    }
    if !groups.is_empty() {
        parts.push(table(&["GROUP", "ACTIVE", "UNACKNOWLEDGED", "FIRST", "AT"], &groups));
    }
    parts.join("\n")
}

fn journal(answer: &Json) -> String {
    let words = ["id", "time", "alarm", "event", "from", "to", "condition", "value", "by", "comment"];
    let shown: Vec<Vec<String>> =
        rows(answer).iter().map(|entry| words.iter().map(|word| plain(&entry[*word])).collect()).collect();
    table(&["ID", "TIME", "ALARM", "EVENT", "FROM", "TO", "CONDITION", "VALUE", "BY", "COMMENT"], &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_normal_is_listed_unless_all_is_asked_for() {
        let answer = json!([
            {"name": "hot", "point": "press/t", "state": "active-unacknowledged", "severity": "high",
             "condition": "high", "value": 61.5, "since": "2026-11-21T08:00:00.000Z", "by": null, "message": "hot\u{7}"},
            {"name": "silent", "point": null, "device": "press", "state": "normal", "pending": false},
        ]);
        let some = alarms(&answer, false);
        assert!(
            some.contains("press/t") && !some.contains("silent") && some.ends_with("1 of 2 alarms\n"),
            "{some}"
        );
        assert!(!some.contains('\u{7}'));
        assert!(alarms(&answer, true).contains("press"));
    }
    #[test]
    fn what_chatters_and_what_came_first_is_noted() {
        let alarm = json!({"chattering": true, "shelveOffer": "1h", "firstOf": ["press", "oven"]});
        assert_eq!(note(&alarm), "chattering: shelve --for 1h?, first of press, first of oven");
        assert_eq!(note(&json!({"chattering": true, "shelveOffer": null})), "chattering");
        let answer = json!({
            "last10Minutes": 12, "mostFrequent": [{"alarm": "hot", "count": 9}],
            "groups": [{"name": "press", "active": 1, "unacknowledged": 2, "firstOut": null}],
        });
        let text = rates(&answer);
        assert!(
            text.contains("alarms in 10 minutes") && text.contains("hot") && text.contains("press"),
            "{text}"
        );
    }
}
