//! What strangers, slow clients and other sites' pages are kept from.

use std::time::Duration;

use iogate::web::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::{JSON, get, post, raw};
use crate::plant::Plant;

/// The time in which a client that dawdles must be rid of.
const PATIENCE: Duration = Duration::from_secs(10);

const COMMAND: &str = r#"{"point": "press/fan", "value": true}"#;

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let foreign =
        raw(page.address, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert_eq!(foreign.status, 403);
    let mut answers = vec![foreign];
    for path in ["/", "/app.js", "/nothing", "/api/v1/points", "/api/none"] {
        answers.push(get(page.address, path).await);
    }
    for answer in answers {
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["x-frame-options"], "DENY");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    page.stop().await;
}

#[tokio::test]
async fn a_rebound_name_reads_nothing_and_commands_nothing() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    for request in [
        "GET /api/v1/points HTTP/1.1\r\nHost: evil.example:8080\r\nConnection: close\r\n\r\n".to_owned(),
        format!(
            "POST /api/v1/command HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nConnection: close\r\n{JSON}Content-Length: {}\r\n\r\n{COMMAND}",
            COMMAND.len()
        ),
    ] {
        let answer = raw(page.address, request.as_bytes()).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("unknown-host")));
    }
    assert!(plant.writes.pop(plant.clock.mono()).is_none(), "nothing reached the channel");
    let named = Config { hosts: vec!["gateway.example".into()], ..Config::default() };
    let proxied = plant.serve(named).await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(proxied.address, request).await.status, 200);
    proxied.stop().await;
    page.stop().await;
}

#[tokio::test]
async fn commands_come_from_the_page_itself_and_are_json() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let here = page.address;
    for (headers, status, code) in [
        (format!("{JSON}Origin: http://evil.example\r\n"), 403, "foreign-origin"),
        (format!("{JSON}Origin: null\r\n"), 403, "foreign-origin"),
        (format!("{JSON}Sec-Fetch-Site: cross-site\r\n"), 403, "foreign-origin"),
        ("Content-Type: text/plain\r\n".to_owned(), 415, "not-json"),
        ("Content-Type: application/x-www-form-urlencoded\r\n".to_owned(), 415, "not-json"),
        (String::new(), 415, "not-json"),
    ] {
        let answer = post(here, &headers, COMMAND).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(code)), "{headers}");
    }
    assert!(plant.writes.pop(plant.clock.mono()).is_none(), "nothing reached the channel");
    let device = plant.obey();
    let own = format!(
        "Content-Type: application/json; charset=utf-8\r\nOrigin: http://{here}\r\nSec-Fetch-Site: same-origin\r\n"
    );
    assert_eq!(post(here, &own, COMMAND).await.json()["outcome"], "verified");
    device.abort();
    let get_it = format!("GET /api/v1/command HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n");
    assert_eq!(raw(here, get_it.as_bytes()).await.status, 405);
    page.stop().await;
}

#[tokio::test]
async fn large_heads_and_bodies_are_refused() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let body = format!(r#"{{"point": "{}", "value": true}}"#, "x".repeat(5_000));
    let answer = post(page.address, JSON, &body).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("too-large")));
    let chunked = format!(
        "POST /api/v1/command HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n1388\r\n{}\r\n0\r\n\r\n",
        page.address,
        "x".repeat(5_000)
    );
    assert_eq!(raw(page.address, chunked.as_bytes()).await.status, 413);
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Long: {}\r\n\r\n", page.address, "x".repeat(17_000));
    assert_eq!(raw(page.address, head.as_bytes()).await.status, 431);
    page.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dawdles_is_closed_in_time() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let head = format!(
        "POST /api/v1/command HTTP/1.1\r\nHost: {}\r\n{JSON}Content-Length: 40\r\n\r\n{{",
        page.address
    );
    for (sent, answered) in [("", ""), ("GET / HTTP/1.1\r\nHos", ""), (head.as_str(), "HTTP/1.1 408")] {
        let start = Instant::now();
        let mut stream = TcpStream::connect(page.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(start.elapsed() <= PATIENCE, "{sent:?} took {:?}", start.elapsed());
        assert!(String::from_utf8(answer).unwrap().starts_with(answered), "{sent:?}");
    }
    page.stop().await;
}

#[tokio::test]
async fn the_number_of_connections_is_limited() {
    let plant = Plant::press();
    let page = plant.serve(Config::default()).await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(TcpStream::connect(page.address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(page.address).await.unwrap();
    let mut answer = Vec::new();
    assert_eq!(one_more.read_to_end(&mut answer).await.unwrap(), 0, "closed without an answer");
    let mut first = open.swap_remove(0);
    let request =
        format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", page.address);
    first.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""connectionsRefused":1"#), "{answer}");
    page.stop().await;
}
