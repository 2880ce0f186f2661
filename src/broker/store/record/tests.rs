//! Records come back as they went, and no bytes make the decoder panic.

use super::*;
use crate::broker::access::Claims;
use crate::broker::auth::Proof;
use crate::broker::topic::check_filter;
use proptest::prelude::*;

fn kept() -> impl Strategy<Value = Kept> {
    (".{0,9}", ".{0,9}", any::<Vec<u8>>(), any::<Vec<u8>>(), 0u8..3, any::<(bool, Option<u32>, i64)>())
        .prop_map(|(topic, publisher, forward, payload, qos, (dup, expiry, log_us))| Kept {
            topic: topic.into(),
            publisher: publisher.into(),
            forward: forward.into(),
            payload: payload.into(),
            qos: QoS::from_bits(qos).unwrap(),
            dup,
            expiry,
            log_us,
        })
}

fn owner() -> impl Strategy<Value = Owner> {
    let list = || {
        prop::collection::vec(
            "[a-z]{1,3}(/[+#])?".prop_filter("a filter", |text| check_filter(text).is_ok()),
            0..3,
        )
    };
    (".{0,9}", 0u8..3, list(), list(), list()).prop_map(|(user, proof, roles, read, write)| {
        let boxed = |list: Vec<String>| list.into_iter().map(Into::into).collect::<Vec<Box<str>>>();
        let claims = Claims::new(boxed(roles), boxed(read), boxed(write), Vec::new()).unwrap();
        let proof = match proof {
            0 => Proof::Certificate,
            1 => Proof::Password,
            _ => Proof::Token(Arc::new(claims)),
        };
        Owner { user: user.into(), proof }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let target =
        (any::<(u64, u64, bool, Vec<u32>)>(), 0u8..3).prop_map(|((session, entry, retain, ids), qos)| {
            Target { session, entry, qos: QoS::from_bits(qos).unwrap(), retain, ids: ids.into() }
        });
    let published = (kept(), any::<(bool, Option<(u64, u16)>)>(), prop::collection::vec(target, 0..4));
    let will = (kept(), any::<(bool, u32)>())
        .prop_map(|(message, (retain, delay))| Box::new(Will { message, retain, delay }));
    let attached = (any::<(u64, u32)>(), ".{0,9}", prop::option::of(owner()), prop::option::of(will));
    let options =
        (0u8..3, any::<(bool, bool, u32)>()).prop_map(|(qos, (no_local, retain_as_published, id))| Options {
            qos: QoS::from_bits(qos).unwrap(),
            no_local,
            retain_as_published,
            id,
        });
    prop_oneof![
        published.prop_map(|(message, (retained, received), targets)| {
            Record::Published(Published { message: Arc::new(message), retained, received, targets })
        }),
        attached.prop_map(|((session, expiry), client, owner, will)| Record::Attached {
            session,
            client: client.into(),
            owner,
            expiry,
            will,
        }),
        any::<(u64, u32, bool, i64)>().prop_map(|(session, expiry, will, log_us)| Record::Detached {
            session,
            expiry,
            will,
            log_us
        }),
        any::<u64>().prop_map(|session| Record::Ended { session }),
        any::<([u8; 16], i64, i64, i64)>().prop_map(|(boot, up_us, wall_us, log_us)| {
            Record::Clock(Mark { boot, up_us, wall_us, log_us })
        }),
        (any::<u64>(), ".{0,9}", options).prop_map(|(session, filter, options)| Record::Subscribed {
            session,
            filter: filter.into(),
            options
        }),
        (any::<u64>(), ".{0,9}")
            .prop_map(|(session, filter)| Record::Unsubscribed { session, filter: filter.into() }),
        any::<(u64, u64)>().prop_map(|(session, entry)| Record::Acknowledged { session, entry }),
        any::<(u64, u64)>().prop_map(|(session, entry)| Record::Dropped { session, entry }),
        any::<(u64, u64)>().prop_map(|(session, entry)| Record::Released { session, entry }),
        any::<(u64, u16)>().prop_map(|(session, packet_id)| Record::Received { session, packet_id }),
        any::<(u64, u16)>().prop_map(|(session, packet_id)| Record::Completed { session, packet_id }),
        any::<u64>().prop_map(|session| Record::WillGone { session }),
        any::<(u64, u64)>().prop_map(|(session, entry)| Record::Sent { session, entry }),
        any::<(u64, u64, u64)>().prop_map(|(session, sequence, entry)| Record::Base {
            session,
            sequence,
            entry
        }),
    ]
}

proptest! {
    #[test]
    fn records_come_back(record in record()) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let decoded = Record::decode(record.kind(), &bytes);
        prop_assert_eq!(decoded.as_ref(), Ok(&record));
        for len in 0..bytes.len() {
            prop_assert!(Record::decode(record.kind(), &bytes[..len]).is_err());
        }
    }

    #[test]
    fn anything_can_be_decoded(kind in 0u8..20, bytes: Vec<u8>) {
        let _ = Record::decode(kind, &bytes);
    }
}
