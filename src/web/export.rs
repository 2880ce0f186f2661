//! Journals page by page, and all of one as CSV.
//!
//! Absent: what the records say, and where they are kept. Invariant: an export holds one page in memory at a time,
//! and reads on only as fast as the client takes it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::api::Refusal;

/// How many records are told when nothing is said, and at most; an export reads so many at a time.
const DEFAULT_RECORDS: u32 = 100;
const MAX_RECORDS: u32 = 1_000;

/// A record of a journal.
pub(super) trait Record: Send + 'static {
    /// The name of the file that an export becomes.
    const FILE: &'static str;
    /// Its first line.
    const HEAD: &'static str;
    /// The code of a refusal when the journal cannot be read.
    const MISSING: &'static str;

    /// Its number; newer ones have greater ones.
    fn id(&self) -> i64;
    /// Writes it as a line of CSV.
    fn write(&self, out: &mut String);
}

/// Reads the newest records before the one with this number, at most so many. Waits for the disk.
pub(super) type Pages<R> = Arc<dyn Fn(Option<i64>, u32) -> Result<Vec<R>, String> + Send + Sync>;

/// Whether CSV is wanted, and the most records that are to be told: of an export without a limit all of them.
///
/// # Errors
/// The format is none.
pub(super) fn extent(format: Option<&str>, limit: Option<u32>) -> Result<(bool, u32), Refusal> {
    let csv = match format {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(wrong(format!("`{other}` is no format: use json or csv"))),
    };
    let all = if csv { u32::MAX } else { DEFAULT_RECORDS };
    let most = limit.map_or(all, |limit| limit.max(1));
    Ok((csv, if csv { most } else { most.min(MAX_RECORDS) }))
}

/// A moment that somebody wrote as RFC 3339, in microseconds since 1970.
///
/// # Errors
/// It is none.
pub(super) fn moment(name: &str, text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let moment = text.parse::<Timestamp>().map(|time| Some(time.as_microsecond()));
    moment.map_err(|_| wrong(format!("`{name}` is no time: write RFC 3339, such as 2026-11-21T08:00:00Z")))
}

/// A refusal of what was asked.
pub(super) fn wrong(detail: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad-request", detail)
}

/// Reads one page.
///
/// # Errors
/// The journal cannot be read.
pub(super) async fn read<R: Record>(
    pages: &Pages<R>,
    before: Option<i64>,
    most: u32,
) -> Result<Vec<R>, Refusal> {
    let (pages, most) = (Arc::clone(pages), most.min(MAX_RECORDS));
    let refuse = |why: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, R::MISSING, why);
    let read = tokio::task::spawn_blocking(move || pages(before, most)).await;
    read.map_err(|error| refuse(error.to_string()))?.map_err(refuse)
}

/// What an export has come to.
struct Export<R> {
    pages: Pages<R>,
    /// How many records may still come.
    left: u32,
    /// What is read but not sent; empty when there is no more.
    records: Vec<R>,
    text: String,
}

/// The records as CSV, the first page of which is read.
pub(super) fn csv<R: Record>(pages: Pages<R>, records: Vec<R>, left: u32) -> Response {
    let export = Export { pages, left, records, text: R::HEAD.to_owned() };
    let pages = futures_util::stream::try_unfold(Some(export), |export| async {
        let Some(mut export) = export else { return Ok::<_, String>(None) };
        let mut before = None;
        for record in export.records.drain(..) {
            record.write(&mut export.text);
            before = Some(record.id());
            export.left -= 1;
        }
        let text = std::mem::take(&mut export.text);
        if export.left > 0 && before.is_some() {
            // A failure in the middle breaks the connection off, so that nobody takes a part for the whole.
            let next = read(&export.pages, before, export.left).await;
            export.records = next.map_err(|why| why.detail.into_owned())?;
        }
        let more = (!export.records.is_empty()).then_some(export);
        Ok(Some((text, more)))
    });
    let head = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", R::FILE)),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (head, Body::from_stream(pages)).into_response()
}
