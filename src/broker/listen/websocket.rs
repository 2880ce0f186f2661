//! WebSocket: the handshake, and a byte stream over binary messages.
//!
//! Packets need not be aligned with messages ([MQTT-6.0.0-2]), so a message is no more than bytes here.
//! tungstenite checks frames: masking, lengths, fragments, control frames. Deliberately absent:
//! compression, and anything but the sub-protocol `mqtt` (with `mqttv3.1`, as 3.1 clients call it).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::Stream;

/// What is read at once, in bytes: every connection keeps such a buffer.
const READ_SIZE: usize = 4 << 10;

/// Largest message written, in bytes.
const WRITE_SIZE: usize = 64 << 10;

/// How much larger than a packet a message may be, in bytes: a client may put several packets into one.
const SLACK: usize = 64 << 10;

/// Sub-protocols served, as clients offer them.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// WebSocket as one listener serves it.
pub(super) struct WebSocket {
    path: Box<str>,
    origins: Box<[String]>,
    /// Clients may do without a login.
    open: bool,
    config: WebSocketConfig,
}

impl WebSocket {
    pub(super) fn new(path: &str, origins: &[String], max_packet: usize, open: bool) -> Self {
        let most = max_packet.saturating_add(SLACK);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_SIZE)
            .write_buffer_size(0)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        Self { path: path.into(), origins: origins.into(), open, config }
    }

    /// Does the server's part of the handshake. The time limit is the caller's.
    pub(super) async fn accept<S: Stream>(&self, stream: S) -> Result<WebSocketBytes<S>, String> {
        // The size of the refusal is the library's choice.
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let check = |request: &Request, mut response: Response| {
            let protocol = self.check(request).map_err(refusal)?;
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            Ok(response)
        };
        let accepted = accept_hdr_async_with_config(stream, check, Some(self.config)).await;
        let inner = accepted.map_err(|error| format!("WebSocket: {error}"))?;
        Ok(WebSocketBytes::over(inner))
    }

    /// The sub-protocol to speak, or why the request is refused.
    fn check(&self, request: &Request) -> Result<&'static str, (StatusCode, &'static str)> {
        if request.uri().path() != &*self.path {
            return Err((StatusCode::NOT_FOUND, "no broker on this path"));
        }
        if !self.origin_is_allowed(request) {
            return Err((StatusCode::FORBIDDEN, "pages of this origin may not connect"));
        }
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offered = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        let chosen = offered.map(str::trim).find_map(|name| PROTOCOLS.iter().find(|&&known| known == name));
        chosen.copied().ok_or((StatusCode::BAD_REQUEST, "offer the sub-protocol mqtt"))
    }

    /// Any page that somebody on the site opens could connect to a broker of the local network. Browsers name
    /// the page's origin; other programs name none. Whoever owns a name can let it mean this machine for a while, and
    /// its page is of the same host then: where nobody has to log in, a name counts only if it stands in `origins`.
    fn origin_is_allowed(&self, request: &Request) -> bool {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        if self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let own = host.and_then(|host| host.parse::<Uri>().ok());
        let page = origin.parse::<Uri>().ok();
        match (own.as_ref().and_then(Uri::host), page.as_ref().and_then(Uri::host)) {
            (Some(own), Some(page)) => own.eq_ignore_ascii_case(page) && (!self.open || is_fixed(own)),
            _ => false,
        }
    }
}

/// Whether nobody else can decide what the host is: an address, or this machine itself.
fn is_fixed(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
}

fn refusal((status, text): (StatusCode, &'static str)) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

/// The bytes that binary messages carry. The client's side of a WebSocket uses it, too.
pub(crate) struct WebSocketBytes<S> {
    inner: WebSocketStream<S>,
    /// What is left of the message that was read last.
    rest: Bytes,
}

impl<S> WebSocketBytes<S> {
    /// The bytes of a WebSocket whose handshake is done.
    pub(crate) fn over(inner: WebSocketStream<S>) -> Self {
        Self { inner, rest: Bytes::new() }
    }
}

impl<S: Stream> AsyncRead for WebSocketBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a text message")));
                }
                // Answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {}
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(plain(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(count));
        if self.rest.is_empty() {
            // Lets go of the message's memory.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for WebSocketBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(plain)?;
        let count = bytes.len().min(WRITE_SIZE);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        Pin::new(&mut self.inner).start_send(message).map_err(plain)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_flush(cx)) {
            // After the closing handshake there is nothing left to send.
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(plain(error))),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(plain(error))),
        }
    }
}

fn plain(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(path: &str, headers: &[(&str, &str)]) -> Result<&'static str, u16> {
        asked(path, headers, false)
    }

    fn asked(path: &str, headers: &[(&str, &str)], open: bool) -> Result<&'static str, u16> {
        let allowed = ["https://panel.example.com".to_owned()];
        let checked = WebSocket::new("/mqtt", &allowed, 1024, open).check(&request(path, headers));
        checked.map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn path_and_sub_protocol_must_fit() {
        let offer = |list| [("sec-websocket-protocol", list)];
        assert_eq!(status("/mqtt", &offer("mqtt")), Ok("mqtt"));
        assert_eq!(status("/mqtt?token=x", &offer("chat, mqtt")), Ok("mqtt"));
        assert_eq!(status("/mqtt", &offer("mqttv3.1")), Ok("mqttv3.1"));
        assert_eq!(status("/mqtt", &offer("MQTTX")), Err(400));
        assert_eq!(status("/mqtt", &[]), Err(400));
        assert_eq!(status("/", &offer("mqtt")), Err(404));
    }

    #[test]
    fn a_name_that_came_to_mean_this_machine_opens_nothing_where_nobody_logs_in() {
        let from = |host: &str, origin: &str| {
            asked("/mqtt", &[("sec-websocket-protocol", "mqtt"), ("host", host), ("origin", origin)], true)
        };
        for (host, origin) in [
            ("127.0.0.1:8083", "http://127.0.0.1:8080"),
            ("[::1]:8083", "http://[::1]"),
            ("LocalHost:8083", "http://localhost:8080"),
            ("evil.example:8083", "https://panel.example.com"),
        ] {
            assert_eq!(from(host, origin), Ok("mqtt"), "{origin}");
        }
        for name in ["evil.example", "gateway.local", "127.0.0.1.evil.example"] {
            assert_eq!(from(&format!("{name}:8083"), &format!("http://{name}:8083")), Err(403), "{name}");
        }
    }

    #[test]
    fn pages_of_other_hosts_are_kept_out() {
        let from = |origin| {
            let headers =
                [("sec-websocket-protocol", "mqtt"), ("host", "gateway.local:8083"), ("origin", origin)];
            status("/mqtt", &headers)
        };
        assert_eq!(from("http://gateway.local:8080"), Ok("mqtt"));
        assert_eq!(from("https://GATEWAY.local"), Ok("mqtt"));
        assert_eq!(from("https://panel.example.com"), Ok("mqtt"));
        for foreign in [
            "http://panel.example.com",
            "https://evil.example",
            "null",
            "",
            "http://gateway.local.evil.example",
        ] {
            assert_eq!(from(foreign), Err(403), "{foreign}");
        }
    }
}
