//! The MQTT clients and retained messages as the API shows them, and what may be done about them.

use iogate::broker::{Broker, PublishOptions, QoS};
use iogate::web::Config;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::browser::Browser;
use crate::client::{Answer, JSON, get, post_to};
use crate::plant::{Page, Plant};

/// A client that speaks MQTT 3.1.1 as far as these tests go.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and waits until it is accepted.
    pub(crate) async fn connect(at: std::net::SocketAddr, id: &str, keeps_session: bool) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let mut packet = vec![0x10, u8::try_from(12 + id.len()).unwrap(), 0, 4];
        packet.extend(b"MQTT\x04");
        packet.extend([if keeps_session { 0 } else { 2 }, 0, 0, 0, u8::try_from(id.len()).unwrap()]);
        packet.extend(id.as_bytes());
        stream.write_all(&packet).await.unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await.unwrap();
        assert_eq!((connack[0], connack[3]), (0x20, 0));
        Self { stream }
    }

    /// Subscribes to a filter at QoS 1.
    pub(crate) async fn subscribe(&mut self, filter: &str) {
        let length = u8::try_from(filter.len()).unwrap();
        self.stream.write_all(&[0x82, 5 + length, 0, 1, 0, length]).await.unwrap();
        self.stream.write_all(&[filter.as_bytes(), &[1]].concat()).await.unwrap();
        let mut suback = [0; 5];
        self.stream.read_exact(&mut suback).await.unwrap();
        assert_eq!(suback, [0x90, 3, 0, 1, 1]);
    }

    /// Publishes at QoS 0, and is answered a ping behind it: the message has been routed then.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) {
        let (name, body) = (u8::try_from(topic.len()).unwrap(), u8::try_from(payload.len()).unwrap());
        let head = [0x30, 2 + name + body, 0, name];
        let packet = [&head, topic.as_bytes(), payload.as_bytes(), &[0xc0, 0]].concat();
        self.stream.write_all(&packet).await.unwrap();
        let mut pong = [0; 2];
        self.stream.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0xd0, 0]);
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn gone(mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}

/// A plant with a page, and its broker served on a port.
pub(crate) async fn served(config: Config) -> (Plant, Page, std::net::SocketAddr) {
    let plant = Plant::press();
    let page = plant.serve(config).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broker = plant.mqtt.clone();
    tokio::spawn(async move { broker.serve(listener, CancellationToken::new()).await });
    (plant, page, address)
}

/// Keeps a message for a topic.
pub(crate) fn keep(broker: &Broker, topic: &str, payload: &[u8]) {
    let options = PublishOptions { retain: true, ..PublishOptions::default() };
    broker.publisher("plant").publish(topic, payload, &options).unwrap();
}

async fn act(page: &Page, what: &str, body: Json) -> Answer {
    post_to(page.address, &format!("/api/v1/mqtt/{what}"), JSON, &body.to_string()).await
}

