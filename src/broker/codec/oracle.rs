//! Every packet against `mqtt-protocol-core`, an independent codec, both ways and in both versions it knows: what
//! `tests` does for PUBLISH and CONNECT of 5.0, for all others. MQTT 3.1 it does not know; AUTH is in `auth`.

use mqtt_protocol_core::mqtt::packet::{
    self as oracle, AuthenticationData, AuthenticationMethod, MaximumPacketSize, Property, Qos, ReasonString,
    ReceiveMaximum, RequestProblemInformation, RequestResponseInformation, SessionExpiryInterval, SubEntry,
    SubOpts, TopicAliasMaximum, UserProperty,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, DisconnectReasonCode, PubackReasonCode, PubcompReasonCode, PubrecReasonCode,
    PubrelReasonCode,
};
use proptest::prelude::*;

use super::*;

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

fn their(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

/// A reason in words and user properties, as an acknowledgement or a DISCONNECT may carry them.
fn words() -> impl Strategy<Value = Vec<Property>> {
    let user = proptest::collection::vec(("[a-zé]{0,9}", "[a-z]{0,9}"), 0..3);
    (proptest::option::of("[a-zé ]{0,90}"), user).prop_map(|(reason, user)| {
        let reason = reason.map(|text| Property::ReasonString(ReasonString::new(text).unwrap()));
        let user = user.into_iter().map(|(k, v)| Property::UserProperty(UserProperty::new(k, v).unwrap()));
        reason.into_iter().chain(user).collect()
    })
}

/// One of the codes that PUBACK and PUBREC have.
fn codes() -> impl Strategy<Value = u8> {
    proptest::sample::select(vec![0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
}

/// One of the codes that PUBREL and PUBCOMP have.
fn releases() -> impl Strategy<Value = u8> {
    proptest::sample::select(vec![0x00, 0x92])
}

/// One packet of the other codec, encoded.
macro_rules! theirs {
    ($version:ident :: $kind:ident $(.$method:ident($value:expr))*) => {
        oracle::$version::$kind::builder()$(.$method($value))*.build().unwrap().to_continuous_buffer()
    };
}

fn ack(kind: AckKind, packet_id: u16, code: u8) -> Packet<'static> {
    Packet::Ack(kind, Ack { packet_id, code: ReasonCode(code) })
}

proptest! {
    #[test]
    fn acknowledgements_of_the_other_codec(id in 1..=u16::MAX, code in codes(), release in releases(), words in words()) {
        use AckKind::{Puback, Pubcomp, Pubrec, Pubrel};
        let old = [
            (Puback, theirs!(v3_1_1::Puback.packet_id(id))),
            (Pubrec, theirs!(v3_1_1::Pubrec.packet_id(id))),
            (Pubrel, theirs!(v3_1_1::Pubrel.packet_id(id))),
            (Pubcomp, theirs!(v3_1_1::Pubcomp.packet_id(id))),
        ];
        for (kind, bytes) in old {
            prop_assert_eq!(ours(&bytes, Version::V3), ack(kind, id, 0));
            prop_assert_eq!(ours(&bytes, Version::V4), ack(kind, id, 0));
            prop_assert_eq!(ours(&bytes, Version::V5), ack(kind, id, 0));
        }
        let (puback, pubrec) = (PubackReasonCode::try_from(code).unwrap(), PubrecReasonCode::try_from(code).unwrap());
        let pubrel = PubrelReasonCode::try_from(release).unwrap();
        let pubcomp = PubcompReasonCode::try_from(release).unwrap();
        let bare = [
            (Puback, code, theirs!(v5_0::Puback.packet_id(id).reason_code(puback))),
            (Pubrec, code, theirs!(v5_0::Pubrec.packet_id(id).reason_code(pubrec))),
            (Pubrel, release, theirs!(v5_0::Pubrel.packet_id(id).reason_code(pubrel))),
            (Pubcomp, release, theirs!(v5_0::Pubcomp.packet_id(id).reason_code(pubcomp))),
        ];
        let told = [
            (Puback, code, theirs!(v5_0::Puback.packet_id(id).reason_code(puback).props(words.clone()))),
            (Pubrec, code, theirs!(v5_0::Pubrec.packet_id(id).reason_code(pubrec).props(words.clone()))),
            (Pubrel, release, theirs!(v5_0::Pubrel.packet_id(id).reason_code(pubrel).props(words.clone()))),
            (Pubcomp, release, theirs!(v5_0::Pubcomp.packet_id(id).reason_code(pubcomp).props(words))),
        ];
        for (kind, code, bytes) in bare.into_iter().chain(told) {
            prop_assert_eq!(ours(&bytes, Version::V5), ack(kind, id, code));
        }
    }

    #[test]
    fn our_acknowledgements(id in 1..=u16::MAX, code in codes(), release in releases(), why in "[a-z ]{1,200}") {
        /// What the other codec reads: identifier, code, properties.
        macro_rules! read {
            ($bytes:expr, $version:ident :: $kind:ident) => {{
                let (read, used) = oracle::$version::$kind::parse(split(&$bytes).1).unwrap();
                prop_assert_eq!(used, split(&$bytes).1.len());
                read
            }};
        }
        let encoded = |version, kind, code| {
            let mut out = Vec::new();
            encode_ack(&mut out, version, kind, id, ReasonCode(code));
            out
        };
        for version in [Version::V3, Version::V4] {
            prop_assert_eq!(read!(encoded(version, AckKind::Puback, code), v3_1_1::Puback).packet_id(), id);
            prop_assert_eq!(read!(encoded(version, AckKind::Pubrec, code), v3_1_1::Pubrec).packet_id(), id);
            prop_assert_eq!(read!(encoded(version, AckKind::Pubrel, release), v3_1_1::Pubrel).packet_id(), id);
            prop_assert_eq!(read!(encoded(version, AckKind::Pubcomp, release), v3_1_1::Pubcomp).packet_id(), id);
        }
        let refused = |kind, code| {
            let mut out = Vec::new();
            encode_refusal(&mut out, kind, id, ReasonCode(code), &why);
            out
        };
        let reason = vec![Property::ReasonString(ReasonString::new(&*why).unwrap())];
        macro_rules! check {
            ($kind:ident, $code:expr) => {{
                let read = read!(encoded(Version::V5, AckKind::$kind, $code), v5_0::$kind);
                let said = ($code != 0).then_some($code);
                prop_assert_eq!((read.packet_id(), read.reason_code().map(|code| code as u8)), (id, said));
                let read = read!(refused(AckKind::$kind, $code), v5_0::$kind);
                prop_assert_eq!((read.packet_id(), read.reason_code().map(|code| code as u8)), (id, Some($code)));
                prop_assert_eq!(read.props.as_ref(), Some(&reason));
            }};
        }
        check!(Puback, code);
        check!(Pubrec, code);
        check!(Pubrel, release);
        check!(Pubcomp, release);
    }

    #[test]
    fn publications_of_3_1_1_both_ways(
        topic in "[a-zé/ ]{1,40}", payload in payloads(), qos in qos(), retain in any::<bool>(), again in any::<bool>(),
        id in 1..=u16::MAX,
    ) {
        let dup = again && qos != QoS::AtMostOnce;
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { id };
        let builder = oracle::v3_1_1::Publish::builder().topic_name(&*topic).unwrap().qos(their(qos));
        let builder = if qos == QoS::AtMostOnce { builder } else { builder.packet_id(id) };
        let bytes = builder.payload(payload.clone()).retain(retain).dup(dup).build().unwrap().to_continuous_buffer();
        for version in [Version::V3, Version::V4] {
            let Packet::Publish(read) = ours(&bytes, version) else { panic!("not a PUBLISH") };
            prop_assert_eq!((read.topic, read.payload, read.packet_id), (&*topic, &*payload, packet_id));
            prop_assert_eq!((read.qos, read.retain, read.dup), (qos, retain, dup));
            let mut out = Vec::new();
            let head = PublishHead { dup, qos, retain, packet_id: id, ..PublishHead::default() };
            prop_assert!(head.encode(&mut out, version, &topic, &payload, usize::MAX));
            prop_assert_eq!(&out, &bytes);
        }
    }

    #[test]
    fn connects_of_3_1_1(
        id in "[a-z]{0,23}", clean in any::<bool>(), keep_alive in any::<u16>(), qos in qos(), retain in any::<bool>(),
        will in proptest::option::of(("[a-z/]{1,30}", payloads())),
        login in proptest::option::of(("[a-zé]{0,20}", proptest::option::of(payloads()))),
    ) {
        let mut builder = oracle::v3_1_1::Connect::builder()
            .client_id(format!("x{id}")).unwrap().clean_session(clean).keep_alive(keep_alive);
        if let Some((topic, payload)) = &will {
            builder = builder.will_message(&**topic, payload.clone(), their(qos), retain).unwrap();
        }
        if let Some((user, password)) = &login {
            builder = builder.user_name(&**user).unwrap();
            if let Some(password) = password {
                builder = builder.password(password.clone()).unwrap();
            }
        }
        let bytes = builder.build().unwrap().to_continuous_buffer();
        let Packet::Connect(read) = ours(&bytes, Version::V4) else { panic!("not a CONNECT") };
        prop_assert_eq!((read.version, read.client_id, read.clean_start), (Version::V4, &*format!("x{id}"), clean));
        prop_assert_eq!((read.keep_alive, read.session_expiry), (keep_alive, if clean { 0 } else { u32::MAX }));
        prop_assert_eq!(read.will.is_some(), will.is_some());
        if let (Some(read), Some((topic, payload))) = (&read.will, &will) {
            prop_assert_eq!((read.topic, read.payload, read.qos, read.retain), (&**topic, &**payload, qos, retain));
        }
        prop_assert_eq!(read.username, login.as_ref().map(|(user, _)| &**user));
        prop_assert_eq!(read.password, login.as_ref().and_then(|(_, password)| password.as_deref()));
    }

    #[test]
    fn properties_of_a_connect(
        expiry in any::<u32>(), maximum in 1..=u16::MAX, size in 1..=u32::MAX, aliases in any::<u16>(),
        problems in 0u8..2, responses in 0u8..2, method in "[A-Z]{1,9}", data in proptest::option::of(payloads()),
    ) {
        let mut props = vec![
            Property::SessionExpiryInterval(SessionExpiryInterval::new(expiry).unwrap()),
            Property::ReceiveMaximum(ReceiveMaximum::new(maximum).unwrap()),
            Property::MaximumPacketSize(MaximumPacketSize::new(size).unwrap()),
            Property::TopicAliasMaximum(TopicAliasMaximum::new(aliases).unwrap()),
            Property::RequestProblemInformation(RequestProblemInformation::new(problems).unwrap()),
            Property::RequestResponseInformation(RequestResponseInformation::new(responses).unwrap()),
            Property::AuthenticationMethod(AuthenticationMethod::new(&method).unwrap()),
        ];
        props.extend(data.iter().map(|data| Property::AuthenticationData(AuthenticationData::new(data.clone()).unwrap())));
        props.push(Property::UserProperty(UserProperty::new("k", "v").unwrap()));
        let bytes =
            oracle::v5_0::Connect::builder().client_id("x").unwrap().props(props).build().unwrap().to_continuous_buffer();
        let Packet::Connect(read) = ours(&bytes, Version::V5) else { panic!("not a CONNECT") };
        prop_assert_eq!((read.session_expiry, read.receive_maximum, read.max_packet), (expiry, maximum, size));
        prop_assert_eq!((read.topic_alias_maximum, read.auth_method, read.auth_data), (aliases, Some(&*method), data.as_deref()));
        prop_assert_eq!((read.wants_problems, read.wants_response_information), (problems == 1, responses == 1));
    }

    #[test]
    fn subscriptions_of_3_1_1(
        filters in proptest::collection::vec(("[a-z/]{1,10}", 0u8..3), 1..5), packet_id in 1..=u16::MAX,
    ) {
        let entries: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| SubEntry::new(filter, SubOpts::from_u8(*qos).unwrap()).unwrap())
            .collect();
        let names: Vec<&str> = filters.iter().map(|(filter, _)| &**filter).collect();
        let subscribe = theirs!(v3_1_1::Subscribe.packet_id(packet_id).entries(entries));
        let unsubscribe = oracle::v3_1_1::Unsubscribe::builder()
            .packet_id(packet_id).entries(names.clone()).unwrap().build().unwrap().to_continuous_buffer();
        for version in [Version::V3, Version::V4] {
            let Packet::Subscribe(read) = ours(&subscribe, version) else { panic!("not a SUBSCRIBE") };
            let wanted: Vec<_> = read.filters.iter().map(|read| (read.filter.to_owned(), read.qos as u8)).collect();
            prop_assert_eq!((read.packet_id, read.subscription_id, &wanted), (packet_id, None, &filters));
            let Packet::Unsubscribe(read) = ours(&unsubscribe, version) else { panic!("not an UNSUBSCRIBE") };
            prop_assert_eq!((read.packet_id, &read.filters), (packet_id, &names));
        }
    }

    #[test]
    fn farewells_both_ways(
        code in proptest::sample::select(vec![0x00u8, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]),
        said in proptest::sample::select(vec![0x81u8, 0x82, 0x87, 0x8b, 0x8d, 0x8e, 0x93, 0x95, 0x98, 0x9b]),
        expiry in proptest::option::of(any::<u32>()), words in words(), why in proptest::option::of("[a-z ]{1,200}"),
    ) {
        let reason = DisconnectReasonCode::try_from(code).unwrap();
        let props = expiry.map(|s| Property::SessionExpiryInterval(SessionExpiryInterval::new(s).unwrap()));
        let bytes = theirs!(v5_0::Disconnect.reason_code(reason).props(props.into_iter().chain(words).collect::<Vec<_>>()));
        prop_assert_eq!(
            ours(&bytes, Version::V5),
            Packet::Disconnect(Disconnect { code: ReasonCode(code), session_expiry: expiry })
        );
        let mut out = Vec::new();
        encode_disconnect(&mut out, Version::V5, ReasonCode(said), why.as_deref());
        let (read, used) = oracle::v5_0::Disconnect::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.reason_code().map(|code| code as u8), used), (Some(said), split(&out).1.len()));
        // A reason and nothing else: no session expiry from a server ([MQTT-3.14.2-2]).
        let reason: Vec<_> = why.iter().map(|why| Property::ReasonString(ReasonString::new(why).unwrap())).collect();
        prop_assert_eq!(read.props.unwrap_or_default(), reason);
    }

    #[test]
    fn refused_connects(code in proptest::sample::select(vec![0x80u8, 0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8c, 0x90, 0x95, 0x97, 0x9b, 0x9f])) {
        let mut out = Vec::new();
        encode_connack(&mut out, Version::V5, false, ReasonCode(code), &ConnackProperties::default());
        let (read, _) = oracle::v5_0::Connack::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.session_present(), read.reason_code()), (false, ConnectReasonCode::try_from(code).unwrap()));
        let mut out = Vec::new();
        encode_connack(&mut out, Version::V4, false, ReasonCode(code), &ConnackProperties::default());
        let (read, _) = oracle::v3_1_1::Connack::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.session_present(), read.return_code() as u8), (false, ReasonCode(code).connack_v3()));
    }

    #[test]
    fn answers_to_subscriptions(
        id in 1..=u16::MAX, why in proptest::option::of("[a-z ]{1,60}"),
        codes in proptest::collection::vec(proptest::sample::select(vec![0u8, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x97, 0x9e]), 1..200),
        gone in proptest::collection::vec(proptest::sample::select(vec![0u8, 0x11]), 1..200),
    ) {
        let reason: Vec<_> = why.iter().map(|why| Property::ReasonString(ReasonString::new(why).unwrap())).collect();
        let as_codes = |codes: &[u8]| codes.iter().map(|code| ReasonCode(*code)).collect::<Vec<_>>();
        let mut out = Vec::new();
        encode_suback(&mut out, Version::V5, id, &as_codes(&codes), why.as_deref());
        let (read, _) = oracle::v5_0::Suback::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.packet_id(), &read.props), (id, &reason));
        prop_assert_eq!(read.reason_codes().iter().map(|code| *code as u8).collect::<Vec<_>>(), codes);
        let mut out = Vec::new();
        encode_unsuback(&mut out, Version::V5, id, &as_codes(&gone), why.as_deref());
        let (read, _) = oracle::v5_0::Unsuback::parse(split(&out).1).unwrap();
        prop_assert_eq!((read.packet_id(), &read.props), (id, &reason));
        prop_assert_eq!(read.reason_codes().iter().map(|code| *code as u8).collect::<Vec<_>>(), gone);
    }
}

#[test]
fn packets_without_a_body() {
    for version in [Version::V3, Version::V4, Version::V5] {
        assert_eq!(ours(&theirs!(v3_1_1::Pingreq), version), Packet::Pingreq);
        let goodbye = Disconnect { code: ReasonCode::SUCCESS, session_expiry: None };
        assert_eq!(ours(&theirs!(v3_1_1::Disconnect), version), Packet::Disconnect(goodbye));
    }
    assert_eq!(ours(&theirs!(v5_0::Pingreq), Version::V5), Packet::Pingreq);
    let mut out = Vec::new();
    encode_pingresp(&mut out);
    assert_eq!((&out, &out), (&theirs!(v3_1_1::Pingresp), &theirs!(v5_0::Pingresp)));
    let mut none = Vec::new();
    encode_disconnect(&mut none, Version::V4, ReasonCode::SHUTTING_DOWN, Some("why"));
    assert!(none.is_empty(), "3.1.1 has no DISCONNECT from a server");
}
