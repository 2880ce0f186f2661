//! The connection to one host and the exchanges on it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::http::request::Builder as RequestBuilder;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::Failure;
use crate::driver::http::config::{HttpConfig, Scheme};
use crate::driver::http::digest::{Asking, Challenge};
use crate::driver::http::extract::Reply;
use crate::driver::http::request::Request;
use crate::driver::http::{Device, wut};
use crate::transport::{BoxStream, tcp, tls};

/// A connection that was idle for this long is not used again: the devices close theirs after about 30 s.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// The most headers of an answer.
const MAX_HEADERS: usize = 64;

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How an exchange is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// It changes something: it goes out at most once, and not after this moment.
    pub write_before: Option<Instant>,
}

/// The connection to one host.
pub struct Client {
    config: HttpConfig,
    link: Option<Link>,
    connector: Option<TlsConnector>,
    login: Option<Answered>,
}

/// An open connection.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    task: AbortOnDropHandle<hyper::Result<()>>,
    last: Instant,
    /// It has carried an exchange before.
    used: bool,
}

/// A challenge that is being answered.
struct Answered {
    challenge: Challenge,
    count: u32,
}

/// The outcome of one try.
enum Tried {
    Done(Response<Incoming>),
    /// A kept connection was closed by the other side, and the request did not go out.
    Stale,
}

impl Client {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(config: HttpConfig) -> Self {
        Self { config, link: None, connector: None, login: None }
    }

    /// Gives the connection up.
    pub fn close(&mut self) {
        self.link = None;
    }

