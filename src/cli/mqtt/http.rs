//! One request to the local API, and its answer.
//!
//! HTTP/1.0, so that no server answers in chunks, and one connection per request. Absent: TLS, which the
//! page does not serve. Invariant: an answer is never longer than its limit and never waited for longer
//! than its time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The longest answer in bytes: 500 sessions take far less.
const MAX_ANSWER: u64 = 16 << 20;

/// How long a connection may take, and each pause of the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    /// Host and port as a request names them.
    authority: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum HttpError {
    /// The address cannot be used.
    #[error("{0}")]
    Place(String),
    /// Nobody listens there, or the connection broke.
    #[error(
        "no gateway answers on {authority} ({source}); is it running, and with a web page? `--url` names another address"
    )]
    Silent {
        /// Where.
        authority: String,
        /// What the system says.
        source: io::Error,
    },
    /// What listens there is something else.
    #[error("what listens on {0} does not answer as iogate does")]
    Strange(String),
}

/// An answer: its status and its body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Answer {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) body: String,
}

impl Place {
    /// The place that a URL such as `http://127.0.0.1:8080` names.
    pub(in crate::cli) fn parse(url: &str) -> Result<Self, HttpError> {
        let wrong = |what: &str| HttpError::Place(format!("--url {url}: {what}"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(wrong("begin with http://")),
            None => url,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty()
            || authority.contains(['/', '?', '#', '@', ' '])
            || authority.contains(char::is_control)
        {
            return Err(wrong("give host and port only, such as http://127.0.0.1:8080"));
        }
        let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let has_port = authority[end_of_host..].contains(':');
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority })
    }

    /// The page of a gateway that listens on `listen`.
    pub(in crate::cli) fn of(listen: SocketAddr) -> Self {
        let mut reach = listen;
        if listen.ip().is_unspecified() {
            let v4 = listen.is_ipv4();
            reach.set_ip(if v4 { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
        }
        Self { authority: reach.to_string() }
    }

    /// `GET`.
    pub(in crate::cli) fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.ask(&format!("GET {path} HTTP/1.0\r\n"), "")
    }

    /// `POST` of JSON.
    pub(in crate::cli) fn post(&self, path: &str, json: &serde_json::Value) -> Result<Answer, HttpError> {
        self.ask(&format!("POST {path} HTTP/1.0\r\nContent-Type: application/json\r\n"), &json.to_string())
    }

    fn ask(&self, head: &str, body: &str) -> Result<Answer, HttpError> {
        let silent = |source| HttpError::Silent { authority: self.authority.clone(), source };
        let request = format!(
            "{head}Host: {}\r\nUser-Agent: iogate/{} (uid {})\r\nContent-Length: {}\r\n\r\n{body}",
            self.authority,
            env!("CARGO_PKG_VERSION"),
            rustix::process::getuid().as_raw(),
            body.len(),
        );
        let mut stream = self.connect().map_err(silent)?;
        let mut answer = Vec::new();
        stream.write_all(request.as_bytes()).map_err(silent)?;
        stream.take(MAX_ANSWER).read_to_end(&mut answer).map_err(silent)?;
        parse(&answer).ok_or_else(|| HttpError::Strange(self.authority.clone()))
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// A whole answer; `None`: it is none.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let body = &answer[end + 4..];
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    // A shorter body was cut off.
    if length.is_some_and(|length| length != Ok(body.len())) {
        return None;
    }
    Some(Answer { status, body: String::from_utf8(body.to_vec()).ok()? })
}

/// A text as one value of a query (RFC 3986, section 2.1).
pub(in crate::cli) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(url: &str) -> Option<String> {
        Place::parse(url).ok().map(|place| place.authority)
    }

    #[test]
    fn a_url_names_host_and_port() {
        assert_eq!(place("http://127.0.0.1:8080/").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(place("gateway.example").as_deref(), Some("gateway.example:80"));
        assert_eq!(place("http://[::1]").as_deref(), Some("[::1]:80"));
        assert_eq!(place("http://[::1]:81").as_deref(), Some("[::1]:81"));
        for wrong in ["https://a", "http://", "http://a/b", "http://a@b", "http://a\r\nX: y"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        assert_eq!(Place::of("0.0.0.0:1".parse().unwrap()).authority, "127.0.0.1:1");
        assert_eq!(Place::of("[::]:1".parse().unwrap()).authority, "[::1]:1");
        assert_eq!(Place::of("192.0.2.1:1".parse().unwrap()).authority, "192.0.2.1:1");
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let answer = |text: &str| parse(text.as_bytes()).map(|answer| (answer.status, answer.body));
        assert_eq!(answer("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"), Some((200, "{}".into())));
        assert_eq!(answer("HTTP/1.1 404 Not Found\r\n\r\nx"), Some((404, "x".into())));
        for wrong in
            ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}", "HTTP/1.0 x\r\n\r\n"]
        {
            assert_eq!(answer(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_encoded_is_safe_in_a_request(text in ".*") {
            prop_assert!(encode(&text).bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&' && byte != b'#'));
        }
    }
}
