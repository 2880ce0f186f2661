//! `POST /api/v1/alarms`: what people want of alarms, from the page, the command line or a program; and
//! `GET /api/v1/alarms/rates`: how many there are.
//!
//! Absent on purpose: what has a meaning in which state, which the alarms know. Invariant: a request is
//! passed on only after all of it has been read and understood.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::api::{Refusal, fresh};
use super::app::App;
use super::command::{acting, origin};
use super::server::Peer;
use super::view::OverviewView;
use crate::model::units::Period;
use crate::model::{AlarmOrder, AlarmRefusal, AlarmTarget};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    alarm: Option<String>,
    group: Option<String>,
    action: String,
    r#for: Option<Period>,
    user: Option<String>,
    comment: Option<String>,
}

/// How many alarms there are and were, and how their groups stand.
pub(super) async fn rates(State(app): State<Arc<App>>) -> Response {
    fresh(OverviewView::new(&(app.context.alarm_overview)(), (app.context.notifiers)()))
}

/// Takes a request and answers with how the alarms stand after it.
pub(super) async fn operate(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let body = acting(&app, request).await?;
    let wrong = |detail: String| Refusal::new(StatusCode::BAD_REQUEST, "bad-request", detail);
    let body: Body = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let target = match (body.alarm, body.group) {
        (Some(alarm), None) => AlarmTarget::Alarm(alarm),
        (None, Some(group)) => AlarmTarget::Group(group),
        _ => return Err(wrong("name either an `alarm` or a `group`".into())),
    };
    let order = AlarmOrder { action: body.action, r#for: body.r#for, user: body.user, comment: body.comment };
    let request = order.request(target, &format!("web page from {}", origin(peer))).map_err(wrong)?;
    match (app.context.alarm_operator)(request).await {
        Ok(alarms) => Ok(fresh(app.alarm_views(&alarms))),
        Err(refusal) => Err(refuse(&refusal)),
    }
}

fn refuse(refusal: &AlarmRefusal) -> Refusal {
    let (status, code) = match refusal {
        AlarmRefusal::Unknown(_) => (StatusCode::NOT_FOUND, "no-such-alarm"),
        AlarmRefusal::State(_) => (StatusCode::CONFLICT, "no-meaning-now"),
        AlarmRefusal::Request(_) => (StatusCode::BAD_REQUEST, "bad-request"),
        AlarmRefusal::NotStored(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not-stored"),
    };
    Refusal::new(status, code, refusal.to_string())
}
