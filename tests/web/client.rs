//! A small HTTP client that also sends what no proper client would.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends these bytes and reads until the server closes the connection.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = parse(&answer);
    match answer.headers.get("transfer-encoding") {
        Some(way) if way == "chunked" => Answer { body: joined(&answer.body), ..answer },
        _ => answer,
    }
}

fn parse(answer: &[u8]) -> Answer {
    let text = String::from_utf8(answer.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned()));
    let headers: HashMap<String, String> = headers.collect();
    Answer { status, headers, body: body.to_owned() }
}

/// A body that came in chunks, which must be there to the last one.
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (length, chunk) = rest.split_once("\r\n").expect("the length of a chunk");
        let length = usize::from_str_radix(length, 16).expect("a length");
        body.push_str(&chunk[..length]);
        rest = chunk[length..].strip_prefix("\r\n").expect("the end of a chunk");
        if length == 0 {
            return body;
        }
    }
}

/// `GET` under the address as host name.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    raw(address, request.as_bytes()).await
}

/// `POST` of a command with further header lines.
pub(crate) async fn post(address: SocketAddr, headers: &str, body: &str) -> Answer {
    post_to(address, "/api/v1/command", headers, body).await
}

/// `POST` to any path.
pub(crate) async fn post_to(address: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(address, request.as_bytes()).await
}

/// The header line that commands need.
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// Gives a command.
pub(crate) async fn command(address: SocketAddr, command: &Json) -> Answer {
    post(address, JSON, &command.to_string()).await
}

/// A live stream.
pub(crate) struct Stream {
    stream: TcpStream,
    /// What has come in of the chunked body but is not decoded yet.
    raw: Vec<u8>,
    /// Decoded, not taken yet.
    text: Vec<u8>,
}

impl Stream {
    /// Opens a live stream; the server must accept it.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, None).await
    }

    /// Opens one whose kernel takes in only so many bytes while nobody reads.
    pub(crate) async fn open_with(address: SocketAddr, receive_buffer: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let head = loop {
            if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break raw.drain(..end + 4).collect::<Vec<u8>>();
            }
            assert_ne!(stream.read_buf(&mut raw).await.unwrap(), 0, "closed before the answer");
        };
        let head = parse(&head);
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "text/event-stream");
        assert_eq!(head.headers["cache-control"], "no-store");
        Self { stream, raw, text: Vec::new() }
    }

    /// The next event: its name and its data. `None` at the proper end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Json)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.text.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let Some(rest) = event.strip_prefix("event: ") else {
                    assert_eq!(event, "retry: 1000\n\n");
                    continue;
                };
                let (name, data) = rest.split_once("\ndata: ").unwrap();
                return Some((name.to_owned(), serde_json::from_str(data.trim_end()).unwrap()));
            }
            if !self.chunk().await {
                return None;
            }
        }
    }

    /// The next event of this name, passing over others.
    pub(crate) async fn next_of(&mut self, name: &str) -> Json {
        loop {
            let (found, data) = self.next().await.expect("the stream goes on");
            if found == name {
                return data;
            }
        }
    }

    /// Decodes one more chunk; `false` after the last one.
    async fn chunk(&mut self) -> bool {
        loop {
            if let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
                let size =
                    usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
                let whole = line + 2 + size + 2;
                if self.raw.len() >= whole {
                    self.text.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
                    self.raw.drain(..whole);
                    return size > 0;
                }
            }
            if self.stream.read_buf(&mut self.raw).await.unwrap_or(0) == 0 {
                panic!("the stream was cut off");
            }
        }
    }
}
