//! Answers that are none: no wrong value ever comes of them, and what comes back is seen.

use std::sync::atomic::Ordering;
use std::time::Instant;

use iogate::driver::LinkState;
use iogate::model::{Reason, Value};

use super::bench::{Running, plan};
use super::liar::{Liar, Mode};

/// Three objects of an agent.
fn yaml(channels: &[(&str, &str)]) -> String {
    let mut text = String::from("site: s\ndefaults: { poll: 20ms }\nchannels:\n");
    for (name, address) in channels {
        text += &format!("  {name}: {{ snmp: {{ address: \"{address}\", timeout: 300ms, retries: 0 }} }}\n");
    }
    text += "devices:\n";
    for (name, _) in channels {
        text += &format!("  {name}:\n    channel: {name}\n    points:\n");
        for object in 1..=3 {
            text += &format!("      p{object}: {{ oid: 1.3.6.1.4.1.99999.{object}, as: integer }}\n");
        }
    }
    text
}

const POINTS: [&str; 3] = ["a/p1", "a/p2", "a/p3"];

/// Every value that there is, is the one that the agent has.
fn assert_true(running: &Running) {
    for point in POINTS {
        let latest = running.latest(point);
        assert!(latest.value.is_none() || latest.value == Some(Value::Int(42)), "{point}: {latest:?}");
    }
}

#[tokio::test]
async fn no_answer_but_the_right_one_is_believed() {
    let liar = Liar::start().await;
    let running = Running::as_configured(plan(&yaml(&[("a", &liar.address)])));
    for point in POINTS {
        running.until_value(point, 42_i64).await;
    }
    for (mode, reason) in [
        (Mode::Silent, Reason::Timeout),
        (Mode::WrongId, Reason::Timeout),
        (Mode::WrongSource, Reason::Timeout),
        (Mode::WrongCommunity, Reason::Timeout),
        (Mode::WrongVersion, Reason::Timeout),
        (Mode::Truncated, Reason::Timeout),
        (Mode::HugeLength, Reason::Timeout),
        (Mode::Garbage, Reason::Timeout),
        (Mode::Late, Reason::Timeout),
        (Mode::OtherObject, Reason::MalformedReply),
        (Mode::NoObjects, Reason::MalformedReply),
        // genErr, and authorizationError.
        (Mode::Status(5), Reason::ErrorReply),
        (Mode::Status(16), Reason::ErrorReply),
    ] {
        liar.be(mode);
        for point in POINTS {
            running.until_bad(point, reason).await;
        }
        assert_true(&running);
        liar.be(Mode::Right);
        let back = Instant::now();
        for point in POINTS {
            running.until_value(point, 42_i64).await;
        }
        assert_true(&running);
        eprintln!("{mode:?}: good again after {:?}", back.elapsed());
    }
    let stats = &running.context(0).stats.devices[0];
    assert!(stats.timeouts.load(Ordering::Relaxed) > 0 && stats.exceptions.load(Ordering::Relaxed) > 0);
    running.stop().await;
}

#[tokio::test]
async fn one_object_that_fails_costs_the_others_nothing() {
    let liar = Liar::start().await;
    liar.be(Mode::StatusAt(5, 2));
    let running = Running::as_configured(plan(&yaml(&[("a", &liar.address)])));
    running.until_bad("a/p2", Reason::NotAvailable).await;
    running.until_value("a/p1", 42_i64).await;
    running.until_value("a/p3", 42_i64).await;
    assert_eq!(running.context(0).stats.link.get(), LinkState::Online);
    running.stop().await;
}

#[tokio::test]
async fn an_agent_is_not_asked_for_more_than_it_can_answer() {
    let liar = Liar::start().await;
    liar.be(Mode::AtMost(1));
    let running = Running::as_configured(plan(&yaml(&[("a", &liar.address)])));
    for point in POINTS {
        running.until_value(point, 42_i64).await;
    }
    let asked = || running.context(0).stats.devices[0].requests.load(Ordering::Relaxed);
    let (before, published) = (asked(), running.bus.published());
    running.until("readings", |this| this.bus.published() >= published + 60).await;
    // One request for each reading from now on, and none that is refused.
    assert!(asked() - before >= 55, "{} requests", asked() - before);
    assert_eq!(running.context(0).stats.devices[0].exceptions.load(Ordering::Relaxed), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_silent_agent_does_not_slow_another() {
    let (dead, alive) = (Liar::start().await, Liar::start().await);
    dead.be(Mode::Silent);
    let running = Running::as_configured(plan(&yaml(&[("a", &dead.address), ("b", &alive.address)])));
    running.until_bad("a/p1", Reason::Timeout).await;
    running.until("it is down", |this| this.context(0).stats.link.get() == LinkState::Offline).await;
    let asked = |channel: usize| running.context(channel).stats.devices[0].requests.load(Ordering::Relaxed);
    let (silent, other) = (asked(0), asked(1));
    running.until("50 answers of the other", |_| asked(1) >= other + 50).await;
    // Each request to the silent one waits for 300 ms; had the other waited along, there were as many of them.
    assert!(asked(0) - silent < 25, "{} requests to the silent agent", asked(0) - silent);
    running.stop().await;
}
