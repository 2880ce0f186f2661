//! A headless Chromium, driven over the DevTools protocol on two pipes.
//!
//! The messages are JSON texts ended by a zero byte; Chromium reads them from descriptor 3 and writes to 4.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// How long the page may take to become what a test waits for, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-extensions \
     --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
     --remote-debugging-pipe";

/// Runs in every document before its own scripts: notes whatever the page must never do.
const WATCH: &str = "window.faults = [];
    addEventListener('error', (e) => window.faults.push('error: ' + (e.message ?? e.target?.src)), true);
    addEventListener('unhandledrejection', (e) => window.faults.push('rejection: ' + e.reason));
    addEventListener('securitypolicyviolation', (e) => window.faults.push('policy: ' + e.violatedDirective + ' ' + e.blockedURI));";

/// A browser with one tab.
pub(crate) struct Browser {
    child: Child,
    to: pipe::Sender,
    from: pipe::Receiver,
    pending: Vec<u8>,
    next_id: u64,
    session: Option<String>,
    _home: TempDir,
}

impl Browser {
    /// Starts Chromium with an empty profile and opens `url` in a window of this size.
    pub(crate) async fn open(url: &str, width: u32, height: u32) -> Self {
        let home = TempDir::new().unwrap();
        let (to, from) = (home.path().join("to"), home.path().join("from"));
        let made = Command::new("mkfifo").arg(&to).arg(&from).status().await.unwrap();
        assert!(made.success());
        let mut ends = pipe::OpenOptions::new();
        let sender = ends.read_write(true).open_sender(&to).unwrap();
        let receiver = ends.open_receiver(&from).unwrap();
        let script = format!(
            "for name in chromium chromium-browser google-chrome; do command -v $name >/dev/null && \
             exec $name {FLAGS} --user-data-dir=\"$2\" about:blank 3<\"$0\" 4>\"$1\"; done"
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .args([&to, &from, &home.path().join("profile")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            child,
            to: sender,
            from: receiver,
            pending: Vec::new(),
            next_id: 0,
            session: None,
            _home: home,
        };
        browser.attach().await;
        browser.resize(width, height).await;
        browser.call("Page.navigate", json!({"url": url})).await;
        browser
    }

    async fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attached = self
            .call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}))
            .await;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        self.call("Page.enable", json!({})).await;
        self.call("Runtime.enable", json!({})).await;
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
    }

    /// Calls a method and waits for its result.
    async fn call(&mut self, method: &str, params: Json) -> Json {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).await.unwrap();
        loop {
            let mut answer = self.receive(method).await;
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }

    async fn receive(&mut self, method: &str) -> Json {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.pending.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).unwrap();
            }
            tokio::select! {
                read = self.from.read_buf(&mut self.pending) => assert_ne!(read.unwrap(), 0),
                ended = self.child.wait() => panic!("chromium ended during {method} ({ended:?}); does `bash tests/peers.sh` find it?"),
            }
        }
    }

    /// The size of the window, as a phone's or a desktop's.
    pub(crate) async fn resize(&mut self, width: u32, height: u32) {
        let mobile = width < 700;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Light or dark, as the system's setting.
    pub(crate) async fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// What an expression comes to in the page.
    pub(crate) async fn eval(&mut self, expression: &str) -> Json {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call("Runtime.evaluate", parameters).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until a condition holds in the page, looking once per frame.
    pub(crate) async fn until(&mut self, condition: &str) {
        let patience = PATIENCE.as_millis();
        let wait = format!(
            "new Promise((done) => {{ const end = Date.now() + {patience};
               const look = () => {{ let held = false; try {{ held = Boolean({condition}); }} catch {{ held = false; }}
                 if (held || Date.now() > end) done(held); else setTimeout(look, 20); }}; look(); }})"
        );
        let held = self.eval(&wait).await;
        if held != json!(true) {
            let page = self.eval("document.body.innerText").await;
            panic!("never came true: {condition}\nthe page says:\n{}", page.as_str().unwrap_or_default());
        }
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&mut self, key: &str) {
        let single = (key.chars().count() == 1).then_some(key);
        let code = single.and_then(|key| key.bytes().next()).unwrap_or(0);
        let event = |kind: &str| json!({"type": kind, "key": key, "windowsVirtualKeyCode": code.to_ascii_uppercase()});
        let mut down = event("keyDown");
        down["text"] = json!(single.unwrap_or_default());
        self.call("Input.dispatchKeyEvent", down).await;
        self.call("Input.dispatchKeyEvent", event("keyUp")).await;
    }

    /// Presses the Enter key where the focus is.
    pub(crate) async fn press_enter(&mut self) {
        let key = json!({"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        for kind in ["keyDown", "keyUp"] {
            let mut event = key.clone();
            event["type"] = json!(kind);
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Ends the browser; the page must have done nothing that its policy forbids, and thrown nothing.
    pub(crate) async fn close(mut self) {
        assert_eq!(self.eval("window.faults").await, json!([]));
        self.call("Browser.close", json!({})).await;
        self.child.wait().await.unwrap();
    }
}
