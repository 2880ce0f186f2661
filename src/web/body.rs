//! Bodies of requests: JSON, short, and in time.
//!
//! Invariant: whoever gets bytes from here has the whole body.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use tokio::time::timeout;

use super::api::Refusal;
use super::server::BODY_TIMEOUT;

/// The longest body in bytes.
pub(super) const MAX_BODY_BYTES: usize = 4 << 10;

/// The JSON text that a request carries.
///
/// # Errors
/// It is said to be something else, is too long, or does not arrive in time.
pub(super) async fn json(request: Request) -> Result<Vec<u8>, Refusal> {
    check_content_type(request.headers())?;
    read(request.into_body()).await
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "commands are JSON: send `Content-Type: application/json`",
    ))
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("a command is at most {MAX_BODY_BYTES} bytes and arrives whole"),
        )),
        Err(_) => {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the command did not arrive in time"))
        }
    }
}
