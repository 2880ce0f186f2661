//! `POST /api/v1/command`: a setpoint from the page or a program to the arbiter, and the outcome back.
//!
//! Absent on purpose: ranges, ownership and read-back, which are the arbiter's. Invariant: a command is
//! submitted only after the whole request has been read and understood.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::api::{Refusal, fresh};
use super::app::App;
use super::body;
use super::server::Peer;
use crate::command::{Command, DEFAULT_DEADLINE, MAX_DEADLINE};
use crate::model::{Origin, Outcome, Point, PointTable, Value, ValueKind};

/// How long after its deadline a command's outcome is waited for: a write that began in time may still
/// have to be answered by a slow device and read back.
const OUTCOME_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandBody {
    /// `device/point`, or the point's full topic.
    point: String,
    #[serde(default)]
    value: serde_json::Value,
    /// Lets go of what the asker holds, in the place of a value.
    #[serde(default)]
    release: bool,
    /// For how many seconds the output is to be held.
    #[serde(rename = "for")]
    lasts: Option<f64>,
    /// Seconds in which the write must have begun.
    timeout: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeView<'a> {
    id: u64,
    point: &'a str,
    outcome: &'static str,
    succeeded: bool,
    detail: String,
    read_back: Option<&'a Value>,
}

#[derive(Debug, Serialize)]
struct ReleasedView<'a> {
    point: &'a str,
    released: bool,
}

/// What a request asks of an output.
#[derive(Debug, PartialEq)]
enum Asked {
    Set(Value, Option<Duration>),
    Release,
}

/// Takes a command and answers with what became of it.
pub(super) async fn command(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let body = acting(&app, request).await?;
    let points = app.context.commander.points();
    let (point, asked, patience) = understand(&body, points)?;
    let origin = Origin::Web(origin(peer));
    let Asked::Set(setpoint, lasts) = asked else {
        let released = app.context.commander.let_go(point.id, &origin);
        let conflict = |reason: String| Refusal::new(StatusCode::CONFLICT, "not-held", reason);
        return released
            .map(|()| fresh(ReleasedView { point: &point.name, released: true }))
            .map_err(conflict);
    };
    let deadline = app.context.clock.mono() + patience;
    let command = Command { point: point.id, setpoint, origin, deadline, lasts };
    let ticket = app.context.commander.give(command, |_| {});
    let id = ticket.id.0;
    let Ok(outcome) = timeout(patience + OUTCOME_GRACE, ticket.outcome()).await else {
        let detail = format!("command {id} began in time but its outcome is still unknown; watch the point");
        return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "no-outcome", detail));
    };
    let read_back = match &outcome {
        Outcome::Verified { read_back } | Outcome::Mismatch { read_back } => Some(read_back),
        _ => None,
    };
    let view = OutcomeView {
        id,
        point: &point.name,
        outcome: outcome.code(),
        succeeded: outcome.succeeded(),
        detail: outcome.to_string(),
        read_back,
    };
    Ok(fresh(view))
}

/// The JSON text of a request that acts, where the page may act.
///
/// # Errors
/// It may not, or [`body::json`] refuses the body.
pub(super) async fn acting(app: &App, request: Request) -> Result<Vec<u8>, Refusal> {
    if app.control {
        return body::json(request).await;
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "control-disabled",
        "the page may not send commands: it does not listen on a loopback address, or `web: control: false` is configured; `web: control: true` permits them to everyone who reaches the page",
    ))
}

pub(super) fn origin(peer: IpAddr) -> Arc<str> {
    peer.to_canonical().to_string().into()
}

/// What the request asks for: which point, what of it, how long it may wait.
fn understand<'a>(body: &[u8], points: &'a PointTable) -> Result<(&'a Point, Asked, Duration), Refusal> {
    let wrong = |detail: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-command", detail);
    let body: CommandBody = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("expected {{\"point\": \"device/point\", \"value\": …}}: {error}")))?;
    let point = points.by_name(&body.point).or_else(|| points.by_topic(&body.point)).ok_or_else(|| {
        let detail = format!("there is no point `{}`; /api/v1/points lists them", body.point);
        Refusal::new(StatusCode::NOT_FOUND, "unknown-point", detail)
    })?;
    let patience = match body.timeout {
        None => DEFAULT_DEADLINE,
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|patience| !patience.is_zero() && *patience <= MAX_DEADLINE)
            .ok_or_else(|| {
                wrong(format!("`timeout` is in seconds, above 0 and at most {}", MAX_DEADLINE.as_secs()))
            })?,
    };
    let lasts = match body.lasts {
        None => None,
        Some(seconds) => {
            let lasts = Duration::try_from_secs_f64(seconds).ok().filter(|lasts| !lasts.is_zero());
            Some(lasts.ok_or_else(|| wrong("`for` is in seconds, above 0".into()))?)
        }
    };
    if body.release {
        return match (&body.value, lasts) {
            (serde_json::Value::Null, None) => Ok((point, Asked::Release, patience)),
            _ => Err(wrong("`release` stands alone: it lets go of the output".into())),
        };
    }
    let setpoint = setpoint(&body.value, point.kind).map_err(wrong)?;
    Ok((point, Asked::Set(setpoint, lasts), patience))
}