/// The list, once it says what a test waits for.
async fn clients_when(page: &Page, holds: impl Fn(&Json) -> bool) -> Json {
    loop {
        let list = get(page.address, "/api/v1/mqtt/clients").await.json();
        if holds(&list) {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn clients_are_listed_with_everything_about_them() {
    let (plant, page, mqtt) = served(Config::default()).await;
    let mut panel = Client::connect(mqtt, "panel", true).await;
    panel.subscribe("orders/#").await;
    let mut feeder = Client::connect(mqtt, "feeder 7/ü", false).await;
    feeder.publish("state", "on").await;
    let list = clients_when(&page, |list| list["connected"] == 2).await;
    assert_eq!((&list["total"], &list["matched"]), (&json!(2), &json!(2)));
    let (first, second) = (&list["clients"][0], &list["clients"][1]);
    assert_eq!((&first["client"], &first["received"]), (&json!("feeder 7/ü"), &json!(1)));
    assert_eq!((&second["client"], &second["subscriptions"]), (&json!("panel"), &json!(1)));
    assert_eq!((&second["protocol"], &second["listener"]), (&json!("3.1.1"), &json!("listen")));
    assert!(second["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(second["since"].as_str().unwrap().ends_with('Z') && second["user"].is_null());
    drop(panel);
    clients_when(&page, |list| list["connected"] == 1).await;
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    plant.mqtt.publisher("plant").publish("orders/1", b"cut", &options).unwrap();
    let one = get(page.address, "/api/v1/mqtt/client?client=panel").await.json();
    assert_eq!((&one["connected"], &one["queued"]), (&json!(false), &json!(1)));
    assert_eq!((&one["filters"], &one["address"]), (&json!(["orders/#"]), &json!(null)));
    assert!(one["queuedBytes"].as_u64().unwrap() > 3 && one["expirySeconds"].as_u64().unwrap() > 0);
    for (query, expected) in [
        ("filter=PAN", json!(["panel"])),
        ("state=connected", json!(["feeder 7/ü"])),
        ("sort=queued&descending=true&limit=1", json!(["panel"])),
        ("offset=1", json!(["panel"])),
        ("filter=feeder%207%2F%C3%BC", json!(["feeder 7/ü"])),
    ] {
        let list = get(page.address, &format!("/api/v1/mqtt/clients?{query}")).await.json();
        let ids: Vec<&Json> = list["clients"].as_array().unwrap().iter().map(|c| &c["client"]).collect();
        assert_eq!(json!(ids), expected, "{query}");
    }
    for wrong in ["/api/v1/mqtt/clients?state=dead", "/api/v1/mqtt/clients?limit=x", "/api/v1/mqtt/client"] {
        let answer = get(page.address, wrong).await;
        assert_eq!((answer.status, &answer.json()["error"]), (422, &json!("bad-request")), "{wrong}");
    }
    assert_eq!(get(page.address, "/api/v1/mqtt/client?client=nobody").await.status, 404);
    page.stop().await;
}

#[tokio::test]
async fn a_client_is_sent_away_and_its_session_cleared() {
    let (plant, page, mqtt) = served(Config::default()).await;
    let mut panel = Client::connect(mqtt, "panel", true).await;
    panel.subscribe("orders/#").await;
    let kicked = act(&page, "kick", json!({"client": "panel"})).await;
    assert_eq!((kicked.status, kicked.json()), (200, json!({"client": "panel", "done": true})));
    panel.gone().await;
    let again = act(&page, "kick", json!({"client": "panel"})).await;
    assert_eq!(again.json(), json!({"client": "panel", "done": false}), "its session is kept");
    assert_eq!(plant.mqtt.clients()[0].subscriptions, 1);
    assert_eq!(act(&page, "clear-session", json!({"client": "panel"})).await.json()["done"], true);
    assert!(plant.mqtt.clients().is_empty());
    for what in ["kick", "clear-session"] {
        let gone = act(&page, what, json!({"client": "panel"})).await;
        assert_eq!((gone.status, &gone.json()["error"]), (404, &json!("unknown-client")));
        let wrong = act(&page, what, json!({"klient": "panel"})).await;
        assert_eq!((wrong.status, &wrong.json()["error"]), (422, &json!("bad-request")));
    }
    page.stop().await;
}

#[tokio::test]
async fn retained_messages_are_listed_counted_and_deleted() {
    let (plant, page, _) = served(Config::default()).await;
    for (topic, payload) in [("old/a", &b"1"[..]), ("old/b", b"\xff\x00"), ("new", &[b'x'; 300])] {
        keep(&plant.mqtt, topic, payload);
    }
    let list = get(page.address, "/api/v1/mqtt/retained?filter=old%2F%23").await.json();
    assert_eq!((&list["matched"], &list["bytes"]), (&json!(2), &json!(3)));
    let (a, b) = (&list["messages"][0], &list["messages"][1]);
    assert_eq!((&a["topic"], &a["preview"], &a["qos"]), (&json!("old/a"), &json!("1"), &json!(0)));
    assert_eq!((&b["bytes"], &b["preview"], &b["publisher"]), (&json!(2), &json!(null), &json!("plant")));
    assert!(a["ageSeconds"].is_u64() && a["expiresSeconds"].is_null());
    let cut = get(page.address, "/api/v1/mqtt/retained?offset=0&limit=1").await.json();
    assert_eq!((&cut["matched"], cut["messages"].as_array().unwrap().len()), (&json!(3), 1));
    assert_eq!(cut["messages"][0]["preview"].as_str().unwrap().chars().count(), 257);
    let trial = act(&page, "retained/delete", json!({"filter": "old/#", "dryRun": true})).await.json();
    assert_eq!(trial, json!({"filter": "old/#", "deleted": 2, "dryRun": true}));
    assert_eq!(plant.mqtt.stats().retained, 3);
    let done = act(&page, "retained/delete", json!({"filter": "old/#"})).await.json();
    assert_eq!(done, json!({"filter": "old/#", "deleted": 2, "dryRun": false}));
    assert_eq!(plant.mqtt.stats().retained, 1);
    let wrong = act(&page, "retained/delete", json!({"filter": "a#"})).await;
    assert_eq!((wrong.status, &wrong.json()["error"]), (422, &json!("bad-filter")));
    assert_eq!(get(page.address, "/api/v1/mqtt/retained?filter=a%23").await.status, 422);
    page.stop().await;
}

#[tokio::test]
async fn only_those_who_may_command_see_and_change_it_and_no_other_site_does() {
    let (plant, page, _) = served(Config { control: Some(false), ..Config::default() }).await;
    keep(&plant.mqtt, "kept", b"1");
    for path in ["clients", "client?client=a", "retained"] {
        let answer = get(page.address, &format!("/api/v1/mqtt/{path}")).await;
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("control-disabled")), "{path}");
    }
    assert_eq!(act(&page, "retained/delete", json!({"filter": "#"})).await.status, 403);
    page.stop().await;
    let (plant, page, mqtt) = served(Config::default()).await;
    keep(&plant.mqtt, "kept", b"1");
    let _client = Client::connect(mqtt, "panel", true).await;
    let paths = ["kick", "clear-session", "retained/delete"];
    for path in paths {
        let body = json!({"client": "panel", "filter": "#"}).to_string();
        let path = format!("/api/v1/mqtt/{path}");
        let foreign = format!("{JSON}Origin: http://evil.example\r\n");
        assert_eq!(post_to(page.address, &path, &foreign, &body).await.status, 403, "{path}");
        assert_eq!(post_to(page.address, &path, "", &body).await.status, 415, "{path}");
        let long = format!("{{\"client\": \"{}\"}}", "x".repeat(5000));
        assert_eq!(post_to(page.address, &path, JSON, &long).await.status, 413, "{path}");
        assert_eq!(get(page.address, &path).await.status, 405, "{path}");
    }
    assert_eq!((plant.mqtt.clients().len(), plant.mqtt.stats().retained), (1, 1));
    page.stop().await;
}

#[tokio::test]
async fn the_page_lists_clients_and_asks_before_it_sends_one_away_or_clears_its_session() {
    let (plant, page, mqtt) = served(Config::default()).await;
    let evil = "<img src=x onerror=\"window.owned=1\">";
    let mut panel = Client::connect(mqtt, "panel", true).await;
    panel.subscribe("orders/#").await;
    let _other = Client::connect(mqtt, evil, false).await;
    let mut browser = Browser::open(&format!("http://{}/#clients", page.address), 1280, 800).await;
    let row = "document.querySelector('[data-client=panel]')";
    browser.until(&format!("{row}.innerText.includes('Connected')")).await;
    browser.until("document.querySelectorAll('.clients tbody tr[data-client]').length === 2").await;
    let names = "[...document.querySelectorAll('[data-client] .link')].map((name) => name.textContent)";
    assert_eq!(browser.eval(names).await, json!([evil, "panel"]));
    browser.eval("document.querySelector('[data-sort=client] .sorter').click()").await;
    browser.until(&format!("{names}[0] === 'panel'")).await;
    browser.until("document.querySelector('[data-sort=client]').ariaSort === 'descending'").await;
    browser.eval(&format!("{row}.querySelector('.link').focus()")).await;
    browser.press_enter().await;
    browser.until(&format!("{row}.nextSibling.innerText.includes('orders/#')")).await;
    let button = |n: u32| format!("{row}.nextSibling.querySelectorAll('.set')[{n}]");
    browser.eval(&format!("{}.click()", button(0))).await;
    browser.until("document.querySelector('dialog[open]').innerText.includes('Send panel away?')").await;
    assert_eq!(browser.eval("document.activeElement.textContent").await, "Cancel");
    browser.press_enter().await;
    browser.until("document.querySelector('dialog[open]') === null").await;
    assert!(plant.mqtt.client("panel").unwrap().info.connection.is_some(), "nothing happened");
    let agree = "document.querySelector('dialog[open] .danger').click()";
    // Cancelled, asked again at once and agreed to: the first question stays a no, so it is done once.
    let refuse = "document.querySelector('dialog[open] .set').click()";
    let (kick, agreed) = (button(0), format!("{}.click(); {agree}", button(0)));
    browser.eval(&format!("{kick}.click(); {refuse}; {agreed}")).await;
    panel.gone().await;
    browser.until(&format!("{row}.innerText.includes('Absent')")).await;
    browser.until("document.querySelector('.done').textContent === 'panel was sent away.'").await;
    browser.eval(&format!("{}.click(); {agree}", button(1))).await;
    browser.until(&format!("{row} === null")).await;
    assert!(plant.mqtt.client("panel").is_none());
    assert_eq!(browser.eval("window.owned ?? null").await, json!(null));
    browser.close().await;
    page.stop().await;
}

#[tokio::test]
async fn the_page_counts_retained_messages_before_it_deletes_them() {
    let (plant, page, _) = served(Config::default()).await;
    for n in 0..150 {
        keep(&plant.mqtt, &format!("old/{n:03}"), b"1");
    }
    keep(&plant.mqtt, "new", b"<b>2</b>");
    let mut browser = Browser::open(&format!("http://{}/#clients", page.address), 1280, 800).await;
    browser.until("document.querySelector('[data-part=retained]') !== null").await;
    browser.eval("document.querySelector('[data-part=retained]').click()").await;
    let rows = "document.querySelectorAll('.retained tbody tr')";
    browser.until(&format!("{rows}.length === 100 && {rows}[0].innerText.includes('<b>2</b>')")).await;
    let pager = "document.querySelector('[aria-label=\"Retained messages\"] .pager')";
    browser.until(&format!("{pager}.innerText.includes('1–100 of 151 messages')")).await;
    browser.eval(&format!("{pager}.querySelectorAll('button')[1].click()")).await;
    browser.until(&format!("{rows}.length === 51")).await;
    let filter = "document.querySelector('[aria-label=\"Topic filter\"]')";
    let write = |text: &str| format!("{filter}.value = '{text}'; {filter}.dispatchEvent(new Event('input'))");
    browser.eval(&write("a#")).await;
    browser.until("document.body.innerText.includes('a wildcard does not fill its level')").await;
    browser.eval(&write("old/#")).await;
    browser.until(&format!("{pager}.innerText.includes('of 150 messages')")).await;
    browser.eval("[...document.querySelectorAll('.tools .danger')].at(-1).click()").await;
    browser
        .until("document.querySelector('dialog[open]').innerText.includes('Delete 150 retained messages?')")
        .await;
    assert_eq!(plant.mqtt.stats().retained, 151);
    browser.eval("document.querySelector('dialog[open] .danger').click()").await;
    browser.until("document.body.innerText.includes('150 retained messages deleted.')").await;
    assert_eq!(plant.mqtt.stats().retained, 1);
    browser.close().await;
    page.stop().await;
}
