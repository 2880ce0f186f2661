//! `GET /api/v1/audit`: who changed what, for those who may send commands.
//!
//! Absent on purpose: any way to change a record.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::api::{Refusal, fresh};
use super::app::App;
use super::view::rfc3339;
use crate::model::{AuditAnchor, AuditQuery, AuditRecord};

/// How many records are told when nothing is said, and at most.
const DEFAULT_RECORDS: u32 = 100;
const MAX_RECORDS: u32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    subject: Option<String>,
    origin: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
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
    let reader = Arc::clone(&app.context.audit);
    let query = AuditQuery {
        subject: wanted.subject,
        origin: wanted.origin,
        before: wanted.before,
        limit: wanted.limit.unwrap_or(DEFAULT_RECORDS).clamp(1, MAX_RECORDS),
    };
    let read = tokio::task::spawn_blocking(move || reader(&query)).await;
    let refuse = |why: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no-audit", why);
    let page = read.map_err(|error| refuse(error.to_string()))?.map_err(refuse)?;
    let view = |record: AuditRecord| RecordView { time: rfc3339(record.unix_us), record };
    let records = page.records.into_iter().map(view).collect();
    Ok(fresh(PageView { anchor: page.anchor, dropped: page.dropped, records }))
}
