//! MQTT.js in a page of headless Chromium, over WS and WSS: the page comes from a server of the test and posts to it
//! what it found.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use iogate::broker::Config;
use iogate::broker::listen::{BrokerListener, BrokerTls};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::listen::{Authority, Site, anywhere};

/// How long a browser on a busy machine may take for everything.
const PATIENCE: Duration = Duration::from_secs(120);

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-extensions \
     --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage";

/// Answers one request for a file of the page; returns what was posted, if something was.
async fn answer(stream: TcpStream) -> Option<String> {
    let mut stream = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    stream.read_line(&mut request).await.ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    let (file, kind): (PathBuf, _) = match path {
        "/" => (root.join("tests/peers/broker_page.html"), "text/html"),
        "/broker_mqttjs_checks.mjs" => (root.join("tests/peers").join(&path[1..]), "text/javascript"),
        "/mqtt.min.js" => {
            (root.join("tests/.peers/node/node_modules/mqtt/dist/mqtt.min.js"), "text/javascript")
        }
        _ => (PathBuf::new(), "text/plain"),
    };
    let content = match file.as_os_str().is_empty() {
        true => Vec::new(),
        false => std::fs::read(&file)
            .unwrap_or_else(|error| panic!("{}: {error}: run `bash tests/peers.sh` first", file.display())),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &content].concat()).await;
    request.starts_with("POST /result ").then(|| String::from_utf8(body).unwrap())
}

/// Opens the page as `host` sees it and waits for what it says about the brokers at `urls`.
async fn visit(listener: &TcpListener, host: &str, urls: &[String], key: &str) -> Vec<String> {
    let home = TempDir::new().unwrap();
    let page = format!("http://{host}:{}/?url={}", listener.local_addr().unwrap().port(), urls.join("&url="));
    let script = format!(
        "for name in chromium chromium-browser google-chrome; do command -v $name >/dev/null && \
         exec $name {FLAGS} --ignore-certificate-errors-spki-list=\"$2\" --user-data-dir=\"$1\" \"$0\"; done"
    );
    let mut browser = Command::new("sh")
        .args(["-c", &script, &page])
        .arg(home.path())
        .arg(key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let result = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Some(result) = answer(stream).await {
                return result;
            }
        }
    };
    let result = tokio::select! {
        result = tokio::time::timeout(PATIENCE, result) => result.expect("a result of the page in time"),
        ended = browser.wait() => panic!("chromium ended ({ended:?}); does `bash tests/peers.sh` find it?"),
    };
    let _ = browser.kill().await;
    result.lines().map(str::to_owned).collect()
}

/// The hash of a certificate's public key, by which a browser can be told to take it.
async fn key_hash(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der | \
                  openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh").args(["-c", script]).arg(certificate).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn mqtt_js_in_a_page_finds_what_it_expects_where_the_page_may_connect() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new(folder.path()).issue("server", "broker", &["localhost"]);
    let file = |name: &str| folder.path().join(name);
    let key = key_hash(&file("server.pem")).await;
    let page = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let websocket = || BrokerListener { websocket: Some("/mqtt".into()), ..anywhere() };
    let tls = BrokerTls { cert: file("server.pem"), key: file("server.key"), ..BrokerTls::default() };
    let elsewhere = format!("http://127.0.0.1:{}", page.local_addr().unwrap().port());
    let listeners = vec![
        ("plain", websocket()),
        ("secure", BrokerListener { tls: Some(tls), ..websocket() }),
        ("open", BrokerListener { origins: vec![elsewhere], ..websocket() }),
    ];
    let site = Site::start(Config::default(), folder, listeners).await;
    let plain = format!("ws://localhost:{}/mqtt", site.port("plain"));
    let secure = format!("wss://localhost:{}/mqtt", site.port("secure"));
    let open = format!("ws://localhost:{}/mqtt", site.port("open"));
    let passed = |url: &String| [3, 4, 5].map(|version| format!("{url} {version} passed"));
    // A page of the same host may connect.
    let found = visit(&page, "localhost", &[plain.clone(), secure.clone()], &key).await;
    assert_eq!(found, [passed(&plain), passed(&secure)].concat());
    // A page from elsewhere may where it is named, and nowhere else.
    let before = site.broker.stats().connects;
    let found = visit(&page, "127.0.0.1", &[plain], &key).await;
    assert!(found.len() == 3 && found.iter().all(|line| line.contains(" failed: ")), "{found:?}");
    assert_eq!(site.broker.stats().connects, before);
    assert_eq!(visit(&page, "127.0.0.1", std::slice::from_ref(&open), &key).await, passed(&open));
}
