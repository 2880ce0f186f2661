//! `GET /api/v1/alarms/journal`: what has happened to the alarms, page by page, or all of it as CSV.
//!
//! Absent: the journal itself.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::api::{Refusal, fresh};
use super::app::App;
use super::export::{self, Pages, Record, extent, moment, wrong};
use super::view::rfc3339;
use crate::model::{AlarmChange, AlarmJournal, AlarmQuery, AlarmRecord};

/// What is wanted of the journal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalQuery {
    alarm: Option<String>,
    event: Option<String>,
    /// RFC 3339; events of this moment and later.
    from: Option<String>,
    /// RFC 3339; events before it.
    to: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
    /// `json` or `csv`.
    format: Option<String>,
}

#[derive(Serialize)]
struct RecordView {
    /// RFC 3339.
    time: String,
    #[serde(flatten)]
    record: AlarmRecord,
}

impl Record for AlarmRecord {
    const FILE: &'static str = "alarms.csv";
    const HEAD: &'static str = Self::CSV_HEAD;
    const MISSING: &'static str = "no-journal";

    fn id(&self) -> i64 {
        self.id
    }

    fn write(&self, out: &mut String) {
        self.write_csv(&rfc3339(self.unix_us), out);
    }
}

/// What has happened to the alarms, the newest first.
pub(super) async fn journal(
    State(app): State<Arc<App>>,
    Query(asked): Query<JournalQuery>,
) -> Result<Response, Refusal> {
    let (csv, most) = extent(asked.format.as_deref(), asked.limit)?;
    let query = asked.understood()?;
    let before = query.before;
    let pages = pages(Arc::clone(&app.context.alarm_journal), query);
    let records = export::read(&pages, before, most).await?;
    if csv {
        return Ok(export::csv(pages, records, most));
    }
    let view = |record: AlarmRecord| RecordView { time: rfc3339(record.unix_us), record };
    Ok(fresh(records.into_iter().map(view).collect::<Vec<_>>()))
}

fn pages(journal: AlarmJournal, query: AlarmQuery) -> Pages<AlarmRecord> {
    Arc::new(move |before, limit| journal(&AlarmQuery { before, limit, ..query.clone() }))
}

impl JournalQuery {
    fn understood(self) -> Result<AlarmQuery, Refusal> {
        if let Some(event) = &self.event
            && !AlarmChange::ALL.iter().any(|change| change.word() == event)
        {
            return Err(wrong(format!("`{event}` is no kind of event")));
        }
        Ok(AlarmQuery {
            alarm: self.alarm,
            event: self.event,
            before: self.before,
            from_us: moment("from", self.from.as_deref())?,
            to_us: moment("to", self.to.as_deref())?,
            limit: 0,
        })
    }
}
