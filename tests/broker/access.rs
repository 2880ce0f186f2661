//! Who may do what: rules over real sockets, and what a change of them does to clients that are there already.

use std::fmt::Write as _;
use std::net::SocketAddr;

use iogate::broker::access::check_access_file;
use iogate::broker::auth::hash;
use iogate::broker::listen::BrokerListener;
use iogate::broker::{Broker, Config, PublishOptions, QoS};
use tokio::net::TcpStream;

use crate::client::{Client, Connect, Will, pipe, until, vanished};
use crate::jwt::Log;
use crate::listen::{Site, anywhere};

/// Every user's password.
const PASSWORD: &str = "secret";

/// A broker with users and rules; the listener `open` serves clients that do not log in.
async fn site(users: &[&str], rules: &str) -> Site {
    with(Config::default(), users, rules).await
}

async fn with(config: Config, users: &[&str], rules: &str) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = String::from("# users\n");
    for user in users {
        writeln!(lines, "{user}:{}", hash(PASSWORD.as_bytes()).unwrap()).unwrap();
    }
    std::fs::write(folder.path().join("users"), lines).unwrap();
    std::fs::write(folder.path().join("rules"), rules).unwrap();
    let config = Config {
        password_file: Some(folder.path().join("users")),
        access_file: Some(folder.path().join("rules")),
        ..config
    };
    let open = BrokerListener { anonymous: true, ..anywhere() };
    Site::start(config, folder, vec![("open", open)]).await
}

/// Other rules, in force when this returns.
fn change(site: &Site, rules: &str) {
    std::fs::write(site.folder.path().join("rules"), rules).unwrap();
    site.broker.reload();
}

async fn socket(site: &Site, listener: &str) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], site.port(listener)));
    Client::over(TcpStream::connect(address).await.unwrap())
}

fn login(level: u8, id: &str, user: &str) -> Connect {
    let mut connect = Connect::new(level, id);
    connect.login = Some((user.to_owned(), PASSWORD.to_owned()));
    connect
}

/// Connects with this CONNECT and expects success.
async fn connect(site: &Site, connect: &Connect) -> Client {
    let mut client = socket(site, "listen").await;
    client.greet(connect).await;
    client
}

async fn user(site: &Site, id: &str, user: &str) -> Client {
    connect(site, &login(5, id, user)).await
}

/// Sends a PUBLISH of QoS 1 or 2 and returns the code of its first acknowledgement.
async fn publish(client: &mut Client, flags: u8, topic: &str, payload: &str) -> u8 {
    let (bytes, id) = client.publication(flags, topic, &[], payload.as_bytes());
    client.send(&bytes).await;
    let (_, body) = client.packet().await;
    assert_eq!(body[..2], id);
    body.get(2).copied().unwrap_or(0)
}

async fn subscribe(client: &mut Client, filter: &str, options: u8) -> u8 {
    client.subscribe_with(&[], &[(filter, options)]).await[0]
}

/// Everything for the user `root`, which the tests publish with.
const ROOT: &str = "users:\n  root: { read: ['#', $SYS/#], write: ['#'] }\n";

fn and(rules: &str) -> String {
    format!("{ROOT}{rules}")
}

#[tokio::test]
async fn what_no_rule_permits_is_refused() {
    let rules = and(
        "  anna: { read: [home/#], write: [home/+/set], deny: [home/safe/#] }\nanonymous: { read: [open/%c] }\n",
    );
    let site = site(&["anna", "root"], &rules).await;
    let mut anna = user(&site, "a", "anna").await;
    for (filter, code) in [
        ("home/fan", 1),
        ("#", 1),
        ("+/x", 1),
        ("$share/g/home/#", 1),
        ("office/#", 0x87),
        ("home/safe/key", 0x87),
        ("$share/g/office", 0x87),
        ("$SYS/#", 0x87),
        ("$SYS/broker/uptime", 0x87),
    ] {
        assert_eq!(subscribe(&mut anna, filter, 1).await, code, "{filter}");
    }
    let mut anna = user(&site, "writer", "anna").await;
    assert_eq!(publish(&mut anna, 2, "home/fan/set", "1").await, 0);
    for topic in ["home/fan", "home/safe/set", "office/fan/set", "$SYS/set", "$SYS/x/set"] {
        assert_eq!(publish(&mut anna, 2, topic, "1").await, 0x87, "{topic}");
        assert_eq!(publish(&mut anna, 4, topic, "1").await, 0x87, "{topic}");
    }
    let mut nobody = socket(&site, "open").await;
    nobody.greet(&Connect::v5("panel")).await;
    assert_eq!(subscribe(&mut nobody, "open/panel", 0).await, 0);
    assert_eq!(subscribe(&mut nobody, "open/other", 0).await, 0x87);
    assert_eq!(subscribe(&mut nobody, "home/fan", 0).await, 0x87);
    let stats = site.broker.stats();
    assert_eq!((stats.publishes_denied, stats.subscriptions_denied), (10, 7));
}

