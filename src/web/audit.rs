//! `GET /api/v1/audit`: who changed what, for those who may send commands, page by page or all of it as CSV.
//!
//! Absent on purpose: any way to change a record.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::api::{Refusal, fresh};
use super::app::App;
use super::export::{self, Pages, Record, extent, moment};
use super::view::rfc3339;
use crate::model::{AuditAnchor, AuditQuery, AuditReader, AuditRecord};

/// What is wanted of the log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    subject: Option<String>,
    origin: Option<String>,
    /// RFC 3339; records of this moment and later.
    from: Option<String>,
    /// RFC 3339; records before it.
    to: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
    /// `json` or `csv`.
    format: Option<String>,
}

#[derive(Serialize)]
struct PageView {
    anchor: AuditAnchor,
    dropped: u64,
    records: Vec<RecordView>,
}

#[derive(Serialize)]
struct RecordView {
    /// RFC 3339.
    time: String,
    #[serde(flatten)]
    record: AuditRecord,
}

impl Record for AuditRecord {
    const FILE: &'static str = "audit.csv";
    const HEAD: &'static str = Self::CSV_HEAD;
    const MISSING: &'static str = "no-audit";

    fn id(&self) -> i64 {
        self.id
    }

    fn write(&self, out: &mut String) {
        self.write_csv(&rfc3339(self.unix_us), out);
    }
}

/// What was changed, the newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    if !app.control {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "control-disabled",
            "the audit log is not shown here: the page does not listen on a loopback address, or `web: control: false` is configured; `web: control: true` permits it to everyone who reaches the page",
        ));
    }
    let (csv, most) = extent(wanted.format.as_deref(), wanted.limit)?;
    let query = AuditQuery {
        from_us: moment("from", wanted.from.as_deref())?,
        to_us: moment("to", wanted.to.as_deref())?,
        subject: wanted.subject,
        origin: wanted.origin,
        before: wanted.before,
        limit: most,
    };
    let reader = Arc::clone(&app.context.audit);
    if csv {
        let pages = pages(reader, query);
        let records = export::read(&pages, wanted.before, most).await?;
        return Ok(export::csv(pages, records, most));
    }
    let read = tokio::task::spawn_blocking(move || reader(&query)).await;
    let refuse = |why: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, AuditRecord::MISSING, why);
    let page = read.map_err(|error| refuse(error.to_string()))?.map_err(refuse)?;
    let view = |record: AuditRecord| RecordView { time: rfc3339(record.unix_us), record };
    let records = page.records.into_iter().map(view).collect();
    Ok(fresh(PageView { anchor: page.anchor, dropped: page.dropped, records }))
}

fn pages(reader: AuditReader, query: AuditQuery) -> Pages<AuditRecord> {
    Arc::new(move |before, limit| {
        reader(&AuditQuery { before, limit, ..query.clone() }).map(|page| page.records)
    })
}

/// How many records were lost, in Prometheus' text form (0.0.4).
#[must_use]
pub(super) fn audit_metrics(dropped: u64) -> String {
    let mut out = String::from(
        "# HELP iogate_audit_dropped_total Records of the audit log that were lost because the disk did not keep up.\n# TYPE iogate_audit_dropped_total counter\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, "iogate_audit_dropped_total {dropped}");
    out
}
