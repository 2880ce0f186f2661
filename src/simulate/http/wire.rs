//! HTTP/1.1 as a small device speaks it: requests read, answers written, both by hand, so that what is wrong
//! can be made wrong.

use std::fmt::Write;

use super::super::fault::Effects;

/// The largest head and body of a request, in bytes.
pub(super) const MAX_REQUEST: usize = 64 << 10;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// GET, POST, …
    pub(super) verb: String,
    /// Path and query.
    pub(super) target: String,
    /// The path alone.
    pub(super) path: String,
    /// The query, as it came.
    query: String,
    /// What was sent with it.
    pub(super) body: String,
    /// The header `Authorization`.
    pub(super) authorization: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status.
    pub(super) code: u16,
    media: &'static str,
    body: Vec<u8>,
    /// Further headers, each with its line end.
    pub(super) more: String,
    /// The connection is reset behind it.
    pub(super) resets: bool,
}

/// What has come of a request.
pub(super) enum Read {
    /// Not all of it.
    More,
    /// All of it, and how many bytes it took.
    Whole(Asked, usize),
    /// Something else.
    Unfit,
}

impl Asked {
    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    }

    /// Reads a request at the begin of what has come.
    pub(super) fn read(bytes: &[u8]) -> Read {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() > MAX_REQUEST { Read::Unfit } else { Read::More };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(verb), Some(target), Some(version)) = (first.next(), first.next(), first.next()) else {
            return Read::Unfit;
        };
        if !version.starts_with("HTTP/1.") {
            return Read::Unfit;
        }
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let header = |name: &str| {
            let found = headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(whole) = end.checked_add(4 + length).filter(|_| length <= MAX_REQUEST) else {
            return Read::Unfit;
        };
        if bytes.len() < whole {
            return Read::More;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let asked = Self {
            verb: verb.to_owned(),
            target: target.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned(),
            authorization: header("authorization"),
        };
        Read::Whole(asked, whole)
    }
}

impl Answer {
    /// An empty one.
    pub(super) fn status(code: u16) -> Self {
        Self { code, media: "text/plain", body: Vec::new(), more: String::new(), resets: false }
    }

    /// A text in Latin-1, which the Web-IOs do not say.
    pub(super) fn latin1(text: &str) -> Self {
        let body = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
        Self { body, media: "text/html", ..Self::status(200) }
    }

    /// A text in UTF-8.
    pub(super) fn utf8(media: &'static str, text: String) -> Self {
        Self { body: text.into_bytes(), media, ..Self::status(200) }
    }

    /// The answer as it goes to the wire, or what is left of it.
    pub(super) fn bytes(&self, effects: &Effects) -> Vec<u8> {
        if effects.corrupt {
            return b"\x02\x00garbage\xff\r\n\r\n".to_vec();
        }
        let half = self.body.len() / 2;
        let length = if effects.wrong_length { half } else { self.body.len() };
        let mut head =
            format!("HTTP/1.1 {} {}\r\n", self.code, if self.code < 400 { "OK" } else { "Refused" });
        // Writing to a String cannot fail.
        let _ = write!(head, "Content-Type: {}\r\nContent-Length: {length}\r\n{}\r\n", self.media, self.more);
        let mut bytes = head.into_bytes();
        let sent = if effects.cut || effects.short { half } else { self.body.len() };
        bytes.extend_from_slice(&self.body[..sent]);
        bytes
    }
}

/// `%XX` and `+` turned back.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (byte, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_read_whole() {
        let bytes = b"POST /a?PW=x%26y& HTTP/1.1\r\nHost: b\r\ncontent-length: 3\r\n\r\nSet";
        let Read::Whole(asked, used) = Asked::read(bytes) else { panic!("it is whole") };
        assert_eq!((used, asked.path.as_str(), asked.body.as_str()), (bytes.len(), "/a", "Set"));
        assert_eq!(asked.parameter("PW").as_deref(), Some("x&y"));
        assert!(matches!(Asked::read(&bytes[..bytes.len() - 1]), Read::More));
        assert!(matches!(Asked::read(b"SSH-2.0\r\n\r\n"), Read::Unfit));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = Asked::read(&bytes);
            let _ = Asked::read(format!("GET {text} HTTP/1.1\r\ncontent-length: {text}\r\n\r\n").as_bytes());
            let _ = decoded(&text);
        }
    }
}
