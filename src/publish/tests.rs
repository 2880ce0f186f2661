//! Tests of publisher and setter over the broker itself, without sockets.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::broker::{Config, LocalSubscription};
use crate::clock::Clock;
use crate::command::Commander;
use crate::driver::WriteQueue;
use crate::model::point::tests::point;
use crate::model::{
    Access, AlarmAction, AlarmChange, AlarmGroup, AlarmOperator, AlarmRefusal, AlarmRequest, AlarmState,
    AlarmTarget, FirstOut, Outcome, PayloadFormat, PointId, Reason, Severity, Stamp, Texts, Value, ValueKind,
};

fn site() -> Topic {
    Topic::new("site").unwrap()
}

fn at(second: i64) -> Stamp {
    Stamp { mono: Instant::now(), unix_us: second * 1_000_000 }
}

fn listen(broker: &Broker, filter: &str) -> LocalSubscription {
    broker.subscribe(&[(filter, QoS::ExactlyOnce)], 100).unwrap()
}

fn texts(messages: &mut LocalSubscription) -> Vec<(String, String)> {
    std::iter::from_fn(|| messages.try_recv())
        .map(|m| (m.topic().to_owned(), String::from_utf8(m.payload().to_vec()).unwrap()))
        .collect()
}

#[tokio::test]
async fn readings_are_reported_by_exception_with_their_quality() {
    let broker = Broker::new(Config::default());
    let mut raw = point("raw");
    raw.publish.format = PayloadFormat::Raw;
    let points = Arc::new(PointTable::new(vec![point("json"), raw]));
    let publisher = Publisher::new(&broker, site(), points).unwrap();
    let mut messages = listen(&broker, "site/#");
    let read = |id, value| Reading::good(PointId(id), Value::Float(value), at(0));
    publisher.observe(&[read(0, 1.5), read(1, 2.5)]);
    publisher.observe(&[read(0, 1.5), read(1, 2.5)]);
    let mut lost =
        [Reading::bad(PointId(0), Reason::Timeout, at(1)), Reading::bad(PointId(1), Reason::Timeout, at(1))];
    lost.iter_mut().for_each(|reading| reading.value = Some(Value::Float(1.5)));
    publisher.observe(&lost);
    publisher.observe(&[read(1, 2.5)]);
    let expected = [
        ("site/test/json", r#"{"value":1.5,"quality":"good","time":"1970-01-01T00:00:00.000Z"}"#),
        ("site/test/raw", "2.5"),
        (
            "site/test/json",
            r#"{"value":1.5,"quality":"bad","reason":"timeout","time":"1970-01-01T00:00:01.000Z"}"#,
        ),
        ("site/test/raw", "2.5"),
    ];
    let got = texts(&mut messages);
    assert_eq!(got, expected.map(|(topic, text)| (topic.to_owned(), text.to_owned())));
    let mut late = listen(&broker, "site/test/json");
    assert!(texts(&mut late)[0].1.contains("bad"), "the last state is retained");
}

#[tokio::test]
async fn the_gateway_devices_and_alarms_speak_below_the_gateway_level() {
    let broker = Broker::new(Config::default());
    let publisher = Publisher::new(&broker, site(), Arc::new(PointTable::new(vec![point("t")]))).unwrap();
    publisher.gateway_availability(true);
    publisher.device_availability("press", LinkState::Unknown);
    publisher.device_availability("press", LinkState::Offline);
    publisher.device_notice("press", Some("wrong device"));
    publisher.device_notice("fan", Some("wrong device"));
    publisher.device_notice("fan", None);
    let mut all = listen(&broker, "site/gateway/alarms/hot/#");
    publisher.alarm(&hot());
    let mut kept = listen(&broker, "site/gateway/#");
    let mut got = texts(&mut kept);
    got.sort();
    let alarm = r#"{"state":"active-unacknowledged","active":true,"condition":"high","severity":"critical","topic":"site/test/t","value":61.5,"time":"1970-01-01T00:00:00.000Z","message":"too \"hot\"","messages":{"en":"too \"hot\"","ko":"과열"},"class":"safety","groups":["press"],"chattering":true,"shelve_offer":"1h","first_of":["press"]}"#;
    let first_out = Some(FirstOut { alarm: "hot".into(), unix_us: 1_500_000 });
    let group = AlarmGroup { name: "press".into(), first_out, unacknowledged: 2, active: 1 };
    publisher.alarm_group(&group);
    let mut groups = listen(&broker, "site/gateway/alarm-groups/press");
    let told = texts(&mut groups);
    let first = r#"{"alarm":"hot","at":"1970-01-01T00:00:01.500Z"}"#;
    assert_eq!(told[0].1, format!(r#"{{"active":1,"unacknowledged":2,"first_out":{first}}}"#));
    let expected = [
        ("site/gateway/alarms/hot", alarm),
        ("site/gateway/availability", "online"),
        ("site/gateway/devices/press/availability", "offline"),
        ("site/gateway/devices/press/notice", "wrong device"),
    ];
    assert_eq!(got, expected.map(|(topic, text)| (topic.to_owned(), text.to_owned())));

    texts(&mut all);
    let (by, comment) = (Some("kim".into()), Some("seen".into()));
    let from = AlarmState::ActiveUnacknowledged;
    let status = AlarmStatus { state: AlarmState::ActiveAcknowledged, ..hot() };
    let event = AlarmEvent { change: AlarmChange::Acknowledged, at: at(5), from, by, comment, status };
    publisher.alarm_event(&event);
    let told = texts(&mut all);
    assert!(told[0].0 == "site/gateway/alarms/hot" && told[0].1.contains("active-acknowledged"), "{told:?}");
    let json: serde_json::Value = serde_json::from_str(&told[1].1).unwrap();
    assert_eq!(told[1].0, "site/gateway/alarms/hot/event");
    assert_eq!((&json["event"], &json["from"]), (&"acknowledged".into(), &"active-unacknowledged".into()));
    assert_eq!(
        (&json["by"], &json["comment"], &json["at"]),
        (&"kim".into(), &"seen".into(), &"1970-01-01T00:00:05.000Z".into())
    );
    publisher.alarm_event(&AlarmEvent { change: AlarmChange::Pending, ..event });
    assert_eq!(texts(&mut all).len(), 1, "what is pending is a state and no event");
    let mut late = listen(&broker, "site/gateway/alarms/hot/#");
    assert_eq!(texts(&mut late).len(), 1, "events are not kept");
}

fn hot() -> AlarmStatus {
    AlarmStatus {
        name: "hot".into(),
        point: Some(PointId(0)),
        device: None,
        severity: Severity::Critical,
        class: Some("safety".into()),
        groups: Arc::new(["press".into()]),
        state: AlarmState::ActiveUnacknowledged,
        active: true,
        pending: false,
        blind: false,
        condition: Some("high"),
        value: Some(Value::Float(61.5)),
        since: Some(at(0)),
        shelved_until_us: None,
        message: Texts { ko: Some("과열".into()), ..Texts::from("too \"hot\"") },
        help: Texts::default(),
        by: None,
        comment: None,
        chattering: true,
        shelve_offer: Some(Duration::from_secs(3600)),
        first_of: vec!["press".into()],
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_alarms_reaches_them_and_is_answered() {
    let broker = Broker::new(Config::default());
    let asked: Arc<Mutex<Vec<AlarmRequest>>> = Arc::default();
    let sink = Arc::clone(&asked);
    let operator: AlarmOperator = Arc::new(move |request| {
        let known = request.target == AlarmTarget::Alarm("hot".into());
        sink.lock().unwrap().push(request);
        Box::pin(async move {
            if known { Ok(vec![hot()]) } else { Err(AlarmRefusal::Unknown("group `x`".into())) }
        })
    });
    let orders = Orders::new(broker.clone(), site(), operator);
    let (messages, shutdown) = (orders.subscribe().unwrap(), CancellationToken::new());
    let server = tokio::spawn(orders.run(messages, shutdown.clone()));
    let mut results = listen(&broker, "site/gateway/+/+/set/result");
    let mut ask = async |topic: &str, payload: &str, retain| {
        let options = PublishOptions { retain, ..PublishOptions::default() };
        broker.publisher("panel").publish(topic, payload.as_bytes(), &options).unwrap();
        serde_json::from_slice::<serde_json::Value>(results.recv().await.payload()).unwrap()
    };
    let topic = "site/gateway/alarms/hot/set";
    let answer = ask(topic, " acknowledge\n", false).await;
    assert_eq!(answer, serde_json::json!({"done": true, "alarms": [["hot", "active-unacknowledged"]]}));
    ask(topic, r#"{"action":"shelve","for":"1h","user":"kim","comment":"x"}"#, false).await;
    let answer = ask("site/gateway/alarm-groups/x/set", "put-back", false).await;
    assert_eq!(answer, serde_json::json!({"done": false, "reason": "there is no group `x`"}));
    for (payload, retain, why) in
        [("acknowledge", true, "retained"), ("forget", false, "no action"), ("{}", false, "missing field")]
    {
        let answer = ask(topic, payload, retain).await;
        assert!(answer["done"] == false && answer["reason"].as_str().unwrap().contains(why), "{answer}");
    }
    shutdown.cancel();
    server.await.unwrap();
    let asked = asked.lock().unwrap();
    let by: Vec<&str> = asked.iter().map(|request| &*request.by).collect();
    assert_eq!(by, ["mqtt client panel", "kim (mqtt client panel)", "mqtt client panel"]);
    assert_eq!(asked[1].action, AlarmAction::Shelve(Duration::from_secs(3600)));
}

struct Rig {
    broker: Broker,
    queue: Arc<WriteQueue>,
    results: LocalSubscription,
    shutdown: CancellationToken,
}

fn setter_rig() -> Rig {
    let broker = Broker::new(Config::default());
    let fan = Point { kind: ValueKind::Bool, access: Access::Rw, ..point("fan") };
    let queue = Arc::new(WriteQueue::default());
    let clock = Clock::system();
    let commander =
        Commander::new(Arc::new(PointTable::new(vec![fan])), vec![Arc::clone(&queue)], clock.clone());
    let setter = Setter::new(broker.clone(), commander, clock, None);
    let shutdown = CancellationToken::new();
    let messages = setter.subscribe().unwrap();
    tokio::spawn(setter.run(messages, shutdown.clone()));
    let results = listen(&broker, "+/test/fan/set/result");
    Rig { broker, queue, results, shutdown }
}

impl Rig {
    async fn set(&mut self, payload: &str, options: &PublishOptions<'_>) -> serde_json::Value {
        self.broker.publisher("tester").publish("site/test/fan/set", payload.as_bytes(), options).unwrap();
        serde_json::from_slice(self.results.recv().await.payload()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_message_reaches_the_output_and_is_answered() {
    let mut rig = setter_rig();
    let mut answers = listen(&rig.broker, "answers/here");
    let queue = Arc::clone(&rig.queue);
    let device = tokio::spawn(async move {
        loop {
            while let Some(job) = queue.pop(tokio::time::Instant::now().into_std()) {
                let left = job.deadline - tokio::time::Instant::now().into_std();
                let read_back = job.setpoint.clone();
                job.finish(if left < Duration::from_secs(3) {
                    Outcome::Failed("too short".into())
                } else {
                    Outcome::Verified { read_back }
                });
            }
            queue.pushed().await;
        }
    });
    let asked = PublishOptions {
        response_topic: Some("answers/here"),
        correlation: Some(b"c1"),
        ..PublishOptions::default()
    };
    let answer = rig.set(r#"{"value":"on","id":"7"}"#, &asked).await;
    assert_eq!(answer, serde_json::json!({"id":"7","point":"test/fan","outcome":"verified","value":true}));
    let private = answers.try_recv().unwrap();
    assert_eq!(private.properties().correlation, Some(&b"c1"[..]));
    let expiring = PublishOptions { expiry: Some(Duration::from_secs(2)), ..PublishOptions::default() };
    assert_eq!(rig.set("off", &expiring).await["reason"], "too short", "the expiry is the deadline");
    device.abort();
    rig.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn retained_and_malformed_commands_are_refused() {
    let mut rig = setter_rig();
    let retained = PublishOptions { retain: true, ..PublishOptions::default() };
    let answer = rig.set("on", &retained).await;
    assert_eq!(answer["outcome"], "rejected");
    assert!(answer["reason"].as_str().unwrap().contains("retained"));
    assert_eq!(rig.set("maybe", &PublishOptions::default()).await["outcome"], "rejected");
    assert_eq!(rig.set(r#"{"value":1,"x":2}"#, &PublishOptions::default()).await["outcome"], "rejected");
    assert!(rig.queue.pop(tokio::time::Instant::now().into_std()).is_none());
    rig.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn setpoints_reach_the_queue_in_the_order_in_which_they_came() {
    const PAIRS: usize = 40;
    let mut rig = setter_rig();
    let mut client = rig.broker.publisher("tester");
    for _ in 0..PAIRS {
        for payload in ["on", "off"] {
            client.publish("site/test/fan/set", payload.as_bytes(), &PublishOptions::default()).unwrap();
        }
    }
    // All but the last have been superseded and are answered.
    for _ in 0..2 * PAIRS - 1 {
        let answer: serde_json::Value = serde_json::from_slice(rig.results.recv().await.payload()).unwrap();
        assert_eq!(answer["outcome"], "superseded");
    }
    let last = rig.queue.pop(tokio::time::Instant::now().into_std()).expect("the last one waits");
    assert_eq!(last.setpoint, Value::Bool(false));
}
