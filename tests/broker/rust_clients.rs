//! rumqttc (its maintained fork) as a client, in 3.1.1 and in 5.0: what it publishes, keeps, resumes and leaves.

use iogate::broker::{LocalSubscription, PublishOptions as Inside, QoS as InsideQos};

use crate::client::{Server, until};

/// The same tests for the clients of both versions, which are two crates with the same names in them. `$resuming`:
/// the options of a client that keeps its session; `$will`: the last argument of a will.
macro_rules! clients {
    ($version:ident, $rumqttc:ident, $last_will:path, $resuming:expr, ($($will:expr)?)) => {
        mod $version {
            use $last_will as LastWill;
            use $rumqttc::mqttbytes::QoS;
            use $rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, PublishOptions};

            use super::*;

            const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

            fn options(server: &Server, id: &str) -> MqttOptions {
                MqttOptions::new(id, (server.address.ip().to_string(), server.address.port()))
            }

            fn client(options: MqttOptions) -> (AsyncClient, EventLoop) {
                AsyncClient::builder(options).capacity(10).build()
            }

            /// Polls the client, which connects again where it must, until it reports a packet of which `pick` makes
            /// something.
            async fn next<T>(events: &mut EventLoop, pick: impl Fn(Incoming) -> Option<T>) -> T {
                loop {
                    if let Ok(Event::Incoming(packet)) = events.poll().await
                        && let Some(found) = pick(packet)
                    {
                        return found;
                    }
                }
            }

            fn message(packet: Incoming) -> Option<(QoS, bool, String)> {
                let Incoming::Publish(publish) = packet else { return None };
                Some((publish.qos, publish.retain, String::from_utf8(publish.payload.to_vec()).unwrap()))
            }

            async fn subscribe(client: &AsyncClient, events: &mut EventLoop, filter: &str) {
                client.subscribe(filter, QoS::ExactlyOnce).await.unwrap();
                next(events, |packet| matches!(packet, Incoming::SubAck(_)).then_some(())).await;
            }

            #[tokio::test]
            async fn messages_come_back_and_retained_ones_wait() {
                let server = Server::start().await;
                let (client, mut events) = self::client(options(&server, "c"));
                subscribe(&client, &mut events, "r/#").await;
                for (number, qos) in LEVELS.into_iter().enumerate() {
                    for retained in [false, true] {
                        let (topic, text) = (format!("r/{number}"), format!("{qos:?}"));
                        let how = PublishOptions::new(qos);
                        let how = if retained { how.retained() } else { how };
                        client.publish(topic, text.clone(), how).await.unwrap();
                        assert_eq!(next(&mut events, message).await, (qos, false, text));
                    }
                }
                until("all being kept", || server.broker.stats().retained == 3).await;
                let (late, mut late_events) = self::client(options(&server, "late"));
                late.subscribe("r/+", QoS::ExactlyOnce).await.unwrap();
                let mut got = Vec::new();
                for _ in LEVELS {
                    got.push(next(&mut late_events, message).await);
                }
                got.sort_by_key(|(qos, ..)| *qos as u8);
                assert_eq!(got, LEVELS.map(|qos| (qos, true, format!("{qos:?}"))));
                assert_eq!(server.broker.stats().protocol_errors, 0);
            }

            #[tokio::test]
            async fn a_session_is_resumed() {
                let server = Server::start().await;
                let (client, mut events) = self::client($resuming(options(&server, "keeper")));
                let present = |packet| match packet {
                    Incoming::ConnAck(connack) => Some(connack.session_present),
                    _ => None,
                };
                assert!(!next(&mut events, present).await);
                subscribe(&client, &mut events, "r/#").await;
                // Sent away; what comes meanwhile waits.
                assert!(server.broker.kick("keeper"));
                until("its absence", || server.broker.stats().connections == 0).await;
                let mut inside = server.broker.publisher("inside");
                let qos = [InsideQos::AtLeastOnce, InsideQos::ExactlyOnce];
                for number in 0..100 {
                    let how = Inside { qos: qos[number % 2], ..Inside::default() };
                    inside.publish("r/away", number.to_string().as_bytes(), &how).unwrap();
                }
                assert!(next(&mut events, present).await);
                for number in 0..100 {
                    assert_eq!(next(&mut events, message).await, (LEVELS[1 + number % 2], false, number.to_string()));
                }
                // What it sends while it is away arrives when it is back, once.
                let mut watcher = watch(&server);
                assert!(server.broker.kick("keeper"));
                for number in 0..10 {
                    client.publish("w", number.to_string(), PublishOptions::new(QoS::ExactlyOnce)).await.unwrap();
                    let sent = |packet| matches!(packet, Incoming::PubComp(_)).then_some(());
                    next(&mut events, sent).await;
                }
                for number in 0..10 {
                    assert_eq!(watcher.recv().await.payload(), number.to_string().as_bytes());
                }
                assert!(watcher.try_recv().is_none());
            }

            #[tokio::test]
            async fn a_will_is_left_by_those_who_vanish_alone() {
                let server = Server::start().await;
                let mut watcher = watch(&server);
                for vanishes in [true, false] {
                    let mut options = options(&server, "c");
                    options.set_last_will(LastWill::new("w", "gone", QoS::AtLeastOnce, true $(, $will)?));
                    let (client, mut events) = self::client(options);
                    next(&mut events, |packet| matches!(packet, Incoming::ConnAck(_)).then_some(())).await;
                    if !vanishes {
                        client.disconnect().await.unwrap();
                        while events.poll().await.is_ok() {}
                    }
                    drop((client, events));
                    until("its end", || server.broker.stats().connections == 0).await;
                    if vanishes {
                        let will = watcher.recv().await;
                        assert_eq!((will.payload(), will.qos, will.retain), (&b"gone"[..], InsideQos::AtLeastOnce, true));
                    }
                }
                assert!(watcher.try_recv().is_none());
                assert_eq!(server.broker.stats().wills, 1);
            }
        }
    };
}

fn watch(server: &Server) -> LocalSubscription {
    server.broker.subscribe(&[("w", InsideQos::ExactlyOnce)], 100).unwrap()
}

clients!(
    v4,
    rumqttc_v4,
    rumqttc_v4::mqttbytes::v4::LastWill,
    |mut options: MqttOptions| {
        options.set_clean_session(false);
        options
    },
    ()
);

clients!(
    v5,
    rumqttc,
    rumqttc::mqttbytes::v5::LastWill,
    |mut options: MqttOptions| {
        options.set_clean_start(false).set_session_expiry_interval(Some(600));
        options
    },
    (None)
);
