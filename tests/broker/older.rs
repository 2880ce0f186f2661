//! Subscriptions in MQTT 3.1 and 3.1.1: what other tests show in 5.0, packet by packet in the older versions.

use crate::client::{Connect, Server, packet, string, vanished};

#[tokio::test]
async fn overlapping_subscriptions_deliver_once_at_the_highest_qos() {
    let server = Server::start().await;
    for level in [3, 4] {
        let mut client = server.connect(&Connect::new(level, "c")).await;
        assert_eq!(client.subscribe_with(&[], &[("a/#", 0), ("a/+", 2), ("+/b", 1)]).await, [0, 2, 1]);
        let mut publisher = server.connect(&Connect::new(level, "p")).await;
        for (sent, topic, qos) in [(4, "a/b", 2), (2, "a/b", 1), (4, "x/b", 1), (4, "a/b/c", 0)] {
            publisher.publish(sent, topic, "x").await;
            let message = client.take().await;
            assert_eq!((&*message.topic, message.qos), (topic, qos));
            client.quiet().await;
        }
    }
}

#[tokio::test]
async fn a_repeated_subscription_replaces_the_old_one_and_brings_retained_messages_again() {
    let server = Server::start().await;
    let mut publisher = server.v4("p").await;
    publisher.publish(5, "t", "kept").await;
    for level in [3, 4] {
        let mut client = server.connect(&Connect::new(level, "c")).await;
        for wanted in [2, 0, 1] {
            client.subscribe("t", wanted).await;
            let kept = client.take().await;
            assert_eq!((kept.qos, kept.retain, kept.text()), (wanted, true, "kept"));
            publisher.publish(4, "t", "live").await;
            let live = client.take().await;
            assert_eq!((live.qos, live.retain, live.text()), (wanted, false, "live"));
            client.quiet().await;
        }
        assert_eq!(server.broker.stats().subscriptions, 1);
    }
}

#[tokio::test]
async fn unsubscribing_has_one_answer_ends_what_is_new_and_completes_what_was_sent() {
    let server = Server::start().await;
    let mut publisher = server.v4("p").await;
    for (level, flags) in [(3, 2), (3, 4), (4, 2), (4, 4)] {
        let connect = Connect::new(level, "c").keeping();
        let mut client = server.connect(&connect).await;
        for filter in ["a", "b", "c"] {
            client.subscribe(filter, 2).await;
        }
        publisher.publish(flags, "a", "sent").await;
        let sent = client.message().await;
        let filters = [string("a"), string("none"), string("b")].concat();
        client.send(&packet(0xa2, &[&[0, 9][..], &filters].concat())).await;
        client.expect(&[0xb0, 2, 0, 9]).await;
        publisher.publish(flags, "a", "new").await;
        publisher.publish(flags, "b", "new").await;
        client.quiet().await;
        publisher.publish(flags, "c", "other").await;
        assert_eq!(client.take().await.text(), "other");
        client.drop_connection();
        vanished(&server.broker, "c").await;
        let mut client = server.connect(&connect).await;
        let again = client.take().await;
        assert_eq!((again.text(), again.dup, again.id), ("sent", true, sent.id));
        client.quiet().await;
        client.disconnect().await;
        server.connect(&Connect::new(level, "c")).await.disconnect().await;
    }
}
