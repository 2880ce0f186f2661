//! The codec against arbitrary input, against itself, and against an independent codec.

use mqtt_protocol_core::mqtt::packet::{
    self as oracle, ContentType, CorrelationData, MessageExpiryInterval, Property, Qos, ReceiveMaximum,
    ResponseTopic, SessionExpiryInterval, SubEntry, SubOpts, SubscriptionIdentifier, TopicAlias,
    UserProperty, WillDelayInterval,
};
use proptest::prelude::*;

use super::wire::put_binary;
use super::*;

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V3), Just(Version::V4), Just(Version::V5)]
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn their(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn topics() -> impl Strategy<Value = String> {
    "[a-zé/ ]{1,40}"
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

/// Splits a whole packet as a connection does.
fn split(bytes: &[u8]) -> (Frame, &[u8]) {
    let frame = Frame::parse(bytes, usize::MAX).unwrap().unwrap();
    assert_eq!(frame.len(), bytes.len());
    (frame, &bytes[frame.header..])
}

fn ours(bytes: &[u8], version: Version) -> Packet<'_> {
    let (frame, body) = split(bytes);
    decode(frame, body, version).unwrap()
}

/// Properties that a PUBLISH passes on, in a fixed order, as both codecs see them.
#[derive(Clone, Debug)]
struct Passed {
    content: Option<String>,
    response: Option<String>,
    correlation: Option<Vec<u8>>,
    user: Vec<(String, String)>,
}

fn passed() -> impl Strategy<Value = Passed> {
    let user = proptest::collection::vec(("[a-z]{0,5}", "[a-z]{0,5}"), 0..4);
    let option = proptest::option::of::<BoxedStrategy<String>>;
    let correlation = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20));
    (option("[a-z/]{0,9}".boxed()), option("[a-z/]{1,9}".boxed()), correlation, user)
        .prop_map(|(content, response, correlation, user)| Passed { content, response, correlation, user })
}

