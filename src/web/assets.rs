//! The files of the page, compiled into the binary.
//!
//! Invariant: a file is found only by its exact embedded name, so no path can lead out of the folder.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "src/web/assets"]
struct Assets;

/// The file that `/` stands for.
const INDEX: &str = "index.html";

/// Answers with the embedded file that the path names.
pub(super) async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path().trim_start_matches('/') {
        "" => INDEX,
        other => other,
    };
    let Some(file) = Assets::get(name) else {
        return (StatusCode::NOT_FOUND, "There is nothing here. The page is at /\n").into_response();
    };
    let etag = etag(file.metadata.sha256_hash());
    let known = headers.get(IF_NONE_MATCH).is_some_and(|value| *value == etag);
    let body = if known { Body::empty() } else { Body::from(file.data.into_owned()) };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(ETAG, etag);
    response
}

/// A strong validator from the first half of the file's digest.
fn etag(digest: [u8; 32]) -> HeaderValue {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(34);
    text.push('"');
    for byte in &digest[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\""))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_and_none_names_another_host() {
        let mut names = Vec::new();
        for name in Assets::iter() {
            assert_ne!(content_type(&name), "application/octet-stream", "{name}");
            let data = Assets::get(&name).unwrap().data;
            let text = String::from_utf8(data.into_owned()).unwrap();
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{name} reaches outside");
            for unsafe_call in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(unsafe_call), "{name} uses {unsafe_call}");
            }
            names.push(name.into_owned());
        }
        assert!(names.iter().any(|name| name == INDEX));
    }

    #[tokio::test]
    async fn an_unchanged_file_is_not_sent_again() {
        let first = file(Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(first.status(), StatusCode::OK);
        let mut again = HeaderMap::new();
        again.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(file(Uri::from_static("/"), again).await.status(), StatusCode::NOT_MODIFIED);
        for path in ["/../mod.rs", "/%2e%2e/mod.rs", "//etc/passwd", "/assets/"] {
            let answer = file(path.parse().unwrap(), HeaderMap::new()).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
