//! `iogate audit`: who changed what, from a running gateway's API or from the file itself.
//!
//! The chain is verified here, record by record, and not believed. Absent: any way to change a record.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use super::Exit;
use super::mqtt::http::{Place, encode};
use super::mqtt::table::{plain, table};
use super::mqtt::{Failure, place, report, understand};
use crate::audit::chain::Walk;
use crate::audit::store;
use crate::model::units::count;
use crate::model::{AuditAnchor, AuditPage, AuditQuery, AuditRecord};

/// What `audit` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration of the running gateway; only where its web page listens is looked at.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the gateway's web page is, instead of what the configuration says.
    #[arg(long, value_name = "http://HOST:PORT", global = true, conflicts_with = "config")]
    url: Option<String>,
    /// Read the file of a gateway that need not run, such as /var/lib/iogate/audit.sqlite.
    #[arg(long, value_name = "FILE", global = true, conflicts_with_all = ["config", "url"])]
    file: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List records, the newest first.
    List {
        /// Of this output only.
        subject: Option<String>,
        /// Only those whose origin holds this text.
        #[arg(long, value_name = "TEXT")]
        origin: Option<String>,
        /// Only those of this moment (RFC 3339) and later.
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Only those before this moment.
        #[arg(long, value_name = "TIME")]
        to: Option<Timestamp>,
        /// How many, at most 1000.
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u32,
        /// Only those before the record with this id.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Verify that no record was changed, removed or put in.
    Verify {
        /// A record that was noted before, as `verify` prints it: it must still be there.
        #[arg(long, value_name = "ID:HASH")]
        known: Option<String>,
    },
    /// Print all records, the oldest first.
    Export {
        /// As CSV (RFC 4180), the only form so far.
        #[arg(long, required = true)]
        csv: bool,
    },
}

/// Where records come from.
enum Source {
    Api(Place),
    File(PathBuf),
}

/// Does one thing and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let source = match &arguments.file {
        Some(file) => Ok(Source::File(file.clone())),
        None => place(arguments.config.as_deref(), arguments.url.as_deref()).map(Source::Api),
    };
    report(source.and_then(|source| act(&source, &arguments.action)))
}

fn act(source: &Source, action: &Action) -> Result<String, Failure> {
    match action {
        Action::List { subject, origin, from, to, limit, before, json } => {
            let query = AuditQuery {
                subject: subject.clone(),
                origin: origin.clone(),
                before: *before,
                from_us: from.map(Timestamp::as_microsecond),
                to_us: to.map(Timestamp::as_microsecond),
                limit: *limit,
            };
            let page = source.page(&query)?;
            match json {
                true => serde_json::to_string_pretty(&page.records)
                    .map(|text| text + "\n")
                    .map_err(|error| Failure::Refused(error.to_string())),
                false => Ok(list(&page)),
            }
        }
        Action::Verify { known } => {
            let known = known.as_deref().map(noted).transpose()?;
            verify(&source.all()?, known)
        }
        Action::Export { .. } => Ok(csv(&source.all()?.records)),
    }
}

impl Source {
    fn page(&self, query: &AuditQuery) -> Result<AuditPage, Failure> {
        match self {
            Self::File(path) => store::read(path, query)
                .map_err(|error| Failure::Refused(format!("{}: {error}", path.display()))),
            Self::Api(place) => {
                let mut path = format!("/api/v1/audit?limit={}", query.limit);
                let moment = |unix_us: Option<i64>| unix_us.map(time);
                let words = [
                    ("subject", query.subject.clone()),
                    ("origin", query.origin.clone()),
                    ("from", moment(query.from_us)),
                    ("to", moment(query.to_us)),
                ];
                for (key, word) in words {
                    let _ = word.map(|word| write!(path, "&{key}={}", encode(&word)));
                }
                let _ = query.before.map(|before| write!(path, "&before={before}"));
                let answer = understand(&place.get(&path)?)?;
                serde_json::from_value(answer).map_err(|error| {
                    Failure::Refused(format!(
                        "the answer is not understood ({error}); is it another version of iogate?"
                    ))
                })
            }
        }
    }

