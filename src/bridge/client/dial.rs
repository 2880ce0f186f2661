//! From an address to a stream of bytes: DNS, TCP or a proxy, TLS, WebSocket.
//!
//! Every step has a time limit and is told to whoever asks, so that `iogate bridge test` shows how far it comes.
//! Absent: MQTT itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, rustls};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::error::LinkError;
use super::tls;
use crate::bridge::config::{Config, Proxy, Url};
use crate::broker::listen::WebSocketBytes;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(15);

/// How long one of several addresses of a host may take.
const ADDRESS: Duration = Duration::from_secs(5);

/// The longest answer of a proxy, in bytes.
const MAX_PROXY_ANSWER: usize = 8 << 10;

/// The longest WebSocket message taken, in bytes.
const MAX_MESSAGE: usize = 17 << 20;

/// A stream of bytes, whatever carries it.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A step that was taken, and what came of it.
pub(crate) type Told<'a> = &'a mut (dyn FnMut(&'static str, String) + Send);

/// Connects to an address of the bridge.
pub(crate) async fn dial(config: &Config, url: &Url, told: Told<'_>) -> Result<Box<dyn Io>, LinkError> {
    let tcp = match &config.proxy {
        Some(proxy) => through(proxy, url, told).await?,
        None => tcp(&url.host, url.port, told).await?,
    };
    let stream: Box<dyn Io> =
        if url.scheme.is_secure() { Box::new(secure(config, url, tcp, told).await?) } else { Box::new(tcp) };
    if !url.scheme.is_websocket() {
        return Ok(stream);
    }
    websocket(url, stream, told).await
}

async fn tcp(host: &str, port: u16, told: Told<'_>) -> Result<TcpStream, LinkError> {
    let dns = |source| LinkError::Dns { host: host.to_owned(), source };
    let found = timeout(STEP, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| LinkError::Timeout { what: "an answer of the name server" })?;
    let addresses: Vec<SocketAddr> = found.map_err(dns)?.collect();
    if addresses.is_empty() {
        return Err(dns(std::io::Error::other("it has no address")));
    }
    told("dns", addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", "));
    let mut last = LinkError::Timeout { what: "the TCP connection" };
    for address in addresses {
        match timeout(ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Acknowledgements and small messages must not wait for each other.
                let _ = stream.set_nodelay(true);
                told("tcp", format!("connected to {address}"));
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = LinkError::Refused { place: address.to_string() };
            }
            Ok(Err(source)) => last = LinkError::Unreachable { place: address.to_string(), source },
            Err(_) => last = LinkError::Timeout { what: "the TCP connection" },
        }
    }
    Err(last)
}

/// Asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).
async fn through(proxy: &Proxy, url: &Url, told: Told<'_>) -> Result<TcpStream, LinkError> {
    let mut stream = tcp(&proxy.host, proxy.port, told).await?;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let place = format!("{host}:{}", url.port);
    let refused = |what: String| LinkError::Proxy { place: proxy.to_string(), what };
    let ask = async {
        stream.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_PROXY_ANSWER {
            // Byte by byte: what follows the answer belongs to the tunnel.
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(STEP, ask).await.map_err(|_| LinkError::Timeout { what: "the proxy's answer" })?;
    let answer = answer.map_err(|error| refused(error.to_string()))?;
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    if !status.is_some_and(|status| status.starts_with('2')) {
        return Err(refused(line.chars().filter(|c| !c.is_control()).take(200).collect()));
    }
    told("proxy", format!("{proxy} passes on to {place}"));
    Ok(stream)
}

async fn secure(
    config: &Config,
    url: &Url,
    tcp: TcpStream,
    told: Told<'_>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, LinkError> {
    let section = config.tls.clone();
    let mut alpn: Vec<Vec<u8>> = section.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    if let (true, Some(name)) = (alpn.is_empty(), config.profile.alpn(url.scheme, url.port)) {
        alpn.push(name.into());
    }
    let made = tokio::task::spawn_blocking(move || tls::client_config(&section, &alpn)).await;
    let made = made.map_err(|error| LinkError::Tls { what: error.to_string() })??;
    let host = config.tls.server_name.clone().unwrap_or_else(|| url.host.clone());
    let name = ServerName::try_from(host.clone())
        .map_err(|_| LinkError::Tls { what: format!("`{host}` cannot be the name of a server") })?;
    let connecting = TlsConnector::from(Arc::new(made)).connect(name, tcp);
    let connected =
        timeout(STEP, connecting).await.map_err(|_| LinkError::Timeout { what: "the TLS handshake" })?;
    let stream = connected.map_err(|error| tls::in_words(&error, &host))?;
    let session = stream.get_ref().1;
    let version = session.protocol_version().and_then(|version| version.as_str().map(str::to_owned));
    let pin = session.peer_certificates().and_then(|chain| chain.first()).and_then(tls::key_hash);
    told(
        "tls",
        format!(
            "{}, the certificate is good for {host}, its key is sha256:{}",
            version.unwrap_or_else(|| "TLS".into()),
            pin.map_or_else(String::new, |pin| data_encoding::HEXLOWER.encode(&pin)),
        ),
    );
    Ok(stream)
}

async fn websocket(url: &Url, stream: Box<dyn Io>, told: Told<'_>) -> Result<Box<dyn Io>, LinkError> {
    let wrong = |error: &dyn std::fmt::Display| LinkError::WebSocket { what: error.to_string() };
    let mut request = url.to_string().into_client_request().map_err(|error| wrong(&error))?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    let limits = WebSocketConfig::default()
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let asked = timeout(STEP, client_async_with_config(request, stream, Some(limits))).await;
    let asked = asked.map_err(|_| LinkError::Timeout { what: "the WebSocket handshake" })?;
    let (inner, _) = asked.map_err(|error| wrong(&error))?;
    told("websocket", format!("{} speaks mqtt", url.path));
    Ok(Box::new(WebSocketBytes::over(inner)))
}
