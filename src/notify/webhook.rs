//! Webhooks: one POST of JSON on a connection of its own.
//!
//! Absent: redirects, cookies, and any use of the answer's body. Invariant: a header or URL that is secret stands in no message.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::Failure;
use super::config::{WebhookConfig, endpoint};
use crate::transport::{BoxStream, tcp, tls};

/// How long connecting may take; the whole has the time of the notifier.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(10);

/// The most headers of an answer, and the largest head in bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 << 10;

/// Sends one message.
///
/// # Errors
/// Why it did not arrive.
pub(super) async fn send(config: &WebhookConfig, json: &serde_json::Value) -> Result<(), Failure> {
    let (secure, host, port, path) = endpoint(config.url.reveal()).map_err(Failure::Lasting)?;
    let stream = open(config, secure, &host, port).await?;
    let mut builder = Builder::new();
    builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let passing = |error: hyper::Error| Failure::Passing(error.to_string());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(passing)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = request(config, &host, port, secure, &path, json).map_err(Failure::Lasting)?;
    let answer = sender.send_request(request).await.map_err(passing)?;
    verdict(answer.status())
}

async fn open(config: &WebhookConfig, secure: bool, host: &str, port: u16) -> Result<BoxStream, Failure> {
    let stream =
        tcp::connect(host, port, CONNECT).await.map_err(|error| Failure::Passing(error.to_string()))?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let ca = config.ca.clone();
    let connector = tokio::task::spawn_blocking(move || tls::connector(ca.as_deref())).await;
    let connector = connector.map_err(|error| error.to_string()).flatten().map_err(Failure::Passing)?;
    let stream = tls::handshake(&connector, host, stream).await.map_err(Failure::Passing)?;
    Ok(Box::new(stream))
}

fn request(
    config: &WebhookConfig,
    host: &str,
    port: u16,
    secure: bool,
    path: &str,
    json: &serde_json::Value,
) -> Result<Request<Full<Bytes>>, String> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authority = if port == if secure { 443 } else { 80 } { host } else { format!("{host}:{port}") };
    let mut builder = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("iogate/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in &config.headers {
        // Neither message says what the header holds.
        let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("`{name}` is no header"))?;
        let mut value =
            HeaderValue::try_from(value.reveal()).map_err(|_| format!("`{name}` has no sound value"))?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(json.to_string()))).map_err(|error| error.to_string())
}

/// Only a refusal of the request itself is for good.
fn verdict(status: StatusCode) -> Result<(), Failure> {
    let words = format!("the server answers {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Passing(words))
        }
        status if status.is_client_error() || status.is_redirection() => Err(Failure::Lasting(words)),
        _ => Err(Failure::Passing(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_later_is_tried_again() {
        for (code, again) in [
            (404, Some(false)),
            (301, Some(false)),
            (429, Some(true)),
            (408, Some(true)),
            (503, Some(true)),
            (204, None),
        ] {
            let verdict = verdict(StatusCode::from_u16(code).unwrap());
            let seen = verdict.err().map(|failure| matches!(failure, Failure::Passing(_)));
            assert_eq!(seen, again, "{code}");
        }
    }
}