/// A JSON value as a setpoint of this kind. Text is read as people write it: `"on"`, `"0x10"`.
fn setpoint(json: &serde_json::Value, kind: ValueKind) -> Result<Value, String> {
    match json {
        serde_json::Value::String(text) => Value::parse(text, kind),
        serde_json::Value::Bool(on) => Value::parse(if *on { "true" } else { "false" }, kind),
        serde_json::Value::Number(number) => number_setpoint(number, kind),
        _ => Err("`value` is true, false, a number or a text".into()),
    }
}

/// Whole numbers may be written `21.0`; a digital output takes 0 and 1.
fn number_setpoint(number: &serde_json::Number, kind: ValueKind) -> Result<Value, String> {
    /// Above this a real number no longer names one whole number (2^53).
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(real)
            if number.is_f64() && kind != ValueKind::Float && real.fract() == 0.0 && real.abs() <= EXACT =>
        {
            Value::parse(&(real as i64).to_string(), kind)
        }
        _ => Value::parse(&number.to_string(), kind),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::point::tests::point;

    #[test]
    fn json_values_become_setpoints_of_the_points_kind() {
        let cases = [
            (json!(true), ValueKind::Bool, Some(Value::Bool(true))),
            (json!("off"), ValueKind::Bool, Some(Value::Bool(false))),
            (json!(1), ValueKind::Bool, Some(Value::Bool(true))),
            (json!(1.0), ValueKind::Bool, Some(Value::Bool(true))),
            (json!(2), ValueKind::Bool, None),
            (json!(21.0), ValueKind::Integer, Some(Value::Int(21))),
            (json!(21.5), ValueKind::Integer, None),
            (json!(1e300), ValueKind::Integer, None),
            (json!(u64::MAX), ValueKind::Integer, Some(Value::UInt(u64::MAX))),
            (json!(-3), ValueKind::Float, Some(Value::Float(-3.0))),
            (json!("auto"), ValueKind::Text, Some(Value::from("auto"))),
            (json!(null), ValueKind::Text, None),
            (json!([1]), ValueKind::Float, None),
        ];
        for (json, kind, expected) in cases {
            assert_eq!(setpoint(&json, kind).ok(), expected, "{json} as {kind:?}");
        }
    }

    #[test]
    fn a_point_is_named_by_name_or_topic_and_the_wait_is_bounded() {
        let points = PointTable::new(vec![point("a")]);
        let ask = |body: serde_json::Value| {
            understand(body.to_string().as_bytes(), &points).map(|(p, _, t)| (p.id, t))
        };
        assert_eq!(ask(json!({"point": "test/a", "value": 1})).unwrap().1, DEFAULT_DEADLINE);
        let timed = ask(json!({"point": "site/test/a", "value": 1, "timeout": 0.5})).unwrap();
        assert_eq!(timed.1, Duration::from_millis(500));
        assert_eq!(ask(json!({"point": "test/b", "value": 1})).unwrap_err().code, "unknown-point");
        for wrong in [json!(0), json!(-1), json!(301), json!(1e308)] {
            let refusal = ask(json!({"point": "test/a", "value": 1, "timeout": wrong})).unwrap_err();
            assert_eq!(refusal.code, "bad-command");
        }
        assert!(ask(json!({"point": "test/a", "value": 1, "retain": true})).is_err());
        let asked = |body: serde_json::Value| {
            understand(body.to_string().as_bytes(), &points).map(|(_, asked, _)| asked)
        };
        let held = Asked::Set(Value::Float(1.0), Some(Duration::from_secs(600)));
        assert_eq!(asked(json!({"point": "test/a", "value": 1, "for": 600})).unwrap(), held);
        assert_eq!(asked(json!({"point": "test/a", "release": true})).unwrap(), Asked::Release);
        for wrong in [
            json!({"point": "test/a", "release": true, "value": 1}),
            json!({"point": "test/a", "release": true, "for": 1}),
            json!({"point": "test/a", "value": 1, "for": 0}),
            json!({"point": "test/a"}),
        ] {
            assert_eq!(asked(wrong).unwrap_err().code, "bad-command");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let points = PointTable::new(vec![point("a")]);
            let _ = understand(&body, &points);
        }

        #[test]
        fn any_real_number_is_taken_exactly_by_a_real_point(real in -1e300f64..1e300) {
            prop_assert_eq!(setpoint(&json!(real), ValueKind::Float), Ok(Value::Float(real)));
        }
    }
}
