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
use crate::model::units::Period;

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
        /// How many events, at most 1000.
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u32,
        /// Only those before the event with this id.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
    },
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
        Some(Action::Journal { alarm, limit, before }) => {
            let mut path = format!("/api/v1/alarms/journal?limit={limit}");
            if let Some(alarm) = alarm {
                path.push_str(&format!("&alarm={}", encode(alarm)));
            }
            if let Some(before) = before {
                path.push_str(&format!("&before={before}"));
            }
            understand(&place.get(&path)?)?
        }
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
        Some(_) => alarms(&answer, true),
    })
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
            row
        })
        .collect();
    let columns = ["ALARM", "POINT", "STATE", "SEVERITY", "CONDITION", "VALUE", "SINCE", "BY", "MESSAGE"];
    format!("{}{} of {} alarms\n", table(&columns, &shown), shown.len(), rows(answer).len())
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
}
