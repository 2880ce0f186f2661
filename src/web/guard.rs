//! What every request passes on its way in and every answer on its way out.
//!
//! In: the host name (against DNS rebinding) and, for everything that changes something, the origin
//! (against requests forged by another site). Out: the headers that keep the page from running or loading
//! anything but its own files. Invariant: a browser can change something only from the page itself.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::Refusal;

/// Own scripts, styles, images and connections; nothing in line, nothing from elsewhere, in no frame. The
/// last two directives forbid every way in which a script could turn text into HTML.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// By which host names the page may be reached. Addresses are always fine: an attacker's page has a name.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// `None`: any name.
    names: Option<Vec<String>>,
}

impl Hosts {
    /// The rule for a page that listens on `address`, with the names that the configuration adds.
    #[must_use]
    pub(super) fn new(address: IpAddr, configured: &[String]) -> Self {
        let any = configured.is_empty() && !address.to_canonical().is_loopback();
        Self { names: (!any).then(|| configured.to_vec()) }
    }

    fn admits(&self, host: &str) -> bool {
        let Some(names) = &self.names else {
            return true;
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || bare.eq_ignore_ascii_case("localhost")
            || names.iter().any(|name| name.eq_ignore_ascii_case(bare))
    }

    /// Checks a request's `Host`.
    fn check(&self, headers: &HeaderMap) -> Result<Authority, Refusal> {
        let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority: Authority = named.and_then(|text| text.parse().ok()).ok_or_else(|| {
            Refusal::new(StatusCode::BAD_REQUEST, "bad-host", "the request names no host that can be read")
        })?;
        if self.admits(authority.host()) {
            return Ok(authority);
        }
        let detail = format!(
            "this page is not served under the name `{}`; add the name to `web: hosts:` in the configuration, or use an address",
            authority.host()
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, "unknown-host", detail))
    }
}

/// Checks that a request that changes something does not come from another site's page. Programs that are
/// no browsers send neither header.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let refused = |detail: String| Err(Refusal::new(StatusCode::FORBIDDEN, "foreign-origin", detail));
    if let Some(origin) = headers.get(header::ORIGIN) {
        let text = origin.to_str().unwrap_or("unreadable");
        let same = text
            .parse::<Uri>()
            .ok()
            .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
            .and_then(|uri| uri.authority().map(|a| a.as_str().eq_ignore_ascii_case(host.as_str())));
        if same != Some(true) {
            return refused(format!("commands are taken from this page only, not from `{text}`"));
        }
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => refused("commands are taken from this page only, not from another site".into()),
    }
}

/// The middleware in front of every route.
pub(super) async fn guard(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let checked = hosts.check(request.headers()).and_then(|host| match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => check_origin(request.headers(), &host),
    });
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str, names: &[&str]) -> Hosts {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Hosts::new(address.parse().unwrap(), &names)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_loopback_page_is_not_reached_by_a_foreign_name() {
        let rule = hosts("127.0.0.1", &["gateway.example"]);
        for host in
            ["127.0.0.1:8080", "localhost", "LocalHost:1", "[::1]:8080", "Gateway.example", "192.0.2.1"]
        {
            assert!(rule.check(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            let refusal = rule.check(&headers(&[("host", host)])).unwrap_err();
            assert_eq!(refusal.status, StatusCode::FORBIDDEN, "{host}");
        }
        assert_eq!(rule.check(&HeaderMap::new()).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_network_page_takes_any_name_until_names_are_configured() {
        let any = headers(&[("host", "gateway.lan")]);
        assert!(hosts("0.0.0.0", &[]).check(&any).is_ok());
        assert!(hosts("0.0.0.0", &["other.lan"]).check(&any).is_err());
    }

    #[test]
    fn changes_come_from_the_page_itself_or_from_no_browser() {
        let host: Authority = "localhost:8080".parse().unwrap();
        let cases = [
            (headers(&[]), true),
            (headers(&[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]), true),
            (headers(&[("origin", "https://localhost:8080")]), true),
            (headers(&[("origin", "http://localhost:8081")]), false),
            (headers(&[("origin", "http://evil.example")]), false),
            (headers(&[("origin", "null")]), false),
            (headers(&[("origin", "file://localhost:8080")]), false),
            (headers(&[("sec-fetch-site", "cross-site")]), false),
            (headers(&[("sec-fetch-site", "same-site")]), false),
        ];
        for (headers, expected) in cases {
            assert_eq!(check_origin(&headers, &host).is_ok(), expected, "{headers:?}");
        }
    }
}
