//! The API's answers to questions, and its routes (docs/api.md).
//!
//! Invariant: every refusal is JSON that names a stable code and says in words what to do.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::app::App;
use super::guard::{Hosts, guard};
use super::view::OutputView;
use super::{assets, bridges, command, events, mqtt};

/// All routes, behind the guard.
pub(super) fn router(app: Arc<App>, hosts: Hosts) -> Router {
    Router::new()
        .route("/api/v1/points", get(points))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/outputs", get(outputs))
        .route("/api/v1/alarms", get(alarms).post(super::alarms::operate))
        .route("/api/v1/alarms/journal", get(super::journal::journal))
        .route("/api/v1/alarms/rates", get(super::alarms::rates))
        .route("/api/v1/audit", get(super::audit::list))
        .route("/api/v1/bridges", get(bridges::list))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/command", post(command::command))
        .merge(mqtt::routes(&app))
        .route("/api/{*rest}", get(unknown))
        .route("/metrics", get(bridges::metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(get(assets::file))
        .with_state(app)
        .layer(middleware::from_fn_with_state(Arc::new(hosts), guard))
}

/// A request that is not served.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The stable code.
    pub(super) code: &'static str,
    /// What is wrong and how to mend it.
    pub(super) detail: Cow<'static, str>,
}

#[derive(Serialize)]
struct RefusalView<'a> {
    error: &'a str,
    detail: &'a str,
}

impl Refusal {
    /// A refusal with this status, code and explanation.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// The page is being shut down.
    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the gateway is shutting down")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let view = RefusalView { error: self.code, detail: &self.detail };
        (self.status, [(CACHE_CONTROL, "no-store")], Json(view)).into_response()
    }
}

/// An answer that is only true now.
pub(super) fn fresh(answer: impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn points(State(app): State<Arc<App>>) -> Response {
    fresh(app.state().points(&app))
}

async fn devices(State(app): State<Arc<App>>) -> Response {
    fresh(app.state().devices(&app))
}

async fn outputs(State(app): State<Arc<App>>) -> Response {
    let (status, points) = (app.context.commander.status(), app.context.commander.points());
    fresh(status.iter().map(|own| OutputView::new(own, points)).collect::<Vec<_>>())
}

async fn alarms(State(app): State<Arc<App>>) -> Response {
    fresh(app.alarm_views(&app.alarms()))
}

async fn status(State(app): State<Arc<App>>) -> Response {
    fresh(app.state().status(&app))
}

async fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not-found", "there is no such resource; docs/api.md lists them")
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    if (app.context.ready)() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}
