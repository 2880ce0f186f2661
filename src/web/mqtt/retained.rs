//! The retained messages of the broker: looking at them and deleting them by filter.
//!
//! Invariant: a trial run deletes nothing and counts what a deletion would.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Asker, body, limit, query};
use crate::broker::{InvalidTopic, RetainedInfo};
use crate::web::api::{Refusal, fresh};
use crate::web::app::App;
use crate::web::server::Peer;

/// Bytes of a payload that are shown.
const PREVIEW_BYTES: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default = "everything")]
    filter: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ListView {
    filter: String,
    matched: usize,
    bytes: u64,
    offset: usize,
    messages: Vec<MessageView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageView {
    topic: String,
    bytes: usize,
    /// The payload's beginning; `None` when it is not text.
    preview: Option<String>,
    qos: u8,
    age_seconds: u64,
    expires_seconds: Option<u64>,
    publisher: Arc<str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Deletion {
    filter: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedView<'a> {
    filter: &'a str,
    deleted: usize,
    dry_run: bool,
}

fn everything() -> String {
    "#".to_owned()
}

/// `GET /api/v1/mqtt/retained`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    parameters: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let ListQuery { filter, offset, limit: wanted } = query(parameters)?;
    let mqtt = app.context.mqtt.clone();
    let (filter, page) = aside(move || {
        let page = mqtt.retained(&filter, offset, limit(wanted), PREVIEW_BYTES);
        (filter, page)
    })
    .await?;
    let page = page.map_err(|invalid| no_filter(&invalid))?;
    let messages = page.messages.into_iter().map(MessageView::new).collect();
    Ok(fresh(ListView { filter, matched: page.matched, bytes: page.bytes, offset, messages }))
}

/// `POST /api/v1/mqtt/retained/delete`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    peer: Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let Asker { by, agent } = Asker::new(peer, request.headers());
    let Deletion { filter, dry_run } = body(request, "{\"filter\": \"a/#\", \"dryRun\": true}").await?;
    let mqtt = app.context.mqtt.clone();
    let (filter, deleted) = aside(move || {
        let deleted = match dry_run {
            true => mqtt.retained(&filter, 0, 0, 0).map(|page| page.matched),
            false => mqtt.delete_retained(&filter),
        };
        (filter, deleted)
    })
    .await?;
    let deleted = deleted.map_err(|invalid| no_filter(&invalid))?;
    if !dry_run {
        tracing::info!(filter, deleted, %by, agent, "retained messages deleted by the operator");
    }
    Ok(fresh(DeletedView { filter: &filter, deleted, dry_run }))
}

/// Looking through a hundred thousand messages takes its time, and this thread serves MQTT clients, too.
async fn aside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let detail = "the retained messages could not be looked through; the log says why";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })
}

fn no_filter(invalid: &InvalidTopic) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-filter", invalid.to_string())
}

impl MessageView {
    fn new(message: RetainedInfo) -> Self {
        Self {
            preview: text(&message.preview, message.bytes),
            topic: message.topic,
            bytes: message.bytes,
            qos: message.qos as u8,
            age_seconds: message.age.as_secs(),
            expires_seconds: message.expires.map(|left| left.as_secs()),
            publisher: message.publisher,
        }
    }
}

/// The beginning of a payload as text; a character that the cut went through is left out.
fn text(preview: &[u8], whole: usize) -> Option<String> {
    let cut = preview.len() < whole;
    let valid = match std::str::from_utf8(preview) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&preview[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    Some(if cut { format!("{valid}…") } else { valid.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_text_or_nothing() {
        assert_eq!(text(b"on", 2).as_deref(), Some("on"));
        assert_eq!(text(b"long", 9).as_deref(), Some("long…"));
        assert_eq!(text("ab°".as_bytes(), 4).as_deref(), Some("ab°"));
        assert_eq!(text(&"ab°".as_bytes()[..3], 4).as_deref(), Some("ab…"));
        assert_eq!(text(&[0xff, 0x00], 2), None);
        assert_eq!(text(&[0xc2], 1), None);
    }
}
