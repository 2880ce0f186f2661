//! `GET /api/v1/alarms/journal`: what has happened to the alarms, page by page, or all of it as CSV.
//!
//! Absent: the journal itself. Invariant: an export holds one page of the journal in memory at a time, and reads on
//! only as fast as the client takes it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::api::{Refusal, fresh};
use super::app::App;
use super::view::rfc3339;
use crate::model::{AlarmChange, AlarmJournal, AlarmQuery, AlarmRecord};

/// How many events are told when nothing is said, and at most; an export reads so many at a time.
const DEFAULT_ENTRIES: u32 = 100;
const MAX_ENTRIES: u32 = 1_000;

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

/// What has happened to the alarms, the newest first.
pub(super) async fn journal(
    State(app): State<Arc<App>>,
    Query(asked): Query<JournalQuery>,
) -> Result<Response, Refusal> {
    let journal = Arc::clone(&app.context.alarm_journal);
    let csv = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(wrong(format!("`{other}` is no format: use json or csv"))),
    };
    // An export without a limit is all of it.
    let most = asked.limit.map_or(if csv { u32::MAX } else { DEFAULT_ENTRIES }, |limit| limit.max(1));
    let query = AlarmQuery { limit: most.min(MAX_ENTRIES), ..asked.understood()? };
    let records = read(&journal, &query).await?;
    if csv {
        return Ok(export(journal, query, records, most));
    }
    let view = |record: AlarmRecord| RecordView { time: rfc3339(record.unix_us), record };
    Ok(fresh(records.into_iter().map(view).collect::<Vec<_>>()))
}

fn wrong(detail: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad-request", detail)
}

impl JournalQuery {
    fn understood(self) -> Result<AlarmQuery, Refusal> {
        let moment = |name: &str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => text.parse::<Timestamp>().map(|time| Some(time.as_microsecond())).map_err(|_| {
                wrong(format!("`{name}` is no time: write RFC 3339, such as 2026-11-21T08:00:00Z"))
            }),
        };
        if let Some(event) = &self.event
            && !AlarmChange::ALL.iter().any(|change| change.word() == event)
        {
            return Err(wrong(format!("`{event}` is no kind of event")));
        }
        Ok(AlarmQuery {
            alarm: self.alarm,
            event: self.event,
            before: self.before,
            from_us: moment("from", self.from)?,
            to_us: moment("to", self.to)?,
            limit: 0,
        })
    }
}

async fn read(journal: &AlarmJournal, query: &AlarmQuery) -> Result<Vec<AlarmRecord>, Refusal> {
    let (journal, query) = (Arc::clone(journal), query.clone());
    let read = tokio::task::spawn_blocking(move || journal(&query)).await;
    let refuse = |why: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no-journal", why);
    read.map_err(|error| refuse(error.to_string()))?.map_err(refuse)
}

/// What an export has come to.
struct Export {
    journal: AlarmJournal,
    query: AlarmQuery,
    /// How many events may still come.
    left: u32,
    /// What is read but not sent; empty when there is no more.
    records: Vec<AlarmRecord>,
    text: String,
}

fn export(journal: AlarmJournal, query: AlarmQuery, records: Vec<AlarmRecord>, left: u32) -> Response {
    let export = Export { journal, query, left, records, text: AlarmRecord::CSV_HEAD.to_owned() };
    let pages = futures_util::stream::try_unfold(Some(export), |export| async {
        let Some(mut export) = export else { return Ok::<_, String>(None) };
        for record in export.records.drain(..) {
            record.write_csv(&rfc3339(record.unix_us), &mut export.text);
            export.query.before = Some(record.id);
            export.left -= 1;
        }
        let text = std::mem::take(&mut export.text);
        export.query.limit = export.left.min(MAX_ENTRIES);
        if export.left > 0 {
            // A failure in the middle breaks the connection off, so that nobody takes a part for the whole.
            export.records =
                read(&export.journal, &export.query).await.map_err(|why| why.detail.into_owned())?;
        }
        let more = (!export.records.is_empty()).then_some(export);
        Ok(Some((text, more)))
    });
    let head = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"alarms.csv\""),
        (CACHE_CONTROL, "no-store"),
    ];
    (head, Body::from_stream(pages)).into_response()
}
