//! SUBSCRIBE and UNSUBSCRIBE: matching, options, limits.

use iogate::broker::Config;

use crate::client::{Connect, Server, packet, string};

#[tokio::test]
async fn wildcards_select_and_dollar_topics_are_hidden_from_them() {
    let server = Server::start().await;
    let mut inside = server.broker.publisher("inside");
    let mut client = server.v4("c").await;
    for (filter, topic, expected) in [
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/d", false),
        ("a/#", "a", true),
        ("#", "x/y", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("/+", "/x", true),
        ("+", "/x", false),
    ] {
        client.subscribe(filter, 0).await;
        inside.publish(topic, b"x", &Default::default()).unwrap();
        if expected {
            assert_eq!(client.message().await.topic, topic);
        }
        client.quiet().await;
        client.unsubscribe(filter).await;
    }
}

#[tokio::test]
async fn overlapping_subscriptions_deliver_once_at_the_highest_qos_with_all_identifiers() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    assert_eq!(client.subscribe_with(&[0x0b, 1], &[("a/#", 0)]).await, [0]);
    assert_eq!(client.subscribe_with(&[0x0b, 0x80, 0x01], &[("a/+", 2), ("b", 0)]).await, [2, 0]);
    assert_eq!(client.subscribe_with(&[], &[("+/b", 1)]).await, [1]);
    let mut publisher = server.v4("p").await;
    publisher.publish(4, "a/b", "x").await;
    let message = client.take().await;
    assert_eq!(message.qos, 2);
    let mut ids = message.properties.clone();
    ids.sort_unstable();
    let mut expected = vec![0x0b, 1, 0x0b, 0x80, 0x01];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    client.quiet().await;
    publisher.publish(0, "b", "x").await;
    assert_eq!(client.take().await.properties, [0x0b, 0x80, 0x01]);
}

#[tokio::test]
async fn a_repeated_subscription_replaces_the_old_one() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    assert_eq!(client.subscribe_with(&[0x0b, 1], &[("t", 2)]).await, [2]);
    assert_eq!(client.subscribe_with(&[0x0b, 2], &[("t", 0)]).await, [0]);
    let mut publisher = server.v4("p").await;
    publisher.publish(4, "t", "x").await;
    let message = client.take().await;
    assert_eq!((message.qos, &message.properties[..]), (0, &[0x0b, 2][..]));
    client.quiet().await;
    assert_eq!(server.broker.stats().subscriptions, 1);
}

#[tokio::test]
async fn no_local_and_retain_as_published() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.subscribe("mine", 0x04).await;
    client.subscribe("kept", 0x08).await;
    client.subscribe("plain", 0).await;
    client.publish(2, "mine", "x").await;
    client.quiet().await;
    let mut other = server.v5("o").await;
    other.publish(2, "mine", "x").await;
    assert_eq!(client.message().await.topic, "mine");
    for (flags, topic, retain) in [(3, "kept", true), (2, "kept", false), (3, "plain", false)] {
        other.publish(flags, topic, "x").await;
        let message = client.message().await;
        assert_eq!((&*message.topic, message.retain), (topic, retain));
    }
}

#[tokio::test]
async fn what_is_not_served_is_refused_filter_by_filter() {
    let config = Config { max_subscriptions: 2, max_topic_levels: 3, ..Config::default() };
    let server = Server::with(config).await;
    let filters = [("ok", 1), ("$share", 0), ("1/2/3/4", 0), ("ok2", 2), ("ok3", 0), ("ok", 0)];
    let mut client = server.v5("c").await;
    let codes = client.subscribe_with(&[], &filters).await;
    assert_eq!(codes, [1, 0x9e, 0x97, 2, 0x97, 0]);
    let mut client = server.v4("d").await;
    let codes = client.subscribe_with(&[], &filters).await;
    assert_eq!(codes, [1, 0x80, 0x80, 2, 0x80, 0]);
    assert_eq!(server.broker.stats().subscriptions_refused, 6);
}

#[tokio::test]
async fn unsubscribing_ends_delivery_and_reports_what_was_there() {
    let server = Server::start().await;
    let mut client = server.v5("c").await;
    client.subscribe("t", 0).await;
    assert_eq!(client.unsubscribe("t").await, [0, 0]);
    assert_eq!(client.unsubscribe("t").await, [0, 0x11]);
    client.publish(2, "t", "x").await;
    client.quiet().await;
    let mut old = server.v4("o").await;
    old.subscribe("t", 0).await;
    assert!(old.unsubscribe("t").await.is_empty());
    assert_eq!(server.broker.stats().subscriptions, 0);
}

#[tokio::test]
async fn sessions_that_end_leave_no_subscription_behind() {
    let server = Server::start().await;
    let mut client = server.v4("c").await;
    for filter in ["a", "b/#", "+/c"] {
        client.subscribe(filter, 0).await;
    }
    assert_eq!(server.broker.stats().subscriptions, 3);
    client.disconnect().await;
    let stats = server.broker.stats();
    assert_eq!((stats.subscriptions, stats.sessions), (0, 0));
}

#[tokio::test]
async fn filters_of_the_wrong_form_end_the_connection() {
    let server = Server::start().await;
    let wrong = ["", "a#", "+a", "#/a", "a/#/b", "a/b+", "a+/b", "##", "/#/", "++"];
    let shared = [
        "$share/",
        "$share/g",
        "$share//t",
        "$share/+/t",
        "$share/a#/t",
        "$share/g/",
        "$share/g/t#",
        "$share/g/+a",
    ];
    for level in [3, 4, 5] {
        let none: &[u8] = if level == 5 { &[0] } else { &[] };
        for filter in wrong.iter().chain(&shared) {
            // What stands beside it is not done either.
            let subscribe = [&[0, 1], none, &string("good"), &[0], &string(filter), &[0]].concat();
            let unsubscribe = [&[0, 1], none, &string(filter)].concat();
            for bytes in [packet(0x82, &subscribe), packet(0xa2, &unsubscribe)] {
                let mut client = server.connect(&Connect::new(level, "c")).await;
                client.send(&bytes).await;
                client.expect_refusal(0x81).await;
                assert_eq!(server.broker.stats().subscriptions, 0, "{filter}");
            }
        }
        // What has the right form is served.
        let mut client = server.connect(&Connect::new(level, "c")).await;
        for filter in
            ["+", "#", "/", "//", "+/+", "/+/#", "a/+/b", "a//#", "$share/g/+", "$share/g/#", "$x/+"]
        {
            client.subscribe(filter, 0).await;
        }
        client.disconnect().await;
    }
}