    /// One request of a device and its whole answer.
    ///
    /// # Errors
    /// What became of it instead.
    pub async fn exchange(
        &mut self,
        device: &Device,
        request: &Request,
        terms: Terms,
    ) -> Result<Reply, Failure> {
        // Connecting has its own time, within the first try.
        let whole = self.config.timeout.0 + self.config.connect_timeout.0;
        let result = match tokio::time::timeout(whole, self.authorised(device, request, terms)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout),
        };
        if !matches!(result, Ok(_) | Err(Failure::Status(_) | Failure::Expired)) {
            self.close();
        }
        if request.resets {
            self.close();
            tokio::time::sleep(wut::REST).await;
        }
        if !self.config.pause.0.is_zero() {
            tokio::time::sleep(self.config.pause.0).await;
        }
        result
    }

    /// Answers one challenge, or two where the first answer was only too old.
    async fn authorised(
        &mut self,
        device: &Device,
        request: &Request,
        terms: Terms,
    ) -> Result<Reply, Failure> {
        let mut answered = 0;
        loop {
            let response = self.send(device, request, terms).await?;
            let status = response.status();
            let refused = status == StatusCode::UNAUTHORIZED;
            let challenge = refused.then(|| self.challenge(response.headers())).flatten();
            let reply = self.receive(request, response).await;
            if status.is_success() {
                return reply;
            }
            if reply.is_err() {
                self.close();
            }
            match challenge {
                // Another challenge that is not stale means that the password is wrong.
                Some(challenge) if answered == 0 || (answered == 1 && challenge.stale) => {
                    self.login = Some(Answered { challenge, count: 0 });
                    answered += 1;
                }
                _ => {
                    self.login = None;
                    return Err(Failure::Status(status.as_u16()));
                }
            }
        }
    }

    fn challenge(&self, headers: &HeaderMap) -> Option<Challenge> {
        let digest = self.config.login.as_ref().is_some_and(|login| login.scheme == Scheme::Digest);
        let offered = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        if digest { Challenge::strongest(offered) } else { None }
    }

    /// Sends on the kept connection, or on a new one where that has been closed meanwhile.
    async fn send(
        &mut self,
        device: &Device,
        request: &Request,
        terms: Terms,
    ) -> Result<Response<Incoming>, Failure> {
        loop {
            self.connect().await?;
            if terms.write_before.is_some_and(|before| Instant::from(tokio::time::Instant::now()) >= before) {
                return Err(Failure::Expired);
            }
            let message = self.message(device, request)?;
            let timeout = self.config.timeout.0;
            let tried = match tokio::time::timeout(timeout, self.try_send(message, terms)).await {
                Ok(tried) => tried?,
                Err(_) => return Err(Failure::Timeout),
            };
            match tried {
                Tried::Done(response) => return Ok(response),
                // A new connection is never stale, so this ends.
                Tried::Stale => self.close(),
            }
        }
    }

    async fn try_send(
        &mut self,
        message: hyper::Request<Full<Bytes>>,
        terms: Terms,
    ) -> Result<Tried, Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::Connect("the connection is not open".into()));
        };
        let was_used = std::mem::replace(&mut link.used, true);
        match link.sender.send_request(message).await {
            Ok(response) => Ok(Tried::Done(response)),
            // Not a byte of it went out.
            Err(error) if was_used && error.is_canceled() => Ok(Tried::Stale),
            // A device that closes an idle connection may do so while a request is on its way. To ask again
            // changes nothing; to write again might.
            Err(error) if was_used && terms.write_before.is_none() && is_end(&error) => Ok(Tried::Stale),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let now = Instant::from(tokio::time::Instant::now());
        if let Some(link) = &self.link
            && !link.sender.is_closed()
            && now.saturating_duration_since(link.last) < MAX_IDLE
        {
            return Ok(());
        }
        self.link = None;
        let wait = self.config.connect_timeout.0;
        let stream = match tokio::time::timeout(wait, self.open()).await {
            Ok(stream) => stream?,
            Err(_) => return Err(Failure::Connect(format!("no connection within {} ms", wait.as_millis()))),
        };
        let mut builder = Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD).title_case_headers(true);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        let task = AbortOnDropHandle::new(tokio::spawn(connection));
        self.link = Some(Link { sender, task, last: now, used: false });
        Ok(())
    }

    async fn open(&mut self) -> Result<BoxStream, Failure> {
        let (host, port) = self.config.endpoint().map_err(Failure::Connect)?;
        let stream = tcp::connect(&host, port, self.config.connect_timeout.0)
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        let Some(config) = &self.config.tls else { return Ok(Box::new(stream)) };
        let connector = match &self.connector {
            Some(connector) => connector.clone(),
            None => tls::connector(config.ca.as_deref()).map_err(Failure::Connect)?,
        };
        match tls::handshake(&connector, &host, stream).await {
            Ok(stream) => {
                self.connector = Some(connector);
                Ok(Box::new(stream))
            }
            Err(reason) => {
                // The file may be replaced by the right one before the next try.
                self.connector = None;
                Err(Failure::Connect(reason))
            }
        }
    }

    fn message(
        &mut self,
        device: &Device,
        request: &Request,
    ) -> Result<hyper::Request<Full<Bytes>>, Failure> {
        let unfit = |error: &dyn std::fmt::Display| Failure::Malformed(format!("the request: {error}"));
        let mut builder: RequestBuilder =
            hyper::Request::builder().method(request.verb.word()).uri(&request.path);
        builder = builder.header(HOST, self.config.address.trim());
        for (name, value) in &device.config.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| unfit(&error))?;
            builder = builder.header(name, value.as_str());
        }
        if let Some(authorization) = self.authorization(request) {
            let mut value = HeaderValue::try_from(authorization).map_err(|error| unfit(&error))?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        let body = match &request.payload {
            Some(payload) => {
                builder = builder.header(CONTENT_TYPE, payload.media.as_str());
                Bytes::copy_from_slice(payload.text.as_bytes())
            }
            None => Bytes::new(),
        };
        builder.body(Full::new(body)).map_err(|error| unfit(&error))
    }

    fn authorization(&mut self, request: &Request) -> Option<String> {
        let login = self.config.login.as_ref()?;
        let (user, password) = (login.user.as_str(), login.password.reveal());
        if login.scheme == Scheme::Basic {
            let pair = format!("{user}:{password}");
            return Some(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())));
        }
        let answered = self.login.as_mut()?;
        answered.count = answered.count.wrapping_add(1);
        let client_nonce = format!("{:032x}", fastrand::u128(..));
        Some(answered.challenge.answer(&Asking {
            user,
            password,
            verb: request.verb.word(),
            path: &request.path,
            client_nonce: &client_nonce,
            count: answered.count,
        }))
    }

    /// The whole answer within the time and the limit.
    async fn receive(&mut self, request: &Request, response: Response<Incoming>) -> Result<Reply, Failure> {
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read =
            tokio::time::timeout(self.config.timeout.0, take(body, self.config.max_response.0, &mut bytes));
        let result = match read.await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout),
        };
        match result {
            // It resets the connection behind its answer; whether all of it came, the text itself tells.
            Err(Failure::Lost(_) | Failure::Malformed(_)) if request.resets && !bytes.is_empty() => {}
            Err(failure) => return Err(failure),
            Ok(()) => self.finish(request).await?,
        }
        Ok(Reply::new(decoded(&head.headers, bytes)?))
    }

    /// Makes sure that the answer ended where it said: what is left behind it belongs to nothing, and then
    /// its length is wrong.
    async fn finish(&mut self, request: &Request) -> Result<(), Failure> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let timeout = self.config.timeout.0;
        match tokio::time::timeout(timeout, link.sender.ready()).await {
            Ok(Ok(())) => {
                link.last = tokio::time::Instant::now().into();
                return Ok(());
            }
            Ok(Err(_)) => {}
            Err(_) => return Err(Failure::Timeout),
        }
        let Some(link) = self.link.take() else { return Ok(()) };
        match tokio::time::timeout(timeout, link.task).await {
            Ok(Ok(Err(error))) if !request.resets && !is_io(&error) => {
                Err(Failure::Malformed("more came than its length says".into()))
            }
            _ => Ok(()),
        }
    }
}

/// Takes a body in, up to the limit.
async fn take(mut body: Incoming, limit: u64, bytes: &mut Vec<u8>) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() as u64 + data.len() as u64 > limit {
                return Err(Failure::Malformed(format!("more than {limit} bytes (max-response)")));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(())
}

/// The text of a body: UTF-8 where it says so or is it, else Latin-1, in which every byte is a character.
fn decoded(headers: &HeaderMap, bytes: Vec<u8>) -> Result<String, Failure> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let declared = media.to_ascii_lowercase().contains("utf-8");
    String::from_utf8(bytes).or_else(|error| {
        if declared {
            return Err(Failure::Malformed("it is not the UTF-8 that it says it is".into()));
        }
        Ok(error.as_bytes().iter().map(|byte| char::from(*byte)).collect())
    })
}

fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// Whether the other side ended the connection, before an answer or in its middle.
fn is_end(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || is_io(error)
}

fn failure(error: &hyper::Error) -> Failure {
    let text = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if is_end(error) || error.is_canceled() { Failure::Lost(text) } else { Failure::Malformed(text) }
}