#[tokio::test]
async fn a_wide_subscription_is_given_what_may_be_read_and_no_more() {
    let rules = and("  anna: { read: [home/#, office/door], deny: [home/safe] }\n");
    let site = site(&["anna", "root"], &rules).await;
    let mut root = user(&site, "r", "root").await;
    for topic in ["home/kept", "home/safe", "office/kept", "office/door"] {
        root.publish(0x03, topic, "kept").await;
    }
    let mut anna = user(&site, "a", "anna").await;
    anna.subscribe("#", 1).await;
    let mut kept = [anna.take().await.topic, anna.take().await.topic];
    kept.sort();
    assert_eq!(kept, ["home/kept", "office/door"]);
    let mut local = site.broker.publisher("inside");
    for topic in ["home/safe", "office/fan", "home/fan", "office/door"] {
        for flags in [0, 2, 4] {
            root.publish(flags, topic, "live").await;
        }
        let handle = local.topic(topic).unwrap();
        // Twice: the second answer comes from what the publisher remembers.
        for _ in 0..2 {
            let mut batch = local.batch();
            batch.publish(&handle, b"inside", &PublishOptions::default());
            batch.commit();
        }
    }
    for topic in ["home/fan", "office/door"] {
        let mut seen = Vec::new();
        for _ in 0..5 {
            let message = anna.take().await;
            assert_eq!(message.topic, topic);
            seen.push(message.payload);
        }
        assert_eq!(seen.iter().filter(|payload| *payload == b"live").count(), 3);
    }
    anna.quiet().await;
    assert!(site.broker.stats().withheld >= 6);
}

#[tokio::test]
async fn a_subscribe_rule_permits_narrow_filters_only() {
    let site = site(&["anna", "root"], &and("  anna: { subscribe: [home/+/state] }\n")).await;
    let mut anna = user(&site, "a", "anna").await;
    for (filter, code) in
        [("home/+/state", 0), ("home/fan/state", 0), ("home/#", 0x87), ("#", 0x87), ("home/fan/+", 0x87)]
    {
        assert_eq!(subscribe(&mut anna, filter, 0).await, code, "{filter}");
    }
    let mut root = user(&site, "r", "root").await;
    root.publish(0, "home/fan/state", "on").await;
    assert_eq!(anna.message().await.text(), "on");
}

