//! `/api/v1/mqtt/…`: the clients, sessions and retained messages of the embedded broker.
//!
//! Absent: what kicking or clearing means, which the broker knows. Invariants: nothing here is answered where
//! commands are not taken, since it shows who is connected and what others keep; every change is logged with
//! who asked for it.

mod clients;
mod retained;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use super::api::Refusal;
use super::app::App;
use super::body;
use super::command::origin;
use super::server::Peer;

/// The most entries of one answer.
const MAX_LIMIT: usize = 500;

/// How many entries an answer has when the request does not say.
const DEFAULT_LIMIT: usize = 100;

/// The longest part of a program's name that is logged, in characters.
const MAX_AGENT: usize = 64;

/// The routes. The caller gives them the state that their gate needs.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/mqtt/clients", get(clients::list))
        .route("/api/v1/mqtt/client", get(clients::one))
        .route("/api/v1/mqtt/kick", post(clients::kick))
        .route("/api/v1/mqtt/clear-session", post(clients::clear))
        .route("/api/v1/mqtt/retained", get(retained::list))
        .route("/api/v1/mqtt/retained/delete", post(retained::delete))
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate))
}

/// Lets only those in who may also send commands.
async fn gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.control {
        return next.run(request).await;
    }
    Refusal::new(
        StatusCode::FORBIDDEN,
        "control-disabled",
        "MQTT clients are not shown here: the page does not listen on a loopback address, or `web: control: false` is configured; `web: control: true` permits it to everyone who reaches the page",
    )
    .into_response()
}

/// Who asks, for the log.
struct Asker {
    by: Arc<str>,
    agent: String,
}

impl Asker {
    fn new(Extension(Peer(peer)): Extension<Peer>, headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { by: origin(peer), agent: agent.chars().take(MAX_AGENT).collect() }
    }
}

/// The query of a request, or what is wrong with it.
fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    query.map(|Query(query)| query).map_err(|rejection| bad_request(rejection.body_text()))
}

/// The body of a request that changes something.
async fn body<T: DeserializeOwned>(request: Request, form: &'static str) -> Result<T, Refusal> {
    let body = body::json(request).await?;
    serde_json::from_slice(&body).map_err(|error| bad_request(format!("expected {form}: {error}")))
}

fn bad_request(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request", detail)
}

/// How many entries to answer with.
fn limit(wanted: Option<usize>) -> usize {
    wanted.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
}