impl Passed {
    fn theirs(&self) -> Vec<Property> {
        let mut all = Vec::new();
        all.extend(self.content.iter().map(|text| Property::ContentType(ContentType::new(text).unwrap())));
        all.extend(
            self.response.iter().map(|text| Property::ResponseTopic(ResponseTopic::new(text).unwrap())),
        );
        all.extend(
            self.correlation
                .iter()
                .map(|bytes| Property::CorrelationData(CorrelationData::new(bytes.clone()).unwrap())),
        );
        all.extend(
            self.user
                .iter()
                .map(|(key, value)| Property::UserProperty(UserProperty::new(key, value).unwrap())),
        );
        all
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, bytes) in [
            (property_id::CONTENT_TYPE, self.content.as_ref().map(String::as_bytes)),
            (property_id::RESPONSE_TOPIC, self.response.as_ref().map(String::as_bytes)),
            (property_id::CORRELATION_DATA, self.correlation.as_deref()),
        ] {
            if let Some(bytes) = bytes {
                out.push(id);
                put_binary(&mut out, bytes);
            }
        }
        for (key, value) in &self.user {
            out.push(property_id::USER_PROPERTY);
            put_binary(&mut out, key.as_bytes());
            put_binary(&mut out, value.as_bytes());
        }
        out
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..200), version in versions(),
    ) {
        let frame = Frame { first, header: 2, body: body.len() };
        let _ = decode(frame, &body, version);
        let _ = Frame::parse(&body, 1 << 20);
        walk_forwarded(&body, |_| {});
    }

    #[test]
    fn damaged_packets_never_panic(
        topic in topics(), passed in passed(), payload in payloads(), at in any::<proptest::sample::Index>(),
        byte in any::<u8>(), cut in any::<proptest::sample::Index>(),
    ) {
        let packet = their_publish(&topic, QoS::AtLeastOnce, 7, &payload, passed.theirs());
        let (frame, body) = split(&packet);
        let mut body = body.to_vec();
        let index = at.index(body.len());
        body[index] = byte;
        let _ = decode(frame, &body, Version::V5);
        let _ = decode(frame, &body[..cut.index(body.len())], Version::V5);
    }

    #[test]
    fn what_we_publish_the_other_codec_reads(
        topic in topics(), payload in payloads(), qos in qos(), retain in any::<bool>(), id in 1..=u16::MAX,
        expiry in proptest::option::of(any::<u32>()), ids in proptest::collection::vec(1u32..=268_435_455, 0..3),
        passed in passed(),
    ) {
        let forward = passed.bytes();
        let dup = qos != QoS::AtMostOnce && payload.len() % 2 == 0;
        let head =
            PublishHead { dup, qos, retain, packet_id: id, expiry, subscription_ids: &ids, alias: None, forward: &forward };
        let mut out = Vec::new();
        prop_assert!(head.encode(&mut out, Version::V5, &topic, &payload, usize::MAX));
        let (frame, body) = split(&out);
        let (read, used) = oracle::v5_0::Publish::parse(frame.flags(), body.into()).unwrap();
        prop_assert_eq!(used, body.len());
        prop_assert_eq!((read.topic_name(), read.payload().as_slice()), (&*topic, &*payload));
        prop_assert_eq!((read.qos(), read.dup(), read.retain()), (their(qos), dup, retain));
        prop_assert_eq!(read.packet_id(), (qos != QoS::AtMostOnce).then_some(id));
        let mut expected = Vec::new();
        expected.extend(expiry.map(|s| Property::MessageExpiryInterval(MessageExpiryInterval::new(s).unwrap())));
        expected.extend(ids.iter().map(|&id| Property::SubscriptionIdentifier(SubscriptionIdentifier::new(id).unwrap())));
        expected.extend(passed.theirs());
        prop_assert_eq!(&read.props, &expected);
        // One byte less than it is long: refused, and nothing appended.
        let mut none = Vec::new();
        prop_assert!(!head.encode(&mut none, Version::V5, &topic, &payload, out.len() - 1));
        prop_assert!(none.is_empty());
        let mut out = Vec::new();
        prop_assert!(head.encode(&mut out, Version::V4, &topic, &payload, usize::MAX));
        let (frame, body) = split(&out);
        let (read, _) = oracle::v3_1_1::Publish::parse(frame.flags(), body.into()).unwrap();
        prop_assert_eq!((read.topic_name(), read.payload().as_slice()), (&*topic, &*payload));
    }

    #[test]
    fn what_the_other_codec_publishes_we_read(
        topic in topics(), payload in payloads(), qos in qos(), id in 1..=u16::MAX, passed in passed(),
        expiry in proptest::option::of(any::<u32>()), alias in proptest::option::of(1..=u16::MAX), first in any::<bool>(),
    ) {
        let mut extra = Vec::new();
        extra.extend(expiry.map(|s| Property::MessageExpiryInterval(MessageExpiryInterval::new(s).unwrap())));
        extra.extend(alias.map(|a| Property::TopicAlias(TopicAlias::new(a).unwrap())));
        // What is for the server alone may stand before or behind what is passed on.
        let properties = if first { [extra, passed.theirs()] } else { [passed.theirs(), extra] }.concat();
        let packet = their_publish(&topic, qos, id, &payload, properties);
        let Packet::Publish(read) = ours(&packet, Version::V5) else { panic!("not a PUBLISH") };
        prop_assert_eq!((read.topic, read.payload, read.qos), (&*topic, &*payload, qos));
        prop_assert_eq!(read.packet_id, if qos == QoS::AtMostOnce { 0 } else { id });
        prop_assert_eq!((read.properties.expiry, read.properties.alias), (expiry, alias));
        prop_assert_eq!(read.properties.user_properties as usize, passed.user.len());
        prop_assert_eq!(read.properties.forward.into_owned(), passed.bytes());
    }

    #[test]
    fn connects_of_the_other_codec(
        id in "[a-z]{0,23}", clean in any::<bool>(), keep_alive in any::<u16>(), topic in topics(), payload in payloads(),
        qos in qos(), retain in any::<bool>(), expiry in any::<u32>(), maximum in 1..=u16::MAX, delay in any::<u32>(),
        passed in passed(),
    ) {
        let will_props = [vec![Property::WillDelayInterval(WillDelayInterval::new(delay).unwrap())], passed.theirs()];
        let packet = oracle::v5_0::Connect::builder()
            .client_id(&*id).unwrap().clean_start(clean).keep_alive(keep_alive)
            .will_message(&*topic, payload.clone(), their(qos), retain).unwrap()
            .will_props(will_props.concat()).user_name("user").unwrap().password(b"secret".to_vec()).unwrap()
            .props(vec![
                Property::SessionExpiryInterval(SessionExpiryInterval::new(expiry).unwrap()),
                Property::ReceiveMaximum(ReceiveMaximum::new(maximum).unwrap()),
            ])
            .build().unwrap().to_continuous_buffer();
        let Packet::Connect(read) = ours(&packet, Version::V5) else { panic!("not a CONNECT") };
        prop_assert_eq!((read.version, read.client_id, read.clean_start), (Version::V5, &*id, clean));
        prop_assert_eq!((read.keep_alive, read.session_expiry, read.receive_maximum), (keep_alive, expiry, maximum));
        prop_assert_eq!((read.username, read.password), (Some("user"), Some(&b"secret"[..])));
        let will = read.will.unwrap();
        prop_assert_eq!((will.topic, will.payload, will.qos, will.retain), (&*topic, &*payload, qos, retain));
        prop_assert_eq!((will.delay, will.forward), (delay, passed.bytes()));
        let packet = oracle::v3_1_1::Connect::builder()
            .client_id(format!("x{id}")).unwrap().clean_session(clean).keep_alive(keep_alive)
            .build().unwrap().to_continuous_buffer();
        let Packet::Connect(read) = ours(&packet, Version::V4) else { panic!("not a CONNECT") };
        prop_assert_eq!((read.version, read.session_expiry), (Version::V4, if clean { 0 } else { u32::MAX }));
        prop_assert_eq!((read.keep_alive, read.will), (keep_alive, None));
    }

    #[test]
    fn subscriptions_of_the_other_codec(
        filters in proptest::collection::vec(("[a-z/]{1,10}", 0u8..3, any::<(bool, bool)>(), 0u8..3), 1..5),
        packet_id in 1..=u16::MAX, id in proptest::option::of(1u32..=268_435_455),
    ) {
        let entries: Vec<_> = filters
            .iter()
            .map(|(filter, qos, (nl, rap), rh)| {
                let options = qos | u8::from(*nl) << 2 | u8::from(*rap) << 3 | rh << 4;
                SubEntry::new(filter, SubOpts::from_u8(options).unwrap()).unwrap()
            })
            .collect();
        let props: Vec<_> = id
            .map(|id| Property::SubscriptionIdentifier(SubscriptionIdentifier::new(id).unwrap()))
            .into_iter().collect();
        let packet = oracle::v5_0::Subscribe::builder()
            .packet_id(packet_id).entries(entries).props(props).build().unwrap().to_continuous_buffer();
        let Packet::Subscribe(read) = ours(&packet, Version::V5) else { panic!("not a SUBSCRIBE") };
        prop_assert_eq!((read.packet_id, read.subscription_id.map(u32::from)), (packet_id, id));
        for (read, (filter, qos, (nl, rap), rh)) in read.filters.iter().zip(&filters) {
            prop_assert_eq!((read.filter, read.qos as u8), (&**filter, *qos));
            prop_assert_eq!((read.no_local, read.retain_as_published), (*nl, *rap));
            prop_assert_eq!(read.retain_handling as u8, *rh);
        }
        let names: Vec<&str> = filters.iter().map(|(filter, ..)| &**filter).collect();
        let packet = oracle::v5_0::Unsubscribe::builder()
            .packet_id(packet_id).entries(names.clone()).unwrap().build().unwrap().to_continuous_buffer();
        let Packet::Unsubscribe(read) = ours(&packet, Version::V5) else { panic!("not an UNSUBSCRIBE") };
        prop_assert_eq!((read.packet_id, read.filters), (packet_id, names));
    }

    #[test]
    fn subacks_and_unsubacks(packet_id in 1..=u16::MAX, codes in proptest::collection::vec(prop_oneof![Just(0u8), Just(2), Just(0x8f)], 1..9)) {
        let codes: Vec<_> = codes.into_iter().map(ReasonCode).collect();
        let mut out = Vec::new();
        encode_suback(&mut out, Version::V5, packet_id, &codes, Some("why"));
        let (read, _) = oracle::v5_0::Suback::parse(split(&out).1).unwrap();
        prop_assert_eq!(read.packet_id(), packet_id);
        prop_assert_eq!(read.reason_codes().iter().map(|&c| c as u8).collect::<Vec<_>>(), codes.iter().map(|c| c.0).collect::<Vec<_>>());
        let mut out = Vec::new();
        encode_suback(&mut out, Version::V4, packet_id, &codes, Some("why"));
        let (read, _) = oracle::v3_1_1::Suback::parse(split(&out).1).unwrap();
        let expected: Vec<_> = codes.iter().map(|code| if code.is_failure() { 0x80 } else { code.0 }).collect();
        prop_assert_eq!(read.return_codes().iter().map(|&code| code as u8).collect::<Vec<_>>(), expected);
        let mut out = Vec::new();
        encode_unsuback(&mut out, Version::V4, packet_id, &codes, Some("why"));
        prop_assert_eq!(oracle::v3_1_1::Unsuback::parse(split(&out).1).unwrap().0.packet_id(), packet_id);
        let codes = vec![ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED];
        let mut out = Vec::new();
        encode_unsuback(&mut out, Version::V5, packet_id, &codes, None);
        prop_assert_eq!(oracle::v5_0::Unsuback::parse(split(&out).1).unwrap().0.reason_codes().len(), 2);
    }

    #[test]
    fn connacks_and_disconnects(present in any::<bool>(), expiry in proptest::option::of(any::<u32>()), id in proptest::option::of("[a-z]{1,9}"), reason in proptest::option::of("[a-z ]{0,200}")) {
        let properties = ConnackProperties {
            session_expiry: expiry,
            receive_maximum: Some(9),
            max_packet: Some(1 << 20),
            assigned_client_id: id.as_deref(),
            topic_alias_maximum: Some(3),
            reason: reason.as_deref(),
            server_keep_alive: Some(60),
            shared_available: Some(true),
            maximum_qos: Some(QoS::AtLeastOnce),
            response_information: Some("replies/x"),
            auth_method: Some("SCRAM-SHA-256"),
            auth_data: Some(b"v=x"),
        };
        let mut out = Vec::new();
        encode_connack(&mut out, Version::V5, present, ReasonCode::SUCCESS, &properties);
        let (read, _) = oracle::v5_0::Connack::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.session_present(), read.reason_code() as u8), (present, 0));
        let optional = usize::from(expiry.is_some()) + usize::from(id.is_some()) + usize::from(reason.is_some());
        prop_assert_eq!(read.props.len(), 9 + optional);
        let mut out = Vec::new();
        encode_connack(&mut out, Version::V4, present, ReasonCode::SUCCESS, &properties);
        prop_assert_eq!(oracle::v3_1_1::Connack::parse(split(&out).1).unwrap().0.session_present(), present);
        let mut out = Vec::new();
        encode_disconnect(&mut out, Version::V5, ReasonCode::TAKEN_OVER, reason.as_deref());
        let (read, _) = oracle::v5_0::Disconnect::parse(split(&out).1).unwrap();
        prop_assert_eq!(read.reason_code().map(|code| code as u8), Some(0x8e));
    }
}

fn their_publish(topic: &str, qos: QoS, id: u16, payload: &[u8], properties: Vec<Property>) -> Vec<u8> {
    let builder = oracle::v5_0::Publish::builder().topic_name(topic).unwrap().qos(their(qos));
    let builder = if qos == QoS::AtMostOnce { builder } else { builder.packet_id(id) };
    builder.payload(payload.to_vec()).props(properties).build().unwrap().to_continuous_buffer()
}

#[test]
fn long_bodies_use_long_headers() {
    for len in [0usize, 100, 130, 20_000, 2_200_000] {
        let mut out = Vec::new();
        let payload = vec![1; len];
        assert!(PublishHead::default().encode(&mut out, Version::V4, "t", &payload, usize::MAX));
        let (frame, body) = split(&out);
        let read = Publish::decode(frame.flags(), body, Version::V4).unwrap();
        assert_eq!((read.topic, read.payload.len()), ("t", len));
    }
}