#[tokio::test]
async fn an_older_client_is_told_what_its_version_has_words_for() {
    let site = site(&["anna", "root"], &and("  anna: { read: [home/#] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    root.subscribe("#", 2).await;
    let mut anna = connect(&site, &login(4, "a", "anna")).await;
    assert_eq!(subscribe(&mut anna, "office", 0).await, 0x80);
    // Acknowledged as if all were well: 3.1.1 has no other answer.
    for flags in [0, 2, 4] {
        anna.publish(flags, "home/fan", "on").await;
    }
    root.quiet().await;
    let stats = site.broker.stats();
    assert_eq!((stats.publishes_denied, stats.subscriptions_denied), (3, 1));
}

#[tokio::test]
async fn names_of_clients_and_users_fill_patterns_and_widen_none() {
    let rules = and("everyone: { read: [of/%u/#, by/%c/#], write: [by/%c/%u], deny: [by/%c/secret] }\n");
    let site = site(&["anna", "root"], &rules).await;
    let mut anna = user(&site, "panel", "anna").await;
    for (filter, code) in [
        ("of/anna/x", 0),
        ("by/panel/x", 0),
        ("of/root/x", 0x87),
        ("by/other/x", 0x87),
        ("by/panel/secret", 0x87),
    ] {
        assert_eq!(subscribe(&mut anna, filter, 0).await, code, "{filter}");
    }
    // 0x10: permitted, and nobody subscribed.
    assert_eq!(publish(&mut anna, 2, "by/panel/anna", "1").await, 0x10);
    assert_eq!(publish(&mut anna, 2, "by/other/anna", "1").await, 0x87);
    for id in ["+", "#", "panel/x", "+/#"] {
        let mut sly = user(&site, id, "anna").await;
        assert_eq!(subscribe(&mut sly, "by/panel/x", 0).await, 0x87, "{id}");
        assert_eq!(subscribe(&mut sly, "by/+/x", 0).await, 0x87, "{id}");
        assert_eq!(publish(&mut sly, 2, "by/panel/anna", "1").await, 0x87, "{id}");
        assert_eq!(subscribe(&mut sly, "of/anna/x", 0).await, 0, "{id}");
    }
}

#[tokio::test]
async fn subscriptions_end_with_the_permission_and_do_not_come_back() {
    let site = site(&["anna", "root"], &and("  anna: { read: ['#'] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    let mut anna = user(&site, "a", "anna").await;
    for filter in ["home/#", "office/#", "$share/g/office/#", "#"] {
        anna.subscribe(filter, 1).await;
    }
    assert_eq!(site.broker.stats().subscriptions, 4);
    change(&site, &and("  anna: { read: [home/#] }\n"));
    let stats = site.broker.stats();
    assert_eq!((stats.subscriptions, stats.shared_subscriptions, stats.subscriptions_revoked), (2, 0, 2));
    root.publish(2, "office/x", "1").await;
    root.publish(2, "home/x", "2").await;
    assert_eq!(anna.take().await.text(), "2");
    anna.quiet().await;
    change(&site, &and("  anna: { read: ['#'] }\n"));
    assert_eq!(site.broker.stats().subscriptions, 2);
    // What was narrowed is wide again; what was removed is not.
    root.publish(2, "office/x", "3").await;
    assert_eq!(anna.take().await.text(), "3");
    anna.quiet().await;
    assert_eq!(anna.unsubscribe("office/#").await, [0, 0x11]);
}

#[tokio::test]
async fn what_waits_for_an_absent_client_is_taken_out() {
    let site = site(&["anna", "root"], &and("  anna: { read: ['#'] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    let anna = login(5, "a", "anna").keeping();
    let mut client = connect(&site, &anna).await;
    client.subscribe("#", 2).await;
    client.drop_connection();
    vanished(&site.broker, "a").await;
    for topic in ["home/1", "office/1", "home/2", "office/2"] {
        root.publish(2, topic, topic).await;
        root.publish(4, topic, topic).await;
    }
    change(&site, &and("  anna: { read: [home/#] }\n"));
    assert_eq!(site.broker.stats().withheld, 4);
    let again = Connect { clean: false, ..anna };
    let mut client = connect(&site, &again).await;
    for topic in ["home/1", "home/1", "home/2", "home/2"] {
        assert_eq!(client.take().await.topic, topic);
    }
    client.quiet().await;
}

#[tokio::test]
async fn what_was_sent_is_finished_without_its_content() {
    let site = site(&["anna", "root"], &and("  anna: { read: ['#'] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    let anna = login(5, "a", "anna").keeping();
    let mut client = connect(&site, &anna).await;
    client.subscribe("#", 2).await;
    root.publish(2, "office/1", "one").await;
    root.publish(4, "office/2", "two").await;
    root.publish(4, "home/3", "three").await;
    let [one, two, three] = [client.message().await, client.message().await, client.message().await];
    assert_eq!((one.qos, two.qos, three.qos), (1, 2, 2));
    // Received and not acknowledged; the connection breaks.
    client.drop_connection();
    vanished(&site.broker, "a").await;
    change(&site, &and("  anna: { read: [home/#] }\n"));
    let again = Connect { clean: false, ..anna };
    let mut client = connect(&site, &again).await;
    // The QoS 1 message is gone. Of the QoS 2 one only its end is left, under the identifier that the client knows.
    let [high, low] = two.id.to_be_bytes();
    client.expect(&[0x62, 2, high, low]).await;
    client.send(&[0x70, 2, high, low]).await;
    let resent = client.take().await;
    assert_eq!((resent.text(), resent.id, resent.dup), ("three", three.id, true));
    client.quiet().await;
    assert_eq!(site.broker.stats().unknown_acks, 0);
    // All identifiers are free again.
    root.publish(4, "home/4", "four").await;
    assert_eq!(client.take().await.text(), "four");
}

#[tokio::test]
async fn what_is_in_flight_on_a_living_connection_can_be_acknowledged() {
    let site = site(&["anna", "root"], &and("  anna: { read: ['#'] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    let mut anna = user(&site, "a", "anna").await;
    anna.subscribe("#", 2).await;
    root.publish(4, "office/1", "one").await;
    let one = anna.message().await;
    change(&site, &and("  anna: { read: [home/#] }\n"));
    let [high, low] = one.id.to_be_bytes();
    anna.send(&[0x50, 2, high, low]).await;
    anna.expect(&[0x62, 2, high, low]).await;
    anna.send(&[0x70, 2, high, low]).await;
    anna.quiet().await;
    assert_eq!(site.broker.stats().unknown_acks, 0);
}

#[tokio::test]
async fn retained_messages_still_to_be_sent_are_looked_at_again() {
    let site = site(&["anna", "root"], &and("  anna: { read: ['#'] }\n")).await;
    let mut root = user(&site, "r", "root").await;
    for number in 0..4 {
        root.publish(0x03, &format!("home/{number}"), "h").await;
        root.publish(0x03, &format!("office/{number}"), "o").await;
    }
    // One message in flight: the others wait until it is acknowledged.
    let mut anna = login(5, "a", "anna");
    anna.properties = vec![0x21, 0, 1];
    let mut client = connect(&site, &anna).await;
    client.subscribe("#", 1).await;
    let first = client.message().await;
    change(&site, &and("  anna: { read: [home/#] }\n"));
    let [high, low] = first.id.to_be_bytes();
    client.send(&[0x40, 2, high, low]).await;
    let left = 4 - usize::from(first.topic.starts_with("home/"));
    for _ in 0..left {
        assert!(client.take().await.topic.starts_with("home/"));
    }
    client.quiet().await;
}

/// With aliases: what follows a message that told one must still be understood.
#[tokio::test]
async fn what_a_stalled_client_has_not_taken_is_taken_out_of_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [users, rules] = ["users", "rules"].map(|name| folder.path().join(name));
    std::fs::write(&users, format!("anna:{}\n", hash(PASSWORD.as_bytes()).unwrap())).unwrap();
    let all = "users: { anna: { read: ['#'] } }\n";
    std::fs::write(&rules, all).unwrap();
    let config = Config { password_file: Some(users), access_file: Some(rules.clone()), ..Config::default() };
    let broker = Broker::new(config);
    broker.reload();
    let mut anna = login(5, "a", "anna");
    anna.properties = vec![0x22, 0, 9];
    let mut client = pipe(&broker);
    client.greet(&anna).await;
    client.subscribe("#", 2).await;
    let mut inside = broker.publisher("inside");
    let mut publish = |topic: &str, payload: &[u8], qos| {
        let options = PublishOptions { qos, ..PublishOptions::default() };
        inside.publish(topic, payload, &options).unwrap();
    };
    publish("home/large", &vec![b'x'; 128 << 10], QoS::AtMostOnce);
    let before = broker.stats().bytes_out;
    // The pipe is full; nobody reads it before the rules are others.
    until("the stall", || broker.stats().bytes_out >= before + (60 << 10)).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for topic in ["office/1", "home/1", "office/1", "home/1"] {
            publish(topic, topic.as_bytes(), qos);
        }
    }
    std::fs::write(&rules, "users: { anna: { read: [home/#] } }\n").unwrap();
    broker.reload();
    assert_eq!(broker.stats().withheld, 6);
    assert_eq!(client.message().await.topic, "home/large");
    let mut names = Vec::new();
    for _ in 0..6 {
        let message = client.take().await;
        assert_eq!(message.text(), "home/1");
        names.push(message.topic);
    }
    assert_eq!(names, ["home/1", "", "", "", "", ""]);
    client.quiet().await;
    std::fs::write(&rules, all).unwrap();
    broker.reload();
    publish("office/1", b"again", QoS::ExactlyOnce);
    // Its alias was withdrawn with the message that told it: the name is told again.
    assert_eq!(client.take().await.topic, "office/1");
    client.quiet().await;
    assert_eq!(broker.stats().unknown_acks, 0);
}

#[tokio::test]
async fn wills_need_permission_at_connect_and_when_they_are_published() {
    let site = site(&["anna", "root"], &and("  anna: { write: [last/#] }\n")).await;
    let mut wills = site.broker.subscribe(&[("last/#", QoS::AtMostOnce)], 8).unwrap();
    let with_will = |level, id: &str, topic| {
        let mut connect = login(level, id, "anna");
        connect.will = Some(Will { topic, payload: b"gone", qos: 0, retain: false, properties: Vec::new() });
        connect
    };
    for (level, topic, code) in [(5, "other", 0x87), (4, "other", 5), (5, "$SYS/x", 0x87)] {
        let mut client = socket(&site, "listen").await;
        client.send(&with_will(level, "bad", topic).bytes()).await;
        let (first, body) = client.packet().await;
        assert_eq!((first, body[1]), (0x20, code));
    }
    assert!(site.broker.clients().is_empty());
    for id in ["one", "two"] {
        let topic = if id == "one" { "last/one" } else { "last/two" };
        let client = connect(&site, &with_will(5, id, topic)).await;
        if id == "two" {
            change(&site, &and("  anna: { write: [last/one] }\n"));
        }
        client.drop_connection();
        vanished(&site.broker, id).await;
    }
    assert_eq!(wills.recv().await.topic(), "last/one");
    assert_eq!(site.broker.stats().wills, 1);
    assert!(wills.try_recv().is_none());
}

#[tokio::test]
async fn publishing_ends_with_the_permission_also_in_the_middle_of_qos_2() {
    let site = site(&["anna", "root"], &and("  anna: { write: [home/#] }\n")).await;
    let mut all = site.broker.subscribe(&[("#", QoS::ExactlyOnce)], 8).unwrap();
    let mut anna = user(&site, "a", "anna").await;
    let (bytes, id) = anna.publication(4, "home/fan", &[], b"first");
    anna.send(&bytes).await;
    let (first, body) = anna.packet().await;
    assert_eq!((first, &body[..2]), (0x50, &id[..]));
    assert_eq!(all.recv().await.payload(), b"first");
    change(&site, &and("  anna: { read: [home/#] }\n"));
    // It was routed when it came. Sent again, it is not routed a second time; its exchange ends as the protocol says.
    let mut again = bytes.clone();
    again[0] |= 8;
    anna.send(&again).await;
    let (first, body) = anna.packet().await;
    assert_eq!((first, &body[..2]), (0x50, &id[..]));
    anna.send(&[0x62, 2, id[0], id[1]]).await;
    anna.expect(&[0x70, 2, id[0], id[1]]).await;
    assert_eq!(publish(&mut anna, 4, "home/fan", "second").await, 0x87);
    assert_eq!(publish(&mut anna, 2, "home/fan", "third").await, 0x87);
    assert!(all.try_recv().is_none());
}

#[tokio::test]
async fn what_a_member_of_a_group_leaves_goes_to_those_who_may_read_it() {
    let rules = and("  anna: { read: [jobs/#] }\n  bert: { read: [jobs/open/#] }\n");
    let site = site(&["anna", "bert", "root"], &rules).await;
    let mut root = user(&site, "r", "root").await;
    let mut anna = user(&site, "a", "anna").await;
    anna.subscribe("$share/g/jobs/#", 1).await;
    for topic in ["jobs/secret", "jobs/open/1", "jobs/secret", "jobs/open/2"] {
        root.publish(2, topic, topic).await;
        anna.message().await;
    }
    let mut bert = user(&site, "b", "bert").await;
    bert.subscribe("$share/g/jobs/#", 1).await;
    // Her session ends; nothing of hers was acknowledged.
    anna.drop_connection();
    for topic in ["jobs/open/1", "jobs/open/2"] {
        assert_eq!(bert.take().await.topic, topic);
    }
    bert.quiet().await;
}

#[tokio::test]
async fn a_mistake_in_the_rules_changes_nothing_and_an_empty_file_opens_nothing() {
    let site = site(&["anna", "root"], &and("  anna: { read: [home/#] }\n")).await;
    let mut anna = user(&site, "a", "anna").await;
    anna.subscribe("home/#", 0).await;
    for text in ["", "#\n", "everyone: { raed: ['#'] }\n", "everyone: { read: ['a#'] }\n", "everyone: [\n"] {
        change(&site, text);
        assert_eq!(subscribe(&mut anna, "office", 0).await, 0x87, "{text}");
        assert_eq!(subscribe(&mut anna, "home/x", 0).await, 0, "{text}");
    }
    std::fs::remove_file(site.folder.path().join("rules")).unwrap();
    site.broker.reload();
    assert_eq!(subscribe(&mut anna, "office", 0).await, 0x87);
    assert_eq!(subscribe(&mut anna, "home/y", 0).await, 0);
    change(&site, &and("everyone: {}\n"));
    assert_eq!(subscribe(&mut anna, "home/x", 0).await, 0x87);
    assert_eq!(site.broker.stats().subscriptions, 0);
}

#[tokio::test]
async fn no_identifier_looks_like_a_line_of_the_log() {
    let log = Log::default();
    let _guard = log.start();
    let site = site(&["root"], &and("anonymous: { read: ['#'], write: ['#'] }\n")).await;
    let evil = "x\nFORGED \u{1b}[31m\rFORGED";
    let mut client = socket(&site, "open").await;
    client.greet(&Connect::v5(evil)).await;
    client.subscribe("#", 0).await;
    change(&site, &and("anonymous: {}\n"));
    assert_eq!(publish(&mut client, 2, "a\nFORGED", "").await, 0x87);
    client.send(&[0, 0]).await;
    client.expect_refusal(0x81).await;
    let told = log.take();
    assert_eq!(told.matches("FORGED").count(), 7, "three lines tell of it:\n{told}");
    assert!(
        told.lines().all(|line| !line.starts_with("FORGED") && !line.contains(['\u{1b}', '\r'])),
        "{told}"
    );
}

#[tokio::test]
async fn the_watcher_finds_a_change_by_itself() {
    let site = site(&["anna", "root"], &and("  anna: { read: [home/#] }\n")).await;
    let mut anna = user(&site, "a", "anna").await;
    anna.subscribe("home/#", 0).await;
    std::fs::write(site.folder.path().join("rules"), and("  anna: { read: [office/#] }\n")).unwrap();
    until("the change", || site.broker.stats().subscriptions == 0).await;
    assert_eq!(subscribe(&mut anna, "office/#", 0).await, 0);
}

#[tokio::test]
async fn users_without_rules_are_a_mistake_that_shows_the_way_out() {
    let config = Config { password_file: Some("/users".into()), ..Config::default() };
    let problems = config.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let (_, example) = problems[0].split_once("yaml`:\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.yaml");
    std::fs::write(&file, example).unwrap();
    check_access_file(&file).unwrap();
    let config = Config { access_file: Some(file.clone()), ..config };
    assert_eq!(config.problems(), Vec::<String>::new());
    let config = Config { access_file: Some("access.yaml".into()), ..config };
    assert!(config.problems()[0].contains("absolute path"));
    std::fs::write(&file, "everyone:\n  raed: ['#']\n").unwrap();
    let config = Config { access_file: Some(file), password_file: None, ..config };
    assert!(config.file_problems()[0].contains("line 2, column 3"), "{:?}", config.file_problems());
}

#[tokio::test]
async fn the_starter_file_says_what_it_shows_in_its_comments() {
    let starter =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/access.yaml")).unwrap();
    let shown: String = starter
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' ') || rest.starts_with("  "))
                .unwrap_or(line)
        })
        .filter(|line| !line.starts_with('#') && !line.starts_with("   "))
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(shown.contains("operator") && shown.contains("anonymous"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.yaml");
    std::fs::write(&file, &shown).unwrap();
    check_access_file(&file).unwrap();
}
