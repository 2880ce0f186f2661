//! `/api/v1/bridges`: the links to upstream brokers; and `/metrics`, with the devices and outputs beside them.
//!
//! Absent: changing them. Invariant: a slow disk holds up no other request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::api::{Refusal, fresh};
use super::app::App;
use super::audit::audit_metrics;
use super::view::{self, BridgeView};

/// `GET /api/v1/bridges`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    Ok(fresh(look(&app).await?))
}

/// `GET /metrics`, in the text form of Prometheus.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let (bridges, commander) = (look(&app).await?, &app.context.commander);
    let (outputs, interlocks) = (commander.status(), commander.interlocks());
    let control = view::output_metrics(&outputs, &interlocks, &commander.counts(), commander.points());
    let text = view::metrics(&bridges) + &view::notice_metrics(&app.context.channels) + &control;
    let text = text + &view::flood_metrics(&(app.context.alarm_overview)().figures);
    let text = text + &view::notifier_metrics(&(app.context.notifiers)());
    let text = text + &audit_metrics((app.context.audit_dropped)());
    let head = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    Ok((head, text).into_response())
}

async fn look(app: &App) -> Result<Vec<BridgeView>, Refusal> {
    let bridges = Arc::clone(&app.context.bridges);
    let failed = |_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            "the bridges could not be looked at; see the log",
        )
    };
    tokio::task::spawn_blocking(move || bridges()).await.map_err(failed)
}