    /// Everything that is kept, the oldest first, with the anchor that it hangs on.
    fn all(&self) -> Result<AuditPage, Failure> {
        let mut query = AuditQuery { limit: store::MAX_READ, ..AuditQuery::default() };
        let mut all: Vec<AuditRecord> = Vec::new();
        loop {
            let page = self.page(&query)?;
            let oldest = page.records.last().map(|record| record.id);
            all.extend(page.records);
            match oldest {
                Some(oldest) if oldest > page.anchor.id + 1 => query.before = Some(oldest),
                _ => {
                    // What was cut while the pages came is no longer part of the chain.
                    all.retain(|record| record.id > page.anchor.id);
                    all.reverse();
                    return Ok(AuditPage { anchor: page.anchor, dropped: page.dropped, records: all });
                }
            }
        }
    }
}

fn noted(text: &str) -> Result<AuditAnchor, Failure> {
    let wrong = || Failure::Refused(format!("--known {text}: write it as `verify` prints it, ID:HASH"));
    let (id, hash) = text.split_once(':').ok_or_else(wrong)?;
    let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = id.parse().ok().filter(|_| hex).ok_or_else(wrong)?;
    Ok(AuditAnchor { id, hash: hash.to_ascii_lowercase() })
}

fn verify(all: &AuditPage, known: Option<AuditAnchor>) -> Result<String, Failure> {
    let mut walk = Walk::new(all.anchor.clone(), known);
    let broken = |why: crate::audit::chain::Broken| Failure::Refused(format!("the chain is broken: {why}"));
    for record in &all.records {
        walk.step(record).map_err(broken)?;
    }
    let end = walk.end().map_err(broken)?;
    let mut text =
        format!("{} verify, from {} to {}", count(all.records.len(), "record"), all.anchor.id + 1, end.id);
    let told = |kind: &str| all.records.iter().filter(|record| record.kind == kind).count();
    for (kind, what) in [("gap", "gap"), ("break", "break")] {
        if told(kind) > 0 {
            let _ = write!(text, ", {} declared", count(told(kind), what));
        }
    }
    let _ = writeln!(text, "\nto be noted elsewhere: {}:{}", end.id, end.hash);
    Ok(text)
}

fn time(unix_us: i64) -> String {
    format!("{:.3}", Timestamp::from_microsecond(unix_us).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn columns(record: &AuditRecord) -> [String; 10] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.id.to_string(),
        time(record.unix_us),
        record.clock.word().to_owned(),
        record.kind.clone(),
        record.origin.clone(),
        record.subject.clone(),
        text(&record.old),
        text(&record.new),
        record.outcome.clone(),
        text(&record.detail),
    ]
}

fn list(page: &AuditPage) -> String {
    let safe = |text: String| plain(&text.into());
    let rows: Vec<Vec<String>> =
        page.records.iter().map(|record| columns(record).into_iter().map(safe).collect()).collect();
    let head = ["ID", "TIME", "CLOCK", "KIND", "ORIGIN", "SUBJECT", "OLD", "NEW", "OUTCOME", "DETAIL"];
    table(&head, &rows)
}

fn csv(records: &[AuditRecord]) -> String {
    let mut out = AuditRecord::CSV_HEAD.to_owned();
    records.iter().for_each(|record| record.write_csv(&time(record.unix_us), &mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_has_an_id_and_a_hash() {
        let hash = "a".repeat(64);
        assert_eq!(noted(&format!("7:{hash}")).unwrap(), AuditAnchor { id: 7, hash });
        for wrong in ["7", "7:xyz", ":", "x:aa"] {
            assert!(noted(wrong).is_err(), "{wrong}");
        }
    }
}
